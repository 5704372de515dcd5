//! The private PostgreSQL: from the first start to its possible failures.

use attune_common::config::variable;
use attune_common::postgres::{Error, Postgres, Settings};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const HOLD: &str = "ATTUNE_TEST_HOLD_POSTGRES";
const UNPRIVILEGED: u32 = 65534;
const PATIENCE: Duration = Duration::from_secs(30);

async fn start(data_dir: &Path) -> Result<Postgres, Error> {
    Postgres::start(&Settings::new(data_dir), |_| {}).await
}

async fn connect(postgres: &Postgres) -> PgConnection {
    PgConnection::connect_with(&postgres.options()).await.unwrap()
}

async fn scalar(connection: &mut PgConnection, statement: &'static str) -> String {
    sqlx::query_scalar(statement).fetch_one(connection).await.unwrap()
}

async fn run(connection: &mut PgConnection, statement: &'static str) {
    sqlx::query(statement).execute(connection).await.unwrap();
}

/// The processes of PostgreSQL that use a cluster.
fn workers_in(cluster: &Path) -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == cluster))
        .collect()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "still not so after {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn a_second_start_finds_what_the_first_one_stored() {
    let folder = tempfile::tempdir().unwrap();
    let messages = std::sync::Mutex::new(Vec::new());
    let progress = |message: &str| messages.lock().unwrap().push(message.to_owned());
    let settings = Settings::new(folder.path().join("data"));

    let first = Postgres::start(&settings, progress).await.unwrap();
    assert!(first.is_new());
    assert!(messages.lock().unwrap()[0].starts_with("first start"));
    let mut connection = connect(&first).await;
    run(&mut connection, "create table note as select 'Grüße'::text as text").await;
    drop(connection);
    let cluster = first.folder().to_owned();
    first.stop().await;
    assert_eq!(workers_in(&cluster), [0; 0]);

    messages.lock().unwrap().clear();
    let second = Postgres::start(&settings, progress).await.unwrap();
    assert!(!second.is_new());
    assert_eq!(*messages.lock().unwrap(), [""; 0]);
    let mut connection = connect(&second).await;
    assert_eq!(scalar(&mut connection, "select text from note").await, "Grüße");
}

#[tokio::test]
async fn the_server_is_durable_checksummed_private_and_without_superuser() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = start(folder.path()).await.unwrap();
    let mut connection = connect(&postgres).await;
    for (setting, value) in [
        ("select current_setting('fsync')", "on"),
        ("select current_setting('synchronous_commit')", "on"),
        ("select current_setting('data_checksums')", "on"),
        ("select current_setting('server_encoding')", "UTF8"),
        ("select current_setting('listen_addresses')", ""),
        ("select current_setting('is_superuser')", "off"),
        ("select current_user::text", "attune"),
        ("select lower('ÄÉ')", "äé"),
        (
            "select string_agg(t, '' order by t) from unnest(array['b', 'A', 'a', 'B']) t",
            "ABab",
        ),
    ] {
        assert_eq!(scalar(&mut connection, setting).await, value, "{setting}");
    }
    let mode = fs::metadata(postgres.folder()).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o700);
    let from_url = PgConnection::connect(&postgres.url()).await.unwrap();
    from_url.close().await.unwrap();
}

/// Access to the socket is not sufficient for any user.
#[tokio::test]
async fn every_connection_needs_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = start(folder.path()).await.unwrap();
    let without = PgConnectOptions::new_without_pgpass()
        .socket(postgres.folder())
        .port(5432)
        .database("attune");
    for user in ["attune", "postgres"] {
        for options in [
            without.clone(),
            without.clone().password(""),
            without.clone().password("attune"),
        ] {
            let refused = PgConnection::connect_with(&options.username(user)).await;
            assert!(refused.is_err(), "{user} is let in");
        }
        let options = postgres.options().username(user);
        PgConnection::connect_with(&options).await.unwrap();
    }
    let file = folder.path().join("postgres-password");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let shown = postgres.shown_url();
    assert!(shown.contains("passfile=") && !shown.contains("attune:"), "{shown}");
    #[expect(clippy::disallowed_methods, reason = "this is how a person connects")]
    let psql = Command::new("psql")
        .args(["-X", "-w", "-A", "-t", "-c", "select 1", &shown])
        .output()
        .unwrap();
    assert_eq!(psql.stdout, b"1\n", "{psql:?}");
}

