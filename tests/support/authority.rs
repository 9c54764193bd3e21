//! An authority of the test's own, whose files lie in a folder of its own.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
    issued: Cell<u32>,
}

impl Authority {
    /// All of these have one name, as an authority and its successor do.
    pub(crate) fn new() -> Self {
        Self::named("an authority of the tests")
    }

    pub(crate) fn named(name: &str) -> Self {
        thrio_edge::transport::install_crypto_provider();
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let folder = tempfile::tempdir().expect("a folder");
        let pem = params.self_signed(&key).expect("signed").pem();
        fs::write(folder.path().join("ca.pem"), pem).expect("written");
        Self {
            issuer: Issuer::new(params, key),
            folder,
            issued: Cell::new(0),
        }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The files of a certificate for this name and of its key.
    pub(crate) fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        self.issue_dated(name, false)
    }

    /// The same for a certificate that has expired.
    pub(crate) fn issue_expired(&self, name: &str) -> (PathBuf, PathBuf) {
        self.issue_dated(name, true)
    }

    fn issue_dated(&self, name: &str, has_expired: bool) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        if has_expired {
            params.not_before = date_time_ymd(2024, 1, 1);
            params.not_after = date_time_ymd(2025, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let n = self.issued.replace(self.issued.get() + 1);
        let files = ["pem", "key"].map(|end| self.folder.path().join(format!("server-{n}.{end}")));
        let [certificate_file, key_file] = files;
        fs::write(&certificate_file, certificate.pem()).expect("written");
        fs::write(&key_file, key.serialize_pem()).expect("written");
        (certificate_file, key_file)
    }
}
