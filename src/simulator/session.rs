//! Who is logged in at the simulated Thrio.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::speech::{Auth, Speech};

/// The tokens that were handed out, and the logins that failed.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    tokens: HashMap<String, Token>,
    handed_out: u64,
    failures_in_a_row: u32,
    locked_until_ms: Option<i64>,
}

#[derive(Debug)]
struct Token {
    expires_ms: i64,
    /// When the last list of changes was read with it.
    polled_ms: Option<i64>,
}

/// Why a login was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Wrong user name or password, or none.
    BadCredentials,
    /// Too many of those.
    Locked,
}

impl Sessions {
    /// A new token for whoever sends the right `Authorization: Basic`.
    pub(super) fn log_in(
        &mut self,
        speech: &Speech,
        authorization: Option<&str>,
        now_ms: i64,
    ) -> Result<String, Refused> {
        if self.locked_until_ms.is_some_and(|until| now_ms < until) {
            return Err(Refused::Locked);
        }
        if !authorization
            .and_then(basic)
            .is_some_and(|given| allowed(speech, &given))
        {
            self.failures_in_a_row += 1;
            if speech
                .lockout_after
                .is_some_and(|limit| self.failures_in_a_row >= limit)
            {
                self.locked_until_ms = Some(now_ms + seconds_ms(speech.lockout_s));
                self.failures_in_a_row = 0;
            }
            return Err(Refused::BadCredentials);
        }
        self.failures_in_a_row = 0;
        Ok(self.hand_out(now_ms + seconds_ms(speech.token_life_s), now_ms))
    }

    fn hand_out(&mut self, expires_ms: i64, now_ms: i64) -> String {
        self.tokens.retain(|_, token| token.expires_ms > now_ms);
        self.handed_out += 1;
        let part = |json: String| URL_SAFE_NO_PAD.encode(json);
        let token = format!(
            "{}.{}.{}",
            part(r#"{"alg":"none","typ":"JWT"}"#.to_owned()),
            part(format!(
                r#"{{"jti":{},"exp":{}}}"#,
                self.handed_out,
                expires_ms / 1_000
            )),
            part("simulated".to_owned()),
        );
        let fresh = Token {
            expires_ms,
            polled_ms: None,
        };
        self.tokens.insert(token.clone(), fresh);
        token
    }

    /// The valid token that a call carries.
    pub(super) fn token<'a>(
        &self,
        auth: Auth,
        authorization: Option<&'a str>,
        now_ms: i64,
    ) -> Option<&'a str> {
        let header = authorization?;
        let bare = header.strip_prefix("Bearer ");
        let token = match auth {
            Auth::Either => bare.unwrap_or(header),
            Auth::Raw => header,
            Auth::Bearer => bare?,
        };
        let known = self.tokens.get(token)?;
        (now_ms < known.expires_ms).then_some(token)
    }

    /// When the list of changes was last read with this token; notes that it is read now.
    pub(super) fn polled(&mut self, token: &str, now_ms: i64) -> Option<i64> {
        self.tokens.get_mut(token)?.polled_ms.replace(now_ms)
    }

    /// Makes every token invalid.
    pub(super) fn forget(&mut self) {
        self.tokens.clear();
    }
}

fn seconds_ms(seconds: u64) -> i64 {
    i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX / 4)
}

fn basic(header: &str) -> Option<(String, String)> {
    let decoded = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

fn allowed(speech: &Speech, (username, password): &(String, String)) -> bool {
    let name_fits = speech
        .username
        .as_ref()
        .is_none_or(|wanted| wanted == username);
    let password_fits = match &speech.password {
        Some(wanted) => wanted == password,
        None => !password.is_empty(),
    };
    name_fits && password_fits
}
