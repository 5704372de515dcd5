//! `attune pack new`, `build`, `plan`, `apply`, `diff`, `export` and `remove`, against a running `attune up`.

use super::support::{
    Process,
    embedded::Embedded,
    surroundings::{environment, program},
};
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};

struct Folder<'a> {
    path: &'a Path,
    url: String,
    token: String,
}

impl Folder<'_> {
    /// Runs a shell command in the folder, in which `attune` is the program. Returns its exit code and its output.
    async fn sh(&self, command: &str) -> (i32, String) {
        let log = self.path.join("shell.log");
        let _ = fs::remove_file(&log);
        let command = format!(
            "attune() {{ \"{}\" \"$@\"; }}; cd \"$0\" && {command}",
            program("attune")
        );
        let folder = self.path.to_str().expect("the path is text");
        let mut variables = environment();
        variables.push(("ATTUNE_API_URL", self.url.clone()));
        variables.push(("ATTUNE_API_TOKEN", self.token.clone()));
        let mut process = Process::start("sh", &["/bin/sh", "-c", &command, folder], &variables, &log);
        let code = process.ended(Duration::from_secs(120)).await;
        (code, fs::read_to_string(&log).unwrap_or_default())
    }

    async fn ends(&self, code: i32, command: &str) -> String {
        let (ended, out) = self.sh(command).await;
        assert_eq!(ended, code, "{command}: {out}");
        out
    }
}

async fn hello(up: &Embedded) -> String {
    let id = up.api.run("demo.hello", json!({"name": "Ann"})).await;
    let run = up.api.execution_is(&id, "succeeded", Duration::from_secs(60)).await;
    run["result"]["stdout"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story")]
async fn a_pack_is_made_applied_compared_exported_and_removed() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let up = Embedded::up(folder.path(), "up.log").await;
    let made = up
        .api
        .post("/api/v1/tokens", json!({"label": "cli", "role": "editor"}))
        .await;
    let token = made["token"]
        .as_str()
        .or_else(|| made["data"]["token"].as_str())
        .expect("a token");
    let shell = Folder {
        path: folder.path(),
        url: up.api.url.clone(),
        token: token.to_owned(),
    };
    shell.ends(0, "attune pack new demo").await;
    shell.ends(0, "attune pack check demo").await;
    let built = shell.ends(0, "attune pack build demo -O one.tar.gz && cp -r demo other && touch other/pack.yaml && attune pack build other -O two.tar.gz").await;
    let hashes: Vec<&str> = built
        .lines()
        .map(|line| line.split(' ').next().unwrap_or_default())
        .collect();
    assert_eq!((hashes.len(), hashes[0].len()), (2, 64), "{built}");
    assert_eq!(hashes[0], hashes[1], "the same files have the same hash");
    shell
        .ends(0, "cmp one.tar.gz two.tar.gz && attune pack check one.tar.gz")
        .await;

    assert!(
        shell
            .ends(0, "attune pack plan demo")
            .await
            .contains("Nothing was written.")
    );
    shell.ends(9, "attune pack diff demo").await;
    shell.ends(4, "attune pack show demo").await;
    shell.ends(0, "attune pack apply one.tar.gz --lock attune.lock").await;
    shell.ends(0, "attune pack diff demo").await;
    assert_eq!(hello(&up).await, "Hello Ann\n");
    let listed = shell.ends(0, "attune pack list").await;
    assert!(
        listed.contains(&format!("demo\t0.1.0\tenabled\t{}", &hashes[0][..12])),
        "{listed}"
    );
    let shown: Value = serde_json::from_str(&shell.ends(0, "attune pack show demo --json").await).expect("JSON");
    assert_eq!(shown["hash"], hashes[0]);

    // From git, with the commit.
    shell
        .ends(0, "echo 'echo \"Bye $name\"' > demo/actions/hello.sh && mkdir repo && mv demo repo/ && cd repo && git init -q && git add . && git -c user.name=a -c user.email=a@example.org commit -qm x && git tag v2 && git rev-parse HEAD > ../commit")
        .await;
    let commit = fs::read_to_string(folder.path().join("commit")).expect("a commit");
    let address = format!("git+file://{}/repo@v2#demo", folder.path().display());
    shell
        .ends(0, &format!("attune pack apply '{address}' --lock attune.lock"))
        .await;
    assert_eq!(hello(&up).await, "Bye Ann\n");
    let lock = fs::read_to_string(folder.path().join("attune.lock")).expect("a lock file");
    assert!(
        lock.contains(&format!("repo@{}#demo", commit.trim())) && lock.contains("sha256: "),
        "{lock}"
    );
    shell.ends(0, "attune pack apply --from-lock attune.lock").await;
    shell
        .ends(
            1,
            "sed -i 's/sha256: ./sha256: z/' attune.lock && attune pack apply --from-lock attune.lock",
        )
        .await;

    let exported = shell
        .ends(0, "attune pack export demo -d out && diff -r out repo/demo")
        .await;
    assert!(exported.contains("out"), "{exported}");
    shell.ends(2, "attune pack remove demo --cascade < /dev/null").await;
    shell.ends(5, "attune pack remove demo --yes").await;
    shell.ends(0, "attune pack remove demo --cascade --yes").await;
    shell.ends(4, "attune pack export demo").await;

    // Archives that attack.
    shell.ends(0, "mkdir evil && echo '{ref: evil}' > evil/pack.yaml && ln -s /etc/passwd evil/link && tar czf evil.tar.gz evil").await;
    for command in ["attune pack apply evil.tar.gz", "attune pack apply evil"] {
        assert!(
            shell.ends(6, command).await.contains("link: is a symbolic link"),
            "{command}"
        );
    }
    assert!(
        shell
            .ends(1, "attune pack check evil.tar.gz")
            .await
            .contains("link: is a symbolic link")
    );
    shell
        .ends(6, "head -c 60 one.tar.gz > cut.tar.gz && attune pack apply cut.tar.gz")
        .await;
    shell.ends(3, "ATTUNE_API_TOKEN=atn_wrong attune pack list").await;
    shell
        .ends(7, "ATTUNE_API_URL=http://127.0.0.1:1 attune pack list")
        .await;
    up.interrupt(Duration::from_secs(60)).await;
}
