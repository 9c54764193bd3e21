//! TLS towards destinations that are no HTTP: always verified, by the site's authority where one is
//! named, else by the system's.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;

use super::SendError;

/// The client's side of a connection whose server must prove its name.
pub fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, SendError> {
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
    Ok(builder.with_no_client_auth())
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
