//! Sign-in, contexts, users and tokens, `doctor` and `support-bundle`.

use super::{Shell, up};
use serde_json::json;
use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    time::Duration,
};

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story")]
async fn sign_in_elsewhere_and_check_the_installation() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let up = up(folder.path()).await;
    let local = Shell::local(folder.path());
    let mode = |name: &str| fs::metadata(folder.path().join(name)).expect("the file exists").mode() & 0o777;
    assert_eq!(mode("data/cli.json"), 0o600);
    assert_eq!(local.json("attune whoami -o json").await["role"], "editor");
    local.fails(3, "attune admin", "attune user disable admin").await;

    // Elsewhere, with a password.
    let shell = Shell::remote(folder.path());
    let url = &up.api.url;
    shell
        .ends(
            0,
            &format!("attune login {url} --login admin --password-stdin --role admin <data/admin-password"),
        )
        .await;
    assert_eq!(mode("attune/contexts.toml"), 0o600);
    let me = shell.json("attune whoami -o json").await;
    assert_eq!((&me["login"], &me["role"]), (&json!("admin"), &json!("admin")));
    let stored = shell.read("attune/contexts.toml");
    let token = stored
        .split("token = \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a token")
        .to_owned();
    let listed = shell.ends(0, "attune context list -o json").await;
    assert!(listed.contains(url) && !listed.contains(&token), "{listed}");
    shell
        .fails(3, "chmod 600", "chmod 644 attune/contexts.toml && attune whoami")
        .await;
    shell
        .ends(
            0,
            "chmod 600 attune/contexts.toml && attune context use 127.0.0.1 2>/dev/null || true",
        )
        .await;
    shell
        .fails(4, "no context none exists", "attune context use none")
        .await;
    // A stored token is not sent to another address.
    shell
        .fails(
            3,
            "not signed in at http://127.0.0.1:1",
            "attune rule list --url http://127.0.0.1:1",
        )
        .await;

    shell
        .ends(0, "echo 'a long password' | attune user add ann --role viewer")
        .await;
    shell
        .ends(
            0,
            "attune user role ann editor && attune user disable ann && attune user enable ann",
        )
        .await;
    let users = shell.ends(0, "attune user list -o cols=login,role,enabled").await;
    assert!(users.contains("ann\teditor\ttrue"), "{users}");
    let viewer = shell.ends(0, "attune token create --label viewer --role viewer").await;
    let viewer = shell.with_token(url, viewer.trim());
    viewer.ends(0, "attune rule list").await;
    viewer.fails(3, "role", "attune pack create other").await;
    assert!(
        shell
            .ends(0, "attune audit list --verb create -q")
            .await
            .lines()
            .count()
            > 1
    );

    // The old names still use the database if they are told where it is.
    let old = local.run("attune user list --data-dir data").await;
    assert!(
        old.code == 0 && old.out.contains("\tann\teditor") && old.err.contains("attune admin user"),
        "{}",
        old.err
    );
    assert_eq!(local.ends(0, "attune admin user list --data-dir data").await, old.out);

    local.ends(0, "attune status").await;
    let report = local.run("attune doctor --data-dir data").await;
    // The machine of the test may have little space.
    let bad: Vec<&str> = report
        .out
        .lines()
        .filter(|line| line.starts_with("no ") && !line.contains("disk"))
        .collect();
    assert_eq!(bad, Vec::<&str>::new(), "{}", report.out);
    local
        .ends(
            0,
            "chmod 644 data/cli.json; attune doctor --data-dir data | grep 'no file modes'; chmod 600 data/cli.json",
        )
        .await;
    bundle(&local).await;
    generated(&local).await;

    shell.ends(0, "attune logout").await;
    let revoked = Shell::remote(folder.path()).with_token(url, &token);
    let refused = async || (revoked.run("attune whoami").await.code == 3).then_some(());
    attune_common::testing::eventually("the token is revoked", Duration::from_secs(15), refused).await;
    shell.fails(2, "no context is in use", "attune logout").await;
    up.interrupt(Duration::from_secs(12)).await;

    // The next run keeps the token of this machine.
    let before = local.read("data/cli.json");
    let again = crate::support::embedded::Embedded::up(folder.path(), "2.log").await;
    let after = local.read("data/cli.json");
    let token_of = |text: &str| text.split("\"token\"").nth(1).map(str::to_owned);
    assert_eq!(token_of(&before), token_of(&after), "{after}");
    local.ends(0, "attune rule list").await;
    again.interrupt(Duration::from_secs(12)).await;
}

/// The archive contains nothing of what users send and actions print.
async fn bundle(local: &Shell<'_>) {
    let id = local
        .ends(0, "attune run core.echo message=planted-in-parameters")
        .await;
    local.ends(0, &format!("attune execution wait {id}")).await;
    local
        .ends(
            0,
            "attune quick --webhook planted --verify github -- 'echo planted-in-script; exit 1' 2>secret",
        )
        .await;
    local
        .ends(0, "attune trigger fire my.planted body=planted-in-payload")
        .await;
    let run = local
        .ends(10, "attune run my.planted x=planted-in-parameters --wait -o json")
        .await;
    assert!(run.contains("planted-in-script"), "{run}");
    local
        .ends(0, "attune support-bundle -O bundle.tar.gz && tar -xzf bundle.tar.gz")
        .await;
    local.ends(1, "grep -r planted-in attune-support").await;
    let secret = local.read("secret");
    let secret = secret
        .split("shown only once: ")
        .nth(1)
        .expect("the secret is shown")
        .trim();
    local.ends(1, &format!("grep -r {secret} attune-support")).await;
    local
        .ends(
            0,
            "test -s attune-support/services.json && test -s attune-support/health.json",
        )
        .await;
    local.ends(0, "attune quick rm planted").await;
}

/// Help, completion and manual pages.
async fn generated(local: &Shell<'_>) {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(
            local
                .ends(0, &format!("attune completion {shell}"))
                .await
                .contains("rule"),
            "{shell}"
        );
    }
    local
        .ends(
            0,
            "attune man pages && test -s pages/attune.1 && test -s pages/attune-rule-test.1",
        )
        .await;
    assert!(local.ends(0, "attune help exit-codes").await.contains("124"));
    assert!(local.ends(0, "attune help rule test").await.contains("--payload"));
    local.fails(2, "exit-codes", "attune help nothing").await;
    let file = local.folder.join("pages");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).expect("the folder exists");
}
