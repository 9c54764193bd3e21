//! What the commands ask about destinations: quarantine, replay, claim. The same whether a daemon
//! runs (then the destination's worker does it) or not (then it is done to what the store keeps).

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use serde_json::{Value, json};

use super::commands::refuse_store;
use super::reconcile::{Compared, Comparison};
use super::{Parts, connector, lock};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, DestinationConfig};
use crate::control::protocol::QUARANTINE_PAGE_MAX;
use crate::control::{QuarantineChoice, Refusal, ReplayFrom, Request};
use crate::destination::{SendError, Writer};
use crate::domain::ids::{DestinationName, RecordSeq, SeqRange, SourceName};
use crate::domain::reconcile::Day;
use crate::domain::record::Record;
use crate::domain::timestamp::{Now, WallTime};
use crate::forwarder::{ForwardCommand, ForwardSettings, ForwardWorker, Obeyed};
use crate::lifecycle::exit::Exit;
use crate::stop::{StopToken, Waker};
use crate::store::{Quarantined, Store};

/// How long a worker may take to answer before a person is told that it will do it later: it may
/// be in a call that hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// How far back a comparison goes by itself: as far as the nightly re-read.
const DAYS_BACK: Duration = Duration::from_hours(7 * 24);

/// What a destination's side made of a command.
pub(super) enum Reached {
    Obeyed(Obeyed),
    /// Its worker is in a call, and does it afterwards.
    Later,
}

/// Carries a command to a destination's side.
type Carry<'a> = dyn Fn(&DestinationConfig, ForwardCommand) -> Result<Reached, Refusal> + 'a;

/// Compares, and is told how far it is.
type Reconcile<'a> =
    dyn FnMut(&DestinationConfig, WallTime, WallTime) -> Result<Compared, Refusal> + 'a;

/// The destinations of a box, for one command.
struct Upstream<'a> {
    store: &'a Store,
    now: Now,
    sources: &'a [SourceName],
    destinations: &'a [DestinationConfig],
    carry: &'a Carry<'a>,
    reconcile: &'a mut Reconcile<'a>,
}

impl Parts {
    /// Does what a command asks about destinations.
    pub(super) fn perform_upstream(
        &self,
        request: &Request,
        progress: &mut dyn FnMut(Value) -> bool,
    ) -> Result<Value, Refusal> {
        let config = lock(&self.applied).config.clone();
        let carry = |destination: &DestinationConfig, command| {
            self.carry_to_worker(&destination.name, command)
        };
        Upstream {
            store: &self.store,
            now: self.clock.now(),
            reconcile: &mut |config, from, to| self.reconcile(config, from, to, progress),
            sources: &super::sources::names(&config),
            destinations: &config.destinations,
            carry: &carry,
        }
        .perform(request)
    }

    fn carry_to_worker(
        &self,
        name: &DestinationName,
        command: ForwardCommand,
    ) -> Result<Reached, Refusal> {
        let handle = {
            let running = lock(&self.destinations);
            let found = running.iter().find(|d| d.config.name == *name);
            found.map(|d| d.handle.clone())
        };
        let asked = handle.and_then(|handle| handle.ask(command));
        let ended = || Refusal::new(Exit::Unavailable, format!("{name} is stopping; ask again"));
        match asked.ok_or_else(ended)?.recv_timeout(ANSWER_TIMEOUT) {
            Ok(Ok(obeyed)) => Ok(Reached::Obeyed(obeyed)),
            Ok(Err(error)) => Err(refuse_store(error)),
            Err(RecvTimeoutError::Timeout) => Ok(Reached::Later),
            Err(RecvTimeoutError::Disconnected) => Err(ended()),
        }
    }
}

