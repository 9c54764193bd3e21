//! The receiver as a process, killed in the middle of a drain, and its box restarted.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rusqlite::Connection;
use tempfile::TempDir;
use thrio_edge::destination::Destination;
use thrio_edge::domain::delivery::DeliveryOptions;

use crate::forwarding_box::ForwardingBox;
use crate::postgres_server::wait_until;
use crate::site::{http, token};

const CONFIG: &str = r#"
[box]
id = "head-office"
[receive]
listen = "127.0.0.1:0"
[[receive.box]]
id = "front-desk"
token_file = "front-desk.token"
[[destination]]
name = "local"
kind = "sqlite"
path = "wfm.db"
[log]
format = "text"
"#;

struct Place {
    folder: TempDir,
}

/// One life of the process.
struct Life {
    child: Child,
    url: String,
    log: Option<std::thread::JoinHandle<String>>,
}

impl Place {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("receive.toml"), config).expect("written");
        let place = Self { folder };
        place.write_token(token("front-desk"));
        place
    }

    fn write_token(&self, token: &str) {
        let file = self.folder.path().join("front-desk.token");
        std::fs::write(file, token).expect("written");
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thrio-edge"));
        command
            .arg("receive")
            .arg("--config")
            .arg(self.folder.path().join("receive.toml"))
            .env_remove("RUST_BACKTRACE")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    fn start(&self) -> Life {
        let mut child = self.command().spawn().expect("started");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut log = String::new();
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("not ready: {log}"));
            let line = line.expect("text");
            log.push_str(&line);
            log.push('\n');
            if let Some((_, rest)) = line.split_once("address=") {
                break rest.split(' ').next().expect("an address").to_owned();
            }
        };
        let rest = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                log.push_str(&line);
                log.push('\n');
            }
            log
        });
        Life {
            child,
            url: format!("http://{address}/v1/events"),
            log: Some(rest),
        }
    }

    fn rows(&self) -> (i64, i64) {
        let file = Connection::open(self.folder.path().join("wfm.db")).expect("the database");
        let sql = "SELECT COUNT(*), COUNT(DISTINCT record_seq) FROM wfm_agent_state_transaction";
        file.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("numbers")
    }
}

impl Life {
    fn destination(&self) -> Box<dyn Destination> {
        http(&self.url, token("front-desk"))
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let done = Command::new("kill").args([name, &pid]).status();
        assert!(done.expect("kill").success());
    }

    fn terminate(mut self) -> (Option<i32>, String) {
        self.signal("-TERM");
        let code = self.child.wait().expect("reaped").code();
        let log = self.log.take().expect("a log").join().expect("no panic");
        (code, log)
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn killed_again_and_again_in_the_middle_it_loses_and_doubles_nothing() {
    let place = Place::new(CONFIG);
    let mut life = place.start();
    let options = DeliveryOptions {
        batch_records: 100,
        ..DeliveryOptions::default()
    };
    let mut sender = ForwardingBox::named("front-desk", "main", options, life.destination());
    sender.journal_transactions(3_000);
    for round in 1..=4_u64 {
        sender.run_until("some more is delivered", |status| {
            status.balance.counts.acknowledged >= round * 500
        });
        // A call of its own thread is under way when the receiver dies.
        let pid = life.child.id().to_string();
        let killer = std::thread::spawn(move || {
            let killed = Command::new("kill").args(["-KILL", &pid]).status();
            killed.expect("kill").success()
        });
        sender.run_until("the death is noticed", |status| status.last_error.is_some());
        assert!(killer.join().expect("no panic"));
        drop(life);
        life = place.start();
        if round % 2 == 0 {
            sender.restart(life.destination());
        } else {
            sender.replace(life.destination());
        }
    }
    sender.run_until_delivered();
    assert_eq!(place.rows(), (3_000, 3_000));
    let (code, log) = life.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopped; everything"), "{log}");
}

#[test]
fn a_changed_token_counts_from_the_signal_on_and_a_bad_one_locks_its_box_out() {
    let place = Place::new(CONFIG);
    let life = place.start();
    let old = token("front-desk");
    let new = "another-token-of-front-desk";
    let knows = |token| http(&life.url, token).probe().is_ok();
    assert!(knows(old) && !knows(new));
    place.write_token(new);
    assert!(knows(old) && !knows(new), "nobody has said so");
    life.signal("-HUP");
    wait_until("the new token to count", || knows(new));
    assert!(!knows(old));
    // What would be too easy to guess is not taken, and not held against the other boxes.
    place.write_token("short");
    life.signal("-HUP");
    wait_until("the box to be locked out", || !knows(new));
    place.write_token(old);
    life.signal("-HUP");
    wait_until("the first token to count again", || knows(old));
    let (code, log) = life.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("cannot write: its token has fewer"), "{log}");
    for token in [old, new] {
        assert!(!log.contains(token), "{log}");
    }
}

fn exit_code(config: &str) -> (Option<i32>, String) {
    let done = Place::new(config).command().output().expect("started");
    (
        done.status.code(),
        String::from_utf8_lossy(&done.stderr).into_owned(),
    )
}

#[test]
fn what_cannot_run_says_why_with_the_exit_codes_of_run() {
    let (code, said) = exit_code(&CONFIG.replace("127.0.0.1:0", "0.0.0.0:0"));
    assert_eq!(code, Some(78), "{said}");
    assert!(
        said.contains("receive.listen") && said.contains("certificate"),
        "{said}"
    );
    let boxes = CONFIG.find("[[receive.box]]").expect("boxes");
    let after = CONFIG.find("[[destination]]").expect("a destination");
    let nobody = format!("{}{}", &CONFIG[..boxes], &CONFIG[after..]);
    let (code, said) = exit_code(&nobody);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("nobody may write"), "{said}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let (code, said) = exit_code(&CONFIG.replace("127.0.0.1:0", &address));
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("cannot listen on"), "{said}");
}

#[test]
fn the_handbooks_example_can_be_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fleet.md");
    let text = std::fs::read_to_string(path).expect("the handbook");
    let example = text.split("```toml\n").nth(1).expect("an example");
    let example = example.split("```").next().expect("its end");
    let place = Place::new("");
    let here = |name: &str| place.folder.path().join(name).display().to_string();
    for name in ["receive.pem", "receive.key"] {
        std::fs::write(here(name), "x").expect("written");
    }
    let example = example
        .replace("/etc/thrio-edge/receive.pem", &here("receive.pem"))
        .replace("/etc/thrio-edge/receive.key", &here("receive.key"));
    std::fs::write(here("receive.toml"), example).expect("written");
    let config = thrio_edge::config::load(Path::new(&here("receive.toml")));
    let config = config.unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.receive.boxes[0].id.as_str(), "front-desk");
    assert_eq!(config.receive.boxes[0].sources.len(), 1);
}
