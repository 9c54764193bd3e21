//! Certificates: whom the box believes, and how it proves who it is itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use thrio_edge::destination::http::{ClientIdentity, HttpOptions};

use crate::forwarding_box::ForwardingBox;
use crate::upstream::Upstream;
use crate::{destination, options, seqs};

struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

impl Authority {
    fn new(name: &str) -> Self {
        thrio_edge::transport::install_crypto_provider();
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("written");
        Self {
            folder,
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn issue(&self, name: &str, expired: bool) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        if expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 2, 1);
        }
        (params.signed_by(&key, &self.issuer).expect("signed"), key)
    }

    fn server(&self, name: &str, expired: bool, clients: Option<&Self>) -> Upstream {
        let (certificate, key) = self.issue(name, expired);
        let builder = ServerConfig::builder();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots
                    .add(authority.certificate.der().clone())
                    .expect("a root");
                let verifier = WebPkiClientVerifier::builder(Arc::new(roots));
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = builder.with_single_cert(chain, key).expect("a config");
        Upstream::start_with(Some(Arc::new(config)))
    }
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
    let (ours, another) = (Authority::new("one"), Authority::new("another"));
    let expired = ours.server("localhost", true, None);
    let reason = held(trusting(&expired, &ours.ca_file()));
    assert!(
        reason.contains("xpired") && reason.contains("clock"),
        "{reason}"
    );
    let elsewhere = ours.server("other.example.com", false, None);
    let reason = held(trusting(&elsewhere, &ours.ca_file()));
    assert!(
        reason.contains("NotValidForName") || reason.contains("not valid for name"),
        "{reason}"
    );
    let right = ours.server("localhost", false, None);
    let reason = held(trusting(&right, &another.ca_file()));
    assert!(reason.contains("UnknownIssuer"), "{reason}");
    for upstream in [&expired, &elsewhere] {
        assert!(
            upstream.seen().requests.is_empty(),
            "nothing was told to it"
        );
    }
    let mut sender = ForwardingBox::new(destination(trusting(&right, &ours.ca_file())));
    sender.journal_transactions(5);
    sender.run_until_delivered();
    assert_eq!(right.held(), seqs(5));
}

#[test]
fn an_upstream_that_asks_for_a_certificate_gets_the_boxs() {
    let (servers, clients) = (Authority::new("one"), Authority::new("another"));
    let upstream = servers.server("localhost", false, Some(&clients));
    let without = trusting(&upstream, &servers.ca_file());
    let reason = held(without.clone());
    assert!(reason.contains("client_certificate"), "{reason}");
    let (certificate, key) = clients.issue("box-1", false);
    let file = |name: &str, text: String| {
        let path = clients.folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let with = HttpOptions {
        client: Some(ClientIdentity {
            certificate: file("box.pem", certificate.pem()),
            key: file("box.key", key.serialize_pem()),
        }),
        ..without
    };
    let mut sender = ForwardingBox::new(destination(with));
    sender.journal_transactions(5);
    sender.run_until_delivered();
    assert_eq!(upstream.held(), seqs(5));
}
