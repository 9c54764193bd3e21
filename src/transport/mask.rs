//! Foreign text for people: printable, at most 80 characters, and without a secret in it.

use secrecy::{ExposeSecret, SecretString};

use super::text;

/// What stands in a secret's place.
const MASK: &str = "***";
/// A copy of a secret that was cut (by a limit on either side) is told by this many characters.
const TELLTALE_CHARS: usize = 8;
/// A run that starts like every JWT (`{"` in base64url) is a token, whosever it is.
const JWT_START: &str = "eyJ";

/// The secrets of one call: password, token, and how they travel.
#[derive(Default)]
pub struct Secrets(Vec<SecretString>);

impl Secrets {
    /// Adds a secret to hide.
    pub fn hide(&mut self, secret: &str) {
        if !secret.is_empty() {
            self.0.push(SecretString::from(secret.to_owned()));
        }
    }

    /// What a person may see of a text that a receiver of our own kind wrote for people.
    pub fn sentence(&self, foreign: &str) -> String {
        text::printable(&self.masked(foreign), text::SENTENCE_CHARS)
    }

    /// What a person may see of the text.
    pub fn excerpt(&self, foreign: &str) -> String {
        text::excerpt(&self.masked(foreign))
    }

    fn masked(&self, foreign: &str) -> String {
        let mut masked = foreign.to_owned();
        for secret in &self.0 {
            masked = without(&masked, secret.expose_secret());
        }
        without_tokens(&masked)
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

/// The text without the secret, whole or cut short after its first characters.
fn without(text: &str, secret: &str) -> String {
    let telltale: String = secret.chars().take(TELLTALE_CHARS).collect();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&telltale) {
        let found = &rest[at..];
        let common: usize = found
            .chars()
            .zip(secret.chars())
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a.len_utf8())
            .sum();
        out.push_str(&rest[..at]);
        out.push_str(MASK);
        rest = &found[common..];
    }
    out.push_str(rest);
    out
}

fn without_tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(JWT_START) {
        let found = &rest[at..];
        let end = found
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '=')))
            .unwrap_or(found.len());
        out.push_str(&rest[..at]);
        out.push_str(MASK);
        rest = &found[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_whole_or_cut() {
        let mut secrets = Secrets::default();
        secrets.hide("correct horse battery");
        secrets.hide("pw");
        assert_eq!(
            secrets.excerpt("a correct horse battery b correct horse batt"),
            "a *** b ***"
        );
        assert_eq!(secrets.excerpt("x pw y"), "x *** y");
    }

    #[test]
    fn whatever_looks_like_a_token_is_masked() {
        let text = r#"{"token":"eyJhbGciOi.J9-_x.y","a":1}"#;
        assert_eq!(Secrets::default().excerpt(text), r#"{"token":"***","a":1}"#);
    }
}
