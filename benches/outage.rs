//! What the journal costs on disk (architecture §8): `cargo bench --bench outage`.
//!
//! A word (`written`, `allocated`) names one of the two; `delivered` a third, of the whole box: bytes
//! written a day at preset M with the contact volume read too and everything delivered, to a receiver
//! elsewhere and to SQLite beside the journal.
//!
//! The realtime feed follows a simulated centre poll by poll, through the real machine into a real
//! store on a real disk, while no destination is there. Two figures: bytes that a state transaction
//! takes after seven days at preset L, and bytes that are written at preset M: for a poll, and a day,
//! each day of a week.

#[path = "support/upstream.rs"]
mod upstream;

use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thrio_edge::collector::historical::HistoricalFeed;
use thrio_edge::collector::realtime::RealtimeFeed;
use thrio_edge::collector::{FeedWorker, SourceBoard};
use thrio_edge::domain::call::{
    AgentState, Do, HistoricalAnswer, HistoricalRow, Rejections, Snapshot, Timing,
};
use thrio_edge::domain::clock_offset::ClockOptions;
use thrio_edge::domain::historical::HistoricalOptions;
use thrio_edge::domain::ids::{BoxId, DestinationName, QueueId, RecordSeq, SourceName};
use thrio_edge::domain::interval::{IntervalStart, Window};
use thrio_edge::domain::realtime::{RealtimeOptions, SnapshotKind};
use thrio_edge::domain::record::{Figures, Record};
use thrio_edge::domain::timestamp::{MonoTime, Now, WallTime};
use thrio_edge::simulator::{AgentNow, Centre, Preset};
use thrio_edge::stop::{StopToken, Waker};
use thrio_edge::store::{ReadLimit, Store, StoreOptions};
use upstream::{Kind, Upstream};

/// 2026-01-05, a Monday, midnight in UTC.
const START_S: i64 = 1_767_571_200;
const DAY_S: u64 = 86_400;

/// A box without threads whose every step is told the time.
struct Edge {
    centre: Centre,
    store: Store,
    feed: FeedWorker<RealtimeFeed>,
    board: Arc<SourceBoard>,
    /// What else a whole box does.
    historical: Option<FeedWorker<HistoricalFeed>>,
    upstream: Option<Upstream>,
    /// Whether Thrio says when a state began.
    tells_since: bool,
    period: Duration,
}

#[derive(Debug, Default)]
struct Followed {
    polls: u64,
    /// Polls after which the journal was longer.
    with_changes: u64,
}

fn at(s: u64) -> Now {
    Now {
        wall: WallTime::from_s(START_S).plus(Duration::from_secs(s)),
        mono: MonoTime::new(Duration::from_secs(s)),
    }
}

impl Edge {
    fn new(folder: &Path, preset: Preset, period_s: u64, tells_since: bool) -> Self {
        let options = StoreOptions::new(
            folder.to_path_buf(),
            BoxId::new("bench").expect("a plain id"),
        );
        let store = Store::open(&options, at(0)).expect("a fresh folder").store;
        let source = SourceName::new("main").expect("a plain name");
        let board = SourceBoard::new(source.clone(), &store, Box::new(|| {}));
        let board = Arc::new(board.expect("a fresh store"));
        let period = Duration::from_secs(period_s);
        let options = RealtimeOptions {
            period,
            snapshot: SnapshotKind::Full,
            ..RealtimeOptions::default()
        };
        let feed = RealtimeFeed::new(source, options, &store, 1).expect("a fresh store");
        let (feed, _) = FeedWorker::new(
            feed,
            store.clone(),
            board.clone(),
            Waker::new(&StopToken::new()),
        );
        Self {
            centre: Centre::new(preset, 1),
            store,
            feed,
            board,
            historical: None,
            upstream: None,
            tells_since,
            period,
        }
    }

