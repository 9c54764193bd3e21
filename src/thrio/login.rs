//! One login: name and password for a token, and where it counts.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::error::Cause;
use super::http::{self, Failure, Head, Http, Request};
use super::not_thrio;
use super::options::{ConnectionOptions, is_under, origin_of};
use crate::clock::Clock;
use crate::domain::expiry::Term;
use crate::domain::timestamp::{MonoTime, WallTime};
use crate::transport::token::term_of_token;
use crate::transport::{self, is_loopback, mask::Secrets};

/// A token lives under 24 h; this leaves time to fail and try again.
const RENEW_AFTER: Duration = Duration::from_hours(20);
/// No hint of a token's life makes us log in more often than this.
const RENEW_AFTER_MIN: Duration = Duration::from_mins(1);
/// No throttled login waits longer: the realtime feed waits for it too.
const LOGIN_RETRY_AFTER_MAX: Duration = Duration::from_mins(5);

/// What a login needs.
pub(super) struct Login<'a> {
    pub(super) options: &'a ConnectionOptions,
    pub(super) url: &'a Url,
    pub(super) http: &'a Http,
    pub(super) clock: &'a dyn Clock,
}

/// What a login brings.
pub(super) struct Grant {
    pub(super) token: SecretString,
    /// Where every later call goes.
    pub(super) base: Url,
    /// How long the token serves before another is asked for.
    pub(super) renew_after: Duration,
    /// From the login to the end that the token names.
    pub(super) term: Term,
}

impl Login<'_> {
    /// Asks once. Causes that hold the connection say so without a time: whoever holds knows it.
    pub(super) fn ask(&self, password: &SecretString) -> Result<Grant, Cause> {
        let pair = format!("{}:{}", self.options.user, password.expose_secret());
        let basic = STANDARD.encode(&pair);
        let mut secrets = Secrets::default();
        for secret in [password.expose_secret(), &pair, &basic] {
            secrets.hide(secret);
        }
        let authorization = SecretString::from(format!("Basic {basic}"));
        let request = Request {
            method: "GET",
            url: self.url,
            authorization: &authorization,
            headers: &[],
            body: None,
            bytes_max: self.options.body_bytes_max,
        };
        let unknown = MonoTime::ZERO;
        let mut reply = match self.http.exchange(&request, self.clock) {
            Ok(reply) => reply,
            Err(Failure::Cause(cause)) => return Err(cause),
            Err(Failure::Elsewhere(message)) => {
                return Err(Cause::HostNotAllowed {
                    message,
                    held_until: unknown,
                });
            }
        };
        match reply.head.status {
            200..=299 => {}
            401 => {
                return Err(Cause::Unauthorized {
                    message: http::said(&mut reply, &secrets),
                    held_until: unknown,
                });
            }
            _ => {
                let now = self.clock.now().wall;
                return Err(http::cause_of_status(
                    &mut reply,
                    &secrets,
                    now,
                    LOGIN_RETRY_AFTER_MAX,
                ));
            }
        }
        let granted: Granted = {
            let reader = std::io::BufReader::new(&mut reply.body);
            match serde_json::from_reader(reader) {
                Ok(granted) => granted,
                Err(_) => return Err(not_granted(&reply, &secrets)),
            }
        };
        self.grant(granted, &reply.head)
    }

    fn grant(&self, granted: Granted, head: &Head) -> Result<Grant, Cause> {
        let shapeless = |detail: &str| Cause::NotThrio {
            status: head.status,
            content_type: super::wire::excerpt(&head.content_type),
            detail: detail.to_owned(),
        };
        let token = granted.token.unwrap_or_default();
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(shapeless("the login's answer holds no token"));
        }
        let base = self.location(granted.location.as_deref())?;
        let now = self.clock.now().wall;
        let life = token_life(&token, head.server_date.unwrap_or(now));
        let renew_after = life.map_or(RENEW_AFTER, |life| {
            life.mul_f64(0.85).clamp(RENEW_AFTER_MIN, RENEW_AFTER)
        });
        let term = Term {
            since: Some(now),
            until: term_of_token(&token).and_then(|term| term.until),
        };
        Ok(Grant {
            term,
            token: SecretString::from(token),
            base,
            renew_after,
        })
    }

    /// Where the login says that later calls go: a URL, or a bare host that takes the login's
    /// scheme. Nothing said means the login host.
    fn location(&self, said: Option<&str>) -> Result<Url, Cause> {
        let said = said.unwrap_or_default().trim();
        if said.is_empty() {
            return Ok(origin_only(self.url));
        }
        let text = if said.contains("://") {
            said.to_owned()
        } else {
            format!("{}://{said}", self.url.scheme())
        };
        let refused = |message: String| Cause::HostNotAllowed {
            message,
            held_until: MonoTime::ZERO,
        };
        let url = origin_of(&text).map_err(|_| {
            // Neither credentials nor a path of it are shown: either may hold a secret.
            let rest = said.split_once("://").map_or(said, |(_, rest)| rest);
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = authority.rsplit('@').next().unwrap_or_default();
            refused(format!(
                "the login's location at \"{}\" is no https URL of a host",
                super::wire::excerpt(host)
            ))
        })?;
        let host = url.host_str().unwrap_or_default();
        let is_allowed = self.url.host_str() == Some(host)
            || self
                .options
                .allowed_host_suffixes
                .iter()
                .any(|suffix| is_under(host, suffix))
            || (is_loopback(host) && self.url.host_str().is_some_and(is_loopback));
        if !is_allowed {
            return Err(refused(format!(
                "the login's location {} lies outside of allowed_host_suffixes and must not see \
                 the token; add its domain there if it is right",
                transport::host_of(&url)
            )));
        }
        Ok(without_query(url))
    }
}

