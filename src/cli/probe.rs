//! `probe`: what a tenant (or a saved answer) really sends, how it is understood, and the settings
//! to paste.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::{ConfigFile, Failure};
use crate::clock::SystemClock;
use crate::config::{self, SourceConfig};
use crate::daemon::{ProbeFailure, Probing};
use crate::domain::ids::QueueId;
use crate::lifecycle::exit::Exit;
use crate::stop::StopToken;
use crate::thrio::api::ApiOptions;
use crate::thrio::probe::{ProbeFeed, ProbeReport, Pseudonyms, Sample, SavedCall, report};

/// Shows what Thrio (or a saved answer) really sends and which settings understand it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// What to probe; may be given several times.
    #[arg(long = "feed", value_name = "FEED", required = true, value_enum)]
    feeds: Vec<FeedName>,
    /// Which source; the first one of the file by default.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// A file with one answer's body: nothing is sent.
    #[arg(long, value_name = "SAMPLE", conflicts_with = "save")]
    from_file: Option<PathBuf>,
    /// Keeps the answers there, without secrets, names pseudonymised, for `simulate --replay`.
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// How many polls of realtime tell a full list from changes.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    polls: u32,
    /// Seconds between two of them.
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    period: u64,
    /// The queue to ask for where the source answers per queue.
    #[arg(long, value_name = "ID")]
    queue: Option<String>,
    /// The report as JSON.
    #[arg(long)]
    json: bool,
}

/// A feed, or one list of the configuration feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FeedName {
    Realtime,
    Historical,
    /// Queues and agents.
    Configuration,
    Queues,
    Agents,
}

impl FeedName {
    fn feeds(self) -> &'static [ProbeFeed] {
        match self {
            Self::Realtime => &[ProbeFeed::Realtime],
            Self::Historical => &[ProbeFeed::Historical],
            Self::Configuration => &[ProbeFeed::Queues, ProbeFeed::Agents],
            Self::Queues => &[ProbeFeed::Queues],
            Self::Agents => &[ProbeFeed::Agents],
        }
    }
}

/// Probes every feed that was named; unavailable (69) where one brought no understood answer.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let feeds: Vec<ProbeFeed> = arguments
        .feeds
        .iter()
        .flat_map(|name| name.feeds().iter().copied())
        .collect();
    let reports = match &arguments.from_file {
        Some(file) => vec![from_file(arguments, &feeds, file)?],
        None => live(arguments, &feeds)?,
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&reports)?);
    } else {
        for report in &reports {
            print!("{}", text(report));
        }
    }
    let is_understood = reports
        .iter()
        .all(|report| report.shape.is_some() || report.problem.is_none());
    Ok(if is_understood {
        Exit::Ok
    } else {
        Exit::Unavailable
    })
}

fn from_file(
    arguments: &Arguments,
    feeds: &[ProbeFeed],
    file: &Path,
) -> anyhow::Result<ProbeReport> {
    let [feed] = feeds else {
        let message =
            "--from-file holds one answer: name one of realtime, historical, queues, agents";
        return Err(Failure::new(Exit::Usage, message).into());
    };
    // A sample can be looked at before there is any configuration.
    let api = if arguments.config.path.exists() {
        source(arguments)?.api
    } else {
        ApiOptions::default()
    };
    let body = std::fs::read(file).with_context(|| format!("sample {}", file.display()))?;
    let sample = Sample {
        request: None,
        status: 200,
        content_type: "(a file)".to_owned(),
        body,
        took_ms: 0,
        window: None,
    };
    Ok(report(*feed, &[sample], &api))
}

fn source(arguments: &Arguments) -> anyhow::Result<SourceConfig> {
    let config = config::load(&arguments.config.path)
        .map_err(|errors| Failure::new(Exit::Configuration, errors.to_string()))?;
    let wanted = arguments.source.as_deref();
    config
        .sources
        .into_iter()
        .find(|source| wanted.is_none_or(|name| source.name.as_str() == name))
        .ok_or_else(|| {
            let message = match wanted {
                Some(name) => format!("the configuration has no source \"{name}\""),
                None => "the configuration has no source".to_owned(),
            };
            Failure::new(Exit::Configuration, message).into()
        })
}

fn live(arguments: &Arguments, feeds: &[ProbeFeed]) -> anyhow::Result<Vec<ProbeReport>> {
    let source = source(arguments)?;
    let mut saving = arguments.save.as_deref().map(Saving::open).transpose()?;
    let queue = arguments.queue.as_deref().map(QueueId::new).transpose();
    let queue = queue.map_err(|error| Failure::new(Exit::Usage, format!("--queue: {error}")))?;
    let probing = Probing {
        source: &source,
        clock: Arc::new(SystemClock::new()),
        stop: StopToken::new(),
        queue,
        polls: arguments.polls,
        period: Duration::from_secs(arguments.period),
    };
    let mut reports = Vec::new();
    for feed in feeds {
        let samples = probing.samples(*feed).map_err(|failure| failed(&failure))?;
        if let Some(saving) = &mut saving {
            saving.save(*feed, &samples, &source.api)?;
        }
        reports.push(report(*feed, &samples, &source.api));
    }
    Ok(reports)
}

