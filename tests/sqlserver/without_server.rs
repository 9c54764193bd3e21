//! What can be told without a server: who is talked to, how far, and what its answers mean.

use std::io::Read as _;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use thrio_edge::destination::sqlserver::{Protection, SqlServerDestination, SqlServerOptions};
use thrio_edge::destination::{Destination, SendError};

use crate::authority::Authority;
use crate::destination_suite::records::source;
use crate::destination_suite::writer;
use crate::own::{clock, held, says};
use crate::place::password;
use crate::responder::{ENCRYPTED, LOGIN, PRELOGIN, Responder, TLS_NOT_SUPPORTED, error, prelogin};

const PASSWORD: &str = "correct horse";

fn options(port: u16) -> SqlServerOptions {
    let url = format!("sqlserver://wfm@127.0.0.1:{port}/wfm");
    let mut options = SqlServerOptions::new(url.parse().expect("a URL"));
    options.connect_timeout = Duration::from_secs(30);
    options
}

fn opened(options: SqlServerOptions) -> Result<(), SendError> {
    let mut to = SqlServerDestination::new(options, Some(password(PASSWORD)), clock());
    to.open(&writer("box-1", 1, &[source()])).map(drop)
}

fn assert_unreachable(result: Result<(), SendError>) {
    match result {
        Err(SendError::Retry {
            unreachable: true, ..
        }) => {}
        other => panic!("{other:?}"),
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

#[test]
fn a_server_without_tls_never_sees_the_login() {
    let responder = Responder::start(vec![prelogin(TLS_NOT_SUPPORTED)]);
    let text = held(opened(options(responder.port)));
    says(&text, &["encryption", "encrypt = false"]);
    assert_eq!(responder.received(), [PRELOGIN]);
}

#[test]
fn trusting_anyone_does_not_mean_speaking_plain_text() {
    let responder = Responder::start(vec![prelogin(TLS_NOT_SUPPORTED)]);
    let mut options = options(responder.port);
    options.protection = Protection::TrustingAnyone;
    held(opened(options));
    assert_eq!(responder.received(), [PRELOGIN]);
}

#[test]
fn a_login_that_is_refused_holds_with_a_remedy_and_without_the_password() {
    let refused = error(18456, 14, "Login failed for user 'wfm'.");
    let responder = Responder::start(vec![prelogin(TLS_NOT_SUPPORTED), refused]);
    let mut options = options(responder.port);
    options.protection = Protection::None;
    let text = held(opened(options));
    says(&text, &["18456", "check login and password"]);
    assert!(!text.contains(PASSWORD), "{text}");
    assert_eq!(responder.received(), [PRELOGIN, LOGIN]);
}

#[test]
fn a_server_that_starts_or_fails_over_is_waited_for() {
    for (number, class) in [(18401, 14), (40613, 17), (921, 14)] {
        let starting = error(number, class, "Not yet.");
        let responder = Responder::start(vec![prelogin(TLS_NOT_SUPPORTED), starting]);
        let mut options = options(responder.port);
        options.protection = Protection::None;
        assert_unreachable(opened(options));
        responder.received();
    }
}

#[test]
fn nobody_there_and_somebody_who_hangs_up_are_unreachable() {
    assert_unreachable(opened(options(free_port())));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let hanging_up = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let _ = stream.read(&mut [0; 8]);
    });
    assert_unreachable(opened(options(port)));
    hanging_up.join().expect("ended");
}

#[test]
fn somebody_who_never_answers_is_given_up_after_the_time_for_connecting() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut options = options(listener.local_addr().expect("an address").port());
    options.connect_timeout = Duration::from_millis(200);
    let error = opened(options).expect_err("nobody answers");
    says(&error.to_string(), &["no connection within"]);
    assert_unreachable(Err(error));
}

#[test]
fn an_answer_that_is_no_sql_servers_holds_because_a_person_must_look() {
    let responder = Responder::start(vec![error(18456, 14, "A login before any greeting.")]);
    let text = held(opened(options(responder.port)));
    says(&text, &["see that SQL Server listens there"]);
    assert_eq!(responder.received(), [PRELOGIN]);
}

#[test]
fn an_authority_that_cannot_be_read_is_named_before_anybody_is_called() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    let mut options = options(free_port());
    options.protection = Protection::Verified {
        ca_file: Some(file.clone()),
    };
    says(&held(opened(options.clone())), &["ca.pem", "PEM"]);
    std::fs::write(&file, "no certificate").expect("written");
    says(&held(opened(options)), &["ca.pem", "no certificate"]);
}

#[test]
fn a_certificate_that_has_expired_or_is_anothers_holds_and_sees_no_login() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let open = |responder: &Responder| {
        let mut options = options(responder.port);
        options.protection = Protection::Verified {
            ca_file: Some(ours.file()),
        };
        opened(options)
    };
    for (certificate, words) in [
        (ours.issue_expired("127.0.0.1"), "expired"),
        (ours.issue("db.example.com"), "name"),
        (theirs.issue("127.0.0.1"), "ca_file"),
    ] {
        let responder = Responder::with_certificate(&certificate);
        let text = held(open(&responder));
        says(&text, &["TLS", words]);
        assert!(!text.contains(PASSWORD), "{text}");
        let received = responder.received();
        assert!(
            received.iter().all(|kind| *kind == PRELOGIN),
            "{received:?}"
        );
    }
    // The right one gets the login, encrypted.
    let responder = Responder::with_certificate(&ours.issue("127.0.0.1"));
    assert_unreachable(open(&responder));
    assert_eq!(responder.received().last(), Some(&ENCRYPTED));
}
