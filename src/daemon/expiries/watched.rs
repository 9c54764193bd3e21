//! What a configuration has that ends some day: certificates, tokens, passwords.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use secrecy::ExposeSecret as _;
use url::Url;

use crate::alarm::SecretUrl;
use crate::config::{Config, ConnectionConfig, DestinationConfig, DestinationTarget, SecretSource};
use crate::destination::postgres::ServerHost;
use crate::destination::sqlserver::Protection;
use crate::domain::expiry::{ExpiryKind, Term};
use crate::domain::timestamp::WallTime;
use crate::transport::certificate::{self, TlsBegins, TlsServer};
use crate::transport::token::term_of_token;

/// Where a NATS server listens that says no port.
const NATS_PORT: u16 = 4222;

/// One thing that ends some day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Watched {
    /// What it is to a person: `destination wfm: server`.
    pub(super) name: String,
    /// What ends.
    pub(super) kind: ExpiryKind,
    /// Where it is looked at.
    pub(super) at: Place,
}

/// Where it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A chain that is shown to others.
    Chain(PathBuf),
    /// Authorities that are trusted.
    Authorities(PathBuf),
    /// What a server shows.
    Server(TlsServer),
    /// A server that is only reached through a proxy.
    BehindProxy(TlsServer),
    /// A file with a NATS user's JWT.
    NatsCredentials(PathBuf),
    /// A secret.
    Secret(SecretSource),
}

impl Place {
    /// For a person.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Chain(file) | Self::Authorities(file) | Self::NatsCredentials(file) => {
                format!("file {}", file.display())
            }
            Self::Server(server) | Self::BehindProxy(server) => {
                format!("{}:{}", server.host, server.port)
            }
            Self::Secret(secret) => secret.place(),
        }
    }

    /// Whether looking at it is a call to another machine.
    pub(super) fn is_far(&self) -> bool {
        matches!(self, Self::Server(_))
    }

    /// From when to when it counts. The error never holds a secret.
    pub(super) fn term(&self) -> Result<Term, String> {
        match self {
            Self::Chain(file) => certificate::term_of_chain(file),
            Self::Authorities(file) => certificate::term_of_authorities(file),
            Self::Server(server) => certificate::term_of_server(server),
            Self::BehindProxy(_) => Err("behind a proxy: not looked at".to_owned()),
            Self::NatsCredentials(file) => term_of_nats_user(file),
            Self::Secret(secret) => term_of_secret(secret),
        }
    }
}

/// What a token says of itself; else since when its file is this one.
fn term_of_secret(secret: &SecretSource) -> Result<Term, String> {
    let text = secret.read()?;
    if let Some(term) = term_of_token(text.expose_secret()) {
        return Ok(term);
    }
    let changed = secret.changed_at().and_then(|at| {
        let s = at.duration_since(UNIX_EPOCH).ok()?.as_secs();
        i64::try_from(s).ok().map(WallTime::from_s)
    });
    Ok(Term {
        since: changed,
        until: None,
    })
}

/// What the JWT in a file of NATS credentials says; one without an end counts for ever.
fn term_of_nats_user(file: &Path) -> Result<Term, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}"))?;
    let mut lines = text
        .lines()
        .skip_while(|line| !line.contains("BEGIN NATS USER JWT"));
    let token = lines.nth(1).ok_or("holds no NATS user")?;
    Ok(term_of_token(token.trim()).unwrap_or_default())
}

/// Everything of a configuration, in its order. `bases` are the hosts that logins name beside those
/// of the configuration, with the source's name.
pub(super) fn of(config: &Config, bases: &[(String, Url)]) -> Vec<Watched> {
    let mut found = Found::default();
    if let Some(tls) = &config.control.tls {
        found.chain("control", &tls.certificate);
    }
    if let Some(identity) = &config.receive.identity {
        found.chain("receive", &identity.certificate);
    }
    for source in &config.sources {
        let feeds = [
            ("realtime", source.realtime.as_ref().map(|f| &f.connection)),
            (
                "historical",
                source.historical.as_ref().map(|f| &f.connection),
            ),
        ];
        for (feed, connection) in feeds {
            let Some(connection) = connection else {
                continue;
            };
            let owner = format!("source {}", source.name);
            found.connection(&owner, feed, connection, bases);
        }
    }
    for destination in &config.destinations {
        found.destination(destination);
    }
    let ways = &config.alarm.ways;
    for (way, url) in [
        ("webhook", ways.webhook.as_ref().map(|webhook| &webhook.url)),
        ("heartbeat", ways.heartbeat_url.as_ref()),
    ] {
        if let Some(url) = url.filter(|url| url.is_https()) {
            found.way(way, url, ways.proxy.is_some());
        }
    }
    found.authorities("alarm", ways.ca_file.as_deref());
    found.secret(
        "alarm: webhook token",
        ExpiryKind::Token,
        config.alarm.token.as_ref(),
    );
    found.0
}

#[derive(Default)]
struct Found(Vec<Watched>);

impl Found {
    /// The same server or file under two owners is told once, for the first of them.
    fn add(&mut self, name: String, kind: ExpiryKind, at: Place) {
        if !self.0.iter().any(|known| known.at == at) {
            self.0.push(Watched { name, kind, at });
        }
    }

