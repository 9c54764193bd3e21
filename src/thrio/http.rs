//! One exchange over HTTP: with time-outs, a size limit, and redirects that stay at their host.
//!
//! - The library follows no redirect: it would go anywhere and drop `Authorization`.
//! - No proxy from the environment, no verification switched off.
//! - A failure says whose fault it is; no message holds a secret.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::error::Cause;
use super::options::{ConnectionOptions, OptionProblem};
use crate::clock::Clock;
use crate::domain::timestamp::{Now, WallTime};
use crate::transport::mask::Secrets;
use crate::transport::{self, AgentOptions, Trouble, host_of, http_date};

/// How many redirects are followed.
const REDIRECTS_MAX: usize = 3;
/// How much of a body is kept to be shown (masked, then cut to 80 characters).
const HEAD_BYTES: usize = 4096;
/// Connections kept open between calls: one per feed of a connection, and one for its login.
const IDLE_CONNECTIONS_MAX: usize = 4;

/// The HTTP side of one connection.
#[derive(Clone)]
pub(super) struct Http {
    agent: ureq::Agent,
}

/// One request.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) method: &'static str,
    pub(super) url: &'a Url,
    pub(super) authorization: &'a SecretString,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: Option<&'a str>,
    pub(super) bytes_max: u64,
}

/// What came back before the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) server_date: Option<WallTime>,
    pub(super) retry_after: Option<String>,
    pub(super) sent: Now,
}

/// An answer whose body has yet to be read.
pub(super) struct Reply {
    pub(super) head: Head,
    pub(super) body: Body,
}

/// Why there is no answer.
pub(super) enum Failure {
    /// Nothing usable came; see the cause.
    Cause(Cause),
    /// A redirect leads to another host; the text says where.
    Elsewhere(String),
}

impl Http {
    /// Sets up what the options say; the problem names a file that cannot be used.
    pub(super) fn new(options: &ConnectionOptions) -> Result<Self, OptionProblem> {
        let roots = transport::roots(options.ca_file.as_deref()).map_err(|hint| {
            let file = options.ca_file.as_deref().unwrap_or(Path::new(""));
            OptionProblem::new("ca_file", file.display().to_string(), hint)
        })?;
        let proxy = match &options.proxy {
            None => None,
            Some(proxy) => Some(ureq::Proxy::new(proxy.expose()).map_err(|_| {
                OptionProblem::new("proxy", proxy.to_string(), "not a proxy's URL")
            })?),
        };
        let agent = transport::agent(AgentOptions {
            roots,
            client_certificate: None,
            proxy,
            connect_timeout: options.connect_timeout,
            call_timeout: options.call_timeout,
            idle_connections_max: IDLE_CONNECTIONS_MAX,
        });
        Ok(Self { agent })
    }

    /// Ends every call at once, now and from now on.
    pub(super) fn shutdown(&self) {
        self.agent.clone().shutdown();
    }

    /// Sends the request, and after a redirect within its host the next one.
    pub(super) fn exchange(
        &self,
        request: &Request<'_>,
        clock: &dyn Clock,
    ) -> Result<Reply, Failure> {
        let sent = clock.now();
        let mut url = request.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let response = self
                .send(request, &url)
                .map_err(|error| Failure::Cause(Trouble::of(&error).into()))?;
            let status = response.status().as_u16();
            let header = |name: &str| {
                response
                    .headers()
                    .get(name)
                    .and_then(|value| value.to_str().ok())
                    .map(str::to_owned)
            };
            if request.method == "GET"
                && matches!(status, 301 | 302 | 303 | 307 | 308)
                && let Some(target) = header("location")
            {
                url = redirected(&url, &target)?;
                continue;
            }
            let head = Head {
                status,
                content_type: header("content-type").unwrap_or_else(|| "(none)".to_owned()),
                server_date: header("date").as_deref().and_then(http_date),
                retry_after: header("retry-after"),
                sent,
            };
            let reader = response
                .into_body()
                .into_with_config()
                .limit(u64::MAX)
                .reader();
            let body = Body::new(reader, request.bytes_max);
            return Ok(Reply { head, body });
        }
        Err(Failure::Cause(Cause::Rejected {
            status: 302,
            message: format!("more than {REDIRECTS_MAX} redirects in a row"),
        }))
    }

    fn send(
        &self,
        request: &Request<'_>,
        url: &Url,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let mut builder = ureq::http::Request::builder()
            .method(request.method)
            .uri(url.as_str())
            .header("Authorization", request.authorization.expose_secret());
        for (name, value) in request.headers {
            builder = builder.header(*name, *value);
        }
        match request.body {
            None => self.agent.run(builder.body(())?),
            Some(body) => self.agent.run(
                builder
                    .header("Content-Type", "application/json")
                    .body(body)?,
            ),
        }
    }
}

