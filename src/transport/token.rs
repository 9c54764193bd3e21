//! What a token says of its own life, where it is a JWT: a hint, which is not verified.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::expiry::Term;
use crate::domain::timestamp::WallTime;

#[derive(serde::Deserialize)]
struct Claims {
    exp: i64,
    iat: Option<i64>,
}

/// When a token counts by its own claims; none where it makes none.
pub fn term_of_token(token: &str) -> Option<Term> {
    let payload = token.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&json).ok()?;
    let at = |s: i64| s.checked_mul(1000).map(WallTime::from_ms);
    Some(Term {
        since: claims.iat.and_then(at),
        until: Some(at(claims.exp)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_token_says_of_itself_is_taken() {
        let token = |json: &str| format!("h.{}.s", URL_SAFE_NO_PAD.encode(json));
        let of = |since: Option<i64>, until| Term {
            since: since.map(WallTime::from_s),
            until: Some(WallTime::from_s(until)),
        };
        let check = |json: &str, expected| assert_eq!(term_of_token(&token(json)), expected);
        check(r#"{"exp":4600}"#, Some(of(None, 4_600)));
        check(r#"{"exp":4600,"iat":1000}"#, Some(of(Some(1_000), 4_600)));
        check(r#"{"iat":1000}"#, None);
        check(r#"{"exp":9223372036854775807}"#, None);
        for text in ["", "secret", "a.b.c", "a.!.c"] {
            assert_eq!(term_of_token(text), None, "{text}");
        }
    }
}
