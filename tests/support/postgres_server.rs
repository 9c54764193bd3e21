//! A real PostgreSQL of the test's own: its folder, its port, its end.
//!
//! A guard process waits for the end of its standard input, which comes when the test process
//! ends, however it ends; then it stops the server and removes the folder.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use thrio_edge::stop::StopToken;
use tokio::runtime::Runtime;
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// A server that needs longer to start or stop has stalled.
const PATIENCE: Duration = Duration::from_mins(1);
const STEP: Duration = Duration::from_millis(20);

/// The user that the tests deliver as, and its password.
pub(crate) const USER: &str = "wfm";
pub(crate) const PASSWORD: &str = "correct horse";

/// Waits for `what`, looking again and again.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let token = StopToken::new();
    for _ in 0..PATIENCE.as_millis() / STEP.as_millis() {
        if is_so() {
            return;
        }
        token.wait(STEP);
    }
    panic!("waited in vain for: {what}");
}

/// A database cluster in a folder of its own.
pub(crate) struct PostgresServer {
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
    /// Ends the server with this process.
    _guard: Child,
    databases: AtomicU32,
}

impl PostgresServer {
    /// A server that takes TCP with passwords, and the superuser over its socket.
    pub(crate) fn start() -> Self {
        let folder = make_folder();
        let guard = start_guard(&folder);
        run(as_server(&binary("initdb"))
            .args([
                "-A",
                "trust",
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--no-sync",
                "-D",
            ])
            .arg(folder.join("data")));
        let hba = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(folder.join("data/pg_hba.conf"), hba).expect("written");
        let mut server = Self {
            port: free_port(),
            folder,
            child: None,
            _guard: guard,
            databases: AtomicU32::new(0),
        };
        server.run();
        server
            .admin("postgres")
            .run(&format!("CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'"));
        server
    }

    /// Starts the server on its folder, and waits until it answers.
    pub(crate) fn run(&mut self) {
        wait_until("the server's start", || {
            if let Some(child) = &mut self.child
                && child.try_wait().expect("asked").is_none()
            {
                return self.is_answering();
            }
            // A port may be taken by another in between, and memory of a killed server linger.
            self.child = Some(self.spawn());
            false
        });
    }

    fn spawn(&self) -> Child {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .expect("a log");
        as_server(&binary("postgres"))
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .args(["-c", &format!("port={}", self.port)])
            .args([
                "-c",
                &format!("unix_socket_directories={}", self.folder.display()),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("started")
    }

    fn is_answering(&self) -> bool {
        self.try_session("postgres", "postgres").is_ok()
    }

    /// Stops it as a restart would: connections are ended.
    pub(crate) fn stop(&mut self) {
        if let Some(child) = &self.child {
            signal(child.id(), "INT");
        }
        self.wait_for_end();
    }

    /// Kills the server and all of its processes' parent, as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().expect("killed");
        }
        self.wait_for_end();
    }

    fn wait_for_end(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        wait_until("the server's end", || {
            child.try_wait().expect("asked").is_some()
        });
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A new database that the test's user owns.
    pub(crate) fn new_database(&self) -> String {
        let n = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("wfm_{n}");
        self.admin("postgres")
            .run(&format!("CREATE DATABASE {name} OWNER {USER}"));
        name
    }

    /// Where the tests deliver to.
    pub(crate) fn url(&self, database: &str) -> String {
        format!(
            "postgres://{USER}@127.0.0.1:{}/{database}?sslmode=disable",
            self.port
        )
    }

    /// The superuser's session.
    pub(crate) fn admin(&self, database: &str) -> Sql {
        self.try_session("postgres", database)
            .unwrap_or_else(|error| panic!("{error:?}"))
    }

    fn try_session(&self, user: &str, database: &str) -> Result<Sql, tokio_postgres::Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let client = runtime.block_on(async {
            let (client, other_half) = tokio_postgres::Config::new()
                .host_path(&self.folder)
                .port(self.port)
                .user(user)
                .dbname(database)
                .connect(NoTls)
                .await?;
            tokio::spawn(other_half);
            Ok::<_, tokio_postgres::Error>(client)
        })?;
        Ok(Sql { runtime, client })
    }

