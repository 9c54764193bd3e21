//! The settings of the receiver.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::destination::Secret;
use crate::domain::ids::{BoxId, SourceName};

/// Where the receiver listens, and who may write.
#[derive(Debug, Clone)]
pub struct ReceiveOptions {
    /// The address; without a certificate a loopback one.
    pub listen: SocketAddr,
    /// Who the receiver is.
    pub identity: Option<ServerIdentity>,
    /// The boxes that may write.
    pub boxes: Vec<AllowedBox>,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How often it is looked whether the certificate's files have changed.
    pub certificate_look: Duration,
}

/// A renewed certificate is shown within a minute, as a replaced password counts within one.
pub const CERTIFICATE_LOOK: Duration = Duration::from_mins(1);

/// A batch over the slowest line that a box may have.
pub const BODY_TIMEOUT: Duration = Duration::from_mins(1);

/// The certificate that the receiver shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerIdentity {
    /// The chain, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// A box that may write.
#[derive(Debug, Clone)]
pub struct AllowedBox {
    /// Under this id, whatever it says itself.
    pub id: BoxId,
    /// With this token.
    pub token: Secret,
    /// These sources; empty = any that no other box has claimed.
    pub sources: Vec<SourceName>,
}
