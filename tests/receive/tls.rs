//! The receiver's own certificate, as boxes see it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use thrio_edge::destination::http::{Credentials, HttpDestination, HttpOptions};
use thrio_edge::domain::delivery::DeliveryOptions;
use thrio_edge::receive::{Receiver, ServerIdentity};

use crate::authority::Authority;
use crate::forwarding_box::ForwardingBox;
use crate::postgres_server::wait_until;
use crate::site::{Site, clock, secret, token};

fn identity((certificate, key): (PathBuf, PathBuf)) -> ServerIdentity {
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

/// One connection that stays open.
struct Line(StreamOwned<ClientConnection, TcpStream>);

impl Line {
    fn open(site: &Site, authority: &Authority) -> std::io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_file_iter(authority.file()).expect("a file") {
            roots.add(authority.expect("PEM")).expect("an authority");
        }
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "127.0.0.1".try_into().expect("an address");
        let client = ClientConnection::new(Arc::new(config), name).expect("a client");
        let stream = TcpStream::connect(site.receiver().address())?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut line = Self(StreamOwned::new(client, stream));
        line.ask()?;
        Ok(line)
    }

    /// A question and its answer.
    fn ask(&mut self) -> std::io::Result<()> {
        write!(self.0, "GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"alive\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte)?;
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"));
        Ok(())
    }
}

fn replace((certificate, key): &(PathBuf, PathBuf), by: &(PathBuf, PathBuf)) {
    std::fs::copy(&by.0, certificate).expect("copied");
    std::fs::copy(&by.1, key).expect("copied");
}

#[test]
fn a_renewed_certificate_is_shown_from_then_on_and_no_connection_ends() {
    let (former, renewed) = (Authority::new(), Authority::new());
    let files = former.issue("127.0.0.1");
    let shown = identity(files.clone());
    let site = Site::start_as(move |options| options.identity = Some(shown));
    let mut open = Line::open(&site, &former).expect("the former is shown");
    let is_shown = |authority: &Authority| Line::open(&site, authority).is_ok();

    replace(&files, &renewed.issue("127.0.0.1"));
    assert!(
        is_shown(&former) && !is_shown(&renewed),
        "nobody has said so"
    );
    site.receiver().renew();
    assert!(is_shown(&renewed) && !is_shown(&former));
    open.ask().expect("it goes on");

    // A key that is not the certificate's, and no key at all: what is shown stays.
    for key in [former.issue("127.0.0.1").1, former.file()] {
        std::fs::copy(key, &files.1).expect("copied");
        site.receiver().renew();
        assert!(is_shown(&renewed) && !is_shown(&former));
    }
    std::fs::remove_file(&files.0).expect("removed");
    site.receiver().renew();
    assert!(is_shown(&renewed));
    open.ask().expect("it goes on");
}

#[test]
fn a_renewed_certificate_is_found_without_being_told() {
    let (former, renewed) = (Authority::new(), Authority::new());
    let files = former.issue("127.0.0.1");
    let shown = identity(files.clone());
    let site = Site::start_as(move |options| {
        options.identity = Some(shown);
        options.certificate_look = Duration::from_millis(20);
    });
    let mut open = Line::open(&site, &former).expect("the former is shown");
    replace(&files, &renewed.issue("127.0.0.1"));
    let is_shown = |authority: &Authority| Line::open(&site, authority).is_ok();
    wait_until("the renewed one is shown", || is_shown(&renewed));
    assert!(!is_shown(&former));
    open.ask().expect("it goes on");
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