/// Does what a command asks about destinations where no daemon runs.
pub(super) fn perform_at_rest(
    store: &Store,
    config: &Config,
    now: Now,
    request: &Request,
    progress: &mut dyn FnMut(Value) -> bool,
) -> Result<Value, Refusal> {
    let sources = super::sources::names(config);
    let carry = |destination: &DestinationConfig, command| {
        let obeyed = match command {
            ForwardCommand::Claim(source) => claim(store, &sources, destination, source)?,
            ForwardCommand::RetryNow | ForwardCommand::Resend(_) => {
                let message = "this needs a running daemon";
                return Err(Refusal::new(Exit::Unavailable, message));
            }
            command => obey(store, &sources, destination, command, now)?,
        };
        Ok(Reached::Obeyed(obeyed))
    };
    let mut reconcile = |config: &DestinationConfig, from, to| {
        let comparison = Comparison {
            store,
            sources: &sources,
            config,
            clock: Arc::new(SystemClock::new()),
        };
        comparison.run(from, to, &mut *progress)
    };
    Upstream {
        store,
        now,
        reconcile: &mut reconcile,
        sources: &sources,
        destinations: &config.destinations,
        carry: &carry,
    }
    .perform(request)
}

fn obey(
    store: &Store,
    sources: &[SourceName],
    destination: &DestinationConfig,
    command: ForwardCommand,
    now: Now,
) -> Result<Obeyed, Refusal> {
    let name = &destination.name;
    if !store.progress(name).begun {
        let message = format!("{name} was never served yet: nothing was sent there");
        return Err(Refusal::new(Exit::Usage, message));
    }
    let settings = ForwardSettings {
        name: name.clone(),
        options: destination.delivery.clone(),
        sources: sources.to_vec(),
        heartbeat: Box::new(|_| unreachable!("nothing is sent at rest")),
        seed: 0,
    };
    let waker = Waker::new(&StopToken::new());
    let worker = ForwardWorker::new(settings, store.clone(), waker);
    let obeyed = worker.and_then(|(worker, _)| worker.obey_at_rest(command, now));
    obeyed.map_err(refuse_store)
}

