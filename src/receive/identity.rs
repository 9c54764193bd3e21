//! Who the receiver is: the certificate that it shows, which another can replace while it serves.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::options::ServerIdentity;

/// What the files held when they were last looked at.
type Seen = Vec<[u8; 32]>;

/// The certificate that is shown to whoever connects.
pub(super) struct Identity {
    files: ServerIdentity,
    shown: ArcSwap<ServerConfig>,
    seen: Mutex<Seen>,
}

impl Identity {
    /// Reads the files; the error names the one that cannot be used.
    pub(super) fn read(files: ServerIdentity) -> Result<Self, String> {
        let (config, seen) = read(&files)?;
        Ok(Self {
            files,
            shown: ArcSwap::new(config?),
            seen: Mutex::new(seen),
        })
    }

    /// What greets the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.shown.load_full())
    }

    /// Shows what the files hold now to whoever connects from now on; open connections keep what
    /// they have. Files that cannot be used change nothing.
    pub(super) fn renew(&self) -> Result<(), String> {
        let (config, seen) = read(&self.files)?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        self.shown.store(config?);
        Ok(())
    }

    /// The same where the files hold something else than at the last look; `None` where they do
    /// not, so that a bad file is told of once.
    pub(super) fn renew_if_changed(&self) -> Option<Result<(), String>> {
        let contents = contents(&self.files).ok()?;
        let known = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = *known == fingerprints(&contents);
        drop(known);
        (!is_known).then(|| self.renew())
    }
}

type Contents = [Vec<u8>; 2];

fn contents(files: &ServerIdentity) -> Result<Contents, String> {
    let read = |file: &Path| fs::read(file).map_err(|error| wrong(file, &error.to_string()));
    Ok([read(&files.certificate)?, read(&files.key)?])
}

fn fingerprints(contents: &Contents) -> Seen {
    let of = |bytes: &Vec<u8>| digest(&SHA256, bytes).as_ref().try_into();
    let all = contents.iter().map(|bytes| of(bytes).expect("32 bytes"));
    all.collect()
}

fn read(files: &ServerIdentity) -> Result<(Result<Arc<ServerConfig>, String>, Seen), String> {
    let contents = contents(files)?;
    let seen = fingerprints(&contents);
    Ok((server_config(files, &contents), seen))
}

fn server_config(files: &ServerIdentity, contents: &Contents) -> Result<Arc<ServerConfig>, String> {
    let ServerIdentity { certificate, key } = files;
    let [chain, private] = contents;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain.map_err(|error| wrong(certificate, &error.to_string()))?;
    if chain.is_empty() {
        return Err(wrong(certificate, "it holds no certificate"));
    }
    let private = PrivateKeyDer::from_pem_slice(private);
    let private = private.map_err(|error| wrong(key, &error.to_string()))?;
    ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map(Arc::new)
        .map_err(|error| wrong(key, &error.to_string()))
}

fn wrong(file: &Path, why: &str) -> String {
    format!("{}: {why}", file.display())
}
