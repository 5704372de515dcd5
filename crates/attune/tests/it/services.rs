//! Four services on PostgreSQL and RabbitMQ: from a timer to Hello World, with the scripts that people run, and
//! changes of definitions that need no restart.

use super::support::{
    Process, definitions, facts,
    services::{PASSWORD, Services},
    surroundings::{environment, program, repository},
};
use attune_common::{config::variable, store::PgPool, testing::Database};
use serde_json::json;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);
/// A change must be live within a second; on a machine that is busy with tests, it may take this much longer.
const ALLOWANCE: &str = "1 second";

#[tokio::test]
async fn timers_print_hello_and_changes_need_no_restart() {
    let services = Services::start().await;
    let pool = services.database.pool.clone();
    scripts_can_be_repeated(&services).await;
    definitions::pack(&services.api).await;
    let fire_at = facts::value(&pool, "date_trunc('second', db_now()) + interval '2 seconds'").await;
    definitions::three_forms(&services.api, fire_at.as_str().expect("a time")).await;
    for (rule, at_least) in [("test.interval", 3), ("test.cron", 3), ("test.one_shot", 1)] {
        facts::hello(&pool, rule, at_least).await;
    }
    a_disabled_rule_stops_at_once(&services).await;
    an_edit_by_sql_takes_effect(&pool).await;
    facts::holds(
        &pool,
        "core.timer_echo_10s ran",
        SOON,
        "exists (select from execution where rule_ref = 'core.timer_echo_10s' and status = 'succeeded')",
    )
    .await;
    facts::drain(&pool, SOON).await;
    facts::assert_invariants(&pool).await;
    services.stop().await;
}

/// Runs the seed script on a migrated database, and the setup script, twice each.
async fn scripts_can_be_repeated(services: &Services) {
    let pool = &services.database.pool;
    let definitions = "select jsonb_agg(to_jsonb(d)) from (select ref, version, enabled from trigger union all select ref, version, enabled from action order by 1) d";
    let before = facts::value(pool, definitions).await;
    let script = |name: &str| {
        repository()
            .join("scripts")
            .join(name)
            .to_str()
            .expect("the path is text")
            .to_owned()
    };
    for _ in 0..2 {
        run(
            services,
            &[
                "psql",
                "--no-psqlrc",
                "-v",
                "ON_ERROR_STOP=1",
                "-f",
                &script("seed_core_pack.sql"),
                services.database.url(),
            ],
        )
        .await;
    }
    assert_eq!(
        facts::value(pool, definitions).await,
        before,
        "the seed changes nothing that is there"
    );
    let printed = run(services, &[&script("setup_timer_echo_rule.sh")]).await;
    assert!(printed.contains("Watch it"), "{printed}");
    let rule = "select to_jsonb(r) from rule r where ref = 'core.timer_echo_10s'";
    let made = facts::value(pool, rule).await;
    let printed = run(services, &[&script("setup_timer_echo_rule.sh")]).await;
    assert!(printed.contains("already exists"), "{printed}");
    assert_eq!(facts::value(pool, rule).await, made, "the second run changes nothing");
}

/// Runs a program, which must succeed, and returns its output.
async fn run(services: &Services, command: &[&str]) -> String {
    let mut environment = environment();
    environment.extend([
        ("ATTUNE_API_URL", services.api.url.clone()),
        ("ATTUNE_API_USER", "admin".to_owned()),
        ("ATTUNE_API_PASSWORD", PASSWORD.to_owned()),
    ]);
    let log = services
        .folder
        .path()
        .join(format!("script-{:x}.log", rand::random::<u64>()));
    let mut process = Process::start(command[0], command, &environment, &log);
    let code = process.ended(Duration::from_secs(30)).await;
    assert_eq!(code, 0, "the exit code of {command:?}: {}", process.printed());
    process.printed()
}

async fn a_disabled_rule_stops_at_once(services: &Services) {
    let pool = &services.database.pool;
    services
        .api
        .post("/api/v1/rules/test.interval/disable", json!({}))
        .await;
    let disabled_at = facts::value(pool, "db_now()").await;
    let disabled_at = disabled_at.as_str().expect("a time");
    let later = format!(
        "(select count(*) from event e join event_decision d on d.event_id = e.id
          where e.trigger_ref = 'test.interval' and e.scheduled_at > '{disabled_at}') >= 3"
    );
    facts::holds(pool, "three more events are decided", SOON, &later).await;
    let fired = format!(
        "select count(*) from enforcement n join event e on e.id = n.event_id
         where n.rule_ref = 'test.interval' and e.received_at > '{disabled_at}'"
    );
    assert_eq!(facts::number(pool, &fired).await, 0, "a disabled rule does not fire");
    services.api.post("/api/v1/rules/test.interval/enable", json!({})).await;
    let enabled_at = facts::value(pool, "db_now()").await;
    let enabled_at = enabled_at.as_str().expect("a time");
    let again = format!(
        "exists (select from enforcement n join event e on e.id = n.event_id
                 where n.rule_ref = 'test.interval' and e.received_at > '{enabled_at}')"
    );
    facts::holds(pool, "the rule fires again", SOON, &again).await;
}