/// Opens the destination as the daemon would, which claims the source.
fn claim(
    store: &Store,
    sources: &[SourceName],
    destination: &DestinationConfig,
    source: SourceName,
) -> Result<Obeyed, Refusal> {
    let filter = destination.delivery.filter();
    let allowed =
        |source: &&SourceName| filter.sources.is_empty() || filter.sources.contains(source);
    let writer = Writer {
        box_id: store.box_id(),
        store_id: store.store_id(),
        sources: sources.iter().filter(allowed).cloned().collect(),
        take_over: vec![source],
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let opened = connector(&destination.target, clock).open(&writer);
    opened
        .map(|_| Obeyed::Claimed)
        .map_err(|error| refuse_send(&destination.name, &error))
}

pub(super) fn refuse_send(name: &DestinationName, error: &SendError) -> Refusal {
    Refusal::new(Exit::Unavailable, format!("{name}: {error}"))
}

impl<'a> Upstream<'a> {
    fn perform(&mut self, request: &Request) -> Result<Value, Refusal> {
        match request {
            Request::QuarantineList {
                destination,
                from_seq,
                limit,
            } => self.list(destination.as_deref(), *from_seq, *limit),
            Request::QuarantineShow { destination, seq } => {
                let config = self.named(destination)?;
                self.entry(config, *seq).map(|entry| whole(&entry))
            }
            Request::QuarantineRetry {
                destination,
                records,
            } => self.settle(
                destination,
                records,
                "retrying",
                ForwardCommand::RetryQuarantined,
            ),
            Request::QuarantineDiscard {
                destination,
                records,
            } => self.settle(
                destination,
                records,
                "discarded",
                ForwardCommand::DiscardQuarantined,
            ),
            Request::Replay { destination, from } => self.replay(destination, *from),
            Request::ReplayStop { destination } => {
                self.simple(destination, ForwardCommand::StopReplay)
            }
            Request::DestinationRetry { destination } => {
                self.simple(destination, ForwardCommand::RetryNow)
            }
            Request::Claim {
                source,
                destination,
            } => self.claim(source, destination),
            Request::Reconcile {
                destination,
                from,
                to,
                repair,
            } => self.reconcile(destination, (*from, *to), *repair),
            _ => Err(Refusal::new(
                Exit::Unavailable,
                "this needs a running daemon",
            )),
        }
    }

    fn named(&self, name: &str) -> Result<&'a DestinationConfig, Refusal> {
        let found = self.destinations.iter().find(|d| d.name.as_str() == name);
        found.ok_or_else(|| {
            let known: Vec<&str> = self.destinations.iter().map(|d| d.name.as_str()).collect();
            let known = known.join(", ");
            let message = format!("no destination \"{name}\" is configured (there are: {known})");
            Refusal::new(Exit::Usage, message)
        })
    }

    fn list(&self, of: Option<&str>, from: u64, limit: usize) -> Result<Value, Refusal> {
        let chosen = match of {
            Some(name) => vec![self.named(name)?],
            None => self.destinations.iter().collect(),
        };
        let limit = limit.clamp(1, QUARANTINE_PAGE_MAX);
        let mut entries = Vec::new();
        let mut more = false;
        for config in chosen {
            let left = limit - entries.len();
            // One beyond the page tells whether there are more.
            let found = self
                .store
                .quarantine_list(&config.name, RecordSeq::new(from), left + 1)
                .map_err(refuse_store)?;
            more |= found.len() > left;
            entries.extend(found.iter().take(left).map(brief));
        }
        Ok(json!({"quarantine": entries, "more": more}))
    }

    fn entry(&self, config: &DestinationConfig, seq: u64) -> Result<Quarantined, Refusal> {
        let seq = RecordSeq::new(seq);
        let found = self.store.quarantine_list(&config.name, seq, 1);
        let found = found.map_err(refuse_store)?.into_iter().next();
        found
            .filter(|entry| entry.record.seq == seq)
            .ok_or_else(|| {
                let message = format!("{} has no record {seq} in quarantine", config.name);
                Refusal::new(Exit::Usage, message)
            })
    }

    /// Retries or discards; every named record must be there, or nothing is done.
    fn settle(
        &self,
        destination: &str,
        choice: &QuarantineChoice,
        word: &str,
        command: impl Fn(Vec<RecordSeq>) -> ForwardCommand,
    ) -> Result<Value, Refusal> {
        let config = self.named(destination)?;
        let seqs = match choice {
            QuarantineChoice::All => self.all(config)?,
            QuarantineChoice::Seqs(seqs) => {
                for seq in seqs {
                    self.entry(config, *seq)?;
                }
                seqs.iter().copied().map(RecordSeq::new).collect()
            }
        };
        let count = seqs.len();
        let reached = (self.carry)(config, command(seqs))?;
        Ok(json!({
            "destination": config.name,
            word: count,
            "later": matches!(reached, Reached::Later),
        }))
    }

    fn all(&self, config: &DestinationConfig) -> Result<Vec<RecordSeq>, Refusal> {
        let mut seqs: Vec<RecordSeq> = Vec::new();
        loop {
            let from = seqs.last().map_or(RecordSeq::ZERO, |last| last.next());
            let page = self
                .store
                .quarantine_list(&config.name, from, QUARANTINE_PAGE_MAX)
                .map_err(refuse_store)?;
            if page.is_empty() {
                return Ok(seqs);
            }
            seqs.extend(page.iter().map(|entry| entry.record.seq));
        }
    }

    fn replay(&self, destination: &str, from: ReplayFrom) -> Result<Value, Refusal> {
        let config = self.named(destination)?;
        let command = match from {
            ReplayFrom::Seq(seq) => ForwardCommand::ReplayFromSeq(RecordSeq::new(seq)),
            ReplayFrom::Time(at) => ForwardCommand::ReplayFrom(at),
        };
        let reached = (self.carry)(config, command)?;
        let range = match &reached {
            Reached::Obeyed(Obeyed::Replaying(range)) => *range,
            _ => None,
        };
        Ok(json!({
            "destination": config.name,
            "from_seq": range.map(|range| range.first),
            "to_seq": range.map(|range| range.last),
            "records": range.map_or(0, SeqRange::count),
            "oldest_kept_seq": self.store.first(),
            "later": matches!(reached, Reached::Later),
        }))
    }

    fn simple(&self, destination: &str, command: ForwardCommand) -> Result<Value, Refusal> {
        let config = self.named(destination)?;
        let reached = (self.carry)(config, command)?;
        Ok(json!({
            "destination": config.name,
            "later": matches!(reached, Reached::Later),
        }))
    }

    /// Compares, and where it is asked for sends again what differs.
    fn reconcile(
        &mut self,
        destination: &str,
        (from, to): (Option<WallTime>, Option<WallTime>),
        repair: bool,
    ) -> Result<Value, Refusal> {
        let config = self.named(destination)?;
        let to = to.unwrap_or_else(|| Day::containing(self.now.wall).start());
        let from = from.unwrap_or_else(|| to.minus(DAYS_BACK));
        let found = (self.reconcile)(config, from, to)?;
        let resent = if repair && !found.resend.is_empty() {
            let seqs: Vec<RecordSeq> = found.resend.iter().copied().collect();
            let count = seqs.len();
            (self.carry)(config, ForwardCommand::Resend(seqs))?;
            Some(count)
        } else {
            repair.then_some(0)
        };
        Ok(found.answer(config, resent))
    }

    fn claim(&self, source: &str, destination: &str) -> Result<Value, Refusal> {
        let config = self.named(destination)?;
        let usage = |message: String| Refusal::new(Exit::Usage, message);
        let known = self.sources.iter().find(|s| s.as_str() == source);
        let known = known.ok_or_else(|| usage(format!("no source \"{source}\" is configured")))?;
        let only = &config.delivery.sources;
        if !only.is_empty() && !only.contains(known) {
            let message = format!("{destination} does not take source {source} (its `sources`)");
            return Err(usage(message));
        }
        if config.delivery.paused {
            return Err(usage(format!("{destination} is paused by its settings")));
        }
        let reached = (self.carry)(config, ForwardCommand::Claim(known.clone()))?;
        if let Reached::Obeyed(Obeyed::NotClaimedYet(why)) = reached {
            let message = format!("{destination}: {why}; it is asked again until it is reached");
            return Err(Refusal::new(Exit::Unavailable, message));
        }
        Ok(json!({
            "source": known,
            "destination": config.name,
            "later": matches!(reached, Reached::Later),
        }))
    }
}

