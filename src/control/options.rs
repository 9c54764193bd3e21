//! What can be set about the control server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Where the control server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlOptions {
    /// The address. One that others can reach needs a certificate and an admin token
    /// (architecture §6). Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The certificate, where it speaks TLS.
    pub tls: Option<TlsFiles>,
}

/// A certificate chain and its key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Default for ControlOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8640),
            tls: None,
        }
    }
}
