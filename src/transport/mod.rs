//! What every outgoing HTTP call shares: how the library is set up, and what its failures mean.
//!
//! - The library follows no redirect: it would go anywhere and drop `Authorization`.
//! - No proxy from the environment, no verification switched off, and no call without a time-out.
//! - No message holds a secret, or more than 80 characters of a foreign text.

pub mod certificate;
pub mod mask;
mod resolver;
pub mod text;
pub mod token;

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use url::Url;

use self::resolver::AddressFirst;
use crate::domain::timestamp::WallTime;

/// Whether the host, as a URL writes it, is this very machine.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Makes aws-lc-rs the process's TLS provider, once. `main` calls it first; connections call it
/// too, so that a test or a library user need not.
pub fn install_crypto_provider() {
    // An error only says that there is one already, which is then the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// How calls are made.
pub struct AgentOptions {
    /// Whom to trust.
    pub roots: RootCerts,
    /// Who we are, where the server asks.
    pub client_certificate: Option<ClientCert>,
    /// The proxy; none whatever the environment says.
    pub proxy: Option<ureq::Proxy>,
    /// How long resolving, and connecting, may take.
    pub connect_timeout: Duration,
    /// How long a whole call may take.
    pub call_timeout: Duration,
    /// Connections kept open between calls.
    pub idle_connections_max: usize,
}

/// What makes the calls.
pub fn agent(options: AgentOptions) -> ureq::Agent {
    install_crypto_provider();
    let tls = TlsConfig::builder()
        .root_certs(options.roots)
        .client_cert(options.client_certificate)
        .build();
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(options.proxy)
        .tls_config(tls)
        .timeout_resolve(Some(options.connect_timeout))
        .timeout_connect(Some(options.connect_timeout))
        .timeout_global(Some(options.call_timeout))
        .max_idle_connections(options.idle_connections_max)
        .max_idle_connections_per_host(options.idle_connections_max)
        .user_agent(concat!("thrio-edge/", env!("CARGO_PKG_VERSION")))
        .accept("application/json")
        .build();
    ureq::Agent::with_parts(config, DefaultConnector::default(), AddressFirst::default())
}

/// The authorities of the file, or the system's. The error says what is wrong with the file.
pub fn roots(ca_file: Option<&Path>) -> Result<RootCerts, String> {
    match ca_file {
        Some(file) => Ok(RootCerts::new_with_certs(&certificates(file)?)),
        None => Ok(RootCerts::PlatformVerifier),
    }
}

/// The certificate and key that the client shows. The error says what is wrong with which file.
pub fn client_certificate(certificate: &Path, key: &Path) -> Result<ClientCert, String> {
    let in_file = |file: &Path, error: String| format!("{}: {error}", file.display());
    let chain = certificates(certificate).map_err(|error| in_file(certificate, error))?;
    let pem = std::fs::read(key).map_err(|error| in_file(key, error.to_string()))?;
    let key = PrivateKey::from_pem(&pem)
        .map_err(|_| in_file(key, "a PEM file with a private key is needed".to_owned()))?;
    Ok(ClientCert::new_with_certs(&chain, key))
}

fn certificates(file: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let pem = std::fs::read(file).map_err(|error| error.to_string())?;
    let mut certificates = Vec::new();
    for item in ureq::tls::parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    if certificates.is_empty() {
        return Err("a PEM file with at least one certificate".to_owned());
    }
    Ok(certificates)
}

/// Host and, where it is not the scheme's, port, as messages name them.
pub fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or("(no host)");
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// A date as HTTP headers write it.
pub fn http_date(text: &str) -> Option<WallTime> {
    let time = httpdate::parse_http_date(text).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok().map(WallTime::from_s)
}

/// What `Retry-After` asks for, at most `max`; zero where it is zero or past. A date is read by the
/// server's own clock (`server_now`) where it says what that is: the box's may be wrong.
pub fn retry_after(text: &str, server_now: WallTime, max: Duration) -> Option<Duration> {
    let text = text.trim();
    let asked = if let Ok(s) = text.parse::<u64>() {
        Duration::from_secs(s)
    } else {
        let ms = http_date(text)?.ms_since(server_now);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    };
    Some(asked.min(max))
}

/// Why a call brought no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The certificate was refused, or no TLS could be agreed on.
    Tls(String),
    /// Name resolution, connect, time-out, a broken connection.
    Network(String),
}

impl Trouble {
    /// What a failure of the library means.
    pub fn of(error: &ureq::Error) -> Self {
        match error {
            ureq::Error::Rustls(error) => Self::Tls(tls_text(error)),
            ureq::Error::Tls(text) => Self::Tls((*text).to_owned()),
            ureq::Error::Timeout(what) => Self::Network(format!("timed out ({what})")),
            ureq::Error::HostNotFound => Self::Network("the host name is not known".to_owned()),
            ureq::Error::ConnectProxyFailed(_) => {
                Self::Network("the proxy refused the connection; check proxy".to_owned())
            }
            ureq::Error::Io(error) => Self::of_io(error),
            ureq::Error::Http(_) | ureq::Error::BadUri(_) => {
                Self::Network("the request cannot be written; check path and headers".to_owned())
            }
            ureq::Error::Protocol(_) => Self::Network("the answer is no HTTP".to_owned()),
            other => Self::Network(text::excerpt(&other.to_string())),
        }
    }

    /// What a failure while reading or writing means.
    pub fn of_io(error: &io::Error) -> Self {
        let inner = error.get_ref();
        if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::Tls(tls_text(tls));
        }
        if let Some(ureq) = inner.and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
            return Self::of(ureq);
        }
        Self::Network(text::excerpt(&error.to_string()))
    }
}

fn tls_text(error: &rustls::Error) -> String {
    let text = format!("{error}");
    let hint = if text.contains("CaUsedAsEndEntity") {
        "; the server's certificate is marked as an authority (CA:TRUE, openssl's default for \
         self-signed ones): issue one without"
    } else if text.contains("UnknownIssuer") {
        "; if the site has its own authority, name its certificate in ca_file"
    } else {
        ""
    };
    format!("{text}{hint}")
}