/// A refused record in one line.
fn brief(entry: &Quarantined) -> Value {
    let record = &entry.record.record;
    json!({
        "destination": entry.destination,
        "seq": entry.record.seq,
        "source": record.source(),
        "feed": record.feed(),
        "kind": kind(record),
        "key": key(record),
        "about": rfc3339(record.about()),
        "refused_at": rfc3339(entry.at),
        "reason": entry.reason,
    })
}

/// A refused record and all that it holds.
fn whole(entry: &Quarantined) -> Value {
    let mut value = brief(entry);
    value["record"] = serde_json::to_value(&entry.record.record).expect("a record is plain data");
    value
}

fn rfc3339(at: WallTime) -> String {
    at.to_string()
}

/// The word for a record's kind, as in docs/tables.md.
fn kind(record: &Record) -> &'static str {
    match record {
        Record::Interval(_) => "interval",
        Record::Transaction(_) => "transaction",
        Record::Agent(_) => "agent",
        Record::Queue(_) => "queue",
        Record::Coverage(_) => "coverage",
        Record::StateCode(_) => "state_code",
    }
}

/// Which agent, queue, feed or state it is about.
fn key(record: &Record) -> &str {
    match record {
        Record::Interval(r) => r.queue.as_str(),
        Record::Transaction(r) => r.agent.as_str(),
        Record::Agent(r) => r.agent.as_str(),
        Record::Queue(r) => r.queue.as_str(),
        Record::Coverage(r) => r.feed.as_str(),
        Record::StateCode(r) => r.state.as_str(),
    }
}
