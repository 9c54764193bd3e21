//! Encrypted connections: whom the box believes.

use std::fs;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use thrio_edge::destination::Destination;
use thrio_edge::destination::jetstream::{JetStreamDestination, JetStreamOptions};
use thrio_edge::destination::{Credentials, SendError};

use crate::server::Servers;
use crate::site::{held, opened, part, writer};

/// A server with a certificate for this name, and the folder with its authority's.
fn server(name: &str) -> (TempDir, Servers) {
    thrio_edge::transport::install_crypto_provider();
    let folder = tempfile::tempdir().expect("a folder");
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).expect("a certificate");
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    let certificate = params.signed_by(&key, &issuer).expect("signed");
    let file = |name: &str| folder.path().join(name);
    fs::write(file("ca.pem"), authority.pem()).expect("written");
    fs::write(file("server.pem"), certificate.pem()).expect("written");
    fs::write(file("server.key"), key.serialize_pem()).expect("written");
    let config = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\" }}",
        file("server.pem").display(),
        file("server.key").display()
    );
    let servers = Servers::one(&config);
    (folder, servers)
}

fn destination(
    scheme: &str,
    servers: &Servers,
    authority: Option<&TempDir>,
) -> JetStreamDestination {
    let url = format!("{scheme}://{}", servers.single().address());
    let mut options = JetStreamOptions::new(vec![url.parse().expect("a URL")]);
    options.ca_file = authority.map(|folder| folder.path().join("ca.pem"));
    JetStreamDestination::new(options, Credentials::default())
}

#[test]
fn the_authority_that_is_named_is_believed_and_no_other() {
    let (folder, servers) = server("127.0.0.1");
    let mut to = opened(
        destination("tls", &servers, Some(&folder)),
        &writer("box-1", 1),
    );
    to.send(&part(1, 5)).expect("published");
    let why = held(destination("tls", &servers, None).open(&writer("box-1", 1)));
    assert!(why.contains("TLS") && why.contains("ca_file"), "{why}");
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let (folder, servers) = server("another.example.com");
    let why = held(destination("tls", &servers, Some(&folder)).open(&writer("box-1", 1)));
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
