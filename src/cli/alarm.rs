//! `alarm`: what stands, and whether people can be told of it.

use clap::Subcommand;
use serde_json::Value;

use super::{ConfigFile, output, remote};
use crate::clock::{Clock as _, SystemClock};
use crate::control::Request;
use crate::control::status::Problem;
use crate::daemon;
use crate::domain::timestamp::WallTime;
use crate::lifecycle::exit::Exit;

/// Shows the alarms that stand, and tries the ways that people are told of them.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    config: ConfigFile,
    /// Print the answer as JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Action {
    /// What stands, since when, what is at risk and by when, and what to do. Exits 69 where no
    /// daemon runs: then it shows what was raised when it ended.
    List,
    /// Sends a test message to webhook and command, and calls the heartbeat's address. Exits 0 if
    /// all arrived, 69 if one did not, 78 if none is set up.
    Test,
}

/// Does it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let (_, config) = remote::configuration(&arguments.config)?;
    let now = SystemClock::new().now().wall;
    let (done, exit) = match arguments.action {
        Action::List => match remote::try_ask(&config, &Request::AlarmList, |_| {})? {
            Some(done) => (done, Exit::Ok),
            None => (daemon::listed_at_rest(&config, now), Exit::Unavailable),
        },
        Action::Test => {
            let done = match remote::try_ask(&config, &Request::AlarmTest, |_| {})? {
                Some(done) => done,
                None => daemon::test_at_rest(&config, now)?,
            };
            let exit = match done["ok"] {
                Value::Bool(true) => Exit::Ok,
                _ => Exit::Unavailable,
            };
            (done, exit)
        }
    };
    match arguments.action {
        _ if arguments.json => output::json(&done),
        Action::List => show_list(&done, now)?,
        Action::Test => show_trials(&done),
    }
    Ok(exit)
}

fn show_list(done: &Value, now: WallTime) -> anyhow::Result<()> {
    let alarms: Vec<Problem> = serde_json::from_value(done["alarms"].clone())?;
    if alarms.is_empty() {
        output::line("no alarm stands");
    }
    for alarm in &alarms {
        output::line(&lines_of(alarm, now));
    }
    for way in done["told"]["ways"].as_array().into_iter().flatten() {
        let (name, waiting) = (output::plain(&way["way"]), &way["waiting"]);
        output::line(&match &way["last_error"] {
            Value::Null => format!("{name}: works, {waiting} changes wait to be told"),
            error => format!(
                "{name}: FAILS: {}; {waiting} changes wait",
                output::plain(error)
            ),
        });
    }
    if let Some(error) = done["told"]["heartbeat_error"].as_str() {
        output::line(&format!("heartbeat: FAILS: {error}"));
    }
    Ok(())
}

fn lines_of(alarm: &Problem, now: WallTime) -> String {
    let mut lines = vec![format!(
        "{} {} {}: {}",
        alarm.severity.as_str(),
        alarm.code,
        alarm.subject,
        alarm.message
    )];
    if let Some(since) = alarm.since {
        let seconds = u64::try_from(now.ms_since(since) / 1000).unwrap_or(0);
        let raised = match alarm.raised_at {
            Some(at) => format!("raised at {at}"),
            None => "not raised yet".to_owned(),
        };
        let long = output::span(seconds);
        lines.push(format!("    since {since} ({long}), {raised}"));
    }
    let by = alarm.by.map_or_else(String::new, |by| format!(" by {by}"));
    lines.push(format!("    at risk{by}: {}", alarm.at_risk));
    lines.push(format!("    remedy: {}", alarm.remedy));
    lines.join("\n")
}

fn show_trials(done: &Value) {
    for trial in done["trials"].as_array().into_iter().flatten() {
        let (way, to) = (output::plain(&trial["way"]), output::plain(&trial["to"]));
        output::line(&match &trial["error"] {
            Value::Null => format!("{way} ({to}): ok"),
            error => format!("{way} ({to}): FAILED: {}", output::plain(error)),
        });
    }
}