/// As created by earlier releases: without a password, open to every user with access to the socket.
#[tokio::test]
async fn a_cluster_without_a_password_gets_one() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await.unwrap();
    let mut superuser = PgConnection::connect_with(&first.options().username("postgres"))
        .await
        .unwrap();
    run(&mut superuser, "alter role attune password null").await;
    run(&mut superuser, "alter role postgres password null").await;
    run(&mut superuser, "create table note as select 1 as number").await;
    superuser.close().await.unwrap();
    first.stop().await;
    fs::remove_file(folder.path().join("postgres-password")).unwrap();
    fs::write(folder.path().join("postgres/pg_hba.conf"), "local all all trust\n").unwrap();

    let second = start(folder.path()).await.unwrap();
    let open = PgConnectOptions::new_without_pgpass()
        .socket(second.folder())
        .port(5432)
        .username("postgres")
        .database("attune");
    assert!(PgConnection::connect_with(&open).await.is_err());
    let mut superuser = PgConnection::connect_with(&second.options().username("postgres"))
        .await
        .unwrap();
    assert_eq!(scalar(&mut superuser, "select number::text from note").await, "1");
}

#[tokio::test]
async fn a_different_password_in_the_file_is_reported_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    start(folder.path()).await.unwrap().stop().await;
    let file = folder.path().join("postgres-password");
    fs::write(&file, "*:*:*:*:wrong\n").unwrap();
    let error = start(folder.path()).await.unwrap_err().to_string();
    assert!(
        error.contains("postgres-password") && error.contains("remove that file"),
        "{error}"
    );
    fs::remove_file(&file).unwrap();
    start(folder.path()).await.unwrap();
}

#[tokio::test]
async fn a_folder_serves_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let _first = start(folder.path()).await.unwrap();
    let error = start(folder.path()).await.unwrap_err();
    assert!(matches!(&error, Error::Locked { pid, .. } if *pid == std::process::id().to_string()));
    assert!(error.to_string().contains("in use by the running process"), "{error}");
}

#[tokio::test]
async fn a_path_may_be_long_and_contain_spaces_and_quotes() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("it's \"my\" $HOME folder; ü");
    for data_dir in [odd.join("a"), odd.join("long/".repeat(40))] {
        let postgres = start(&data_dir).await.unwrap();
        let from_url = PgConnection::connect(&postgres.url()).await.unwrap();
        from_url.close().await.unwrap();
        postgres.stop().await;
        start(&data_dir).await.unwrap();
    }
}

/// A cluster that has run and is then damaged in one place. The message must contain the folder and the remedy.
#[tokio::test]
async fn a_damaged_folder_is_reported_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = start(folder.path()).await.unwrap().folder().to_owned();
    let breaks: [(&str, Option<&str>, &str); 5] = [
        ("PG_VERSION", None, "PG_VERSION is missing"),
        ("PG_VERSION", Some("fifteen\n"), "contains no version number"),
        ("PG_VERSION", Some("9\n"), "written by PostgreSQL 9"),
        ("global/pg_control", None, "is damaged"),
        ("postgresql.conf", None, "is damaged"),
    ];
    for (file, content, expected) in breaks {
        let path = cluster.join(file);
        let kept = path.with_extension("kept");
        fs::rename(&path, &kept).unwrap();
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let error = start(folder.path()).await.unwrap_err().to_string();
        fs::rename(&kept, &path).unwrap();
        assert!(error.contains(expected), "{file}: {error}");
        assert!(error.contains(cluster.to_str().unwrap()), "{file}: {error}");
    }
    start(folder.path()).await.unwrap();
}

#[tokio::test]
async fn a_cluster_without_our_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = start(folder.path()).await.unwrap();
    let to_postgres = postgres.options().username("postgres").database("postgres");
    let mut connection = PgConnection::connect_with(&to_postgres).await.unwrap();
    run(&mut connection, "drop database attune with (force)").await;
    drop(connection);
    postgres.stop().await;
    let error = start(folder.path()).await.unwrap_err().to_string();
    assert!(error.contains("not a cluster that attune created"), "{error}");
}

