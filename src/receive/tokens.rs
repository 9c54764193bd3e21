//! Who is calling: tokens are compared as SHA-256, each of them, in constant time.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use secrecy::ExposeSecret as _;

use super::options::AllowedBox;

/// A shorter one could be guessed.
const TOKEN_CHARS_MIN: usize = 16;

/// The hashes of the tokens, in the order of the boxes; none where a token cannot be read.
pub(super) struct Tokens(Vec<Option<Vec<u8>>>);

impl Tokens {
    /// Reads the tokens. A box whose token cannot be read is locked out until it can; the texts say
    /// which and why.
    pub(super) fn read(boxes: &[AllowedBox]) -> (Self, Vec<String>) {
        let mut problems = Vec::new();
        let mut hashes: Vec<Option<Vec<u8>>> = Vec::new();
        for one in boxes {
            let hash = hash_of(one).and_then(|hash| {
                if hashes.iter().flatten().any(|other| *other == hash) {
                    return Err("it is another box's token too".to_owned());
                }
                Ok(hash)
            });
            hashes.push(match hash {
                Ok(hash) => Some(hash),
                Err(why) => {
                    problems.push(format!("box \"{}\" cannot write: {why}", one.id));
                    None
                }
            });
        }
        (Self(hashes), problems)
    }

    /// The place of the box with this token. Every token is compared, so that the time tells nothing.
    pub(super) fn box_of(&self, presented: &str) -> Option<usize> {
        let presented = digest(&SHA256, presented.as_bytes());
        let mut found = None;
        for (at, hash) in self.0.iter().enumerate() {
            let hash = hash.as_deref().unwrap_or_default();
            if verify_slices_are_equal(hash, presented.as_ref()).is_ok() {
                found = Some(at);
            }
        }
        found
    }
}

fn hash_of(one: &AllowedBox) -> Result<Vec<u8>, String> {
    let token = one.token.read()?;
    let token = token.expose_secret();
    if token.chars().count() < TOKEN_CHARS_MIN {
        return Err(format!(
            "its token has fewer than {TOKEN_CHARS_MIN} characters and could be guessed"
        ));
    }
    Ok(digest(&SHA256, token.as_bytes()).as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use secrecy::SecretString;

    use super::*;
    use crate::destination::Secret;
    use crate::domain::ids::BoxId;

    fn allowed(id: &str, token: Result<&'static str, &'static str>) -> AllowedBox {
        AllowedBox {
            id: BoxId::new(id).unwrap(),
            token: Secret::new(Arc::new(move || {
                token.map(SecretString::from).map_err(str::to_owned)
            })),
            sources: Vec::new(),
        }
    }

    #[test]
    fn a_token_names_its_box_and_nothing_else_does() {
        let boxes = [
            allowed("a", Ok("token-of-the-first-box")),
            allowed("b", Err("gone")),
            allowed("c", Ok("short")),
            allowed("d", Ok("token-of-the-first-box")),
            allowed("e", Ok("token-of-the-other-box")),
        ];
        let (tokens, problems) = Tokens::read(&boxes);
        assert_eq!(tokens.box_of("token-of-the-first-box"), Some(0));
        assert_eq!(tokens.box_of("token-of-the-other-box"), Some(4));
        for wrong in [
            "",
            "short",
            "token-of-the-first-bo",
            "token-of-the-first-box ",
        ] {
            assert_eq!(tokens.box_of(wrong), None, "{wrong}");
        }
        assert_eq!(problems.len(), 3, "{problems:?}");
    }
}