fn redirected(from: &Url, target: &str) -> Result<Url, Failure> {
    let Ok(to) = from.join(target) else {
        return Err(Failure::Cause(Cause::Rejected {
            status: 302,
            message: "a redirect to what is no URL".to_owned(),
        }));
    };
    if to.origin() != from.origin() || !to.username().is_empty() || to.password().is_some() {
        return Err(Failure::Elsewhere(format!(
            "redirected to {}, which must not see the token; check base_url and path",
            host_of(&to)
        )));
    }
    Ok(to)
}

/// What `Retry-After` asks for, at most `max`; zero where it is zero, past or unreadable.
pub(super) fn retry_after(head: &Head, now: WallTime, max: Duration) -> Option<Duration> {
    transport::retry_after(
        head.retry_after.as_deref()?,
        head.server_date.unwrap_or(now),
        max,
    )
}

impl From<Trouble> for Cause {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Tls(text) => Self::Tls(text),
            Trouble::Network(text) => Self::Network(text),
        }
    }
}

/// A body: limited after decompression, its first bytes kept for an error's text.
pub(super) struct Body {
    reader: ureq::BodyReader<'static>,
    bytes_max: u64,
    bytes: u64,
    head: Vec<u8>,
    failure: Option<BodyFailure>,
}

/// Why a body could not be read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BodyFailure {
    /// It exceeds the limit.
    TooLarge,
    /// It ended before its announced length, or cannot be decompressed.
    Cut(String),
    /// The connection failed.
    Cause(Cause),
}

impl Body {
    fn new(reader: ureq::BodyReader<'static>, bytes_max: u64) -> Self {
        Self {
            reader,
            bytes_max,
            bytes: 0,
            head: Vec::new(),
            failure: None,
        }
    }

    /// How many bytes may come.
    pub(super) const fn limit(&self) -> u64 {
        self.bytes_max
    }

    /// How many bytes came so far.
    pub(super) const fn received(&self) -> u64 {
        self.bytes
    }

    /// Why reading failed, if it did.
    pub(super) fn failure(&self) -> Option<&BodyFailure> {
        self.failure.as_ref()
    }

    /// The first bytes as text.
    pub(super) fn head_text(&self) -> String {
        String::from_utf8_lossy(&self.head).into_owned()
    }

