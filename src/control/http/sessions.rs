//! Who may change something: whoever shows the admin token, or the cookie that was given for it.
//!
//! A token has 256 bits and cannot be guessed, so a right one always counts, however many wrong
//! ones were tried; wrong ones are answered more and more rarely. Sessions live in memory only, a
//! bounded time and number, and end when the token is replaced.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};

use super::super::token::{AdminToken, Hash, hash, is_same, random};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::timestamp::{MonoTime, WallTime};

/// The cookie's name.
pub(super) const COOKIE: &str = "thrio_edge_session";
/// How long a login counts: a working day.
const SESSION_LIFE: Duration = Duration::from_hours(12);
/// Browsers that are logged in at once; the oldest makes room.
const SESSIONS_MAX: usize = 16;
/// Wrong tokens in a row that are answered at once.
const FAILURES_MAX: u32 = 5;
/// How long until one more is.
const FAILURE_PERIOD: Duration = Duration::from_secs(10);

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// Nobody in particular.
    Anyone,
    /// A browser that is logged in, until then.
    Browser(WallTime),
    /// A script with the token.
    Script,
}

/// Why a token was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// No token was made yet.
    NoToken,
    /// It is not the token.
    Wrong,
    /// Too many wrong ones; again after this time.
    TooMany(Duration),
}

/// The sessions of this process.
pub(super) struct Sessions {
    token: AdminToken,
    /// Sessions live in real time, whatever clock the feeds go by.
    clock: SystemClock,
    open: Mutex<Vec<Session>>,
    failures: Mutex<Failures>,
}

struct Session {
    /// Of the cookie's value.
    id: Hash,
    /// Of the token that it was given for.
    token: Hash,
    ends: MonoTime,
    ends_at: WallTime,
}

struct Failures {
    left: u32,
    counted_at: MonoTime,
}

impl Sessions {
    pub(super) fn new(token: AdminToken) -> Self {
        Self {
            token,
            clock: SystemClock::new(),
            open: Mutex::default(),
            failures: Mutex::new(Failures {
                left: FAILURES_MAX,
                counted_at: MonoTime::ZERO,
            }),
        }
    }

    /// Whether there is a token at all.
    pub(super) fn token_exists(&self) -> bool {
        self.token.exists()
    }

