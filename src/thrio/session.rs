//! The token of one connection, shared by all of its threads.
//!
//! - At most one login runs at a time; threads that need its token wait for its outcome, also
//!   where it failed.
//! - After a refused login, or a token that is refused though fresh, the connection is held with
//!   a growing delay, so that a locked account is not hammered. A changed password ends the hold.
//! - The token is only ever sent to the login host or a host under an allowed suffix.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::error::Cause;
use super::http::{self, Failure, Head, Http, Request};
use super::options::{
    AuthScheme, ConnectionOptions, OptionProblem, PasswordProvider, is_loopback, is_under,
    origin_of,
};
use super::{ThrioError, not_thrio};
use crate::clock::Clock;
use crate::domain::call::Timing;
use crate::domain::timestamp::{MonoTime, Now, WallTime};
use crate::transport::{self, mask::Secrets};

/// A token lives under 24 h; this leaves time to fail and try again.
const RENEW_AFTER: Duration = Duration::from_hours(20);
/// No hint of a token's life makes us log in more often than this.
const RENEW_AFTER_MIN: Duration = Duration::from_mins(1);
/// The first hold after bad credentials.
pub const HOLD_MIN: Duration = Duration::from_mins(5);
/// The longest.
pub const HOLD_MAX: Duration = Duration::from_hours(1);
/// When a secret that could not be read is tried again, or a renewal that did not succeed while
/// the old token still works.
const RETRY_LATER: Duration = Duration::from_mins(1);
/// No throttled login waits longer: the realtime feed waits for it too.
const LOGIN_RETRY_AFTER_MAX: Duration = Duration::from_mins(5);

/// A token and where it counts.
pub(super) struct Session {
    pub(super) token: SecretString,
    /// Where every later call goes.
    pub(super) base: Url,
    /// Counts logins, so that a 401 is only answered by a newer token.
    generation: u64,
    renew_at: Mutex<MonoTime>,
    /// Some call was not refused with 401: the token is (or was) good.
    proven: AtomicBool,
}

/// A connection that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Why.
    pub reason: String,
    /// Until when it stays quiet, unless the password changes.
    pub until: MonoTime,
}

struct Hold {
    cause: Cause,
    operation: &'static str,
    host: String,
    until: MonoTime,
    /// The password that did not work.
    password: Option<SecretString>,
    generation: u64,
}

struct State {
    session: Option<Arc<Session>>,
    hold: Option<Hold>,
    /// How long the next hold lasts.
    next_hold: Duration,
    logins: u64,
    login_running: bool,
    /// How the login with this number failed.
    failed_login: Option<(u64, ThrioError)>,
    last_password: Option<SecretString>,
    scheme: Scheme,
    shut_down: bool,
}

/// How tokens travel, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scheme {
    now: AuthScheme,
    /// Set by `raw` and `bearer`, or by a call that was accepted.
    settled: bool,
}

/// The session of one connection.
pub(super) struct Sessions {
    options: ConnectionOptions,
    login_url: Url,
    pub(super) http: Http,
    password: PasswordProvider,
    pub(super) clock: Arc<dyn Clock>,
    state: Mutex<State>,
    changed: Condvar,
}