    fn chain(&mut self, owner: &str, file: &Path) {
        let name = format!("{owner}: certificate");
        let at = Place::Chain(file.to_owned());
        self.add(name, ExpiryKind::Certificate, at);
    }

    fn authorities(&mut self, owner: &str, file: Option<&Path>) {
        if let Some(file) = file {
            let name = format!("{owner}: ca_file");
            let at = Place::Authorities(file.to_owned());
            self.add(name, ExpiryKind::Certificate, at);
        }
    }

    fn server(&mut self, owner: &str, server: TlsServer, has_proxy: bool) {
        let name = format!("{owner}: server {}", server.host);
        let at = if has_proxy {
            Place::BehindProxy(server)
        } else {
            Place::Server(server)
        };
        self.add(name, ExpiryKind::Certificate, at);
    }

    fn url(&mut self, owner: &str, url: &Url, has_proxy: bool) {
        if let Some(server) = https_server(url) {
            self.server(owner, server, has_proxy);
        }
    }

    fn secret(&mut self, name: &str, kind: ExpiryKind, secret: Option<&SecretSource>) {
        if let Some(secret) = secret {
            self.add(name.to_owned(), kind, Place::Secret(secret.clone()));
        }
    }

    fn connection(
        &mut self,
        owner: &str,
        feed: &str,
        connection: &ConnectionConfig,
        bases: &[(String, Url)],
    ) {
        let options = &connection.options;
        let has_proxy = options.proxy.is_some();
        if let Ok(url) = Url::parse(&options.base_url) {
            self.url(owner, &url, has_proxy);
        }
        for (_, base) in bases.iter().filter(|(name, _)| name == owner) {
            self.url(owner, base, has_proxy);
        }
        self.authorities(owner, options.ca_file.as_deref());
        let name = format!("{owner}: {feed} password");
        self.secret(&name, ExpiryKind::Password, Some(&connection.password));
    }

    fn destination(&mut self, destination: &DestinationConfig) {
        let owner = &format!("destination {}", destination.name);
        let password = format!("{owner}: password");
        match &destination.target {
            DestinationTarget::Postgres(config) => {
                let server = &config.options.server;
                if let (true, ServerHost::Tcp(host)) = (server.tls, &server.host) {
                    let (host, port) = (bare(host), server.port);
                    let begins = TlsBegins::Postgres;
                    self.server(owner, TlsServer { host, port, begins }, false);
                }
                self.authorities(owner, config.options.ca_file.as_deref());
                self.secret(&password, ExpiryKind::Password, config.password.as_ref());
            }
            DestinationTarget::Http(config) => {
                self.url(owner, &config.options.url, false);
                self.authorities(owner, config.options.ca_file.as_deref());
                if let Some(client) = &config.options.client {
                    self.chain(&format!("{owner}: client"), &client.certificate);
                }
                let token = format!("{owner}: token");
                self.secret(&token, ExpiryKind::Token, config.token.as_ref());
                self.secret(&password, ExpiryKind::Password, config.password.as_ref());
            }
            DestinationTarget::SqlServer(config) => {
                // Its TLS begins inside its own protocol: the server's certificate is not looked at.
                if let Protection::Verified { ca_file } = &config.options.protection {
                    self.authorities(owner, ca_file.as_deref());
                }
                self.secret(&password, ExpiryKind::Password, config.password.as_ref());
            }
            DestinationTarget::JetStream(config) => {
                for url in &config.options.urls {
                    self.nats(owner, url.as_str());
                }
                self.authorities(owner, config.options.ca_file.as_deref());
                if let Some(client) = &config.options.client {
                    self.chain(&format!("{owner}: client"), &client.certificate);
                }
                if let Some(file) = &config.options.credentials_file {
                    let at = Place::NatsCredentials(file.clone());
                    self.add(format!("{owner}: credentials"), ExpiryKind::Token, at);
                }
                let token = format!("{owner}: token");
                self.secret(&token, ExpiryKind::Token, config.token.as_ref());
                self.secret(&password, ExpiryKind::Password, config.password.as_ref());
            }
            DestinationTarget::Sqlite(_) | DestinationTarget::File(_) => {}
        }
    }

    fn nats(&mut self, owner: &str, url: &str) {
        let Some(url) = Url::parse(url).ok().filter(|url| url.scheme() == "tls") else {
            return;
        };
        let host = bare(url.host_str().unwrap_or_default());
        let (port, begins) = (url.port().unwrap_or(NATS_PORT), TlsBegins::Nats);
        self.server(owner, TlsServer { host, port, begins }, false);
    }

    fn way(&mut self, way: &str, url: &SecretUrl, has_proxy: bool) {
        if let Some((host, port)) = url.server() {
            let (host, begins) = (bare(&host), TlsBegins::AtOnce);
            let server = TlsServer { host, port, begins };
            self.server(&format!("alarm {way}"), server, has_proxy);
        }
    }
}

fn https_server(url: &Url) -> Option<TlsServer> {
    (url.scheme() == "https").then_some(())?;
    Some(TlsServer {
        host: bare(url.host_str()?),
        port: url.port_or_known_default()?,
        begins: TlsBegins::AtOnce,
    })
}

/// An IPv6 address stands in brackets in a URL, and nowhere else.
fn bare(host: &str) -> String {
    host.trim_matches(['[', ']']).to_owned()
}