    /// Who the request comes from. A wrong bearer token is an error, a stale cookie nobody.
    pub(super) fn asker(&self, headers: &HeaderMap) -> Result<Asker, Denied> {
        if let Some(given) = bearer(headers) {
            self.check(given)?;
            return Ok(Asker::Script);
        }
        let Some(id) = cookie(headers).map(hash) else {
            return Ok(Asker::Anyone);
        };
        let Some(token) = self.token.stored() else {
            return Ok(Asker::Anyone);
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now().mono;
        open.retain(|session| session.ends > now && is_same(&session.token, &token));
        let found = open.iter().find(|session| is_same(&session.id, &id));
        Ok(found.map_or(Asker::Anyone, |session| Asker::Browser(session.ends_at)))
    }

    /// Opens a session for the token: the cookie's header, and until when.
    pub(super) fn log_in(
        &self,
        given: &str,
        is_secure: bool,
    ) -> Result<(HeaderValue, WallTime), Denied> {
        let token = self.check(given)?;
        let id = random().map_err(|_| Denied::Wrong)?;
        let now = self.clock.now();
        let ends_at = now.wall.plus(SESSION_LIFE);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= SESSIONS_MAX {
            open.remove(0);
        }
        open.push(Session {
            id: hash(&id),
            token,
            ends: now.mono.plus(SESSION_LIFE),
            ends_at,
        });
        Ok((set_cookie(&id, SESSION_LIFE.as_secs(), is_secure), ends_at))
    }

    /// Ends the session of this request: the header that takes the cookie away.
    pub(super) fn log_out(&self, headers: &HeaderMap, is_secure: bool) -> HeaderValue {
        if let Some(id) = cookie(headers).map(hash) {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.retain(|session| !is_same(&session.id, &id));
        }
        set_cookie("", 0, is_secure)
    }

    fn check(&self, given: &str) -> Result<Hash, Denied> {
        let stored = self.token.stored().ok_or(Denied::NoToken)?;
        if is_same(&stored, &hash(given)) {
            return Ok(stored);
        }
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        Err(failures.count(self.clock.now().mono))
    }
}

impl Failures {
    fn count(&mut self, now: MonoTime) -> Denied {
        let passed = now.since(self.counted_at);
        let earned = u32::try_from(passed.as_secs() / FAILURE_PERIOD.as_secs()).unwrap_or(u32::MAX);
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(FAILURES_MAX);
            self.counted_at = now;
        }
        if self.left == 0 {
            return Denied::TooMany(FAILURE_PERIOD.saturating_sub(passed));
        }
        if self.left == FAILURES_MAX {
            self.counted_at = now;
        }
        self.left -= 1;
        Denied::Wrong
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?;
    let text = value.to_str().unwrap_or("");
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    // Another scheme is a wrong login too, not none.
    Some(if scheme.eq_ignore_ascii_case("bearer") {
        token.trim()
    } else {
        ""
    })
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

fn set_cookie(id: &str, life_s: u64, is_secure: bool) -> HeaderValue {
    let secure = if is_secure { "; Secure" } else { "" };
    let text =
        format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={life_s}{secure}");
    HeaderValue::try_from(text).expect("base64 is a header's value")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions() -> (tempfile::TempDir, Sessions, String) {
        let folder = tempfile::tempdir().unwrap();
        let place = AdminToken::of(folder.path());
        let token = place.make().unwrap();
        (folder, Sessions::new(place), token)
    }

    fn with(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::try_from(value).unwrap())])
    }

    fn cookie_of(header: &HeaderValue) -> HeaderMap {
        let text = header.to_str().unwrap();
        with(
            header::COOKIE,
            &format!("a=b; {}", text.split_once(';').unwrap().0),
        )
    }

    #[test]
    fn a_login_counts_until_it_is_ended_or_the_token_is_replaced() {
        let (_folder, sessions, token) = sessions();
        let (header, until) = sessions.log_in(&token, false).unwrap();
        assert!(
            header
                .to_str()
                .unwrap()
                .contains("HttpOnly; SameSite=Strict")
        );
        let browser = cookie_of(&header);
        assert_eq!(sessions.asker(&browser), Ok(Asker::Browser(until)));
        sessions.log_out(&browser, false);
        assert_eq!(sessions.asker(&browser), Ok(Asker::Anyone));

        let (header, _) = sessions.log_in(&token, true).unwrap();
        assert!(header.to_str().unwrap().ends_with("; Secure"));
        sessions.token.make().unwrap();
        assert_eq!(sessions.asker(&cookie_of(&header)), Ok(Asker::Anyone));
    }

    #[test]
    fn sessions_are_few_and_the_oldest_makes_room() {
        let (_folder, sessions, token) = sessions();
        let (first, _) = sessions.log_in(&token, false).unwrap();
        for _ in 0..SESSIONS_MAX {
            sessions.log_in(&token, false).unwrap();
        }
        assert_eq!(sessions.asker(&cookie_of(&first)), Ok(Asker::Anyone));
    }

    #[test]
    fn wrong_tokens_are_slowed_down_and_the_right_one_never() {
        let (_folder, sessions, token) = sessions();
        let given = |text: &str| sessions.asker(&with(header::AUTHORIZATION, text));
        for _ in 0..FAILURES_MAX {
            assert_eq!(given("Bearer wrong"), Err(Denied::Wrong));
        }
        assert!(matches!(given("Basic d3Jvbmc="), Err(Denied::TooMany(_))));
        assert_eq!(given(&format!("Bearer {token}")), Ok(Asker::Script));
    }

    #[test]
    fn failures_are_forgotten_one_by_one() {
        let start = MonoTime::ZERO;
        let mut failures = Failures {
            left: FAILURES_MAX,
            counted_at: start,
        };
        for _ in 0..FAILURES_MAX {
            assert_eq!(failures.count(start), Denied::Wrong);
        }
        assert!(matches!(failures.count(start), Denied::TooMany(_)));
        assert_eq!(failures.count(start.plus(FAILURE_PERIOD)), Denied::Wrong);
        assert!(matches!(
            failures.count(start.plus(FAILURE_PERIOD)),
            Denied::TooMany(_)
        ));
    }
}