#[derive(serde::Deserialize)]
struct Granted {
    token: Option<String>,
    location: Option<String>,
}

/// The login's 2xx is not what a login answers. Its body may hold a token that we could not read:
/// only what is certainly none is shown.
fn not_granted(reply: &http::Reply, secrets: &Secrets) -> Cause {
    let text = reply.body.head_text();
    let shown = if text.trim_start().starts_with('<') {
        text
    } else {
        String::new()
    };
    not_thrio(&reply.head, &reply.body, &shown, "no login answer", secrets)
}

/// How long a token lives, by its own claims: a hint only.
fn token_life(token: &str, now: WallTime) -> Option<Duration> {
    let term = term_of_token(token)?;
    let life_ms = term.until?.ms_since(term.since.unwrap_or(now));
    u64::try_from(life_ms)
        .ok()
        .filter(|life| *life > 0)
        .map(Duration::from_millis)
}

/// The URL of a path (with query) below a base that may have a path itself.
pub(super) fn below(base: &Url, path_and_query: &str) -> Option<Url> {
    let base = base.as_str().trim_end_matches('/');
    let slash = if path_and_query.starts_with('/') {
        ""
    } else {
        "/"
    };
    Url::parse(&format!("{base}{slash}{path_and_query}")).ok()
}

fn origin_only(url: &Url) -> Url {
    let mut url = without_query(url.clone());
    url.set_path("/");
    url
}

fn without_query(mut url: Url) -> Url {
    url.set_query(None);
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn a_tokens_life_is_read_from_its_claims() {
        let token = |json: &str| format!("h.{}.s", URL_SAFE_NO_PAD.encode(json));
        let now = WallTime::from_s(1000);
        let hour = Some(Duration::from_hours(1));
        assert_eq!(token_life(&token(r#"{"exp":4600}"#), now), hour);
        assert_eq!(token_life(&token(r#"{"exp":9600,"iat":6000}"#), now), hour);
        assert_eq!(token_life(&token(r#"{"exp":1}"#), now), None);
        assert_eq!(token_life("opaque", now), None);
        assert_eq!(token_life("a.b.c", now), None);
    }

    #[test]
    fn a_path_cannot_change_the_host() {
        let base = Url::parse("https://a.thrio.io").unwrap();
        for path in ["/x?y=1", "@evil.example/", ":1/", "x"] {
            assert_eq!(
                below(&base, path).unwrap().host_str(),
                Some("a.thrio.io"),
                "{path}"
            );
        }
        let prefixed = Url::parse("https://a.thrio.io/eu/").unwrap();
        assert_eq!(
            below(&prefixed, "/x").unwrap().as_str(),
            "https://a.thrio.io/eu/x"
        );
    }
}
