//! A worker process with a database: executions from claim to result, also while either of them fails.

mod code;
mod due;
mod ends;
mod languages;
mod leases;
mod limits;
mod locks;
mod logs;
mod secrets;
mod spool;
mod stopping;
mod templates;

/// Writes its pid, then runs until the file `go` exists.
const UNTIL_GO: &str = r#"echo $$ > "$D/pid"; while [ ! -e "$D/go" ]; do sleep 0.05; done"#;
