//! TLS towards destinations that are no HTTP: always verified, by the site's authority where one is
//! named, else by the system's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls_platform_verifier::BuilderVerifierExt;

use super::SendError;

/// A certificate that the client shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The chain, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// The client's side of a connection whose server must prove its name, and may ask who we are.
pub fn client_config(
    ca_file: Option<&Path>,
    client: Option<&ClientIdentity>,
) -> Result<ClientConfig, SendError> {
    let unusable = |error: rustls::Error| {
        SendError::held(
            format!("TLS cannot be used: {error}"),
            "this build lacks what it needs: install it anew",
        )
    };
    let provider = CryptoProvider::get_default().map_or_else(
        || Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        Arc::clone,
    );
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match ca_file {
        Some(file) => builder.with_root_certificates(roots(file)?),
        None => builder.with_platform_verifier().map_err(unusable)?,
    };
    match client {
        None => Ok(builder.with_no_client_auth()),
        Some(client) => {
            let (chain, key) = identity(client)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                wrong_identity(
                    &client.certificate,
                    &format!("{error}: is {} its key?", client.key.display()),
                )
            })
        }
    }
}

fn identity(
    client: &ClientIdentity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), SendError> {
    let chain = CertificateDer::pem_file_iter(&client.certificate).and_then(Iterator::collect);
    let chain: Vec<_> =
        chain.map_err(|error| wrong_identity(&client.certificate, &error.to_string()))?;
    if chain.is_empty() {
        return Err(wrong_identity(
            &client.certificate,
            "it holds no certificate",
        ));
    }
    let key = PrivateKeyDer::from_pem_file(&client.key)
        .map_err(|error| wrong_identity(&client.key, &error.to_string()))?;
    Ok((chain, key))
}

fn wrong_identity(file: &Path, what: &str) -> SendError {
    SendError::held(
        format!(
            "client_certificate and client_key: {}: {what}",
            file.display()
        ),
        "let it be PEM, readable by the program's user",
    )
}

fn roots(file: &Path) -> Result<RootCertStore, SendError> {
    let wrong = |what: String| {
        SendError::held(
            format!("ca_file {}: {what}", file.display()),
            "let it hold the authority's certificates as PEM, readable by the program's user",
        )
    };
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("it holds no certificate".to_owned()));
    }
    Ok(roots)
}
