//! The command line as people and scripts use it, against a running `attune up`.

mod access;
mod errors;
mod execute;
mod live;
mod objects;

use super::support::{
    Process,
    embedded::Embedded,
    surroundings::{environment, program},
};
use serde_json::Value;
use std::{fs, path::Path, time::Duration};

const LIMIT: Duration = Duration::from_secs(60);

/// What a command printed.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

/// A folder in which commands run.
struct Shell<'a> {
    folder: &'a Path,
    variables: Vec<(&'static str, String)>,
}

impl<'a> Shell<'a> {
    /// A shell on the machine of `attune up`, which needs no sign-in.
    fn local(folder: &'a Path) -> Self {
        let mut shell = Self::remote(folder);
        shell.set(
            "ATTUNE_DATA_DIR",
            folder.join("data").to_str().expect("the path is text"),
        );
        shell
    }

    /// A shell elsewhere.
    fn remote(folder: &'a Path) -> Self {
        let mut shell = Self {
            folder,
            variables: environment(),
        };
        shell.set("XDG_CONFIG_HOME", folder.to_str().expect("the path is text"));
        shell
    }

    fn set(&mut self, name: &'static str, value: &str) {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.to_owned()));
    }

    /// A copy with a token.
    fn with_token(&self, url: &str, token: &str) -> Shell<'a> {
        let mut shell = Self::remote(self.folder);
        shell.set("ATTUNE_API_URL", url);
        shell.set("ATTUNE_API_TOKEN", token);
        shell
    }

    /// Starts a command of the shell in which `attune` is the program. `name` is unique.
    fn start(&self, name: &str, command: &str) -> Process {
        let attune = program("attune");
        let folder = self.folder.to_str().expect("the path is text");
        let command = command.trim_end();
        let command =
            format!("attune() {{ \"{attune}\" \"$@\"; }}; cd \"$0\" && {{ {command}; }} >{name}.out 2>{name}.err");
        let log = self.folder.join(format!("{name}.log"));
        Process::start(name, &["/bin/sh", "-c", &command, folder], &self.variables, &log)
    }

    async fn run(&self, command: &str) -> Ran {
        let mut process = self.start("shell", command);
        let code = process.ended(LIMIT).await;
        Ran {
            code,
            out: self.read("shell.out"),
            err: self.read("shell.err"),
        }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    /// Runs a command that ends with this code, and returns its standard output.
    async fn ends(&self, code: i32, command: &str) -> String {
        let ran = self.run(command).await;
        assert_eq!(ran.code, code, "{command}\nstdout: {}\nstderr: {}", ran.out, ran.err);
        ran.out
    }

    /// Runs a command that fails with this code and this message.
    async fn fails(&self, code: i32, message: &str, command: &str) {
        let ran = self.run(command).await;
        assert_eq!(ran.code, code, "{command}\nstdout: {}\nstderr: {}", ran.out, ran.err);
        assert!(ran.err.contains(message), "{command}: {}", ran.err);
    }

    async fn json(&self, command: &str) -> Value {
        let ran = self.run(command).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{command}");
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{command}: {error}: {}", ran.out))
    }
}

async fn up(folder: &Path) -> Embedded {
    Embedded::up(folder, "up.log").await
}
