//! Encrypted connections: whom the box believes.

use std::path::PathBuf;

use thrio_edge::destination::Destination;
use thrio_edge::destination::jetstream::{JetStreamDestination, JetStreamOptions};
use thrio_edge::destination::tls::ClientIdentity;
use thrio_edge::destination::{Credentials, SendError};
use thrio_edge::transport::certificate::{TlsBegins, TlsServer, term_of_server};

use crate::authority::Authority;
use crate::nats_server::Servers;
use crate::site::{held, opened, part, writer};

/// A server with a certificate for this name, and its authority.
fn server(name: &str) -> (Authority, Servers) {
    let authority = Authority::new();
    let (certificate, key) = authority.issue(name);
    let config = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\" }}",
        certificate.display(),
        key.display()
    );
    let servers = Servers::one(&config);
    (authority, servers)
}

fn destination(
    scheme: &str,
    servers: &Servers,
    authority: Option<&Authority>,
) -> JetStreamDestination {
    let url = format!("{scheme}://{}", servers.single().address());
    let mut options = JetStreamOptions::new(vec![url.parse().expect("a URL")]);
    options.ca_file = authority.map(Authority::file);
    JetStreamDestination::new(options, Credentials::default())
}

#[test]
fn the_authority_that_is_named_is_believed_and_no_other() {
    let (authority, servers) = server("127.0.0.1");
    let mut to = opened(
        destination("tls", &servers, Some(&authority)),
        &writer("box-1", 1),
    );
    to.send(&part(1, 5)).expect("published");
    // The look at the certificate finds it behind the greeting.
    let address = servers.single().address();
    let (host, port) = address.rsplit_once(':').expect("a port");
    let shown = term_of_server(&TlsServer {
        host: host.to_owned(),
        port: port.parse().expect("a number"),
        begins: TlsBegins::Nats,
    });
    assert!(
        shown.as_ref().is_ok_and(|term| term.until > term.since),
        "{shown:?}"
    );
    let why = held(destination("tls", &servers, None).open(&writer("box-1", 1)));
    assert!(why.contains("TLS") && why.contains("ca_file"), "{why}");
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let (authority, servers) = server("another.example.com");
    let why = held(destination("tls", &servers, Some(&authority)).open(&writer("box-1", 1)));
    assert!(
        why.contains("another.example.com") || why.contains("name"),
        "{why}"
    );
}

#[test]
fn no_byte_of_a_login_travels_in_plain_text_where_tls_was_asked_for() {
    let plain = Servers::one("");
    let refused = destination("tls", &plain, None).open(&writer("box-1", 1));
    assert!(
        matches!(
            refused,
            Err(SendError::Retry { .. } | SendError::Held { .. })
        ),
        "{refused:?}"
    );
}

#[test]
fn servers_that_ask_for_a_certificate_get_the_boxs() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let (certificate, key) = authority.issue("127.0.0.1");
    let servers = Servers::one(&format!(
        "tls {{ cert_file: {certificate:?}, key_file: {key:?}, ca_file: {:?}, verify: true }}",
        clients.file()
    ));
    let open = |client: Option<(PathBuf, PathBuf)>| {
        let url = format!("tls://{}", servers.single().address());
        let mut options = JetStreamOptions::new(vec![url.parse().expect("a URL")]);
        options.ca_file = Some(authority.file());
        options.client = client.map(|(certificate, key)| ClientIdentity { certificate, key });
        let mut to = JetStreamDestination::new(options, Credentials::default());
        to.open(&writer("box-1", 1)).map(|_| to)
    };
    let mut to = open(Some(clients.issue("box-1"))).expect("opened");
    to.send(&part(1, 5)).expect("published");
    for stranger in [None, Some(authority.issue("box-1"))] {
        let why = held(open(stranger).map(drop));
        assert!(why.contains("client_certificate"), "{why}");
    }
    // What is no certificate is said before anybody is called.
    let why = held(open(Some((clients.file(), clients.file()))).map(drop));
    assert!(
        why.contains("client_key") && why.contains("ca.pem"),
        "{why}"
    );
}
