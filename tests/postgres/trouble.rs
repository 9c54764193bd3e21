//! Trouble in the middle of a drain: nothing is lost, nothing doubled, and a person reads what it
//! is and what to do.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use thrio_edge::destination::postgres::PostgresOptions;

use crate::SERVER;
use crate::authority::Authority;
use crate::drain::Drain;
use crate::place::{Database, password};
use crate::postgres_server::{PASSWORD, PostgresServer, USER, give_to_server, wait_until};
use crate::tls::{self, certify};

fn drain(database: &Database) -> Drain {
    Drain::begin(
        database.options.clone(),
        password(PASSWORD),
        &database.admin,
    )
}

#[test]
fn a_server_that_is_restarted_and_then_killed() {
    let mut server = PostgresServer::start();
    let mut database = Database::new(&server);
    let drain = drain(&database);
    server.stop();
    drain.shows("waiting", &["127.0.0.1"]);
    server.run();
    let name = database.options.server.database.clone();
    database.admin = server.admin(&name);
    let before = database
        .admin
        .one("SELECT count(*) FROM wfm_agent_state_transaction");
    wait_until("the drain to go on", || {
        database
            .admin
            .one("SELECT count(*) FROM wfm_agent_state_transaction")
            != before
    });
    server.kill();
    drain.shows("waiting", &["127.0.0.1"]);
    server.run();
    drain.ends_whole(&server.admin(&name));
}

#[test]
fn a_table_that_is_altered() {
    let database = Database::new(&SERVER);
    let drain = drain(&database);
    let rename = |from: &str, to: &str| {
        database.admin.run(&format!(
            "ALTER TABLE wfm_agent_state_transaction RENAME COLUMN {from} TO {to}"
        ));
    };
    rename("origin", "source_of_it");
    drain.shows(
        "held",
        &["\"origin\"", "42703", "put back what was altered"],
    );
    rename("source_of_it", "origin");
    drain.ends_whole(&database.admin);
}

#[test]
fn a_column_that_somebody_added_and_nobody_fills() {
    let database = Database::new(&SERVER);
    let drain = drain(&database);
    database.admin.run(
        "ALTER TABLE wfm_agent_state_transaction ADD COLUMN cost numeric NOT NULL DEFAULT 0;
         ALTER TABLE wfm_agent_state_transaction ALTER COLUMN cost DROP DEFAULT;",
    );
    drain.shows("held", &["cost", "23502", "put back what was altered"]);
    database
        .admin
        .run("ALTER TABLE wfm_agent_state_transaction ALTER COLUMN cost DROP NOT NULL");
    drain.ends_whole(&database.admin);
}

#[test]
fn a_permission_that_is_revoked() {
    let database = Database::new(&SERVER);
    let drain = drain(&database);
    let table = "INSERT ON wfm_agent_state_transaction";
    database.admin.run(&format!("REVOKE {table} FROM {USER}"));
    drain.shows("held", &["permission denied", "42501", "grant the user"]);
    database.admin.run(&format!("GRANT {table} TO {USER}"));
    drain.ends_whole(&database.admin);
}

#[test]
fn a_certificate_that_expires() {
    let server = PostgresServer::start();
    let authority = Authority::new();
    certify(&server, authority.issue("localhost"));
    let options = tls::options(&server, Some(&authority.file()));
    let admin = server.admin(&options.server.database);
    let drain = Drain::begin(options, password(PASSWORD), &admin);
    let reconnect =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{USER}'");
    certify(&server, authority.issue_expired("localhost"));
    admin.run(&reconnect);
    drain.shows("held", &["expired", "renew it"]);
    certify(&server, authority.issue("localhost"));
    drain.ends_whole(&admin);
}

