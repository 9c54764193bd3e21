//! Comparing what the box holds with what a destination holds, by command and once a night.
//!
//! It runs beside the destination's worker, on a connection of its own, day by day, so that its
//! memory does not grow with the span. What is sent again goes through the worker.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::Builder;

use serde_json::{Value, json};

use super::commands::refuse_store;
use super::delivery_commands::refuse_send;
use super::{Parts, connector, lock};
use crate::clock::Clock;
use crate::config::DestinationConfig;
use crate::control::Refusal;
use crate::control::protocol::QUARANTINE_PAGE_MAX;
use crate::control::status::ReconcileStatus;
use crate::destination::Destination;
use crate::domain::batch::DeliveryFilter;
use crate::domain::ids::{Feed, RecordSeq, SourceName};
use crate::domain::interval::{IntervalStart, Window};
use crate::domain::reconcile::{Day, Difference, OwnHoldings, Settled};
use crate::domain::record::Record;
use crate::domain::timestamp::WallTime;
use crate::lifecycle::exit::Exit;
use crate::store::{ReadLimit, Store, StoreError};

/// Records of one read of the journal.
const PAGE: ReadLimit = ReadLimit {
    records: 2_000,
    bytes: 1 << 20,
};
/// Intervals are read by so many quarter hours at once: at preset XL that is 8,000 rows.
const INTERVALS_AT_ONCE: i64 = 4;
/// The differences that an answer lists; all of them are counted.
const LISTED_MAX: usize = 1_000;
/// Records that one repair sends again; beyond that a replay is the better way.
const RESENT_MAX: usize = 200_000;
/// The longest span of one comparison.
const DAYS_MAX: i64 = 400;
/// The days before today that the nightly comparison covers: as far as the nightly re-read.
const NIGHTLY_DAYS: i64 = 7;

/// What is compared.
pub(super) struct Comparison<'a> {
    pub(super) store: &'a Store,
    pub(super) sources: &'a [SourceName],
    pub(super) config: &'a DestinationConfig,
    pub(super) clock: Arc<dyn Clock>,
}

/// What came of a comparison.
#[derive(Debug, Default)]
pub(super) struct Compared {
    from: Option<Day>,
    to: Option<Day>,
    /// Queue-days and agent-days that were judged.
    judged: u64,
    /// Those that could not be judged yet.
    open: u64,
    /// Days whose transactions the journal keeps no more, or not wholly.
    days_without_transactions: u64,
    differences: u64,
    listed: Vec<Value>,
    /// What a repair sends again.
    pub(super) resend: BTreeSet<RecordSeq>,
    /// More would have to be sent again than one repair does.
    cut_off: bool,
}

