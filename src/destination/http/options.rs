//! The settings of `kind = "http"`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::super::tls::ClientIdentity;
use crate::transport::is_loopback;

/// What a body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// A batch of CloudEvents 1.0.
    #[default]
    CloudEvents,
    /// A JSON object a line, for receivers of logs and events.
    Ndjson,
}

/// How a body is made smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// What every receiver knows.
    #[default]
    Gzip,
    /// Smaller and quicker.
    Zstd,
    /// As it is.
    None,
}

/// What counts as the receiver's word that it has a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledge {
    /// A 2xx whose JSON says that all the batch's events are applied.
    Applied,
    /// Any 2xx that is no HTML: the receiver's word only.
    Status,
}

/// One header that goes with every call. It may be a key, so its value is never shown.
#[derive(Clone)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: SecretString,
}

impl PartialEq for Header {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.value.expose_secret() == other.value.expose_secret()
    }
}

impl Eq for Header {}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: (not shown)", self.name)
    }
}

/// Where bodies go, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// The receiver: https, or http for a loopback address.
    pub url: Url,
    /// What a body holds.
    pub format: Format,
    /// How it is made smaller.
    pub compression: Compression,
    /// What counts as acknowledged.
    pub acknowledge: Acknowledge,
    /// The user name of basic authentication.
    pub username: Option<String>,
    /// What goes with every call beside.
    pub headers: Vec<Header>,
    /// The authorities; none = the system's.
    pub ca_file: Option<PathBuf>,
    /// Who we are, where the receiver asks for a certificate.
    pub client: Option<ClientIdentity>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a whole call may take.
    pub call_timeout: Duration,
    /// The file that says how far a receiver that cannot be asked has come; none = nowhere.
    pub high_water: Option<PathBuf>,
}

impl HttpOptions {
    /// The default settings for this receiver.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            format: Format::default(),
            compression: Compression::default(),
            acknowledge: Acknowledge::Applied,
            username: None,
            headers: Vec::new(),
            ca_file: None,
            client: None,
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(30),
            high_water: None,
        }
    }
}

/// A receiver's URL; the error says what is wrong with it.
pub fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name: username and password are keys of their own".to_owned());
    }
    if url.fragment().is_some() {
        return Err("ends in a fragment, which is never sent".to_owned());
    }
    match (url.scheme(), url.host_str()) {
        ("https", Some(_)) => Ok(url),
        ("http", Some(host)) if is_loopback(host) => Ok(url),
        ("http", Some(_)) => {
            Err("is plain http, which is for loopback addresses only: use https".to_owned())
        }
        _ => Err("is neither https:// nor http://".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_https_or_loopback_and_holds_no_password() {
        for good in [
            "https://wfm.example.com/v1/events?x=1",
            "http://127.0.0.1:8650/",
            "http://[::1]/",
            "http://localhost/a",
        ] {
            assert!(parse_url(good).is_ok(), "{good}");
        }
        for bad in [
            "wfm.example.com",
            "http://wfm.example.com/",
            "https://me:secret@wfm.example.com/",
            "ftp://wfm.example.com/",
            "https://wfm.example.com/#here",
        ] {
            assert!(parse_url(bad).is_err(), "{bad}");
        }
    }
}
