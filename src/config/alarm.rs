//! `[alarm]`: when people are told, and how.

use std::time::Duration;

use super::secret::{self, SecretSource};
use super::section::{Finding, Section};
use super::source::readable;
use super::surroundings::Surroundings;
use super::text;
use super::tree::Place;
use crate::alarm::{AlarmSettings, AlarmWays, CommandOptions, SecretUrl, WebhookOptions};
use crate::domain::alarm::{AlarmOptions, Severity};

/// How long webhook and heartbeat may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the program may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// When people are told, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmConfig {
    /// When what is told.
    pub options: AlarmOptions,
    /// How it leaves the box.
    pub ways: AlarmWays,
    /// The webhook's token, where it has one.
    pub token: Option<SecretSource>,
}

impl AlarmConfig {
    /// What the worker is started with.
    pub fn settings(&self) -> AlarmSettings {
        AlarmSettings {
            options: self.options.clone(),
            ways: self.ways.clone(),
            token: self.token.as_ref().map(SecretSource::provider),
        }
    }
}

pub(super) fn read(root: &Section<'_>, around: &Surroundings) -> AlarmConfig {
    let section = root.child("alarm");
    let webhook = url(&section, "webhook_url");
    let token = secret::webhook_token_if_given(&section, around);
    if let (Some((url, place)), Some(_)) = (&webhook, &token)
        && url.is_open_on_the_way()
    {
        let message = "the webhook's token would travel unencrypted to another machine";
        let finding = Finding::error(place, message);
        section.add("webhook_url", finding.hint("use an https URL, or no token"));
    }
    let ways = AlarmWays {
        webhook: webhook.map(|(url, _)| WebhookOptions { url }),
        command: command(&section),
        heartbeat_url: url(&section, "heartbeat_url").map(|(url, _)| url),
        ca_file: section
            .path("ca_file")
            .optional()
            .and_then(|file| readable(&section, file)),
        proxy: section
            .checked(
                "proxy",
                "",
                |proxy: &SecretUrl| text::quote(&proxy.host()),
                SecretUrl::parse,
            )
            .optional()
            .map(|proxy| proxy.value),
        call_timeout: section.span("call_timeout_s", 1..=60, CALL_TIMEOUT),
    };
    let options = options(&section);
    section.finish();
    AlarmConfig {
        options,
        ways,
        token,
    }
}

fn options(section: &Section<'_>) -> AlarmOptions {
    let default = AlarmOptions::default();
    let severities = [("warning", Severity::Warning), ("error", Severity::Error)];
    AlarmOptions {
        raise_after: section.span("raise_after_s", 0..=86_400, default.raise_after),
        clear_after: section.span("clear_after_s", 0..=86_400, default.clear_after),
        group: section.span("group_s", 0..=3_600, default.group),
        rest: section.span("rest_s", 0..=86_400, default.rest),
        remind: section.span("remind_h", 0..=720, default.remind),
        least: section.choice("severity", &severities, default.least),
        heartbeat_period: section.span("heartbeat_period_s", 1..=3_600, default.heartbeat_period),
    }
}

/// An address; it may hold a key, so that it is never shown.
fn url(section: &Section<'_>, key: &'static str) -> Option<(SecretUrl, Place)> {
    let text = section.secret_text(key)?;
    match SecretUrl::parse(&text.value) {
        Ok(url) => Some((url, text.place)),
        Err(why) => {
            let finding = Finding::error(&text.place, format!("`{key}` {why}"));
            let hint = "such as \"https://hooks.example.com/T0/B0/key\"; what stands there is not \
                        shown, because it may be secret";
            section.add(key, finding.hint(hint));
            None
        }
    }
}

fn command(section: &Section<'_>) -> Option<CommandOptions> {
    let line = section.texts("command").or(Vec::new());
    let timeout = section.span("command_timeout_s", 1..=300, COMMAND_TIMEOUT);
    let program = line.first()?;
    if program.starts_with('/') {
        return Some(CommandOptions { line, timeout });
    }
    let place = section
        .entry("command")
        .map(|entry| entry.node.place.clone());
    let message = "`command` does not begin with a program's absolute path";
    let finding = Finding::error(&place.unwrap_or_else(|| section.place()), message);
    let hint = "command = [\"/usr/local/bin/tell\", \"--urgent\"]; there is no shell";
    section.add("command", finding.hint(hint));
    None
}