fn failed(failure: &ProbeFailure) -> anyhow::Error {
    let exit = match failure {
        ProbeFailure::Configuration(_) => Exit::Configuration,
        ProbeFailure::Thrio(_) => Exit::Unavailable,
    };
    Failure::new(exit, failure.to_string()).into()
}

/// The folder that answers are kept in, and the stand-ins of this probe.
struct Saving<'a> {
    folder: &'a Path,
    pseudonyms: Pseudonyms,
}

impl<'a> Saving<'a> {
    fn open(folder: &'a Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("folder {}", folder.display()))?;
        Ok(Self {
            folder,
            pseudonyms: Pseudonyms::new(),
        })
    }

    fn save(
        &mut self,
        feed: ProbeFeed,
        samples: &[Sample],
        api: &ApiOptions,
    ) -> anyhow::Result<()> {
        for (at, sample) in samples.iter().enumerate() {
            let call = SavedCall::new(feed, at + 1, sample, api);
            let body = self.pseudonyms.body(feed, &sample.body, api);
            self.write(&call.body_file, &body)?;
            self.write(&call.file(), &serde_json::to_vec_pretty(&call)?)?;
        }
        Ok(())
    }

    /// Never over an older probe's file: its stand-ins were others.
    fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        let mut file = std::fs::File::create_new(&path)
            .with_context(|| format!("{}: choose an empty folder", path.display()))?;
        file.write_all(bytes)
            .with_context(|| path.display().to_string())
    }
}

/// The report for a person.
fn text(report: &ProbeReport) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = writeln!(out, "== {} ==", report.feed.table());
    for call in &report.calls {
        if let Some(request) = &call.request {
            let _ = writeln!(out, "{} {}", request.method, request.target);
            if let Some(body) = &request.body {
                let _ = writeln!(out, "  {body}");
            }
        }
        let _ = writeln!(
            out,
            "  status {}, {}, {} bytes, {} ms",
            call.status, call.content_type, call.bytes, call.took_ms
        );
    }
    if let Some(problem) = &report.problem {
        let _ = writeln!(
            out,
            "\nNot understood with the present settings:\n  {problem}"
        );
    }
    if !report.fields.is_empty() {
        let _ = writeln!(out, "\nFields");
    }
    for field in &report.fields {
        let line = match (&field.found, field.proposed) {
            (None, _) => "missing".to_owned(),
            (Some(name), false) => format!("\"{name}\", said in {} rows", field.rows),
            (Some(name), true) => format!("\"{name}\"? A guess, said in {} rows", field.rows),
        };
        let _ = writeln!(out, "  {:<12} {line}", field.field);
    }
    for column in &report.unused {
        let _ = writeln!(
            out,
            "  {:<12} \"{}\" ({})",
            "unused", column.name, column.kind
        );
    }
    list(&mut out, "What follows", &findings(report));
    list(&mut out, "First rows as they would be stored", &report.rows);
    if report.rejected > 0 {
        let head = format!("Rejected: {} rows, the first", report.rejected);
        list(&mut out, &head, &report.rejected_rows);
    }
    if !report.settings.is_empty() {
        let _ = writeln!(out, "\nSettings to paste\n\n{}", report.settings);
    }
    out
}

fn findings(report: &ProbeReport) -> Vec<String> {
    report
        .findings
        .iter()
        .map(|finding| format!("{}: {}", finding.about, finding.says))
        .collect()
}

fn list(out: &mut String, head: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{head}");
    for line in lines {
        let _ = writeln!(out, "  {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn arguments(line: &[&str]) -> Arguments {
        Line::parse_from([&["probe"], line].concat()).arguments
    }

    #[test]
    fn a_sample_is_explained_without_any_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let sample = folder.path().join("sample.json");
        std::fs::write(
            &sample,
            r#"{"x":{"list":[{"agentId":"a1","presence":"Available"}]}}"#,
        )
        .unwrap();
        let missing = folder.path().join("none.toml");
        let arguments = arguments(&[
            "--config",
            missing.to_str().unwrap(),
            "--feed",
            "realtime",
            "--from-file",
            sample.to_str().unwrap(),
        ]);
        let report = from_file(&arguments, &[ProbeFeed::Realtime], &sample).unwrap();
        let text = text(&report);
        for part in [
            "Not understood with the present settings",
            "\"presence\"? A guess",
            "agent a1  state \"Available\"",
            "envelope = \"/x/list\"",
            "state = [\"presence\", \"agent-status\"",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(run(&arguments).unwrap(), Exit::Ok);
    }

    #[test]
    fn one_file_is_one_answer() {
        let arguments = arguments(&["--feed", "configuration", "--from-file", "x.json"]);
        let error = run(&arguments).unwrap_err();
        assert_eq!(error.downcast_ref::<Failure>().unwrap().exit, Exit::Usage);
    }
}
