//! What the ways of telling are set up with.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use url::{Host, Url};

use crate::domain::alarm::Way;
use crate::transport::host_of;

/// Reads the webhook's token, for each message anew. The error never holds the secret.
pub type TokenProvider = Arc<dyn Fn() -> Result<SecretString, String> + Send + Sync>;

/// How alarms leave the box.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlarmWays {
    /// Where messages are posted.
    pub webhook: Option<WebhookOptions>,
    /// What is run for each message.
    pub command: Option<CommandOptions>,
    /// What is called while all is well.
    pub heartbeat_url: Option<SecretUrl>,
    /// Whom webhook and heartbeat trust; none = the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// The proxy of webhook and heartbeat.
    pub proxy: Option<SecretUrl>,
    /// How long a call of webhook or heartbeat may take.
    pub call_timeout: Duration,
}

impl AlarmWays {
    /// The ways that have messages.
    pub fn ways(&self) -> Vec<Way> {
        let webhook = self.webhook.as_ref().map(|_| Way::Webhook);
        let command = self.command.as_ref().map(|_| Way::Command);
        webhook.into_iter().chain(command).collect()
    }
}

/// A POST for each message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookOptions {
    /// Where.
    pub url: SecretUrl,
}

/// A program that is run for each message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOptions {
    /// Its path and its arguments; there is no shell.
    pub line: Vec<String>,
    /// After so long it is killed, with what it started.
    pub timeout: Duration,
}

/// An address that may hold a key; shown as its host.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(Url);

impl SecretUrl {
    /// An http or https address. The error says what is wrong, without the address.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|_| "is no URL".to_owned())?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err("is no http or https URL".to_owned());
        }
        Ok(Self(url))
    }

    /// Whether what is sent can be read on the way: plain http to another machine.
    pub fn is_open_on_the_way(&self) -> bool {
        let is_loopback = match self.0.host() {
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        self.0.scheme() == "http" && !is_loopback
    }

    /// Host and port.
    pub fn host(&self) -> String {
        host_of(&self.0)
    }

    /// Whether what is sent is encrypted.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The host's name and the port.
    pub fn server(&self) -> Option<(String, u16)> {
        let host = self.0.host_str()?.to_owned();
        Some((host, self.0.port_or_known_default()?))
    }

    pub(super) fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretUrl({})", self.host())
    }
}