#[tokio::test]
async fn an_interrupted_creation_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("postgres.new/base")).unwrap();
    fs::write(folder.path().join("postgres.new/PG_VERSION"), "15\n").unwrap();
    let postgres = start(folder.path()).await.unwrap();
    assert!(postgres.is_new());
    assert!(!folder.path().join("postgres.new").exists());
}

#[tokio::test]
async fn a_chosen_folder_of_programs_is_the_only_one_tried() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        programs: Some("/nonexistent/bin".into()),
        ..Settings::new(folder.path())
    };
    let error = Postgres::start(&settings, |_| {}).await.unwrap_err();
    assert!(matches!(error, Error::BadPrograms { .. }), "{error}");
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_created_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = start(&file.join("data")).await.unwrap_err();
    assert!(matches!(error, Error::Folder { .. }), "{error}");
}

#[tokio::test]
async fn the_end_of_the_server_is_noticed() {
    let postgres = Postgres::temporary().await.unwrap();
    let pid = postmaster(postgres.folder());
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    tokio::time::timeout(PATIENCE, postgres.ended()).await.unwrap();
}

#[tokio::test]
async fn a_stale_pid_file_does_not_stop_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = start(folder.path()).await.unwrap().folder().to_owned();
    // The number of a living process of the same user: our own.
    fs::write(cluster.join("postmaster.pid"), format!("{}\n", std::process::id())).unwrap();
    start(folder.path()).await.unwrap();
}

#[tokio::test]
async fn a_temporary_server_disappears_when_it_is_dropped() {
    let postgres = Postgres::temporary().await.unwrap();
    let folder = postgres.folder().parent().unwrap().to_owned();
    let _still_connected = connect(&postgres).await;
    drop(postgres);
    assert!(!folder.exists());
}

fn postmaster(cluster: &Path) -> i32 {
    let content = fs::read_to_string(cluster.join("postmaster.pid")).unwrap();
    content.lines().next().unwrap().parse().unwrap()
}

/// Another process of this test program that holds a server until it is killed.
struct Holder(Child);

impl Holder {
    fn start(what: &Path) -> Self {
        Self::start_with(&std::env::current_exe().unwrap(), what, |_| {})
    }

