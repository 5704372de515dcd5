//! The environment of the programs under test: their paths, variables, and a free port.

use attune_common::config::variable;
use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

/// The folder of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the repository is there")
}

/// A program of this workspace, next to the folder of this test program, also when both were copied elsewhere. Cargo builds
/// `attune` itself for these tests; the others must have been built before.
pub fn program(name: &str) -> String {
    let this = std::env::current_exe().expect("this program is a file");
    let folder = this.parent().and_then(Path::parent).expect("it lies in a folder");
    let file = folder.join(name);
    assert!(
        file.is_file(),
        "{} is missing: run ./scripts/test.sh, or `cargo build --workspace --all-targets` before these tests",
        file.display()
    );
    file.to_str().expect("the path is text").to_owned()
}

/// The minimal environment of a program, without variables of Attune.
pub fn environment() -> Vec<(&'static str, String)> {
    let mut environment = vec![("RUST_BACKTRACE", "1".to_owned())];
    for name in ["PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR"] {
        environment.extend(variable(name).map(|value| (name, value)));
    }
    environment
}

/// Actions that leave marks in the folder of a test run as the user of the test.
pub fn actions_as_the_test() -> (&'static str, String) {
    let user = if nix::unistd::geteuid().is_root() {
        "root"
    } else {
        "service"
    };
    ("ATTUNE__WORKER__RUN_ACTIONS_AS", user.to_owned())
}

/// A free port below the range for outgoing connections, so that it is still free when a service is restarted on it.
pub fn free_port() -> u16 {
    let mut candidates = std::iter::repeat_with(|| 20_000 + rand::random::<u16>() % 10_000);
    candidates
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a port is free")
}
