//! Actions with a concurrency limit of 1, and the ledger that they write: one line at the start, ten per second while they
//! run, and one at the end. Two runs of one key must not overlap, even if the database shows them as separate.
//!
//! The order of the lines decides; it is the order in which the operating system appended them. Each line also contains the
//! boot clock, to help analyze a failure.

use super::super::support::facts;
use attune_common::store::PgPool;
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const KEYS: i64 = 8;
/// The period in seconds in which each key has work.
const EVERY: i64 = 10;

/// The actions of half of the keys run for 3 s, the others for 6 s, so that they outlive short leases.
const SCRIPT: &str = r#"
note() { read -r now _ < /proc/uptime; printf '%s %s %s %s %s\n' "$key" "$1" "$ATTUNE_EXECUTION_ID" "$ATTUNE_ATTEMPT" "$now" >> "$ledger"; }
note begin
left="$beats"
while [ "$left" -gt 0 ]; do sleep 0.1; note alive; left=$((left - 1)); done
note end"#;

/// A pattern of `like` for the refs of the limited actions.
pub const LIMITED: &str = "limited.%";

#[derive(Debug)]
pub struct LimitLedger(PathBuf);

impl LimitLedger {
    pub async fn start(pool: &PgPool, folder: &Path) -> Self {
        let ledger = Self(folder.join("limits"));
        define(pool, &ledger.0).await;
        ledger
    }

    /// The number of runs, and those that overlapped.
    pub fn check(&self) -> (usize, Vec<String>) {
        overlaps(&fs::read_to_string(&self.0).unwrap_or_default())
    }
}

fn overlaps(text: &str) -> (usize, Vec<String>) {
    // The runs of each key, with their first and last lines.
    let mut keys: BTreeMap<&str, BTreeMap<&str, (usize, usize)>> = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let mut words = line.splitn(3, ' ');
        let (Some(key), Some(_), Some(rest)) = (words.next(), words.next(), words.next()) else {
            return (0, vec![format!("line {number} of the ledger is broken: {line}")]);
        };
        let life = rest.rsplit_once(' ').map_or(rest, |(life, _)| life);
        let lives = keys.entry(key).or_default();
        lives.entry(life).or_insert((number, number)).1 = number;
    }
    let (mut lives, mut wrong) = (0, Vec::new());
    for (key, of_key) in keys {
        let mut of_key: Vec<_> = of_key.into_iter().map(|(life, (from, to))| (from, to, life)).collect();
        of_key.sort_unstable();
        lives += of_key.len();
        for pair in of_key.windows(2) {
            let ((_, to, life), (from, _, next)) = (pair[0], pair[1]);
            if from < to {
                wrong.push(format!(
                    "key {key}: {next} began at line {}, and {life} lived until line {}",
                    from + 1,
                    to + 1
                ));
            }
        }
    }
    (lives, wrong)
}

async fn define(pool: &PgPool, ledger: &Path) {
    let ledger = ledger.display();
    let schema = json!({"type": "object", "properties": {
        "key": {"type": "string"}, "beats": {"type": "string"}, "ledger": {"type": "string"}}});
    facts::execute(
        pool,
        &format!(
            r#"insert into pack (ref, label) values ('limited', 'Limited');
            insert into action (ref, pack_id, runtime_id, label, entry_point, on_lost, concurrency, parameters_schema)
                select 'limited.' || on_lost, p.id, r.id, on_lost, $script${SCRIPT}$script$, on_lost,
                       '{{"limit": 1, "key": "{{{{ parameters.key }}}}"}}', '{schema}'
                from pack p, runtime r, (values ('fail'), ('requeue')) v (on_lost) where p.ref = 'limited' and r.ref = 'core.shell';
            insert into trigger (ref, pack_id, label, kind, config)
                select 'limited.timer_' || n, id, 'Timer', 'timer', '{{"type": "interval", "seconds": {EVERY}}}'
                from pack, generate_series(1, {KEYS}) n where ref = 'limited';
            insert into rule (ref, pack_id, label, trigger_id, action_id, action_params)
                select t.ref, p.id, t.ref, t.id, a.id,
                       jsonb_build_object('key', 'k' || t.id, 'ledger', '{ledger}', 'beats', case when t.id / 2 % 2 = 0 then '30' else '60' end)
                from trigger t, action a, pack p
                where t.ref like 'limited.timer%' and p.ref = 'limited'
                  and a.ref = case when t.id % 2 = 0 then 'limited.fail' else 'limited.requeue' end;"#
        ),
    )
    .await;
}

#[test]
fn the_ledger_finds_overlaps() {
    let check = |lines: &[&str], lives, overlapping| {
        let (found, wrong) = overlaps(&lines.join("\n"));
        assert_eq!((found, wrong.len()), (lives, overlapping), "{wrong:?}");
    };
    check(
        &[
            "a begin x 1 7",
            "a alive x 1 8",
            "a end x 1 9",
            "a begin y 1 9",
            "a end y 1 9",
        ],
        2,
        0,
    );
    check(&["a begin x 1 7", "b begin y 1 7", "a end x 1 8", "b end y 1 9"], 2, 0);
    // A killed run has no end, and no later line.
    check(
        &["a begin x 1 7", "a alive x 1 8", "a begin x 2 9", "a end x 2 9"],
        2,
        0,
    );
    check(&["a begin x 1 7", "a begin y 1 8", "a alive x 1 9"], 2, 1);
    check(&["a begin x 1 7", "a begin x 2 8", "a end x 1 9", "a end x 2 9"], 2, 1);
    check(
        &[
            "a begin x 1 7",
            "a begin y 1 7",
            "a begin z 1 8",
            "a end x 1 9",
            "a end y 1 9",
        ],
        3,
        2,
    );
}
