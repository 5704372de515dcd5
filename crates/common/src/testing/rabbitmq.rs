//! A RabbitMQ broker for tests, with its own ports, folder, name and epmd, and without plugins. It starts in about 3 s.
//!
//! There are two kinds, because nextest runs every test in a separate process and a node for each would take a minute:
//!
//! - [`shared`] for tests that only need a broker. `scripts/test.sh` starts one node for all of them and sets
//!   `ATTUNE_TEST_AMQP_URL`; without that variable the test starts its own. Each such test uses its own namespace.
//! - [`RabbitNode`] for tests that kill, freeze or restart the broker. There are few of them, and each does a lot with its node.

use super::guarded::Guarded;
use anyhow::Context;
use nix::{sys::signal::Signal, unistd::Pid};
use secrecy::SecretString;
use std::{
    fs, io,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use uuid::Uuid;

/// The script itself: the one on the PATH switches to another user.
const SERVERS: [&str; 2] = [
    "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "/usr/local/lib/rabbitmq/bin/rabbitmq-server",
];
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Generous, for a loaded machine with two cores.
const START_TIMEOUT: Duration = Duration::from_secs(90);

const PROTOCOL_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";

/// The resource that a broker is made to lack.
#[derive(Debug, Clone, Copy)]
pub enum Alarm {
    Memory,
    Disk,
}

/// A node that can be started, killed, frozen and restarted on the same port and data.
#[derive(Debug)]
pub struct RabbitNode {
    port: u16,
    // Dropped in this order: the broker before its epmd, and both before their folder.
    broker: Option<Guarded>,
    #[expect(dead_code, reason = "dropping it ends the process")]
    epmd: Guarded,
    environment: Vec<(&'static str, String)>,
    folder: TempDir,
}

impl RabbitNode {
    /// Prepares everything except the broker itself, which is not running until [`Self::start`].
    pub fn prepare() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("attune-rabbitmq-").tempdir()?;
        let [port, distribution_port, epmd_port] = free_ports()?;
        let environment = environment(folder.path(), port, distribution_port, epmd_port);
        fs::write(
            folder.path().join("rabbitmq.conf"),
            format!("listeners.tcp.local = 127.0.0.1:{port}\n"),
        )?;
        fs::write(folder.path().join("plugins"), "[].\n")?;
        let epmd_port = epmd_port.to_string();
        let epmd = ["epmd", "-port", epmd_port.as_str()];
        let epmd = Guarded::start(&epmd, &environment, &folder.path().join("epmd.log"));
        let epmd = epmd.context("failed to start epmd: install rabbitmq-server")?;
        Ok(Self {
            port,
            broker: None,
            epmd,
            environment,
            folder,
        })
    }

    /// Starts the broker and waits until it answers.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let server = SERVERS.iter().find(|path| Path::new(path).is_file());
        let server = server.context("no RabbitMQ on this machine: install rabbitmq-server")?;
        let log = self.folder.path().join("broker.log");
        let broker = self.broker.insert(Guarded::start(&[server], &self.environment, &log)?);
        let alive = broker.liveness();
        let started = Instant::now();
        while !self.answers().await {
            if started.elapsed() > START_TIMEOUT || !alive() {
                anyhow::bail!("RabbitMQ did not start: {}", fs::read_to_string(&log)?);
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    pub async fn started() -> anyhow::Result<Self> {
        let mut node = Self::prepare()?;
        node.start().await?;
        Ok(node)
    }

    /// Call before [`Self::start`]: the broker also accepts encrypted connections. Returns the URL for them, and the authority that
    /// signed its certificate.
    pub fn enable_tls(&self) -> anyhow::Result<(SecretString, String)> {
        let [port, ..] = free_ports()?;
        let folder = self.folder.path().display();
        let certificate = format!("{folder}/certificate.pem");
        let key = format!("{folder}/key.pem");
        let made = Guarded::run(
            &[
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-keyout",
                &key,
                "-out",
                &certificate,
            ],
            &self.environment,
        )?;
        anyhow::ensure!(made, "openssl did not make a certificate");
        let configuration = format!(
            "listeners.tcp.local = 127.0.0.1:{}\nlisteners.ssl.local = 127.0.0.1:{port}\n\
             ssl_options.certfile = {certificate}\nssl_options.keyfile = {key}\n\
             ssl_options.cacertfile = {certificate}\nssl_options.verify = verify_none\n",
            self.port
        );
        fs::write(self.folder.path().join("rabbitmq.conf"), configuration)?;
        let url = format!("amqps://guest:guest@localhost:{port}/%2f").into();
        Ok((url, fs::read_to_string(certificate)?))
    }

    pub fn url(&self) -> SecretString {
        url(self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process of the broker, while it runs.
    pub fn pid(&self) -> Option<Pid> {
        self.broker.as_ref().map(Guarded::pid)
    }

    /// Sends SIGKILL. Returns when the broker has exited.
    pub fn kill(&mut self) -> io::Result<()> {
        match self.broker.take() {
            Some(broker) => broker.signal(Signal::SIGKILL),
            None => Ok(()),
        }
    }

    /// Sends SIGKILL, and removes its data.
    pub fn wipe(&mut self) -> io::Result<()> {
        self.kill()?;
        fs::remove_dir_all(self.folder.path().join("data"))
    }

    /// Blocks publishers until the alarm is cleared.
    pub fn alarm(&self, alarm: Alarm, on: bool) -> io::Result<()> {
        let (limit, value) = match (alarm, on) {
            (Alarm::Memory, true) => ("set_vm_memory_high_watermark", "0.000001"),
            (Alarm::Memory, false) => ("set_vm_memory_high_watermark", "0.6"),
            (Alarm::Disk, true) => ("set_disk_free_limit", "1000000000000000"),
            (Alarm::Disk, false) => ("set_disk_free_limit", "1000000"),
        };
        let program = "/usr/lib/rabbitmq/bin/rabbitmqctl";
        let set = Guarded::run(&[program, limit, value], &self.environment)?;
        if set {
            Ok(())
        } else {
            Err(io::Error::other("rabbitmqctl did not succeed"))
        }
    }

    /// Sends SIGSTOP: its connections stay open and silent.
    pub fn freeze(&self) -> io::Result<()> {
        self.broker
            .as_ref()
            .map_or(Ok(()), |broker| broker.signal(Signal::SIGSTOP))
    }

    pub fn thaw(&self) -> io::Result<()> {
        self.broker
            .as_ref()
            .map_or(Ok(()), |broker| broker.signal(Signal::SIGCONT))
    }

    /// Whether it completes a handshake. An open port alone is not enough.
    async fn answers(&self) -> bool {
        let shake = async {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
            stream.write_all(PROTOCOL_HEADER).await?;
            stream.read_u8().await
        };
        matches!(timeout(Duration::from_secs(2), shake).await, Ok(Ok(_)))
    }
}

/// The URL of a broker, or of a proxy to it.
pub fn url(port: u16) -> SecretString {
    format!("amqp://guest:guest@127.0.0.1:{port}/%2f").into()
}

/// A broker for a test that does not interrupt it.
#[derive(Debug)]
pub struct SharedBroker {
    pub url: SecretString,
    #[expect(dead_code, reason = "dropping it ends the node")]
    node: Option<RabbitNode>,
}

/// The broker in `ATTUNE_TEST_AMQP_URL`, or one for this test only.
pub async fn shared() -> anyhow::Result<SharedBroker> {
    #[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
    if let Ok(url) = std::env::var("ATTUNE_TEST_AMQP_URL") {
        return Ok(SharedBroker {
            url: url.into(),
            node: None,
        });
    }
    let node = RabbitNode::started().await?;
    Ok(SharedBroker {
        url: node.url(),
        node: Some(node),
    })
}

/// Three different free ports, below those that the system gives to outgoing connections: a port from that range could be
/// taken by a client before the broker binds it.
fn free_ports() -> io::Result<[u16; 3]> {
    // All are bound before the first is released, so they differ.
    let listeners = [free_port()?, free_port()?, free_port()?];
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

fn free_port() -> io::Result<TcpListener> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 10_000;
    const ATTEMPTS: u16 = 100;
    // The last bytes of such an id are random.
    let [.., high, low] = Uuid::now_v7().into_bytes();
    let start = u16::from_be_bytes([high, low]) % COUNT;
    let bind = |attempt| TcpListener::bind((Ipv4Addr::LOCALHOST, FIRST + (start + attempt) % COUNT));
    let mut found = bind(0);
    for attempt in 1..ATTEMPTS {
        if found.is_ok() {
            break;
        }
        found = bind(attempt);
    }
    found
}

fn environment(folder: &Path, port: u16, distribution_port: u16, epmd_port: u16) -> Vec<(&'static str, String)> {
    let inside = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let erlang = "+sbwt none +S 2:2 -kernel inet_dist_use_interface {127,0,0,1}";
    vec![
        ("PATH", PATH.to_owned()),
        // Contains the cookie.
        ("HOME", folder.to_string_lossy().into_owned()),
        ("ERL_EPMD_PORT", epmd_port.to_string()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
        ("RABBITMQ_NODENAME", format!("attune-{port}@localhost")),
        ("RABBITMQ_DIST_PORT", distribution_port.to_string()),
        ("RABBITMQ_CONFIG_FILE", inside("rabbitmq.conf")),
        ("RABBITMQ_CONF_ENV_FILE", inside("none")),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", inside("plugins")),
        ("RABBITMQ_MNESIA_BASE", inside("data")),
        ("RABBITMQ_LOG_BASE", inside("log")),
        ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", erlang.to_owned()),
        // Makes the script become the broker instead of waiting for it.
        ("RUNNING_UNDER_SYSTEMD", "1".to_owned()),
    ]
}
