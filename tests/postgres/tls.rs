//! TLS against the real server: what a certificate must be to be trusted.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rcgen::{CertificateParams, KeyPair};
use thrio_edge::clock::Clock as _;
use thrio_edge::destination::Destination;
use thrio_edge::destination::postgres::{PostgresDestination, PostgresOptions, ServerHost};
use thrio_edge::transport::certificate::{TlsBegins, TlsServer, term_of_server};

use crate::authority::Authority;
use crate::destination_suite::records::source;
use crate::destination_suite::writer;
use crate::own::{clock, held};
use crate::place::password;
use crate::postgres_server::{PASSWORD, PostgresServer};

/// Lets the server have a certificate, whose file and whose key's these are.
pub(crate) fn certify(server: &PostgresServer, (certificate, key): (PathBuf, PathBuf)) {
    let text = |path| fs::read_to_string(path).expect("read");
    server.set_certificate(&text(certificate), &text(key));
}

/// The server of this module alone: its certificate changes.
static SERVER: LazyLock<PostgresServer> = LazyLock::new(PostgresServer::start);

/// Over TLS, under the name that certificates are made for.
pub(crate) fn options(server: &PostgresServer, ca_file: Option<&Path>) -> PostgresOptions {
    let database = server.new_database();
    let mut options = PostgresOptions::new(server.url(&database).parse().expect("a URL"));
    options.server.host = ServerHost::Tcp("localhost".to_owned());
    options.server.tls = true;
    options.ca_file = ca_file.map(Path::to_owned);
    options
}

#[test]
fn only_a_certificate_that_an_authority_signed_for_this_host_and_time_is_trusted() {
    let ours = Authority::new();
    let open = |ca_file: Option<&Path>| {
        let options = options(&SERVER, ca_file);
        let mut to = PostgresDestination::new(options, Some(password(PASSWORD)), clock());
        to.open(&writer("box-1", 1, &[source()]))
    };
    certify(&SERVER, ours.issue("localhost"));
    open(Some(&ours.file())).unwrap_or_else(|error| panic!("{error}"));
    let encrypted = "SELECT count(*) FROM pg_stat_ssl WHERE ssl";
    assert_ne!(SERVER.admin("postgres").one(encrypted), "");

    let text = held(open(None));
    assert!(text.contains("name its certificate in ca_file"), "{text}");

    certify(&SERVER, ours.issue("db.example.com"));
    let text = held(open(Some(&ours.file())));
    assert!(text.contains("another host's"), "{text}");

    certify(&SERVER, ours.issue_expired("localhost"));
    let text = held(open(Some(&ours.file())));
    assert!(text.contains("has expired: renew it"), "{text}");
    // The look at the certificate tells the date that a verified connection is not told.
    let shown = term_of_server(&TlsServer {
        host: "localhost".to_owned(),
        port: options(&SERVER, None).server.port,
        begins: TlsBegins::Postgres,
    });
    let ended = shown.expect("it shows one").until.expect("a date");
    assert!(ended < clock().now().wall, "{ended}");

    let theirs = Authority::new();
    certify(&SERVER, theirs.issue("localhost"));
    let text = held(open(Some(&ours.file())));
    assert!(
        text.contains("TLS:") && text.contains("authority"),
        "{text}"
    );

    let key = KeyPair::generate().expect("a key");
    let own = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let own = own.self_signed(&key).expect("signed");
    SERVER.set_certificate(&own.pem(), &key.serialize_pem());
    let text = held(open(Some(&ours.file())));
    assert!(text.contains("name its certificate in ca_file"), "{text}");

    let nothing = ours.file().with_file_name("empty.pem");
    fs::write(&nothing, "").expect("written");
    let text = held(open(Some(&nothing)));
    assert!(text.contains("holds no certificate"), "{text}");
}
