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

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::ThrioError;
use super::error::Cause;
use super::hold::{Held, Holds, Refusal};
use super::http::Http;
use super::login::{Login, below};
use super::options::{AuthScheme, ConnectionOptions, OptionProblem, PasswordProvider, origin_of};
use crate::clock::Clock;
use crate::domain::call::Timing;
use crate::domain::expiry::Term;
use crate::domain::timestamp::{MonoTime, Now};
use crate::transport::{self, mask::Secrets};

/// When a secret that could not be read is tried again, or a renewal that did not succeed while
/// the old token still works.
const RETRY_LATER: Duration = Duration::from_mins(1);

/// A token and where it counts.
pub(super) struct Session {
    pub(super) token: SecretString,
    /// Where every later call goes.
    pub(super) base: Url,
    /// Counts logins, so that a 401 is only answered by a newer token.
    generation: u64,
    renew_at: Mutex<MonoTime>,
    /// From the login to the end that the token names.
    term: Term,
    /// Some call was not refused with 401: the token is (or was) good.
    proven: AtomicBool,
}

/// A login that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedIn {
    /// Where the login says that calls go.
    pub base: Url,
    /// From the login to the end that its token names. The program renews it before.
    pub term: Term,
}

struct State {
    session: Option<Arc<Session>>,
    holds: Holds,
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
                holds: Holds::none(),
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
        self.lock().holds.held(now)
    }

    /// The login that counts, if there is one.
    pub(super) fn logged_in(&self) -> Option<LoggedIn> {
        let state = self.lock();
        let session = state.session.as_ref()?;
        Some(LoggedIn {
            base: session.base.clone(),
            term: session.term,
        })
    }

    /// Ends a hold whose password is not the present one any more; whether it did.
    pub(super) fn end_hold_if_password_changed(&self) -> bool {
        if !self.lock().holds.is_any() {
            return false;
        }
        let Ok(password) = (self.password)() else {
            return false;
        };
        let mut state = self.lock();
        let is_over = state.holds.end_if_other(&password);
        if is_over {
            state.session = None;
        }
        is_over
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
            if state.holds.check(now)? {
                state.session = None;
            }
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
        let login = Login {
            options: &self.options,
            url: &self.login_url,
            http: &self.http,
            clock: &*self.clock,
        };
        let granted = login.ask(&password);
        let grant = granted.map_err(|cause| (self.error(cause, sent), Some(password)))?;
        let renew_at = self.clock.now().mono.plus(grant.renew_after);
        Ok(Session {
            token: grant.token,
            base: grant.base,
            generation,
            renew_at: Mutex::new(renew_at),
            term: grant.term,
            proven: AtomicBool::new(false),
        })
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
        state.holds.relax();
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
        if let Some(cause) = state.holds.cause_for(session.generation, now) {
            return cause;
        }
        if self.options.auth_scheme == AuthScheme::Auto {
            // What worked before may have changed: both ways are open after the hold.
            state.scheme.settled = false;
        }
        let cause = Cause::Unauthorized {
            message,
            held_until: now,
        };
        let refusal = Refusal {
            cause,
            operation,
            host: transport::host_of(&session.base),
            password: state.last_password.clone(),
            generation: session.generation,
        };
        state.hold(refusal, now)
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
            let refusal = Refusal {
                cause: error.cause,
                operation: error.operation,
                host: error.host.clone(),
                password,
                generation,
            };
            error.cause = self.hold(refusal, now);
        }
        error
    }

    fn hold(&mut self, refusal: Refusal, now: MonoTime) -> Cause {
        self.session = None;
        self.holds.begin(refusal, now)
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

fn header_value(scheme: AuthScheme, token: &SecretString) -> SecretString {
    match scheme {
        AuthScheme::Bearer => SecretString::from(format!("Bearer {}", token.expose_secret())),
        AuthScheme::Raw | AuthScheme::Auto => token.clone(),
    }
}
