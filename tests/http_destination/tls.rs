//! Certificates: whom the box believes, and how it proves who it is itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use thrio_edge::destination::http::{ClientIdentity, HttpOptions};

use crate::authority::Authority;
use crate::forwarding_box::ForwardingBox;
use crate::upstream::Upstream;
use crate::{destination, options, seqs};

/// An upstream with a certificate, which asks for one of these clients where there are any.
fn upstream((certificate, key): (PathBuf, PathBuf), clients: Option<&Authority>) -> Upstream {
    let builder = ServerConfig::builder();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            for root in CertificateDer::pem_file_iter(authority.file()).expect("a file") {
                roots.add(root.expect("PEM")).expect("a root");
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots));
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let certificate = CertificateDer::from_pem_file(certificate).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    let config = builder.with_single_cert(vec![certificate], key);
    Upstream::start_with(Some(Arc::new(config.expect("a config"))))
}

fn trusting(upstream: &Upstream, ca_file: &Path) -> HttpOptions {
    HttpOptions {
        ca_file: Some(ca_file.to_owned()),
        ..options(upstream)
    }
}

fn held(options: HttpOptions) -> String {
    let mut sender = ForwardingBox::new(destination(options));
    sender.journal_transactions(5);
    let reason = sender.run_until_held();
    assert_eq!(sender.status().balance.backlog, 5);
    reason
}

#[test]
fn a_certificate_that_cannot_be_believed_holds_and_the_right_one_delivers() {
    let (ours, another) = (Authority::named("one"), Authority::named("another"));
    let expired = upstream(ours.issue_expired("localhost"), None);
    let reason = held(trusting(&expired, &ours.file()));
    assert!(
        reason.contains("xpired") && reason.contains("clock"),
        "{reason}"
    );
    let elsewhere = upstream(ours.issue("other.example.com"), None);
    let reason = held(trusting(&elsewhere, &ours.file()));
    assert!(
        reason.contains("NotValidForName") || reason.contains("not valid for name"),
        "{reason}"
    );
    let right = upstream(ours.issue("localhost"), None);
    let reason = held(trusting(&right, &another.file()));
    assert!(reason.contains("UnknownIssuer"), "{reason}");
    for upstream in [&expired, &elsewhere] {
        assert!(
            upstream.seen().requests.is_empty(),
            "nothing was told to it"
        );
    }
    let mut sender = ForwardingBox::new(destination(trusting(&right, &ours.file())));
    sender.journal_transactions(5);
    sender.run_until_delivered();
    assert_eq!(right.held(), seqs(5));
}

#[test]
fn an_upstream_that_asks_for_a_certificate_gets_the_boxs() {
    let (servers, clients) = (Authority::named("one"), Authority::named("another"));
    let upstream = upstream(servers.issue("localhost"), Some(&clients));
    let without = trusting(&upstream, &servers.file());
    let reason = held(without.clone());
    assert!(reason.contains("client_certificate"), "{reason}");
    let (certificate, key) = clients.issue("box-1");
    let with = HttpOptions {
        client: Some(ClientIdentity { certificate, key }),
        ..without
    };
    let mut sender = ForwardingBox::new(destination(with));
    sender.journal_transactions(5);
    sender.run_until_delivered();
    assert_eq!(upstream.held(), seqs(5));
}
