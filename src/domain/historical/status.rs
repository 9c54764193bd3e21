//! What `status` says of the historical feed.

use super::super::backfill::BackfillState;
use super::super::coverage::CoverageSummary;
use super::super::interval::IntervalStart;
use super::super::record::Run;
use super::super::timestamp::{MonoTime, Now};
use super::machine::HistoricalMachine;
use super::track::Track;

/// What the feed is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoricalPhase {
    /// A call is under way.
    Asking(Run),
    /// The next call has its time.
    Waiting,
    /// The last live call failed; the next one comes after a wait.
    BackingOff,
    /// A person is needed; it is tried again slowly.
    Held,
    /// Calls must name their queues, and no import has listed any yet.
    NoQueues,
}

/// The feed at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoricalStatus {
    /// What it is doing.
    pub phase: HistoricalPhase,
    /// When it acts next.
    pub next_at: MonoTime,
    /// Why it is held, where it is.
    pub held: Option<String>,
    /// Runs that are under way, and how many intervals they still have to read.
    pub runs: Vec<(Run, u64)>,
    /// How much is missing.
    pub coverage: CoverageSummary,
    /// Backfills under way, and the last ones that finished.
    pub backfills: Vec<BackfillState>,
    /// How far the newest figures lie behind what should be there, in seconds.
    pub lag_s: u64,
}

impl HistoricalMachine {
    /// The feed at this moment.
    pub fn status(&self, now: Now) -> HistoricalStatus {
        let phase = if let Some(flight) = &self.in_flight {
            HistoricalPhase::Asking(flight.lane.run())
        } else if self.held.is_some() {
            HistoricalPhase::Held
        } else if self.needs_queues() && self.active.is_empty() {
            HistoricalPhase::NoQueues
        } else if self.gates.live_fails() {
            HistoricalPhase::BackingOff
        } else {
            HistoricalPhase::Waiting
        };
        let tracks = [
            (Run::Live, &self.live),
            (Run::Hourly, &self.hourly),
            (Run::Nightly, &self.nightly),
            (Run::Manual, &self.manual),
        ];
        let left =
            |track: &Option<Track>| track.as_ref().map_or(0, |t| t.rest.len().unsigned_abs());
        let runs = tracks.map(|(run, track)| (run, left(track)));
        HistoricalStatus {
            phase,
            next_at: self.next_at,
            held: self.held.clone(),
            runs: runs.into_iter().filter(|(_, left)| *left > 0).collect(),
            coverage: self
                .coverage
                .summary(IntervalStart::containing(self.installed_at)),
            backfills: self.backfills().to_vec(),
            lag_s: self.lag_s(now),
        }
    }

    /// How far the newest figures lie behind what should be there, in seconds.
    pub fn lag_s(&self, now: Now) -> u64 {
        let settled_to = self.schedule.settled_to(self.clock.due_time(now));
        let newest = self.coverage.newest_fetched();
        let installed = IntervalStart::containing(self.installed_at);
        let reached = newest.map_or(installed, |start| start.plus(1));
        u64::try_from(settled_to.s() - reached.s()).unwrap_or(0)
    }
}