/// Changes the cron timer to an interval and back. Takes effect within a second and affects no other timer.
async fn an_edit_by_sql_takes_effect(pool: &PgPool) {
    let edit = |config: &str| {
        format!(
            "with edit as (update trigger set config = '{config}' where ref = 'test.cron' returning db_now() as at) select at from edit"
        )
    };
    let edited_at: String = changed_at(pool, &edit(r#"{"type": "interval", "hours": 8000}"#)).await;
    let seen = format!(
        "exists (select from timer_span s join trigger t on t.id = s.trigger_id
                 where t.ref = 'test.cron' and s.to_at is null and s.config->>'type' = 'interval')
         and (select count(*) from event where trigger_ref = 'test.interval' and scheduled_at > '{edited_at}'::timestamptz + interval '2 seconds') > 0"
    );
    facts::holds(pool, "the new schedule is in force", SOON, &seen).await;
    let late = format!(
        "select count(*) from event where trigger_ref = 'test.cron' and scheduled_at > '{edited_at}'::timestamptz"
    );
    assert_eq!(
        facts::number(pool, &late).await,
        0,
        "nothing of the old schedule fires after the edit"
    );

    let edited_at = changed_at(pool, &edit(r#"{"type": "interval", "seconds": 1}"#)).await;
    let first = format!(
        "select min(received_at) from event where trigger_ref = 'test.cron' and scheduled_at > '{edited_at}'::timestamptz"
    );
    facts::holds(
        pool,
        "it fires by the new schedule",
        SOON,
        &format!("({first}) is not null"),
    )
    .await;
    let in_time = format!(
        "select ({first}) - greatest('{edited_at}'::timestamptz + interval '1.2 seconds',
                (select min(scheduled_at) from event where trigger_ref = 'test.cron' and scheduled_at > '{edited_at}'::timestamptz)) < interval '{ALLOWANCE}'"
    );
    assert_eq!(facts::value(pool, &in_time).await, json!(true), "within a second");
}

async fn changed_at(pool: &PgPool, sql: &str) -> String {
    sqlx::query_scalar::<_, chrono::DateTime<chrono::Utc>>(sqlx::AssertSqlSafe(sql.to_owned()))
        .fetch_one(pool)
        .await
        .expect("the edit is right")
        .to_rfc3339()
}

#[tokio::test]
async fn weak_secrets_are_refused_by_name() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().expect("a folder can be made");
    let good = |n: u128| {
        format!(
            "{:032x}{:032x}",
            n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
            rand::random::<u128>()
        )
    };
    let known = "change-me-please-change-me-please-0123";
    let cases = [
        (None, Some(good(1)), "ATTUNE__SECURITY__JWT_SECRET"),
        (Some(good(1)), None, "ATTUNE__SECURITY__ENCRYPTION_KEY"),
        (
            Some("short".to_owned()),
            Some(good(1)),
            "security.jwt_secret is shorter",
        ),
        (
            Some(good(1)),
            Some(known.to_owned()),
            "security.encryption_key contains a word that is common in examples",
        ),
    ];
    for (number, (jwt, encryption, word)) in cases.into_iter().enumerate() {
        let mut environment = environment();
        environment.push(("ATTUNE__DATABASE__URL", database.url().to_owned()));
        environment.push(("ATTUNE__API__LISTEN", "127.0.0.1:0".to_owned()));
        environment.extend(jwt.map(|key| ("ATTUNE__SECURITY__JWT_SECRET", key)));
        environment.extend(encryption.map(|key| ("ATTUNE__SECURITY__ENCRYPTION_KEY", key)));
        let log = folder.path().join(format!("{number}.log"));
        let mut api = Process::start("attune-api", &[&program("attune-api")], &environment, &log);
        assert_eq!(api.ended(Duration::from_secs(20)).await, 1, "it refuses to start");
        assert!(api.printed().contains(word), "{word:?} in {}", api.printed());
    }
    assert!(
        variable("ATTUNE__SECURITY__JWT_SECRET").is_none(),
        "the tests' own environment is clean"
    );
    database.close().await;
}