impl Sessions {
    pub(super) fn new(
        options: ConnectionOptions,
        password: PasswordProvider,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OptionProblem> {
        let base = origin_of(&options.base_url)
            .map_err(|hint| OptionProblem::new("base_url", "(not shown)", hint))?;
        let login_url = below(&base, &options.login_path)
            .ok_or_else(|| OptionProblem::new("login_path", &*options.login_path, "not a path"))?;
        let http = Http::new(&options)?;
        let scheme = Scheme {
            now: match options.auth_scheme {
                AuthScheme::Auto => AuthScheme::Raw,
                fixed => fixed,
            },
            settled: options.auth_scheme != AuthScheme::Auto,
        };
        Ok(Self {
            options,
            login_url,
            http,
            password,
            clock,
            state: Mutex::new(State {
                session: None,
                hold: None,
                next_hold: HOLD_MIN,
                logins: 0,
                login_running: false,
                failed_login: None,
                last_password: None,
                scheme,
                shut_down: false,
            }),
            changed: Condvar::new(),
        })
    }

    pub(super) fn options(&self) -> &ConnectionOptions {
        &self.options
    }

    /// Ends every call at once, now and from now on.
    pub(super) fn shutdown(&self) {
        self.lock().shut_down = true;
        self.http.shutdown();
        self.changed.notify_all();
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.lock().shut_down
    }

    /// The hold, if the connection is held.
    pub(super) fn held(&self) -> Option<Held> {
        let now = self.clock.now().mono;
        let state = self.lock();
        let hold = state.hold.as_ref().filter(|hold| now < hold.until)?;
        Some(Held {
            reason: format!("{} at {}: {}", hold.operation, hold.host, hold.cause),
            until: hold.until,
        })
    }

    /// Ends a hold whose password is not the present one any more; whether it did.
    pub(super) fn end_hold_if_password_changed(&self) -> bool {
        if self.lock().hold.is_none() {
            return false;
        }
        let Ok(password) = (self.password)() else {
            return false;
        };
        let mut state = self.lock();
        let is_other = state.hold.as_ref().is_some_and(|hold| {
            hold.password
                .as_ref()
                .is_some_and(|old| old.expose_secret() != password.expose_secret())
        });
        if is_other {
            state.hold = None;
            state.session = None;
            state.next_hold = HOLD_MIN;
        }
        is_other
    }

    /// A token to call with: the one there is, or that of a login made now.
    pub(super) fn session(&self) -> Result<Arc<Session>, ThrioError> {
        self.newer_than(None)
    }

    /// A token newer than one that was refused: at most one login for all threads that ask.
    pub(super) fn renewed(&self, refused: &Session) -> Result<Arc<Session>, ThrioError> {
        self.newer_than(Some(refused.generation))
    }

    fn newer_than(&self, refused: Option<u64>) -> Result<Arc<Session>, ThrioError> {
        self.end_hold_if_password_changed();
        let mut awaited = None;
        let mut state = self.lock();
        loop {
            let now = self.clock.now();
            if state.shut_down {
                return Err(self.error(Cause::Stopped, now));
            }
            state.check_hold(now)?;
            if let Some((number, error)) = &state.failed_login
                && awaited == Some(*number)
            {
                return Err(error.clone());
            }
            let usable = state
                .session
                .clone()
                .filter(|s| refused.is_none_or(|refused| s.generation > refused));
            match usable {
                Some(session) if session.is_due(now.mono) && !state.login_running => {
                    return self.renew_early(state, &session);
                }
                Some(session) => return Ok(session),
                None if state.login_running => {
                    awaited = Some(state.logins);
                    state = self
                        .changed
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                None => return self.log_in(state),
            }
        }
    }

    /// The old token still works: a login that fails for want of a network is no reason to stop.
    fn renew_early(
        &self,
        state: MutexGuard<'_, State>,
        old: &Arc<Session>,
    ) -> Result<Arc<Session>, ThrioError> {
        match self.log_in(state) {
            Err(error)
                if matches!(
                    error.cause,
                    Cause::Network(_)
                        | Cause::Tls(_)
                        | Cause::Server { .. }
                        | Cause::Throttled { .. }
                        | Cause::NotThrio { .. }
                        | Cause::NoSecret { .. }
                ) =>
            {
                let later = self.clock.now().mono.plus(RETRY_LATER);
                *lock(&old.renew_at) = later;
                Ok(old.clone())
            }
            other => other,
        }
    }

    /// Logs in without the lock, and tells every thread that waits.
    fn log_in(&self, mut state: MutexGuard<'_, State>) -> Result<Arc<Session>, ThrioError> {
        state.login_running = true;
        state.logins += 1;
        let generation = state.logins;
        drop(state);
        let outcome = self.login(generation);
        let mut state = self.lock();
        state.login_running = false;
        let outcome = match outcome {
            Ok(session) => {
                let session = Arc::new(session);
                state.session = Some(session.clone());
                Ok(session)
            }
            Err((error, password)) => {
                let error = if state.shut_down {
                    ThrioError {
                        cause: Cause::Stopped,
                        ..error
                    }
                } else {
                    state.hold_after_login(error, password, generation, self.clock.now().mono)
                };
                state.failed_login = Some((generation, error.clone()));
                Err(error)
            }
        };
        drop(state);
        self.changed.notify_all();
        outcome
    }

    fn login(&self, generation: u64) -> Result<Session, (ThrioError, Option<SecretString>)> {
        let sent = self.clock.now();
        let password = (self.password)().map_err(|message| {
            let held_until = sent.mono.plus(RETRY_LATER);
            let cause = Cause::NoSecret {
                message: super::wire::excerpt(&message),
                held_until,
            };
            (self.error(cause, sent), None)
        })?;
        self.lock().last_password = Some(password.clone());
        self.login_with(&password, generation)
            .map_err(|cause| (self.error(cause, sent), Some(password)))
    }

    fn login_with(&self, password: &SecretString, generation: u64) -> Result<Session, Cause> {
        let pair = format!("{}:{}", self.options.user, password.expose_secret());
        let basic = STANDARD.encode(&pair);
        let mut secrets = Secrets::default();
        for secret in [password.expose_secret(), &pair, &basic] {
            secrets.hide(secret);
        }
        let authorization = SecretString::from(format!("Basic {basic}"));
        let request = Request {
            method: "GET",
            url: &self.login_url,
            authorization: &authorization,
            headers: &[],
            body: None,
            bytes_max: self.options.body_bytes_max,
        };
        // `held_until` is only known once the hold is made: see `hold_after_login`.
        let unknown = MonoTime::ZERO;
        let mut reply = match self.http.exchange(&request, &*self.clock) {
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
        self.session_from(granted, &reply.head, generation)
    }

    fn session_from(
        &self,
        granted: Granted,
        head: &Head,
        generation: u64,
    ) -> Result<Session, Cause> {
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
        let now = self.clock.now();
        let life = token_life(&token, head.server_date.unwrap_or(now.wall));
        let renew_after = life.map_or(RENEW_AFTER, |life| {
            life.mul_f64(0.85).clamp(RENEW_AFTER_MIN, RENEW_AFTER)
        });
        Ok(Session {
            token: SecretString::from(token),
            base,
            generation,
            renew_at: Mutex::new(now.mono.plus(renew_after)),
            proven: AtomicBool::new(false),
        })
    }

    /// Where the login says that later calls go: a URL, or a bare host that takes the login's
    /// scheme. Nothing said means the login host.
    fn location(&self, said: Option<&str>) -> Result<Url, Cause> {
        let said = said.unwrap_or_default().trim();
        if said.is_empty() {
            return Ok(origin_only(&self.login_url));
        }
        let text = if said.contains("://") {
            said.to_owned()
        } else {
            format!("{}://{said}", self.login_url.scheme())
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
        let is_allowed = self.login_url.host_str() == Some(host)
            || self
                .options
                .allowed_host_suffixes
                .iter()
                .any(|suffix| is_under(host, suffix))
            || (is_loopback(host) && self.login_url.host_str().is_some_and(is_loopback));
        if !is_allowed {
            return Err(refused(format!(
                "the login's location {} lies outside of allowed_host_suffixes and must not see \
                 the token; add its domain there if it is right",
                transport::host_of(&url)
            )));
        }
        Ok(without_query(url))
    }

    /// What no message of a call with this token may show.
    pub(super) fn secrets(&self, session: &Session) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.hide(session.token.expose_secret());
        if let Some(password) = &self.lock().last_password {
            secrets.hide(password.expose_secret());
        }
        secrets
    }

    /// How the token travels now, and whether the other way may be tried.
    pub(super) fn authorization(&self, session: &Session) -> (AuthScheme, SecretString) {
        let scheme = self.lock().scheme.now;
        (scheme, header_value(scheme, &session.token))
    }

    /// The other way for a token that was refused though fresh; none where it is not in question.
    pub(super) fn other_authorization(
        &self,
        used: AuthScheme,
        session: &Session,
    ) -> Option<(AuthScheme, SecretString)> {
        let scheme = self.lock().scheme;
        let other = match used {
            AuthScheme::Bearer => AuthScheme::Raw,
            AuthScheme::Raw | AuthScheme::Auto => AuthScheme::Bearer,
        };
        // Another thread may have found out meanwhile.
        let may_try = !scheme.settled || scheme.now == other;
        (may_try && self.options.auth_scheme == AuthScheme::Auto)
            .then(|| (other, header_value(other, &session.token)))
    }

    /// A call with this token was not refused: scheme and credentials are good.
    pub(super) fn accepted(&self, session: &Session, scheme: AuthScheme) {
        if session.proven.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut state = self.lock();
        state.scheme = Scheme {
            now: scheme,
            settled: true,
        };
        state.next_hold = HOLD_MIN;
    }

    /// A fresh token was refused: the connection waits. Returns until when.
    pub(super) fn hold_refused(
        &self,
        session: &Session,
        operation: &'static str,
        message: String,
    ) -> Cause {
        let now = self.clock.now().mono;
        let mut state = self.lock();
        if let Some(hold) = &state.hold
            && hold.generation == session.generation
            && now < hold.until
        {
            return hold.cause.clone();
        }
        if self.options.auth_scheme == AuthScheme::Auto {
            // What worked before may have changed: both ways are open after the hold.
            state.scheme.settled = false;
        }
        let cause = Cause::Unauthorized {
            message,
            held_until: now,
        };
        let host = transport::host_of(&session.base);
        let password = state.last_password.clone();
        state.hold(cause, operation, host, password, session.generation, now)
    }

    pub(super) fn error(&self, cause: Cause, sent: Now) -> ThrioError {
        ThrioError {
            operation: "login",
            host: transport::host_of(&self.login_url),
            cause,
            timing: Timing {
                sent,
                received: self.clock.now(),
                server_date: None,
            },
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// No holder of these locks panics half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn check_hold(&mut self, now: Now) -> Result<(), ThrioError> {
        let Some(hold) = &self.hold else {
            return Ok(());
        };
        if now.mono < hold.until {
            return Err(ThrioError {
                operation: hold.operation,
                host: hold.host.clone(),
                cause: hold.cause.clone(),
                timing: Timing {
                    sent: now,
                    received: now,
                    server_date: None,
                },
            });
        }
        self.hold = None;
        self.session = None;
        Ok(())
    }

    /// Holds the connection where the login's failure means that; gives the error its time.
    fn hold_after_login(
        &mut self,
        mut error: ThrioError,
        password: Option<SecretString>,
        generation: u64,
        now: MonoTime,
    ) -> ThrioError {
        if matches!(
            error.cause,
            Cause::Unauthorized { .. } | Cause::HostNotAllowed { .. }
        ) {
            let host = error.host.clone();
            error.cause = self.hold(
                error.cause,
                error.operation,
                host,
                password,
                generation,
                now,
            );
        }
        error
    }

    fn hold(
        &mut self,
        cause: Cause,
        operation: &'static str,
        host: String,
        password: Option<SecretString>,
        generation: u64,
        now: MonoTime,
    ) -> Cause {
        let until = now.plus(self.next_hold);
        self.next_hold = (self.next_hold * 2).min(HOLD_MAX);
        let cause = match cause {
            Cause::Unauthorized { message, .. } => Cause::Unauthorized {
                message,
                held_until: until,
            },
            Cause::HostNotAllowed { message, .. } => Cause::HostNotAllowed {
                message,
                held_until: until,
            },
            other => other,
        };
        self.session = None;
        self.hold = Some(Hold {
            cause: cause.clone(),
            operation,
            host,
            until,
            password,
            generation,
        });
        cause
    }
}

impl Session {
    fn is_due(&self, now: MonoTime) -> bool {
        now >= *lock(&self.renew_at)
    }

    /// Whether no call has succeeded with this token yet: another login would bring the same.
    pub(super) fn is_fresh(&self) -> bool {
        !self.proven.load(Ordering::Relaxed)
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

fn header_value(scheme: AuthScheme, token: &SecretString) -> SecretString {
    match scheme {
        AuthScheme::Bearer => SecretString::from(format!("Bearer {}", token.expose_secret())),
        AuthScheme::Raw | AuthScheme::Auto => token.clone(),
    }
}

/// How long a token lives, by its own claims: a hint only.
fn token_life(token: &str, now: WallTime) -> Option<Duration> {
    #[derive(serde::Deserialize)]
    struct Claims {
        exp: i64,
        iat: Option<i64>,
    }
    let payload = token.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&json).ok()?;
    let life = claims.exp.checked_sub(claims.iat.unwrap_or(now.s()))?;
    u64::try_from(life)
        .ok()
        .filter(|life| *life > 0)
        .map(Duration::from_secs)
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
