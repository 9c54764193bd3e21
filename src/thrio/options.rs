//! How one connection to Thrio is made: one account at one login host.
//!
//! The password is no option: it is read anew for each login through [`PasswordProvider`], so that
//! no option ever holds it, and a changed password ends a hold.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::transport::is_loopback;

/// Reads the password, for each login anew. An `Err` says for a person which secret could not be
/// read and why; it never holds the secret.
pub type PasswordProvider = Arc<dyn Fn() -> Result<SecretString, String> + Send + Sync>;

/// The largest realtime answer by default: 20,000 agents need about 4 MB.
pub const REALTIME_BODY_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The largest other answer by default.
pub const BODY_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// How long connecting may take by default.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a whole call may take by default, its body included.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Where Thrio's tenants live; matched at a dot.
pub const ALLOWED_HOST_SUFFIXES: [&str; 4] = ["thrio.com", "thrio.io", "nextiva.com", "nextiva.io"];

/// A setting that cannot work: which, what it holds, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionProblem {
    /// The key, with dots, relative to the table it belongs to.
    pub field: String,
    /// What it holds; never a secret.
    pub value: String,
    /// What is wrong and what would be right.
    pub hint: String,
}

impl OptionProblem {
    /// A problem with this key.
    pub fn new(
        field: impl Into<String>,
        value: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            value: value.into(),
            hint: hint.into(),
        }
    }
}

/// How the token travels in `Authorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthScheme {
    /// The token alone: what live tenants take.
    Raw,
    /// `Bearer <token>`: what newer vendor documents say.
    Bearer,
    /// Raw first; the other once, after a 401 that follows a fresh login; then what worked.
    #[default]
    Auto,
}

/// An outgoing proxy's URL. Its user name and password never show in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl(String);

impl ProxyUrl {
    /// Takes the URL over; [`ConnectionOptions::problems`] checks it.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL, credentials included.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.rsplit_once('@') {
            Some((before, host)) => {
                let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
                write!(f, "{scheme}://***@{host}")
            }
            None => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One account at one login host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionOptions {
    /// The login host's URL, for example `https://login.thrio.com`.
    pub base_url: String,
    /// The user name (`account` or `username` in the configuration).
    pub user: String,
    /// How the token travels.
    pub auth_scheme: AuthScheme,
    /// Where the token is bought.
    pub login_path: String,
    /// Domains that may see the token beside the login host.
    pub allowed_host_suffixes: Vec<String>,
    /// PEM file of the only roots to trust; none = the platform's.
    pub ca_file: Option<PathBuf>,
    /// A proxy; none = direct, whatever the environment says.
    pub proxy: Option<ProxyUrl>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a whole call may take, its body included.
    pub call_timeout: Duration,
    /// The largest realtime answer in bytes, decompressed.
    pub realtime_body_bytes_max: u64,
    /// The largest other answer in bytes, decompressed.
    pub body_bytes_max: u64,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            base_url: "https://login.thrio.com".to_owned(),
            user: String::new(),
            auth_scheme: AuthScheme::default(),
            login_path: "/provider/token-with-authorities".to_owned(),
            allowed_host_suffixes: ALLOWED_HOST_SUFFIXES.map(str::to_owned).to_vec(),
            ca_file: None,
            proxy: None,
            connect_timeout: CONNECT_TIMEOUT,
            call_timeout: CALL_TIMEOUT,
            realtime_body_bytes_max: REALTIME_BODY_BYTES_MAX,
            body_bytes_max: BODY_BYTES_MAX,
        }
    }
}

