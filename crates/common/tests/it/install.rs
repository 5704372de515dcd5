//! How scripts report missing programs (`scripts/lib/install.sh`).

use std::process::Command;

/// A user without permission to install gets one message with all of them.
#[test]
fn all_missing_programs_are_reported_at_once() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let script = "source lib/say.sh; source lib/install.sh; need_c_compiler; need_command jq; install_needed; echo on";
    // Without apt-get nothing is installed, even as root.
    #[expect(clippy::disallowed_methods, reason = "scripts are what is tested")]
    let output = Command::new("/bin/bash")
        .args(["-euc", script])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts"))
        .env("PATH", folder.path())
        .output()
        .expect("bash is installed");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty(), "{printed}");
    assert!(printed.contains("missing: a C compiler, jq."), "{printed}");
    assert!(printed.contains("packages: gcc libc6-dev jq\n"), "{printed}");
}
