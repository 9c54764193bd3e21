//! The keys of `kind = "http"`.

use secrecy::SecretString;

use super::super::secret::{self, SecretSource};
use super::super::section::{Finding, Section};
use super::super::source::readable;
use super::super::surroundings::Surroundings;
use super::super::text;
use super::super::tree::{Entry, Value};
use super::client;
use crate::destination::http::{Acknowledge, Compression, Format, Header, HttpOptions, parse_url};

/// A receiver and the secrets that open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where and how.
    pub options: HttpOptions,
    /// The bearer token, where one is used.
    pub token: Option<SecretSource>,
    /// The password of the user name, where one is used.
    pub password: Option<SecretSource>,
}

pub(super) fn read(section: &Section<'_>, around: &Surroundings) -> Option<HttpConfig> {
    let show = |url: &url::Url| text::quote(url.as_str());
    let url = section
        .checked(
            "url",
            "https://host/path, http for a loopback address",
            show,
            parse_url,
        )
        .required("url = \"https://collector.example.com/v1/events\"")
        .map(|url| url.value);
    let formats = [
        ("cloudevents", Format::CloudEvents),
        ("ndjson", Format::Ndjson),
    ];
    let format = section.choice("format", &formats, Format::default());
    let compressions = [
        ("gzip", Compression::Gzip),
        ("zstd", Compression::Zstd),
        ("none", Compression::None),
    ];
    let none = HttpOptions::new(url::Url::parse("http://localhost/").expect("a URL"));
    let options = HttpOptions {
        format,
        compression: section.choice("compression", &compressions, Compression::default()),
        acknowledge: acknowledge(section, format),
        username: section.text("username").optional().map(|user| user.value),
        headers: headers(section),
        ca_file: section
            .path("ca_file")
            .optional()
            .and_then(|file| readable(section, file)),
        client: client::read(section),
        connect_timeout: section.span("connect_timeout_s", 1..=300, none.connect_timeout),
        call_timeout: section.span("call_timeout_s", 1..=600, none.call_timeout),
        ..none
    };
    let token = secret::token_if_given(section, around);
    let password = secret::password_if_given(section, around);
    check_one_login(section, &options, token.as_ref());
    Some(HttpConfig {
        options: HttpOptions {
            url: url?,
            ..options
        },
        token,
        password,
    })
}

fn acknowledge(section: &Section<'_>, format: Format) -> Acknowledge {
    let check = |word: &str| match word {
        "applied" if format == Format::Ndjson => {
            Err("asks for what a receiver of lines cannot say: use \"status\"".to_owned())
        }
        "applied" => Ok(Acknowledge::Applied),
        "status" => Ok(Acknowledge::Status),
        _ => Err("is none of its words".to_owned()),
    };
    let show = |rule: &Acknowledge| format!("{rule:?}");
    let given = section
        .checked("acknowledge", "\"applied\", \"status\"", show, check)
        .optional();
    match (given, format) {
        (Some(given), _) => given.value,
        (None, Format::CloudEvents) => Acknowledge::Applied,
        (None, Format::Ndjson) => Acknowledge::Status,
    }
}

/// Headers may be keys: none is shown, whatever is wrong with it.
fn headers(section: &Section<'_>) -> Vec<Header> {
    section.note("headers", Some("{}".to_owned()), None, true);
    let Some(table) = section.table_of("headers") else {
        return Vec::new();
    };
    table
        .entries
        .iter()
        .filter_map(|entry| header(section, entry))
        .collect()
}

fn header(section: &Section<'_>, entry: &Entry) -> Option<Header> {
    let wrong = |what: &str| {
        let message = format!("a header {what}");
        section.add("headers", Finding::error(&entry.node.place, message));
        None
    };
    let Value::String(value) = &entry.node.value else {
        return wrong(&format!(
            "is {}, not a text in quotes",
            entry.node.value.kind()
        ));
    };
    let is_name = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    let name = entry.key.to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(is_name) {
        return wrong("has a name that no header can have");
    }
    if OURS.contains(&name.as_str()) || name.starts_with("thrio-edge-") {
        return wrong("is one that the program writes itself");
    }
    if !value
        .bytes()
        .all(|b| b == b'\t' || (b' '..=b'~').contains(&b))
    {
        return wrong("holds more than printable ASCII");
    }
    Some(Header {
        name,
        value: SecretString::from(value.clone()),
    })
}

/// What the program writes itself: twice, it would be read by some as the one, by some as the other.
const OURS: [&str; 7] = [
    "authorization",
    "content-type",
    "content-encoding",
    "content-length",
    "host",
    "idempotency-key",
    "transfer-encoding",
];

fn check_one_login(section: &Section<'_>, options: &HttpOptions, token: Option<&SecretSource>) {
    if token.is_some() && options.username.is_some() {
        let place = section.entry("username").map(|e| e.node.place.clone());
        let message = "both a token and a user name are set";
        let finding = Finding::error(&place.unwrap_or_else(|| section.place()), message);
        section.add(
            "username",
            finding.hint("keep the one that the receiver asks for"),
        );
    }
}