    /// The box reads contact volume too, and delivers.
    fn whole(mut self, kind: Kind, folder: &Path) -> Self {
        let source = SourceName::new("main").expect("a plain name");
        let options = HistoricalOptions {
            max_backfill: Duration::from_hours(24),
            ..HistoricalOptions::default()
        };
        let (clock, store) = (ClockOptions::default(), &self.store);
        let feed = HistoricalFeed::new(source, options, clock, store, at(0), 1);
        let (feed, _) = FeedWorker::new(
            feed.expect("a fresh store"),
            store.clone(),
            self.board.clone(),
            Waker::new(&StopToken::new()),
        );
        self.upstream = Some(Upstream::new(kind, folder, store, destination(), at(0)));
        self.historical = Some(feed);
        self
    }

    fn read_volume(&mut self, now: Now) {
        let Some(feed) = &mut self.historical else {
            return;
        };
        while let Do::Call(call) = feed.begin(now).expect("a sound store") {
            let answer = HistoricalAnswer {
                rows: volume(&self.centre, call.window, now),
                rejected: Rejections::default(),
            };
            let timing = Timing {
                sent: now,
                received: now,
                server_date: Some(now.wall),
            };
            feed.complete(now, timing, Ok(&answer)).expect("room");
        }
    }

    /// Goes on from second to second of the centre's life.
    fn follow(&mut self, seconds: Range<u64>) -> Followed {
        let mut snapshot = Snapshot::default();
        let mut followed = Followed::default();
        let mut s = seconds.start;
        while s < seconds.end {
            let now = at(s);
            if let Do::Call(_) = self.feed.begin(now).expect("a sound store") {
                self.see(now, &mut snapshot);
                let before = self.store.head();
                let timing = Timing {
                    sent: now,
                    received: now,
                    server_date: Some(now.wall),
                };
                self.feed
                    .complete(now, timing, Ok(&snapshot))
                    .expect("room");
                followed.polls += 1;
                followed.with_changes += u64::from(self.store.head() > before);
            }
            self.read_volume(now);
            if let Some(upstream) = &mut self.upstream {
                let begins = Duration::from_secs(s);
                upstream.deliver(begins, begins + self.period);
            }
            // The daemon does so every five seconds.
            self.maintain(now);
            s += self.period.as_secs();
        }
        followed
    }

    fn maintain(&self, now: Now) {
        self.store.maintain(now, &[destination()]).expect("room");
    }

    fn see(&self, now: Now, snapshot: &mut Snapshot) {
        snapshot.clear();
        for AgentNow {
            id,
            state,
            since_ms,
            ..
        } in self.centre.agents_at(now.wall.ms())
        {
            snapshot.push(AgentState {
                agent: &id,
                by_username: false,
                state: state.text(),
                since: since_ms.filter(|_| self.tells_since).map(WallTime::from_ms),
            });
        }
    }

    fn transactions(&self) -> u64 {
        let limit = ReadLimit {
            records: 10_000,
            bytes: usize::MAX,
        };
        let mut count = 0;
        let mut from = RecordSeq::new(1);
        loop {
            let page = self.store.read(from, limit).expect("sound");
            if page.records.is_empty() {
                return count;
            }
            let transactions = page.records.iter();
            count += transactions
                .filter(|one| matches!(one.record, Record::Transaction(_)))
                .count() as u64;
            from = page.next;
        }
    }
}

fn destination() -> DestinationName {
    DestinationName::new("db").expect("a plain name")
}

/// The figures of every queue and interval of the window, true zeros included.
fn volume(centre: &Centre, window: Window, now: Now) -> Vec<HistoricalRow> {
    let rows = centre.volumes(window.from.s(), window.to.s(), now.wall.ms());
    rows.map(|one| HistoricalRow {
        queue: QueueId::new(&one.queue).expect("an id"),
        interval_start: IntervalStart::containing(WallTime::from_s(one.start_s)),
        figures: Figures {
            entered: Some(one.volume.entered),
            abandoned: Some(one.volume.abandoned),
            handle_time_s: Some(one.volume.handle_time_s),
        },
    })
    .collect()
}

/// Bytes that this process has had written to a disk so far.
fn written_bytes() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").expect("Linux");
    let line = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).expect("a number")
}

