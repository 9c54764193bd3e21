//! `check`: every problem of a configuration at once, and with `--connect` whether all that it
//! names can be reached. It changes nothing anywhere.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use super::ConfigFile;
use crate::clock::{Clock, SystemClock};
use crate::config::{
    self, Config, ConnectionConfig, DestinationConfig, Problem, SourceConfig, Surroundings,
};
use crate::daemon::connector;
use crate::domain::call::{
    ConfigurationAnswer, ConfigurationCall, HistoricalCall, RealtimeCall, Snapshot, Timing,
};
use crate::domain::interval::{IntervalStart, Window};
use crate::domain::record::Run;
use crate::lifecycle::exit::Exit;
use crate::stop::StopToken;
use crate::thrio::api::ConfigurationConnection;
use crate::thrio::{Source, ThrioConnection, ThrioError, install_crypto_provider};

/// How far back the one interval lies that is asked for: closed, and settled.
const SETTLED: Duration = Duration::from_mins(30);

/// Checks a configuration: exit 0, 78 (it is wrong) or 69 (something cannot be reached).
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// Also log in, make one call for each feed, and probe each destination.
    #[arg(long)]
    connect: bool,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Attempt {
    /// Whose, for example `source "main"`.
    subject: String,
    /// What, for example `realtime`.
    call: &'static str,
    ok: bool,
    /// What came back, or why nothing did.
    detail: String,
}

#[derive(Serialize)]
struct Report<'a> {
    valid: bool,
    reachable: Option<bool>,
    files: Vec<&'a Path>,
    problems: &'a [Problem],
    attempts: &'a [Attempt],
}

/// Runs the command on this machine.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut out = std::io::stdout().lock();
    check(
        &arguments.config.path,
        arguments.connect,
        arguments.json,
        &Surroundings::system(),
        &mut out,
    )
    .context("standard output")
}

/// Checks the file as if on that machine, and writes what it found.
pub fn check(
    path: &Path,
    connects: bool,
    json: bool,
    around: &Surroundings,
    out: &mut dyn Write,
) -> std::io::Result<Exit> {
    let loaded = config::load_in(path, around);
    let (problems, config) = match &loaded {
        Ok(config) => (&config.warnings, Some(config)),
        Err(errors) => (&errors.problems, None),
    };
    let attempts = match config {
        Some(config) if connects => reach(config),
        _ => Vec::new(),
    };
    let reachable = attempts.iter().all(|attempt| attempt.ok);
    if json {
        let report = Report {
            valid: config.is_some(),
            reachable: (connects && config.is_some()).then_some(reachable),
            files: config.map_or(Vec::new(), |c| c.files.iter().map(AsRef::as_ref).collect()),
            problems,
            attempts: &attempts,
        };
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)?;
    } else {
        write_text(path, config, problems, &attempts, out)?;
    }
    Ok(match config {
        None => Exit::Configuration,
        Some(_) if !reachable => Exit::Unavailable,
        Some(_) => Exit::Ok,
    })
}

fn write_text(
    path: &Path,
    config: Option<&Config>,
    problems: &[Problem],
    attempts: &[Attempt],
    out: &mut dyn Write,
) -> std::io::Result<()> {
    if !problems.is_empty() {
        writeln!(out, "{}", config::problem::render(problems))?;
    }
    for attempt in attempts {
        let word = if attempt.ok { "ok    " } else { "failed" };
        let Attempt {
            subject,
            call,
            detail,
            ..
        } = attempt;
        writeln!(out, "{word} {subject} {call}: {detail}")?;
    }
    if let Some(config) = config {
        writeln!(
            out,
            "{}: right (sources: {}, destinations: {})",
            path.display(),
            config.sources.len(),
            config.destinations.len()
        )?;
    }
    Ok(())
}

/// Tries every connection, feed and destination, one after the other.
fn reach(config: &Config) -> Vec<Attempt> {
    install_crypto_provider();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut attempts = Vec::new();
    for source in &config.sources {
        reach_source(source, &clock, &mut attempts);
    }
    let probes = config.destinations.iter();
    attempts.extend(probes.map(|destination| probe(destination, &clock)));
    attempts
}

fn probe(destination: &DestinationConfig, clock: &Arc<dyn Clock>) -> Attempt {
    let outcome = connector(&destination.target, Arc::clone(clock)).probe();
    Attempt {
        subject: format!("destination \"{}\"", destination.name),
        call: "probe",
        ok: outcome.is_ok(),
        detail: match outcome {
            Ok(()) => destination.target.kind().to_owned(),
            Err(error) => error.to_string(),
        },
    }
}