    /// Gives the server a certificate and its key, and lets it speak TLS from now on.
    pub(crate) fn set_certificate(&self, certificate_pem: &str, key_pem: &str) {
        for (name, text) in [("server.crt", certificate_pem), ("server.key", key_pem)] {
            let path = self.folder.join("data").join(name);
            // The server may be reading: it is replaced whole.
            let new = path.with_extension("new");
            fs::write(&new, text).expect("written");
            fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).expect("set");
            give_to_server(&new);
            fs::rename(&new, &path).expect("replaced");
        }
        let admin = self.admin("postgres");
        admin.run("ALTER SYSTEM SET ssl = on");
        admin.run("SELECT pg_reload_conf()");
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A blocking session.
pub(crate) struct Sql {
    runtime: Runtime,
    client: tokio_postgres::Client,
}

impl Sql {
    /// Runs statements.
    pub(crate) fn run(&self, sql: &str) {
        self.try_run(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    pub(crate) fn try_run(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        self.runtime.block_on(self.client.batch_execute(sql))
    }

    /// The rows of a query: each column's name and text.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Vec<(String, Option<String>)>> {
        let messages = self
            .runtime
            .block_on(self.client.simple_query(sql))
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| {
            let cells = row.columns().iter().enumerate();
            cells
                .map(|(n, column)| (column.name().to_owned(), row.get(n).map(str::to_owned)))
                .collect()
        })
        .collect()
    }

    /// The one value of a query.
    pub(crate) fn one(&self, sql: &str) -> String {
        let rows = self.rows(sql);
        let cell = rows.first().and_then(|row| row.first());
        let (_, value) = cell.unwrap_or_else(|| panic!("{sql}: no row"));
        value.clone().unwrap_or_else(|| "NULL".to_owned())
    }
}

/// As root, the server runs as its own user: it refuses to run as root.
fn as_server(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .arg(program);
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|about| std::os::unix::fs::MetadataExt::uid(&about) == 0)
}

/// Lets the server's user have a file.
pub(crate) fn give_to_server(path: &Path) {
    if !is_root() {
        return;
    }
    let users = fs::read_to_string("/etc/passwd").expect("a list of users");
    let line = users
        .lines()
        .find(|line| line.starts_with("postgres:"))
        .expect("a user postgres: the package postgresql makes it");
    let mut ids = line
        .split(':')
        .skip(2)
        .map(|id| id.parse().expect("a number"));
    chown(path, ids.next(), ids.next()).expect("given");
}

fn binary(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL's programs in /usr/lib/postgresql: scripts/test installs them");
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            let program = path.join("bin").join(name);
            program.exists().then_some((version, program))
        })
        .collect();
    found.sort();
    found.pop().expect("a server: scripts/test installs it").1
}

fn make_folder() -> PathBuf {
    // Short, because a socket's path may have 107 bytes; the guard removes it.
    let folder = tempfile::Builder::new()
        .prefix("thrio-pg-")
        .tempdir_in("/tmp")
        .expect("a folder")
        .keep();
    give_to_server(&folder);
    folder
}

fn start_guard(folder: &Path) -> Child {
    let script = r#"
        cat > /dev/null
        pid=$(head -n 1 "$1/data/postmaster.pid" 2> /dev/null)
        if [ -n "$pid" ] && grep -q postgres "/proc/$pid/comm" 2> /dev/null; then
            kill -INT "$pid"
            tail --pid="$pid" -f /dev/null
        fi
        umount "$1/small" 2> /dev/null
        rm -rf "$1"
    "#;
    Command::new("sh")
        .args(["-c", script, "guard"])
        .arg(folder)
        .stdin(Stdio::piped())
        .spawn()
        .expect("a guard")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn run(command: &mut Command) {
    let output = command.output().expect("run");
    if !output.status.success() {
        std::io::stderr().write_all(&output.stderr).expect("said");
        panic!("{command:?}: {}", output.status);
    }
}

/// Sends a signal to a process that this test started.
pub(crate) fn signal(pid: u32, name: &str) {
    run(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]));
}