/// Bytes that the folder's block device took so far, where it tells: a kernel with large folios
/// counts a whole one as written for each page of it that changes.
fn device_bytes(folder: &Path) -> Option<u64> {
    let device = std::fs::metadata(folder).ok()?.dev();
    let stat = format!(
        "/sys/dev/block/{}:{}/stat",
        rustix::fs::major(device),
        rustix::fs::minor(device)
    );
    let stat = std::fs::read_to_string(stat).ok()?;
    let sectors: u64 = stat.split_whitespace().nth(6)?.parse().ok()?;
    Some(sectors * 512)
}

fn outage(days: u64, tells_since: bool) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("room");
    let mut edge = Edge::new(folder.path(), Preset::L, 15, tells_since);
    let followed = edge.follow(0..days * DAY_S);
    let allocated = edge.store.stats().expect("open").allocated_bytes;
    let transactions = edge.transactions();
    println!(
        "outage of {days} days, preset L, 15-s polls, Thrio {} when a state began: \
         {transactions} transactions of {} polls, {:.1} allocated bytes each (goal 24)",
        if tells_since { "says" } else { "does not say" },
        followed.polls,
        lossy(allocated) / lossy(transactions),
    );
}

fn written() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("room");
    let mut edge = Edge::new(folder.path(), Preset::M, 5, true);
    // The reserve is written once in a box's life.
    edge.maintain(at(0));
    let (first, device_first) = (written_bytes(), device_bytes(folder.path()));
    for (day, name) in (0..7).zip(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]) {
        let before = written_bytes();
        let followed = edge.follow(day * DAY_S..(day + 1) * DAY_S);
        let bytes = lossy(written_bytes() - before);
        println!(
            "{name}, preset M, 5-s polls: {} of {} polls with changes, {:.1} KiB written for each \
             (goal 64), {:.0} MB that day",
            followed.with_changes,
            followed.polls,
            bytes / lossy(followed.with_changes) / 1024.0,
            bytes / 1e6,
        );
    }
    let stats = edge.store.stats().expect("open");
    println!(
        "  {:.1} MiB live, {:.1} allocated",
        lossy(stats.live_bytes) / 1_048_576.0,
        lossy(stats.allocated_bytes) / 1_048_576.0
    );
    let week = lossy(written_bytes() - first) / 1e6;
    println!(
        "the week: {week:.0} MB, {:.0} MB a day (goal 600)",
        week / 7.0
    );
    if let (Some(before), Some(after)) = (device_first, device_bytes(folder.path())) {
        println!(
            "  its device took {:.0} MB, the file system's own and other processes' included",
            lossy(after - before) / 1e6
        );
    }
}

/// The first day is the first of a box: a day of history comes in.
fn delivered(kind: Kind) {
    const DAYS: u64 = 3;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("room");
    let mut edge = Edge::new(folder.path(), Preset::M, 5, true).whole(kind, folder.path());
    edge.maintain(at(0));
    for day in 0..DAYS {
        let before = written_bytes();
        let batches = edge
            .upstream
            .as_ref()
            .map_or(0, |upstream| upstream.batches);
        let followed = edge.follow(day * DAY_S..(day + 1) * DAY_S);
        let upstream = edge.upstream.as_ref().expect("a whole box");
        println!(
            "delivered to {kind:?}, preset M, 5-s polls, day {}: {} polls with changes, {} batches, \
             {} left, {:.0} MB written (goal 600)",
            day + 1,
            followed.with_changes,
            upstream.batches - batches,
            upstream.backlog(&edge.store),
            lossy(written_bytes() - before) / 1e6,
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn lossy(value: u64) -> f64 {
    value as f64
}

fn main() {
    let only = std::env::args()
        .nth(1)
        .filter(|word| !word.starts_with('-'));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if wanted("written") {
        written();
    }
    if wanted("delivered") {
        delivered(Kind::Remote);
        delivered(Kind::Sqlite);
    }
    if wanted("allocated") {
        outage(1, false);
        outage(7, true);
    }
}