#[test]
fn a_disk_that_is_full() {
    let server = PostgresServer::start();
    let place = server.folder().join("small");
    std::fs::create_dir(&place).expect("made");
    let mount = |options: &str| {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&place);
        mount.output().is_ok_and(|output| output.status.success())
    };
    if !mount("size=256m") {
        // A quota of temporary files, say, would fail in other places with other words.
        println!("SKIPPED: no file system can be mounted here, so no disk can be full");
        return;
    }
    give_to_server(&place);
    let admin = server.admin("postgres");
    admin.run(&format!(
        "CREATE TABLESPACE small LOCATION '{}'",
        place.display()
    ));
    admin.run(&format!(
        "CREATE DATABASE small OWNER {USER} TABLESPACE small"
    ));
    let options = PostgresOptions::new(server.url("small").parse().expect("a URL"));
    let admin = server.admin("small");
    let drain = Drain::begin(options, password(PASSWORD), &admin);
    // A little more than is used by now: the rest of the drain needs megabytes.
    let used = used_bytes(&place);
    assert!(mount(&format!("remount,size={}", used + (128 << 10))));
    drain.shows("waiting", &["53100", "No space left", "make room there"]);
    assert!(mount("remount,size=256m"));
    drain.ends_whole(&admin);
}

fn used_bytes(place: &Path) -> u64 {
    let about = rustix::fs::statvfs(place).expect("a file system");
    (about.f_blocks - about.f_bfree) * about.f_frsize
}

/// Passes bytes on between box and server, and cuts some commits between being applied and being
/// told.
struct Proxy {
    port: u16,
    cuts: Arc<AtomicU32>,
}

/// One commit in this many is cut.
const CUT_EVERY: u32 = 40;

impl Proxy {
    fn start(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let cuts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&cuts);
        thread::spawn(move || {
            let commits = Arc::new(AtomicU32::new(0));
            for client in listener.incoming() {
                let client = client.expect("a connection");
                let server = TcpStream::connect(("127.0.0.1", server_port)).expect("connected");
                pass(client, server, Arc::clone(&commits), Arc::clone(&counted));
            }
        });
        Self { port, cuts }
    }
}

fn pass(client: TcpStream, server: TcpStream, commits: Arc<AtomicU32>, cuts: Arc<AtomicU32>) {
    let is_cut = Arc::new(AtomicU32::new(0));
    let (mut from_client, mut to_server) = (
        client.try_clone().expect("a clone"),
        server.try_clone().expect("a clone"),
    );
    let cutting = Arc::clone(&is_cut);
    thread::spawn(move || {
        let mut bytes = [0; 16_384];
        while let Ok(count @ 1..) = from_client.read(&mut bytes) {
            let is_commit = bytes[..count].windows(7).any(|word| word == b"COMMIT\0");
            if is_commit && commits.fetch_add(1, Ordering::Relaxed) % CUT_EVERY == CUT_EVERY - 1 {
                cutting.store(1, Ordering::SeqCst);
            }
            if to_server.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = to_server.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let (mut from_server, mut to_client) = (server, client);
        let mut bytes = [0; 16_384];
        while let Ok(count @ 1..) = from_server.read(&mut bytes) {
            // The client waits for nothing but the commit's answer, so this is it.
            if is_cut.load(Ordering::SeqCst) == 1 {
                assert!(bytes[..count].windows(6).any(|word| word == b"COMMIT"));
                cuts.fetch_add(1, Ordering::Relaxed);
                break;
            }
            if to_client.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
        let _ = from_server.shutdown(Shutdown::Both);
    });
}

#[test]
fn a_connection_that_is_reset_between_the_commit_and_its_answer() {
    let proxy = Proxy::start(SERVER.port());
    let mut database = Database::new(&SERVER);
    database.options.server.port = proxy.port;
    let drain = drain(&database);
    drain.ends_whole(&database.admin);
    let cuts = proxy.cuts.load(Ordering::Relaxed);
    println!("{cuts} commits were cut from their answers");
    assert!(cuts >= 5, "only {cuts}: the test has tested little");
}