impl Comparison<'_> {
    /// Compares the UTC days that the span touches; today's are compared as far as they are
    /// acknowledged. `goes_on` is asked before each day.
    pub(super) fn run(
        &self,
        from: WallTime,
        to: WallTime,
        mut goes_on: impl FnMut(Value) -> bool,
    ) -> Result<Compared, Refusal> {
        let (first, end) = self.days(from, to)?;
        let mut found = Compared {
            from: Some(first),
            to: Some(end),
            ..Compared::default()
        };
        let mut destination = connector(&self.config.target, Arc::clone(&self.clock));
        let filter = self.config.delivery.filter();
        let kept_from = self.transactions_kept_from().map_err(refuse_store)?;
        let mut day = first;
        while day < end {
            if !goes_on(json!({"day": date(day)})) {
                let message = "nobody waits for the comparison any more";
                return Err(Refusal::new(Exit::Unavailable, message));
            }
            for source in self.sources {
                self.compare(
                    destination.as_mut(),
                    &filter,
                    source,
                    (day, kept_from),
                    &mut found,
                )?;
            }
            day = day.next();
        }
        Ok(found)
    }

    /// Whole days, none of them before `facts_from`.
    fn days(&self, from: WallTime, to: WallTime) -> Result<(Day, Day), Refusal> {
        let mut first = Day::containing(from);
        if let Some(facts_from) = self.config.delivery.facts_from {
            let bound = Day::containing(facts_from.start());
            let whole = bound.start() == facts_from.start();
            first = first.max(if whole { bound } else { bound.next() });
        }
        let last = Day::containing(to);
        let end = if last.start() == to {
            last
        } else {
            last.next()
        };
        let days = end.start().ms_since(first.start()) / crate::domain::reconcile::DAY_MS;
        if days <= 0 || days > DAYS_MAX {
            let message = format!(
                "from {first} to {end} are not 1 to {DAYS_MAX} days",
                first = date(first),
                end = date(end)
            );
            return Err(Refusal::new(Exit::Usage, message));
        }
        Ok((first, end))
    }

    fn compare(
        &self,
        destination: &mut dyn Destination,
        filter: &DeliveryFilter,
        source: &SourceName,
        (day, kept_from): (Day, Option<Day>),
        found: &mut Compared,
    ) -> Result<(), Refusal> {
        let (volumes, mut transactions) = (
            filter.allows(source, Feed::Historical),
            filter.allows(source, Feed::Realtime),
        );
        if transactions && kept_from.is_none_or(|kept| day < kept) {
            transactions = false;
            found.days_without_transactions += 1;
        }
        // What was acknowledged before the destination is asked must be there.
        let settled = self.settled().map_err(refuse_store)?;
        let there = destination.holdings(source, day);
        let there = there.map_err(|error| refuse_send(&self.config.name, &error))?;
        let Some(mut there) = there else {
            let (name, kind) = (&self.config.name, self.config.target.kind());
            let message = format!("{name}: a destination of kind {kind} cannot be compared");
            return Err(Refusal::new(Exit::Usage, message));
        };
        let mut own = OwnHoldings::default();
        if volumes {
            self.for_intervals(source, day, |seq, record| {
                own.add_interval(&record.queue, record.figures, settled.contains(seq));
            })
            .map_err(refuse_store)?;
        } else {
            there.volumes.clear();
        }
        if transactions {
            self.for_transactions(source, day, |seq, record| {
                own.add_transaction(&record.agent, settled.contains(seq));
            })
            .map_err(refuse_store)?;
        } else {
            there.transactions.clear();
        }
        found.judged += own.compared();
        found.open += own.open();
        let differences = own.differences(&there);
        self.note(source, day, &differences, found)
            .map_err(refuse_store)
    }

    fn settled(&self) -> Result<Settled, StoreError> {
        let mut refused = BTreeSet::new();
        let mut from = RecordSeq::ZERO;
        loop {
            let page = self
                .store
                .quarantine_list(&self.config.name, from, QUARANTINE_PAGE_MAX)?;
            let Some(last) = page.last() else { break };
            from = last.record.seq.next();
            refused.extend(page.iter().map(|entry| entry.record.seq));
        }
        Ok(Settled::new(
            &self.store.progress(&self.config.name),
            refused,
        ))
    }

    /// The first day of which the journal still holds every transaction.
    fn transactions_kept_from(&self) -> Result<Option<Day>, StoreError> {
        if self.store.first() <= RecordSeq::new(1) {
            return Ok(Some(Day::containing(WallTime::from_ms(0))));
        }
        let mut kept = None;
        self.for_records(self.store.first(), |_, record| {
            if let Record::Transaction(record) = record {
                kept = Some(Day::containing(record.observed_at).next());
            }
            kept.is_none()
        })?;
        Ok(kept)
    }

    fn for_intervals(
        &self,
        source: &SourceName,
        day: Day,
        mut each: impl FnMut(RecordSeq, &crate::domain::record::IntervalRecord),
    ) -> Result<(), StoreError> {
        let mut from = IntervalStart::containing(day.start());
        let end = IntervalStart::containing(day.end());
        while from < end {
            let window = Window::new(from, from.plus(INTERVALS_AT_ONCE));
            for (seq, record) in self.store.intervals(source, window, usize::MAX)? {
                each(seq, &record);
            }
            from = from.plus(INTERVALS_AT_ONCE);
        }
        Ok(())
    }

    fn for_transactions(
        &self,
        source: &SourceName,
        day: Day,
        mut each: impl FnMut(RecordSeq, &crate::domain::record::StateTransaction),
    ) -> Result<(), StoreError> {
        // One about a day may be journaled long after it: a gap's first moment is its beginning.
        self.for_records(self.store.seq_at(day.start())?, |seq, record| {
            if let Record::Transaction(record) = record
                && record.source == *source
                && Day::containing(record.started_at) == day
            {
                each(seq, record);
            }
            true
        })
    }

    fn for_records(
        &self,
        from: RecordSeq,
        mut each: impl FnMut(RecordSeq, &Record) -> bool,
    ) -> Result<(), StoreError> {
        let head = self.store.head();
        let mut next = from;
        while next <= head {
            let page = self.store.read(next, PAGE)?;
            for entry in &page.records {
                if !each(entry.seq, &entry.record) {
                    return Ok(());
                }
            }
            next = page.next;
        }
        Ok(())
    }

    /// Lists the differences of a day, and gathers what would mend them.
    fn note(
        &self,
        source: &SourceName,
        day: Day,
        differences: &[Difference],
        found: &mut Compared,
    ) -> Result<(), StoreError> {
        found.differences += differences.len() as u64;
        let (mut queues, mut agents) = (BTreeSet::new(), BTreeSet::new());
        for difference in differences {
            match difference {
                Difference::Volumes { queue, .. } => drop(queues.insert(queue.clone())),
                Difference::Transactions { agent, .. } => drop(agents.insert(agent.clone())),
            }
            if found.listed.len() < LISTED_MAX {
                let mut value = serde_json::to_value(difference).expect("plain data");
                value["source"] = json!(source);
                value["day"] = json!(date(day));
                found.listed.push(value);
            }
        }
        let mut gathered = BTreeSet::new();
        if !queues.is_empty() {
            self.for_intervals(source, day, |seq, record| {
                if queues.contains(&record.queue) {
                    gathered.insert(seq);
                }
            })?;
        }
        if !agents.is_empty() {
            self.for_transactions(source, day, |seq, record| {
                if agents.contains(&record.agent) {
                    gathered.insert(seq);
                }
            })?;
        }
        let room = RESENT_MAX.saturating_sub(found.resend.len());
        found.cut_off |= gathered.len() > room;
        found.resend.extend(gathered.into_iter().take(room));
        Ok(())
    }
}

