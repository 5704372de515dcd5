//! What scripts say of missing programs (`scripts/lib/install.sh`).

use std::process::Command;

/// Whoever may not install anything is told once, and of everything.
#[test]
fn what_is_missing_is_told_all_at_once() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let script = "source lib/say.sh; source lib/install.sh; need_c_compiler; need_command jq; install_needed; echo on";
    // Without apt-get nothing is installed, whoever runs this.
    #[expect(clippy::disallowed_methods, reason = "scripts are what is tested")]
    let output = Command::new("/bin/bash")
        .args(["-euc", script])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts"))
        .env("PATH", folder.path())
        .output()
        .expect("bash is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty(), "{said}");
    assert!(said.contains("missing: a C compiler, jq."), "{said}");
    assert!(said.contains("packages: gcc libc6-dev jq\n"), "{said}");
}
