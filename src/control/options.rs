//! What can be set about the control server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where the control server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlOptions {
    /// The address; the configuration takes loopback addresses only (architecture §6). Port 0 takes
    /// a free one.
    pub listen: SocketAddr,
}

impl Default for ControlOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8640),
        }
    }
}