    /// Reads what an error's text needs and leaves the rest.
    pub(super) fn read_head(&mut self) {
        let mut buffer = [0; HEAD_BYTES];
        while self.head.len() < HEAD_BYTES {
            match self.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    fn note(&mut self, error: &io::Error) -> BodyFailure {
        let inner = error.get_ref();
        let is_garbled = inner
            .and_then(|inner| inner.downcast_ref::<ureq::Error>())
            .is_some_and(|e| matches!(e, ureq::Error::Decompress(..) | ureq::Error::BodyStalled));
        let failure = match error.kind() {
            io::ErrorKind::UnexpectedEof => BodyFailure::Cut("cut off".to_owned()),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                BodyFailure::Cut("cannot be decompressed".to_owned())
            }
            _ if is_garbled => BodyFailure::Cut("cannot be decompressed".to_owned()),
            _ => BodyFailure::Cause(Trouble::of_io(error).into()),
        };
        self.failure = Some(failure.clone());
        failure
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.reader.read(buffer) {
            Ok(read) => read,
            Err(error) => {
                self.note(&error);
                return Err(error);
            }
        };
        self.bytes += read as u64;
        let room = HEAD_BYTES.saturating_sub(self.head.len()).min(read);
        self.head.extend_from_slice(&buffer[..room]);
        if self.bytes > self.bytes_max {
            self.failure = Some(BodyFailure::TooLarge);
            return Err(io::Error::other("the answer is too large"));
        }
        Ok(read)
    }
}

/// What a status other than 2xx and 401 means. Reads the body's first bytes.
pub(super) fn cause_of_status(
    reply: &mut Reply,
    secrets: &Secrets,
    now: WallTime,
    retry_after_max: Duration,
) -> Cause {
    let status = reply.head.status;
    match status {
        429 | 503 => Cause::Throttled {
            status,
            retry_after: retry_after(&reply.head, now, retry_after_max),
        },
        403 => Cause::Forbidden(said(reply, secrets)),
        408 | 500..=599 => Cause::Server {
            status,
            message: said(reply, secrets),
        },
        _ => Cause::Rejected {
            status,
            message: said(reply, secrets),
        },
    }
}

/// What an error's body says: the message of `{code, message}`, else its first characters.
pub(super) fn said(reply: &mut Reply, secrets: &Secrets) -> String {
    #[derive(serde::Deserialize)]
    struct Said {
        message: Option<String>,
        error: Option<String>,
        code: Option<serde_json::Value>,
    }
    reply.body.read_head();
    let text = reply.body.head_text();
    let message = serde_json::from_str::<Said>(&text)
        .ok()
        .and_then(|said| {
            let text = said.message.or(said.error)?;
            Some(match said.code {
                Some(serde_json::Value::String(code)) => format!("{code}: {text}"),
                Some(serde_json::Value::Number(code)) => format!("{code}: {text}"),
                _ => text,
            })
        })
        .unwrap_or(text);
    let shown = secrets.excerpt(&message);
    if shown.is_empty() {
        "(no text)".to_owned()
    } else {
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(retry_after: &str, date: Option<i64>) -> Head {
        Head {
            status: 429,
            content_type: String::new(),
            server_date: date.map(WallTime::from_s),
            retry_after: Some(retry_after.to_owned()),
            sent: Now::default(),
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        const MAX: Duration = Duration::from_mins(5);
        let now = WallTime::from_s(0);
        let at = |text: &str, date| retry_after(&head(text, date), now, MAX);
        assert_eq!(at("7", None), Some(Duration::from_secs(7)));
        assert_eq!(at("100000", None), Some(MAX));
        assert_eq!(at("0", None), Some(Duration::ZERO));
        assert_eq!(at("soon", None), None);
        let date = "Sat, 25 Jul 2026 17:20:00 GMT";
        assert_eq!(at(date, Some(1_784_999_990)), Some(Duration::from_secs(10)));
        assert_eq!(at(date, Some(1_785_000_100)), Some(Duration::ZERO));
    }

    #[test]
    fn a_redirect_stays_at_its_scheme_host_and_port() {
        let from = Url::parse("https://a.thrio.io/x/y?z").unwrap();
        for good in [
            "/login",
            "z",
            "https://a.thrio.io/b",
            "https://a.thrio.io:443/",
        ] {
            assert!(redirected(&from, good).is_ok(), "{good}");
        }
        for bad in [
            "http://a.thrio.io/",
            "https://b.thrio.io/",
            "//evil.example",
            "https://a.thrio.io:8443/",
            "https://u:p@a.thrio.io/",
        ] {
            assert!(
                matches!(redirected(&from, bad), Err(Failure::Elsewhere(_))),
                "{bad}"
            );
        }
    }
}
