//! The receiver's own certificate, as boxes see it.

use std::path::Path;

use thrio_edge::destination::http::{Credentials, HttpDestination, HttpOptions};
use thrio_edge::domain::delivery::DeliveryOptions;
use thrio_edge::receive::{Receiver, ServerIdentity};

use crate::authority::Authority;
use crate::forwarding_box::ForwardingBox;
use crate::site::{Site, clock, secret, token};

fn identity((certificate, key): (std::path::PathBuf, std::path::PathBuf)) -> ServerIdentity {
    ServerIdentity { certificate, key }
}

/// A box that believes this authority, or those of the system.
fn sender(site: &Site, authority: Option<&Path>) -> ForwardingBox {
    let url = site.url().replace("http://", "https://");
    let mut options = HttpOptions::new(url.parse().expect("a URL"));
    options.ca_file = authority.map(Path::to_path_buf);
    let credentials = Credentials {
        token: Some(secret(token("front-desk"))),
        password: None,
    };
    let to = Box::new(HttpDestination::new(options, credentials, clock()));
    let mut sender = ForwardingBox::named("front-desk", "main", DeliveryOptions::default(), to);
    sender.journal_transactions(700);
    sender
}

fn rows(site: &Site) -> i64 {
    let rows = "SELECT COUNT(*) FROM wfm_agent_state_transaction WHERE source = ?";
    site.number(rows, "main")
}

#[test]
fn over_tls_the_authority_that_is_named_is_believed_and_no_other() {
    let authority = Authority::new();
    let identity = identity(authority.issue("127.0.0.1"));
    let site = Site::start_as(move |options| options.identity = Some(identity));
    let mut known = sender(&site, Some(&authority.file()));
    known.run_until_delivered();
    assert_eq!(rows(&site), 700);
    for stranger in [None, Some(Authority::new().file())] {
        let reason = sender(&site, stranger.as_deref()).run_until_held();
        assert!(
            reason.contains("TLS") && reason.contains("ca_file"),
            "{reason}"
        );
    }
}

#[test]
fn a_certificate_that_has_expired_or_is_for_another_name_is_held() {
    let authority = Authority::new();
    for (identity, word) in [
        (identity(authority.issue_expired("127.0.0.1")), "xpired"),
        (
            identity(authority.issue("other.example.com")),
            "other.example.com",
        ),
    ] {
        let site = Site::start_as(|options| options.identity = Some(identity.clone()));
        let reason = sender(&site, Some(&authority.file())).run_until_held();
        assert!(reason.contains("TLS") && reason.contains(word), "{reason}");
    }
}

/// Connections that never greet hold nobody up: each greets on its own.
#[test]
fn whoever_connects_and_says_nothing_delays_no_box() {
    let authority = Authority::new();
    let identity = identity(authority.issue("127.0.0.1"));
    let site = Site::start_as(move |options| options.identity = Some(identity));
    let address = site.url_of("").replace("http://", "");
    let silent: Vec<_> = (0..40)
        .map(|_| std::net::TcpStream::connect(&address).expect("connected"))
        .collect();
    let mut known = sender(&site, Some(&authority.file()));
    known.run_until_delivered();
    assert_eq!(rows(&site), 700);
    drop(silent);
}

#[test]
fn files_that_are_no_certificate_are_named() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("127.0.0.1");
    let start = |identity| {
        let mut options = crate::site::options();
        options.identity = Some(identity);
        let make = || -> Box<dyn thrio_edge::destination::Destination> { unreachable!() };
        let started = Receiver::start(options, Box::new(make), clock(), Box::new(|| {}));
        started.map(drop).expect_err("it cannot").to_string()
    };
    let named = key.display().to_string();
    let swapped = ServerIdentity {
        certificate: key.clone(),
        key: key.clone(),
    };
    assert!(start(swapped).contains(&named));
    std::fs::write(&key, "no key").expect("written");
    let without = ServerIdentity { certificate, key };
    assert!(start(without).contains(&named));
}