fn reach_source(source: &SourceConfig, clock: &Arc<dyn Clock>, into: &mut Vec<Attempt>) {
    let subject = format!("source \"{}\"", source.name);
    let mut connect = |connection: &ConnectionConfig, call: &'static str| {
        let outcome = log_in(source, connection, clock);
        let (source, detail) = match outcome {
            Ok(source) => (Some(source), connection.options.base_url.clone()),
            Err(why) => (None, why),
        };
        into.push(Attempt {
            subject: subject.clone(),
            call,
            ok: source.is_some(),
            detail,
        });
        source
    };
    let mut realtime = source
        .realtime
        .as_ref()
        .and_then(|feed| connect(&feed.connection, "realtime login"));
    let mut historical = source
        .historical
        .as_ref()
        .and_then(|feed| connect(&feed.connection, "historical login"));

    let mut record = |call: &'static str, outcome: Result<String, ThrioError>| {
        into.push(Attempt {
            subject: subject.clone(),
            call,
            ok: outcome.is_ok(),
            detail: outcome.unwrap_or_else(|error| error.to_string()),
        });
    };
    if let Some(api) = &mut realtime {
        record("realtime", ask_realtime(api.as_mut()));
    }
    if let Some(api) = &mut historical {
        record("historical", ask_historical(api.as_mut(), source, clock));
    }
    let configuration = match source.configuration.connection {
        ConfigurationConnection::Historical => &mut historical,
        ConfigurationConnection::Realtime => &mut realtime,
    };
    if let Some(api) = configuration {
        record(
            "queues",
            ask_roster(api.as_mut(), ConfigurationCall::Queues),
        );
        record(
            "agents",
            ask_roster(api.as_mut(), ConfigurationCall::Agents),
        );
    }
}

fn log_in(
    source: &SourceConfig,
    connection: &ConnectionConfig,
    clock: &Arc<dyn Clock>,
) -> Result<Box<dyn Source>, String> {
    let password = connection.password.provider();
    let thrio = ThrioConnection::new(connection.options.clone(), password, Arc::clone(clock))
        .map_err(|problem| format!("{}: {}", problem.field, problem.hint))?;
    thrio.log_in().map_err(|error| error.to_string())?;
    Ok(thrio.source(&source.api, Arc::clone(clock), StopToken::new()))
}

fn ask_realtime(api: &mut dyn Source) -> Result<String, ThrioError> {
    let mut snapshot = Snapshot::default();
    let answer = api.realtime(&RealtimeCall::default(), &mut snapshot)?;
    let rejected = snapshot.rejected.count;
    Ok(told(snapshot.len(), "agents", rejected, &answer.timing))
}

fn ask_historical(
    api: &mut dyn Source,
    source: &SourceConfig,
    clock: &Arc<dyn Clock>,
) -> Result<String, ThrioError> {
    let from = IntervalStart::containing(clock.now().wall.minus(SETTLED));
    let to = IntervalStart::containing(from.end());
    let call = HistoricalCall {
        window: Window::new(from, to),
        queue: None,
        queues: source.queues.include.clone(),
        run: Run::Manual,
    };
    let answer = api.historical(&call)?;
    let rejected = answer.value.rejected.count;
    let rows = answer.value.rows.len();
    Ok(told(rows, "rows", rejected, &answer.timing))
}

fn ask_roster(api: &mut dyn Source, call: ConfigurationCall) -> Result<String, ThrioError> {
    let answer = api.configuration(call)?;
    let (count, complete) = match &answer.value {
        ConfigurationAnswer::Queues(list) => (list.entries.len(), list.complete),
        ConfigurationAnswer::Agents(list) => (list.entries.len(), list.complete),
    };
    let told = told(count, "entries", 0, &answer.timing);
    Ok(if complete {
        told
    } else {
        format!("{told}; fewer than announced")
    })
}

fn told(count: usize, what: &str, rejected: u64, timing: &Timing) -> String {
    let took = timing.received.mono.since(timing.sent.mono);
    let rejected = match rejected {
        0 => String::new(),
        _ => format!(", {rejected} rejected"),
    };
    format!("{count} {what}{rejected} in {:.1} s", took.as_secs_f64())
}
