//! Who may not: passwords, permissions, servers without JetStream, servers that are away.

use std::fs;

use thrio_edge::destination::jetstream::{JetStreamDestination, JetStreamOptions};
use thrio_edge::destination::{Credentials, Destination, SendError};

use crate::check::check_connect;
use crate::nats_server::Servers;
use crate::site::{PASSWORD, Site, destination, held, opened, part, secret, writer};

#[test]
fn a_wrong_password_holds_and_no_message_shows_it() {
    let site = Site::new();
    let mut to = destination(&site.options, "wrong-and-never-shown");
    let why = held(to.open(&writer("box-1", 1)));
    assert!(why.contains("authorization violation"), "{why}");
    assert!(
        why.contains("password") && !why.contains("never-shown"),
        "{why}"
    );
    assert_eq!(held(to.probe()), why);
    assert!(!format!("{to:?}").contains("never-shown"));
    assert!(!site.has_stream());
}

#[test]
fn a_token_opens_a_server_that_asks_for_one() {
    let servers = Servers::one("authorization { token: \"a-token-of-16-chars\" }");
    let url = format!("nats://{}", servers.single().address());
    let options = JetStreamOptions::new(vec![url.parse().expect("a URL")]);
    let with = |token| {
        let credentials = Credentials {
            token: Some(secret(token)),
            password: None,
        };
        JetStreamDestination::new(options.clone(), credentials)
    };
    held(with("another-token").open(&writer("box-1", 1)));
    opened(with("a-token-of-16-chars"), &writer("box-1", 1));
}

#[test]
fn the_permissions_that_the_documents_list_are_enough() {
    let mut site = Site::new();
    site.options.username = Some("narrow".to_owned());
    site.options.stream = "narrow".to_owned();
    site.options.subject_prefix = "narrow".to_owned();
    let mut edge = site.forwarding_box();
    edge.journal_transactions(5);
    edge.run_until_delivered();
    assert_eq!(site.seqs(), [1, 2, 3, 4, 5]);
}

#[test]
fn what_the_account_may_not_do_holds_and_says_what() {
    let mut site = Site::new();
    site.options.username = Some("reader".to_owned());
    let why = held(site.destination().open(&writer("box-1", 1)));
    assert!(
        why.contains("STREAM.CREATE") && why.contains("permissions"),
        "{why}"
    );
    let mut site = Site::with_stream(|_| {});
    site.options.username = Some("reader".to_owned());
    let mut to = opened(site.destination(), &writer("box-1", 1));
    let why = held(to.send(&part(1, 3)));
    assert!(
        why.contains(".main.") && why.contains("permissions"),
        "{why}"
    );
    assert!(site.seqs().is_empty());
}

#[test]
fn a_secret_that_cannot_be_read_holds_and_names_it() {
    let site = Site::new();
    let credentials = Credentials {
        token: None,
        password: Some(thrio_edge::destination::Secret::new(std::sync::Arc::new(
            || Err("password_file (destination \"fleet\"): no such file".to_owned()),
        ))),
    };
    let mut to = JetStreamDestination::new(site.options.clone(), credentials);
    assert!(held(to.open(&writer("box-1", 1))).contains("password_file"));
    let mut options = site.options.clone();
    options.username = None;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fleet.creds");
    options.credentials_file = Some(file.clone());
    let open = || {
        let mut to = JetStreamDestination::new(options.clone(), Credentials::default());
        held(to.open(&writer("box-1", 1)))
    };
    assert!(open().contains("fleet.creds"));
    fs::write(&file, "hunter2, but no credentials").expect("written");
    let why = open();
    assert!(
        why.contains("fleet.creds") && !why.contains("hunter2"),
        "{why}"
    );
}

#[test]
fn servers_without_jetstream_hold() {
    let servers = Servers::plain();
    let url = format!("nats://{}", servers.single().address());
    let options = JetStreamOptions::new(vec![url.parse().expect("a URL")]);
    let mut to = JetStreamDestination::new(options, Credentials::default());
    let why = held(to.open(&writer("box-1", 1)));
    assert!(why.contains("switch JetStream on"), "{why}");
    assert_eq!(held(to.probe()), why);
}

#[test]
fn servers_that_are_away_are_waited_for() {
    let servers = Servers::one("");
    let server = servers.single();
    let url = format!("nats://{}", server.address());
    let options = JetStreamOptions::new(vec![url.parse().expect("a URL")]);
    let mut to = JetStreamDestination::new(options, Credentials::default());
    to.open(&writer("box-1", 1)).expect("opened");
    to.send(&part(1, 3)).expect("published");
    server.kill();
    for result in [
        to.send(&part(4, 3)),
        to.probe(),
        to.open(&writer("box-1", 1)).map(drop),
    ] {
        let unreachable = matches!(
            result,
            Err(SendError::Retry {
                unreachable: true,
                ..
            })
        );
        assert!(unreachable, "{result:?}");
    }
}

#[test]
fn a_stop_ends_a_call_that_hangs() {
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("nats://{}", silent.local_addr().expect("bound"));
    let mut options = JetStreamOptions::new(vec![url.parse().expect("a URL")]);
    options.timeout = std::time::Duration::from_mins(10);
    let mut to = JetStreamDestination::new(options, Credentials::default());
    let stop = to.interrupter().expect("one");
    let caller = std::thread::spawn(move || to.open(&writer("box-1", 1)));
    let (_connection, _) = silent.accept().expect("it calls");
    stop();
    assert!(matches!(
        caller.join().expect("ended"),
        Err(SendError::Retry { .. })
    ));
}

#[test]
fn check_connect_logs_in_and_writes_nothing() {
    let site = Site::new();
    let folder = tempfile::tempdir().expect("a folder");
    let check = |secret: &str| {
        fs::write(folder.path().join("password"), secret).expect("written");
        let (code, said) = check_connect(
            folder.path(),
            &format!(
                "kind = \"jetstream\"\nurls = [{:?}]\nstream = {name:?}\nsubject_prefix = {name:?}\n\
                 username = \"wfm\"\npassword_file = \"password\"\n",
                site.options.urls[0].as_str(),
                name = site.options.stream,
            ),
        );
        assert!(!said.contains(secret), "{said}");
        (code, said)
    };
    let (code, said) = check(PASSWORD);
    assert_eq!(code, Some(0), "{said}");
    assert!(!site.has_stream());
    let (code, said) = check("wrong-and-never-shown");
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("authorization violation"), "{said}");
    // And with a stream there, it stays empty.
    site.make_stream(|_| {});
    let (code, said) = check(PASSWORD);
    assert_eq!(code, Some(0), "{said}");
    assert!(site.seqs().is_empty());
}
