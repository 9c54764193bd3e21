//! Asking a tenant for a probe: `thrio-edge probe`, and *Test connection* on the page.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::settings::with_suggestion;
use crate::clock::Clock;
use crate::config::{ConnectionConfig, SourceConfig};
use crate::domain::call::{ConfigurationAnswer, ConfigurationCall, HistoricalCall};
use crate::domain::ids::QueueId;
use crate::domain::interval::{IntervalStart, Window};
use crate::domain::record::Run;
use crate::stop::StopToken;
use crate::thrio::api::{ConfigurationConnection, IntervalFrom};
use crate::thrio::probe::{Asked, ProbeFeed, Prober, Sample, report};
use crate::thrio::{ThrioConnection, ThrioError};

/// The intervals that a probe asks for: as many as a live run.
const INTERVALS: i64 = 9;
/// The last quarter hour asked for is closed at least this long.
const SETTLE: Duration = Duration::from_mins(5);
/// How long one call of a test may take: somebody waits before the page.
const TEST_CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Between two polls of a test.
const TEST_PERIOD: Duration = Duration::from_secs(2);
/// How long a test may take in all: four calls of their time.
const TEST_TIMEOUT: Duration = Duration::from_mins(1);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProbeFailure {
    /// The settings cannot be used for it.
    #[error("{0}")]
    Configuration(String),
    /// The tenant did not answer.
    #[error(transparent)]
    Thrio(#[from] ThrioError),
}

/// Real requests of one source.
pub struct Probing<'a> {
    /// The source.
    pub source: &'a SourceConfig,
    /// The clock that windows are asked by.
    pub clock: Arc<dyn Clock>,
    /// What cuts it short.
    pub stop: StopToken,
    /// The queue to ask for where the source answers per queue.
    pub queue: Option<QueueId>,
    /// How many polls of realtime.
    pub polls: u32,
    /// Between two of them.
    pub period: Duration,
}

impl Probing<'_> {
    /// Asks; several answers for realtime, one else.
    pub fn samples(&self, feed: ProbeFeed) -> Result<Vec<Sample>, ProbeFailure> {
        let connection = self.connection(feed)?;
        let prober = Prober::new(
            connection.clone(),
            self.source.api.clone(),
            self.clock.clone(),
            self.stop.clone(),
        );
        match feed {
            ProbeFeed::Queues => Ok(vec![prober.ask(&Asked::Queues)?]),
            ProbeFeed::Agents => Ok(vec![prober.ask(&Asked::Agents)?]),
            ProbeFeed::Historical => {
                let call = self.window_call(&connection)?;
                Ok(vec![prober.ask(&Asked::Historical(call))?])
            }
            ProbeFeed::Realtime => {
                let mut samples = Vec::new();
                let mut since = None;
                for poll in 0..self.polls {
                    if poll > 0 {
                        self.stop.wait(self.period);
                    }
                    let sent = self.clock.now().wall;
                    samples.push(prober.ask(&Asked::Realtime(since))?);
                    since = Some(sent);
                }
                Ok(samples)
            }
        }
    }

    fn connection(&self, feed: ProbeFeed) -> Result<ThrioConnection, ProbeFailure> {
        let realtime = self.source.realtime.as_ref().map(|feed| &feed.connection);
        let historical = self.source.historical.as_ref().map(|feed| &feed.connection);
        let is_configuration = matches!(feed, ProbeFeed::Queues | ProbeFeed::Agents);
        let by_realtime = feed == ProbeFeed::Realtime
            || (is_configuration
                && self.source.configuration.connection == ConfigurationConnection::Realtime);
        let config = if by_realtime { realtime } else { historical };
        let Some(ConnectionConfig { options, password }) = config else {
            return Err(ProbeFailure::Configuration(format!(
                "source \"{}\" has no connection for this feed",
                self.source.name
            )));
        };
        ThrioConnection::new(options.clone(), password.provider(), self.clock.clone()).map_err(
            |problem| {
                let text = format!("{} = {}: {}", problem.field, problem.value, problem.hint);
                ProbeFailure::Configuration(text)
            },
        )
    }

    /// The last closed intervals: one where the answer does not say which.
    fn window_call(&self, connection: &ThrioConnection) -> Result<HistoricalCall, ProbeFailure> {
        let historical = &self.source.api.historical;
        let to = IntervalStart::containing(self.clock.now().wall.minus(SETTLE));
        let intervals = match historical.interval_from {
            IntervalFrom::Row => INTERVALS,
            IntervalFrom::Request => 1,
        };
        let queues = if self.queue.is_none() && historical.request().uses("queues") {
            self.queues(connection)?
        } else {
            Vec::new()
        };
        Ok(HistoricalCall {
            window: Window::new(to.plus(-intervals), to),
            queue: self.queue.clone(),
            queues,
            run: Run::Manual,
        })
    }

    fn queues(&self, connection: &ThrioConnection) -> Result<Vec<QueueId>, ProbeFailure> {
        let mut source = connection.source(&self.source.api, self.clock.clone(), self.stop.clone());
        let answered = source.configuration(ConfigurationCall::Queues)?;
        Ok(match answered.value {
            ConfigurationAnswer::Queues(list) => {
                list.entries.into_iter().map(|entry| entry.id).collect()
            }
            ConfigurationAnswer::Agents(_) => Vec::new(),
        })
    }
}

/// *Test connection*: in one sentence what worked or what to do, and the report.
pub(super) fn tested(
    source: &SourceConfig,
    feed: ProbeFeed,
    polls: u32,
    clock: &Arc<dyn Clock>,
) -> Value {
    let mut source = source.clone();
    let connections = [
        source.realtime.as_mut().map(|feed| &mut feed.connection),
        source.historical.as_mut().map(|feed| &mut feed.connection),
    ];
    for connection in connections.into_iter().flatten() {
        let timeout = &mut connection.options.call_timeout;
        *timeout = TEST_CALL_TIMEOUT.min(*timeout);
    }
    let stop = StopToken::new();
    let probing = Probing {
        source: &source,
        clock: Arc::clone(clock),
        stop: stop.clone(),
        queue: None,
        polls,
        period: TEST_PERIOD,
    };
    let cut = Cut::after(TEST_TIMEOUT, stop);
    let samples = probing.samples(feed);
    drop(cut);
    match samples {
        Err(error) => json!({"ok": false, "message": error.to_string(), "report": null}),
        Ok(samples) => told(&report(feed, &samples, &source.api)),
    }
}

fn told(report: &crate::thrio::probe::ProbeReport) -> Value {
    let message = match &report.problem {
        Some(problem) => {
            format!("An answer came, and these settings do not understand it: {problem}")
        }
        None => format!(
            "An answer came and is understood: {} bytes, the first rows are below",
            report.calls.first().map_or(0, |call| call.bytes)
        ),
    };
    let value = serde_json::to_value(report).expect("a report is plain data");
    let report_map = match value {
        Value::Object(map) => with_suggestion(map),
        _ => serde_json::Map::new(),
    };
    json!({"ok": report.problem.is_none(), "message": message, "report": report_map})
}

/// Stops a token after a time, unless it is dropped before.
struct Cut {
    ended: StopToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Cut {
    fn after(time: Duration, stop: StopToken) -> Self {
        let ended = StopToken::new();
        let token = ended.clone();
        let thread = std::thread::Builder::new()
            .name("test-timeout".to_owned())
            .spawn(move || {
                if token.wait(time) != crate::stop::Woken::Stopped {
                    stop.stop();
                }
            });
        Self {
            ended,
            thread: thread.ok(),
        }
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.ended.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
