//! Names in statements, and what a URL says.

use std::fmt;

/// With it the longest name of an index stays below PostgreSQL's 63 bytes.
const NAME_CHARS_MAX: usize = 20;
/// The longest name of an object in PostgreSQL; SQL Server's may be longer.
const PROCEDURE_CHARS_MAX: usize = 63;

/// A name that needs no quoting and no escaping: lower-case letters, digits, `_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlName(String);

impl SqlName {
    /// One of our own names.
    pub(in super::super) fn known(text: &'static str) -> Self {
        Self::new(text).expect("a plain name")
    }

    /// Takes a name, or says why not.
    pub fn new(text: &str) -> Result<Self, String> {
        let begins = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if begins && text.len() <= NAME_CHARS_MAX && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "is no name of 1 to {NAME_CHARS_MAX} of a-z, 0-9 and '_', a digit not first"
            ))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SqlName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `schema.procedure`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcedureName {
    schema: String,
    name: String,
}

impl ProcedureName {
    /// Takes `schema.procedure`, or says why not. Names are taken as they are written, so that
    /// upper-case ones work too.
    pub fn new(text: &str) -> Result<Self, String> {
        let plain = |part: &str| {
            !part.is_empty()
                && part.len() <= PROCEDURE_CHARS_MAX
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        match text.split_once('.') {
            Some((schema, name)) if plain(schema) && plain(name) => Ok(Self {
                schema: schema.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err("is not \"schema.procedure\"".to_owned()),
        }
    }

    /// The schema's name.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The procedure's own name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ProcedureName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// A part of a URL, decoded. The error follows "the URL …".
pub(in super::super) fn url_part(text: &str, what: &str) -> Result<String, String> {
    let decoded = percent_decoded(text).ok_or_else(|| format!("has an unreadable {what}"))?;
    if decoded.is_empty() || decoded.contains(['/', '\0']) {
        return Err(format!("names no {what}"));
    }
    Ok(decoded)
}

fn percent_decoded(text: &str) -> Option<String> {
    // Form decoding would read `+` as a blank; there is none in a URL's own text.
    let escaped = text.replace('+', "%2B");
    let query = format!("x={escaped}");
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let (_, value) = pairs.next()?;
    (!value.contains('\u{fffd}')).then(|| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_no_quoting() {
        assert!(SqlName::new("wfm_2").is_ok());
        for wrong in ["", "2x", "Wfm", "a-b", "a\"b", "a_very_long_name_of_21"] {
            assert!(SqlName::new(wrong).is_err(), "{wrong}");
        }
        assert!(ProcedureName::new("Site.Fill").is_ok());
        for wrong in ["fill", "a.b.c", "a.", "a.b;drop"] {
            assert!(ProcedureName::new(wrong).is_err(), "{wrong}");
        }
    }
}