impl Compared {
    /// The answer of the command.
    pub(super) fn answer(&self, config: &DestinationConfig, resent: Option<usize>) -> Value {
        json!({
            "destination": config.name,
            "from": self.from.map(date),
            "to": self.to.map(date),
            "compared": self.judged,
            "not_judged": self.open,
            "days_without_transactions": self.days_without_transactions,
            "differences": self.listed,
            "differences_count": self.differences,
            "resent": resent,
            "resent_all": !self.cut_off,
        })
    }

    /// What `status` keeps of it.
    pub(super) fn status(&self, at: WallTime) -> ReconcileStatus {
        ReconcileStatus {
            at: Some(at),
            from: self.from.map(date),
            to: self.to.map(date),
            compared: self.judged,
            not_judged: self.open,
            differences: self.differences,
            error: None,
        }
    }
}

/// The day as people write it.
fn date(day: Day) -> String {
    day.start().to_string().chars().take(10).collect()
}

impl Parts {
    /// Starts the comparisons that are due, one after the other on one thread.
    pub(super) fn reconcile_where_due(self: &Arc<Self>) {
        let now = self.clock.now().wall;
        let due: Vec<DestinationConfig> = {
            let config = &lock(&self.applied).config;
            let mut nights = lock(&self.nights);
            let wanted = config.destinations.iter();
            wanted
                .filter_map(|config| {
                    let at = config.reconcile_at?;
                    nights.is_due(&config.name, at, now).then(|| config.clone())
                })
                .collect()
        };
        if due.is_empty() {
            return;
        }
        let parts = Arc::clone(self);
        let spawned = Builder::new().name("reconcile".to_owned()).spawn(move || {
            for config in due {
                parts.reconcile_by_night(&config);
            }
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread for the nightly comparison");
        }
    }

    fn reconcile_by_night(&self, config: &DestinationConfig) {
        let to = Day::containing(self.clock.now().wall).start();
        let from = to
            .minus(std::time::Duration::from_hours(24) * u32::try_from(NIGHTLY_DAYS).unwrap_or(1));
        let (name, done) = (
            &config.name,
            self.reconcile(config, from, to, &mut |_| true),
        );
        match done {
            Ok(found) if found.differences > 0 => tracing::warn!(
                destination = %name, differences = found.differences,
                "the destination holds something else than the box; `reconcile --repair` mends it"
            ),
            Ok(found) => {
                tracing::info!(destination = %name, compared = found.judged, "reconciled");
            }
            Err(error) => tracing::warn!(destination = %name, %error, "not reconciled"),
        }
    }

    /// Compares, and keeps the result for `status`.
    pub(super) fn reconcile(
        &self,
        config: &DestinationConfig,
        from: WallTime,
        to: WallTime,
        progress: &mut dyn FnMut(Value) -> bool,
    ) -> Result<Compared, Refusal> {
        let sources = super::sources::names(&lock(&self.applied).config);
        let comparison = Comparison {
            store: &self.store,
            sources: &sources,
            config,
            clock: Arc::clone(&self.clock),
        };
        let found = comparison.run(from, to, |value| progress(value) && !self.is_stopping());
        let at = self.clock.now().wall;
        let status = match &found {
            Ok(found) => found.status(at),
            Err(refusal) => ReconcileStatus {
                at: Some(at),
                error: Some(refusal.to_string()),
                ..ReconcileStatus::default()
            },
        };
        lock(&self.nights).note(&config.name, status);
        found
    }
}
