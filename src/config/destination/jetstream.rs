//! The keys of `kind = "jetstream"`.

use super::super::secret::{self, SecretSource};
use super::super::section::{Finding, Section};
use super::super::source::readable_under;
use super::super::surroundings::Surroundings;
use super::super::text;
use super::client;
use crate::destination::jetstream::{JetStreamOptions, ServerUrl, check_name};

/// A stream and the secrets that open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JetStreamConfig {
    /// Where and how.
    pub options: JetStreamOptions,
    /// The token, where the servers ask for one.
    pub token: Option<SecretSource>,
    /// The password of the user name, where one is used.
    pub password: Option<SecretSource>,
}

pub(super) fn read(section: &Section<'_>, around: &Surroundings) -> Option<JetStreamConfig> {
    let urls = urls(section);
    let default = JetStreamOptions::new(Vec::new());
    let name = |key, may_have_dots, default| {
        let check = |text: &str| check_name(text, may_have_dots).map(|()| text.to_owned());
        let show = |name: &String| text::quote(name);
        section.checked(key, "", show, check).or(default)
    };
    let file = |key: &'static str| {
        let file = section.path(key).optional()?;
        readable_under(section, key, file)
    };
    let replicas = section
        .integer("replicas", 1..=5)
        .or(default.replicas as u64);
    let options = JetStreamOptions {
        stream: name("stream", false, default.stream),
        subject_prefix: name("subject_prefix", true, default.subject_prefix),
        replicas: usize::try_from(replicas).unwrap_or(default.replicas),
        credentials_file: file("credentials_file"),
        username: section.text("username").optional().map(|user| user.value),
        ca_file: file("ca_file"),
        client: client::read(section),
        timeout: section.span("timeout_s", 1..=60, default.timeout),
        urls: default.urls,
    };
    let token = secret::token_if_given(section, around);
    let password = secret::password_if_given(section, around);
    check_one_login(section, &options, token.as_ref());
    Some(JetStreamConfig {
        options: JetStreamOptions {
            urls: urls?,
            ..options
        },
        token,
        password,
    })
}

/// What is wrong with an address is said without it: it may hold a password.
fn urls(section: &Section<'_>) -> Option<Vec<ServerUrl>> {
    let texts = section
        .texts("urls")
        .required("urls = [\"tls://nats.example.com:4222\"]")?;
    let wrong = |what: &str| {
        let message = format!("an address in `urls` {what}");
        let finding = Finding::error(&texts.place, message);
        section.add(
            "urls",
            finding.hint("tls://HOST:PORT of each server of the cluster"),
        );
    };
    let mut urls: Vec<ServerUrl> = Vec::new();
    for text in &texts.value {
        match text.parse() {
            Ok(url) => urls.push(url),
            Err(what) => wrong(&what),
        }
    }
    if texts.value.is_empty() {
        wrong("is missing");
    }
    (!urls.is_empty() && urls.len() == texts.value.len()).then_some(urls)
}

fn check_one_login(
    section: &Section<'_>,
    options: &JetStreamOptions,
    token: Option<&SecretSource>,
) {
    let given = [
        ("credentials_file", options.credentials_file.is_some()),
        ("username", options.username.is_some()),
        ("token_file", token.is_some()),
    ];
    let mut given = given.iter().filter(|(_, is_given)| *is_given);
    let (Some((first, _)), Some((second, _))) = (given.next(), given.next()) else {
        return;
    };
    let what = |key: &str| match key {
        "credentials_file" => "a credentials file",
        "username" => "a user name",
        _ => "a token",
    };
    let place = section.entry(first).map(|entry| entry.node.place.clone());
    let message = format!("both {} and {} are set", what(first), what(second));
    let finding = Finding::error(&place.unwrap_or_else(|| section.place()), message);
    section.add(first, finding.hint("keep the one that the servers ask for"));
}