    fn start_with(program: &Path, what: &Path, change: impl FnOnce(&mut Command)) -> Self {
        let test = format!("{}::holds_a_server", module_path!().split_once("::").unwrap().1);
        #[expect(clippy::disallowed_methods, reason = "the test needs a process that it can kill")]
        let mut command = Command::new(program);
        command.args(["--exact", &test, "--nocapture"]).env(HOLD, what);
        change(&mut command);
        Self(command.stdout(Stdio::null()).spawn().unwrap())
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Starts and stops a server, unless another test makes this process hold a server on a folder, or a temporary one,
/// until it is killed.
#[tokio::test]
async fn holds_a_server() {
    let Some(folder) = variable(HOLD).map(PathBuf::from) else {
        return Postgres::temporary().await.unwrap().stop().await;
    };
    let postgres = if folder.is_dir() {
        start(&folder).await.unwrap()
    } else {
        Postgres::temporary().await.unwrap()
    };
    if !folder.is_dir() {
        fs::write(&folder, postgres.folder().to_str().unwrap()).unwrap();
    }
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_killed_parent_stops_its_server_and_the_next_start_works() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = folder.path().canonicalize().unwrap().join("postgres");
    for round in 0..3 {
        let holder = Holder::start(folder.path());
        eventually("the server runs", || {
            fs::metadata(cluster.join(".s.PGSQL.5432")).is_ok()
        });
        holder.kill();
        if round == 1 {
            // At once: the new start meets the old server while it shuts down.
            start(folder.path()).await.unwrap();
        }
        eventually("the server ended", || workers_in(&cluster).is_empty());
    }
    let postgres = start(folder.path()).await.unwrap();
    let log = fs::read_to_string(postgres.log()).unwrap();
    assert!(!log.contains("not properly shut down"), "an unclean end: {log}");
}

#[tokio::test]
async fn a_killed_server_recovers_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = start(folder.path()).await.unwrap();
    let mut connection = connect(&postgres).await;
    run(&mut connection, "create table note as select 'kept'::text as text").await;
    let pid = postmaster(postgres.folder());
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    drop(postgres);
    let again = start(folder.path()).await.unwrap();
    assert_eq!(
        scalar(&mut connect(&again).await, "select text from note").await,
        "kept"
    );
}

fn signal(pid: i32, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}

#[tokio::test]
async fn a_killed_server_restarts_at_the_same_address() {
    use nix::sys::signal::Signal::{SIGKILL, SIGSTOP};
    let folder = tempfile::tempdir().unwrap();
    let mut postgres = start(folder.path()).await.unwrap();
    let mut connection = connect(&postgres).await;
    run(&mut connection, "create table note as select 'kept'::text as text").await;
    let session = scalar(&mut connection, "select pg_backend_pid()::text").await;
    for is_stopped in [false, true] {
        if is_stopped {
            // It does not notice that its server is gone, and holds its shared memory.
            let session = scalar(&mut connection, "select pg_backend_pid()::text").await;
            signal(session.parse().unwrap(), SIGSTOP);
        }
        signal(postmaster(postgres.folder()), SIGKILL);
        let why = tokio::time::timeout(PATIENCE, postgres.ended()).await.unwrap();
        assert!(why.contains("SIGKILL"), "{why}");
        postgres.restart().await.unwrap();
        connection = connect(&postgres).await;
        assert_eq!(scalar(&mut connection, "select text from note").await, "kept");
    }
    assert_ne!(scalar(&mut connection, "select pg_backend_pid()::text").await, session);
}

/// The next start stops the sessions of a killed server, even without its pid file.
#[tokio::test]
async fn sessions_without_a_server_do_not_stop_a_start() {
    use nix::sys::signal::Signal::{SIGKILL, SIGSTOP};
    let folder = tempfile::tempdir().unwrap();
    for keeps_file in [true, false] {
        let postgres = start(folder.path()).await.unwrap();
        let mut connection = connect(&postgres).await;
        let session = scalar(&mut connection, "select pg_backend_pid()::text").await;
        signal(session.parse().unwrap(), SIGSTOP);
        let cluster = postgres.folder().to_owned();
        signal(postmaster(&cluster), SIGKILL);
        drop(postgres);
        if !keeps_file {
            fs::remove_file(cluster.join("postmaster.pid")).unwrap();
        }
        start(folder.path()).await.unwrap();
    }
}

#[test]
fn a_temporary_server_disappears_when_its_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("cluster");
    let holder = Holder::start(&place);
    let cluster = || fs::read_to_string(&place).unwrap_or_default();
    eventually("the server runs", || !cluster().is_empty());
    holder.kill();
    let temporary = PathBuf::from(cluster()).parent().unwrap().to_owned();
    eventually("the folder is gone", || !temporary.exists());
    assert_eq!(workers_in(Path::new(&cluster())), [0; 0]);
}

/// The tests above run as the current user. If that is root, this one also tries an ordinary user, and a folder that
/// root owns.
#[test]
fn a_server_never_runs_as_root() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let cluster = data_dir.join("postgres");
    fs::create_dir(&data_dir).unwrap();
    let program = folder.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let as_root = nix::unistd::geteuid().is_root();
    let user = if as_root {
        UNPRIVILEGED
    } else {
        nix::unistd::geteuid().as_raw()
    };
    if as_root {
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        std::os::unix::fs::chown(&data_dir, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
    }
    for _ in 0..2 {
        let holder = Holder::start_with(&program, &data_dir, |command| {
            if as_root {
                command.uid(UNPRIVILEGED).gid(UNPRIVILEGED).current_dir("/");
            }
        });
        eventually("the server runs", || {
            fs::metadata(cluster.join(".s.PGSQL.5432")).is_ok()
        });
        let owner = fs::metadata(format!("/proc/{}", postmaster(&cluster))).unwrap().uid();
        assert_eq!(owner, user);
        holder.kill();
        eventually("the server ended", || workers_in(&cluster).is_empty());
    }
    if as_root {
        // What an ordinary user made, root continues as that user.
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let postgres = runtime.block_on(start(&data_dir)).unwrap();
        assert_eq!(
            fs::metadata(format!("/proc/{}", postmaster(&cluster))).unwrap().uid(),
            UNPRIVILEGED
        );
        runtime.block_on(postgres.stop());
        std::os::unix::fs::chown(&cluster, Some(0), Some(0)).unwrap();
        let error = runtime.block_on(start(&data_dir)).unwrap_err();
        assert!(
            matches!(&error, Error::ForeignFolder { owner, .. } if owner == "root"),
            "{error}"
        );
    }
}
