//! A worker as a process of its own: what becomes of executions when it, or its database, has a bad day.

mod due;
mod ends;
mod leases;
mod limits;
mod locks;
mod logs;
mod spool;
mod stopping;

/// Runs until the file `go` is there; says its pid first.
const UNTIL_GO: &str = r#"echo $$ > "$D/pid"; while [ ! -e "$D/go" ]; do sleep 0.05; done"#;
