//! The settings of `kind = "jetstream"`.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::super::tls::ClientIdentity;
use crate::transport::is_loopback;

/// Where and how records are published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JetStreamOptions {
    /// The servers of one cluster: `tls://host:port`, or `nats://` for a loopback address.
    pub urls: Vec<ServerUrl>,
    /// The stream; made if it is not there.
    pub stream: String,
    /// The first part of every subject.
    pub subject_prefix: String,
    /// On how many servers the stream is kept.
    pub replicas: usize,
    /// A NATS credentials file: a token of the account and the key that signs with it.
    pub credentials_file: Option<PathBuf>,
    /// The user, where the servers ask for user and password.
    pub username: Option<String>,
    /// The authority's certificates where the system does not know it.
    pub ca_file: Option<PathBuf>,
    /// Who we are, where the servers ask for a certificate.
    pub client: Option<ClientIdentity>,
    /// How long connecting to a server, each question and each acknowledgement may take.
    pub timeout: Duration,
}

impl JetStreamOptions {
    /// The default settings for these servers.
    pub fn new(urls: Vec<ServerUrl>) -> Self {
        Self {
            urls,
            stream: "wfm".to_owned(),
            subject_prefix: "wfm".to_owned(),
            replicas: 1,
            credentials_file: None,
            username: None,
            ca_file: None,
            client: None,
            timeout: Duration::from_secs(5),
        }
    }

    /// Whether both publish into the same subjects.
    pub fn is_same_place(&self, other: &Self) -> bool {
        let shares_a_server = self.urls.iter().any(|url| other.urls.contains(url));
        shares_a_server && self.subject_prefix == other.subject_prefix
    }

    /// Whether every connection must be encrypted.
    pub(super) fn is_tls(&self) -> bool {
        self.ca_file.is_some()
            || self.client.is_some()
            || self.urls.iter().any(|url| url.0.scheme() == "tls")
    }
}

/// The address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl(Url);

/// Streams are folders on the servers' disks, whose names end at 255 bytes.
const NAME_BYTES_MAX: usize = 200;

impl ServerUrl {
    /// The address as a text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl std::fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for ServerUrl {
    type Err = String;

    /// The error says what is wrong, without the address, which may hold a password.
    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
        if !matches!(url.scheme(), "tls" | "nats") {
            return Err("is neither tls:// nor nats://".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("holds a user or a token: these have keys of their own".to_owned());
        }
        let has_more = !matches!(url.path(), "" | "/") || url.query().is_some();
        if has_more || url.fragment().is_some() {
            return Err("has more than host and port".to_owned());
        }
        match (url.scheme(), url.host_str().unwrap_or_default()) {
            (_, "") => Err("names no host".to_owned()),
            ("tls", _) => Ok(Self(url)),
            (_, host) if is_loopback(host) => Ok(Self(url)),
            _ => Err(
                "is nats://, plain text, which is for loopback addresses only: use tls://"
                    .to_owned(),
            ),
        }
    }
}

/// A name of a stream, or (with dots) the first part of subjects; the error says what is wrong.
pub fn check_name(text: &str, may_have_dots: bool) -> Result<(), String> {
    let is_part = |part: &str| {
        let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
        !part.is_empty() && part.bytes().all(is_allowed)
    };
    let is_name = if may_have_dots {
        text.split('.').all(is_part)
    } else {
        is_part(text)
    };
    let is_short = text.len() <= NAME_BYTES_MAX;
    match (is_name, is_short) {
        (true, true) => Ok(()),
        (false, _) => Err("holds more than letters, digits, '-' and '_'".to_owned()),
        (_, false) => Err(format!("is longer than {NAME_BYTES_MAX} characters")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_reached_by_tls_or_on_this_machine_and_its_address_holds_no_password() {
        for good in [
            "tls://nats.example.com:4222",
            "tls://nats.example.com",
            "nats://127.0.0.1:4222",
            "nats://[::1]:4222",
            "nats://localhost:4222",
        ] {
            assert!(good.parse::<ServerUrl>().is_ok(), "{good}");
        }
        for bad in [
            "nats.example.com:4222",
            "nats://nats.example.com:4222",
            "tls://wfm:hunter2@nats.example.com:4222",
            "tls://token@nats.example.com",
            "wss://nats.example.com",
            "tls://nats.example.com/wfm",
            "tls://",
        ] {
            let error = bad.parse::<ServerUrl>().expect_err(bad);
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn names_are_plain() {
        assert!(check_name("wfm-2_x", false).is_ok());
        assert!(check_name("eu.wfm", true).is_ok());
        for (bad, may_have_dots) in [
            ("eu.wfm", false),
            ("wfm.>", true),
            ("wfm..x", true),
            ("a b", true),
            ("", false),
        ] {
            assert!(check_name(bad, may_have_dots).is_err(), "{bad}");
        }
        assert!(check_name(&"a".repeat(201), false).is_err());
    }
}
