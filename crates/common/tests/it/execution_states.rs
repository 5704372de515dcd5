//! The states of an execution: the database and the domain agree on every pair, and the diagram shows them.

use attune_common::testing::{Database, generated};
use attune_domain::execution::{ExecutionStatus, transitions};
use sqlx::PgConnection;
use std::{collections::BTreeSet, fmt::Write as _};

type Pair = (&'static str, &'static str);

/// In the order of the enum, each once.
fn legal() -> Vec<Pair> {
    let pairs: BTreeSet<Pair> = transitions()
        .into_iter()
        .map(|(from, to)| (from.as_str(), to.as_str()))
        .collect();
    let every = ExecutionStatus::ALL
        .iter()
        .flat_map(|from| ExecutionStatus::ALL.iter().map(|to| (from.as_str(), to.as_str())));
    every.filter(|pair| pairs.contains(pair)).collect()
}

/// Tries one pair on a new row. Returns the constraint that refused it.
async fn try_pair(connection: &mut PgConnection, (from, to): Pair) -> Option<String> {
    let id = uuid::Uuid::now_v7();
    sqlx::query(
        "insert into execution (id, action_ref, pool, parameters, status, scheduled_at, trace_id)
         values ($1, 'core.noop', 'default', '{}', $2, db_now(), $1)",
    )
    .bind(id)
    .bind(from)
    .execute(&mut *connection)
    .await
    .expect("an execution may be made in any state");
    let moved = sqlx::query("update execution set status = $2 where id = $1")
        .bind(id)
        .bind(to)
        .execute(connection)
        .await;
    let refused = moved.err()?;
    let error = refused.as_database_error().expect("the database refused it");
    Some(error.constraint().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn the_database_and_the_domain_refuse_the_same_transitions() {
    let database = Database::new().await;
    let mut connection = database.pool.acquire().await.expect("a connection");
    let legal = legal();
    for from in ExecutionStatus::ALL {
        for to in ExecutionStatus::ALL.iter().filter(|to| *to != from) {
            let pair = (from.as_str(), to.as_str());
            let expected = (!legal.contains(&pair)).then(|| "execution_guard".to_owned());
            assert_eq!(try_pair(&mut connection, pair).await, expected, "{pair:?}");
        }
    }
    drop(connection);
    database.close().await;
}

#[test]
fn the_diagram_shows_every_pair() {
    let mut text = String::from(
        "# States of an execution\n\n\
         Written by a test from `attune_domain::execution::transitions`; the database refuses every other pair.\n\n\
         ```mermaid\nstateDiagram-v2\n    [*] --> scheduled\n    [*] --> waiting\n",
    );
    let legal = legal();
    for (from, to) in &legal {
        writeln!(text, "    {from} --> {to}").expect("a string takes text");
    }
    for status in ExecutionStatus::ALL {
        let leads_on = legal.iter().any(|(from, _)| *from == status.as_str());
        assert_ne!(leads_on, status.is_terminal(), "{status:?}");
        if status.is_terminal() {
            writeln!(text, "    {} --> [*]", status.as_str()).expect("a string takes text");
        }
    }
    text.push_str("```\n");
    generated::compare("execution-states.md", &text);
}