impl ConnectionOptions {
    /// Everything that cannot work, in the order of the fields. Files are not touched.
    pub fn problems(&self) -> Vec<OptionProblem> {
        let mut problems = Vec::new();
        if let Err(hint) = origin_of(&self.base_url) {
            problems.push(OptionProblem::new(
                "base_url",
                without_userinfo(&self.base_url),
                hint,
            ));
        }
        if self.user.trim().is_empty() {
            problems.push(OptionProblem::new(
                "user",
                &*self.user,
                "the account that Thrio's administrator made for this integration",
            ));
        } else if self.user.contains(':') {
            problems.push(OptionProblem::new(
                "user",
                &*self.user,
                "a user name with ':' cannot travel in basic authentication",
            ));
        }
        if !self.login_path.starts_with('/') {
            problems.push(OptionProblem::new(
                "login_path",
                &*self.login_path,
                "a path that starts with '/'",
            ));
        }
        for (at, suffix) in self.allowed_host_suffixes.iter().enumerate() {
            if suffix.is_empty() || suffix.starts_with('.') || suffix.contains(['/', ':', '*']) {
                problems.push(OptionProblem::new(
                    format!("allowed_host_suffixes[{at}]"),
                    &**suffix,
                    "a bare domain such as \"thrio.com\": its subdomains are allowed with it",
                ));
            }
        }
        if let Some(proxy) = &self.proxy
            && ureq::Proxy::new(proxy.expose()).is_err()
        {
            problems.push(OptionProblem::new(
                "proxy",
                proxy.to_string(),
                "a URL such as \"http://proxy.example.com:3128\"",
            ));
        }
        for (field, timeout) in [
            ("connect_timeout", self.connect_timeout),
            ("call_timeout", self.call_timeout),
        ] {
            if timeout.is_zero() {
                problems.push(OptionProblem::new(field, "0", "a time above zero"));
            }
        }
        for (field, bytes) in [
            ("realtime_body_bytes_max", self.realtime_body_bytes_max),
            ("body_bytes_max", self.body_bytes_max),
        ] {
            // The snapshot's arena counts in u32.
            if bytes == 0 || bytes > u64::from(u32::MAX) / 2 {
                problems.push(OptionProblem::new(
                    field,
                    bytes.to_string(),
                    "between 1 byte and 2 GiB",
                ));
            }
        }
        problems
    }
}

/// The URL of a host: scheme, host, port and perhaps a path prefix, without a trailing slash.
/// The error says what is wrong, for a person.
pub(crate) fn origin_of(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| {
        "a URL with scheme and host, such as \"https://login.thrio.com\"".to_owned()
    })?;
    let Some(host) = url.host_str() else {
        return Err("a URL with a host, such as \"https://login.thrio.com\"".to_owned());
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "the account and its password are settings of their own, not part of the URL"
                .to_owned(),
        );
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(host) => Ok(url),
        "http" => Err(
            "https: plain http would show the token to the network and is accepted for \
                       loopback addresses only"
                .to_owned(),
        ),
        _ => Err("a URL that starts with https://".to_owned()),
    }
}

/// Whether the host is the domain or lies under it.
pub(crate) fn is_under(host: &str, suffix: &str) -> bool {
    let (host, suffix) = (host.to_ascii_lowercase(), suffix.to_ascii_lowercase());
    host == suffix
        || host
            .strip_suffix(&suffix)
            .is_some_and(|rest| rest.ends_with('.'))
}

fn without_userinfo(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, host)) => format!("***@{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut ConnectionOptions)) -> Vec<String> {
        let mut options = ConnectionOptions {
            user: "wfm@example.com".to_owned(),
            ..ConnectionOptions::default()
        };
        change(&mut options);
        options.problems().into_iter().map(|p| p.field).collect()
    }

    #[test]
    fn the_defaults_need_a_user_name_only() {
        assert!(with(|_| ()).is_empty());
        assert_eq!(ConnectionOptions::default().problems()[0].field, "user");
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for good in [
            "http://127.0.0.1:8080",
            "http://[::1]:1",
            "http://localhost/",
        ] {
            assert!(with(|o| o.base_url = good.to_owned()).is_empty(), "{good}");
        }
        for bad in [
            "http://login.thrio.com",
            "login.thrio.com",
            "ftp://x",
            "http://127.0.0.1.example.com",
        ] {
            assert_eq!(with(|o| o.base_url = bad.to_owned()), ["base_url"], "{bad}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_neither_accepted_nor_shown() {
        let options = ConnectionOptions {
            base_url: "https://me:hunter2@login.thrio.com".to_owned(),
            user: "me".to_owned(),
            proxy: Some(ProxyUrl::new("http://me:hunter2@[proxy")),
            ..ConnectionOptions::default()
        };
        let problems = options.problems();
        assert_eq!(problems.len(), 2);
        assert!(!format!("{problems:?}").contains("hunter2"));
        assert!(!format!("{:?}", options.proxy).contains("hunter2"));
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let fields = with(|o| {
            o.base_url = "x".to_owned();
            o.user = "a:b".to_owned();
            o.allowed_host_suffixes = vec!["thrio.com".to_owned(), "*.thrio.io".to_owned()];
            o.call_timeout = Duration::ZERO;
            o.body_bytes_max = 0;
        });
        assert_eq!(
            fields,
            [
                "base_url",
                "user",
                "allowed_host_suffixes[1]",
                "call_timeout",
                "body_bytes_max"
            ]
        );
    }

    #[test]
    fn a_suffix_matches_at_a_dot() {
        assert!(is_under("tenant.thrio.io", "thrio.io"));
        assert!(is_under("THRIO.io", "thrio.io"));
        assert!(!is_under("evilthrio.io", "thrio.io"));
        assert!(!is_under("thrio.io.example.com", "thrio.io"));
    }
}
