//! The event queue: one box after another on one disk, a source that misbehaves, a clock that
//! jumps, and power that fails, all from one seed.

mod steps;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use thrio_edge::collector::configuration::ConfigurationFeed;
use thrio_edge::collector::historical::HistoricalFeed;
use thrio_edge::collector::realtime::RealtimeFeed;
use thrio_edge::collector::{FeedWorker, SourceBoard};
use thrio_edge::domain::call::{
    CallFailure, ConfigurationAnswer, HistoricalAnswer, Snapshot, Timing,
};
use thrio_edge::domain::clock_offset::ClockOptions;
use thrio_edge::domain::configuration::ConfigurationOptions;
use thrio_edge::domain::delivery::{DeliveryBalance, DeliveryOptions};
use thrio_edge::domain::health::Heartbeat;
use thrio_edge::domain::historical::HistoricalOptions;
use thrio_edge::domain::ids::{BoxId, DestinationName, SourceName};
use thrio_edge::domain::realtime::RealtimeOptions;
use thrio_edge::domain::timestamp::{MonoTime, Now, WallTime};
use thrio_edge::forwarder::{DeliveryCall, DeliveryOutcome, ForwardSettings, ForwardWorker};
use thrio_edge::stop::{StopToken, Waker};
use thrio_edge::store::{SimulatedDisk, Store, StoreOptions};

use crate::centre::{self, Trouble};
use crate::destination::{Applied, Upstream};
use crate::ledger::Ledger;
use crate::plan::{Plan, Tally};
use crate::truth::Truth;

pub(crate) const HOUR_MS: i64 = 3_600_000;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;
/// 2026-01-05, a Monday.
pub(crate) const START_MS: i64 = 1_767_571_200_000;
pub(crate) const PERIOD_MS: i64 = 60_000;

/// How often upkeep comes, and a destination looks for new records that nobody rang for. In life
/// both come more often; here it would be most of a run's time, and shows nothing more.
pub(crate) const UPKEEP_PERIOD_MS: i64 = 15_000;
const LOOK_PERIOD: Duration = Duration::from_secs(5);

/// At the end nothing more is collected, and what was collected last is still delivered.
const DRAIN_MS: i64 = 120_000;

/// What happens at a moment.
enum Event {
    Boot,
    /// A worker of this life steps.
    Realtime(u64),
    Historical(u64),
    Configuration(u64),
    /// A call of this life comes back.
    RealtimeAnswer(u64, Now, i64, Result<Snapshot, CallFailure>),
    HistoricalAnswer(u64, Now, i64, Result<HistoricalAnswer, CallFailure>),
    ConfigurationAnswer(u64, Now, i64, Result<ConfigurationAnswer, CallFailure>),
    Maintain(u64),
    Forward(u64),
    /// What was sent arrives upstream, whoever sent it and whether he still lives.
    Arrives(u64, DeliveryCall, i64),
    ForwardAnswer(u64, DeliveryOutcome),
    UpstreamBreaks,
    UpstreamRecovers,
    /// The line turns bad, or good again.
    TroubleBegins,
    TroubleEnds,
    /// Power fails somewhere in the next writes.
    PowerWillFail,
    /// The service is stopped in order and started again.
    Restart,
    /// Somebody, or a bad clock chip, sets the wall clock.
    ClockJumps,
    ClockIsSet,
}

impl Event {
    fn is_delivery(&self) -> bool {
        matches!(
            self,
            Self::Forward(_) | Self::Arrives(..) | Self::ForwardAnswer(..)
        )
    }
}

/// One process from its start to its end.
struct Life {
    number: u64,
    booted_ms: i64,
    store: Store,
    realtime: FeedWorker<RealtimeFeed>,
    historical: FeedWorker<HistoricalFeed>,
    configuration: FeedWorker<ConfigurationFeed>,
    forward: ForwardWorker,
}

pub(crate) struct World {
    plan: Plan,
    rng: Rng,
    pub truth: Truth,
    disk: SimulatedDisk,
    now_ms: i64,
    /// What the box's wall clock is ahead of the truth.
    wall_error_ms: i64,
    trouble: Option<Trouble>,
    upstream_trouble: Option<Upstream>,
    pub(crate) applied: Applied,
    pub(crate) balance: Option<DeliveryBalance>,
    life: Option<Life>,
    lives: u64,
    events: BinaryHeap<Reverse<(i64, u64)>>,
    pending: std::collections::HashMap<u64, Event>,
    scheduled: u64,
    pub ledger: Ledger,
    source: SourceName,
    pub tally: Tally,
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let mut rng = Rng::with_seed(plan.seed);
        let truth = Truth::new(rng.u64(..), START_MS - 3 * DAY_MS, plan.end_ms());
        let disk = SimulatedDisk::new(rng.u64(..));
        let mut world = Self {
            truth,
            disk,
            now_ms: START_MS,
            wall_error_ms: 0,
            trouble: None,
            upstream_trouble: None,
            applied: Applied::default(),
            balance: None,
            life: None,
            lives: 0,
            events: BinaryHeap::new(),
            pending: std::collections::HashMap::new(),
            scheduled: 0,
            ledger: Ledger::default(),
            source: SourceName::new("main").expect("a plain name"),
            tally: Tally::default(),
            plan,
            rng,
        };
        world.at(START_MS, Event::Boot);
        world.sprinkle(|| Event::TroubleBegins, 5 * HOUR_MS);
        world.sprinkle(|| Event::UpstreamBreaks, plan.upstream_holds_ms);
        world.sprinkle(|| Event::PowerWillFail, plan.power_holds_ms);
        world.sprinkle(|| Event::Restart, 17 * HOUR_MS);
        world.sprinkle(|| Event::ClockJumps, 13 * HOUR_MS);
        world
    }

    /// Spreads an event over the days of trouble.
    fn sprinkle(&mut self, make: fn() -> Event, mean_ms: i64) {
        let mut at = START_MS;
        loop {
            at += self.rng.i64(1..2 * mean_ms);
            if at >= self.plan.trouble_until_ms() {
                return;
            }
            self.at(at, make());
        }
    }

    fn at(&mut self, ms: i64, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse((ms, self.scheduled)));
        self.pending.insert(self.scheduled, event);
    }

    /// Runs to the end and answers the store as the last life left it.
    pub(crate) fn run(&mut self) -> Store {
        let end = self.plan.end_ms();
        while let Some(Reverse((ms, number))) = self.events.pop() {
            let event = self.pending.remove(&number).expect("each event comes once");
            if ms > end + DRAIN_MS {
                break;
            }
            if ms > end && !event.is_delivery() {
                continue;
            }
            self.now_ms = self.now_ms.max(ms);
            self.happen(event);
        }
        let life = self.life.take().expect("the box runs in the quiet time");
        life.store
            .flush(self.now_of(life.booted_ms))
            .expect("a quiet disk");
        self.ledger.read_on(&life.store);
        self.balance = Some(life.forward.machine().balance(life.store.head()));
        life.store
    }

    fn now_of(&self, booted_ms: i64) -> Now {
        let since_boot = u64::try_from(self.now_ms - booted_ms).expect("time goes on");
        Now {
            wall: WallTime::from_ms(self.now_ms + self.wall_error_ms),
            mono: MonoTime::new(Duration::from_millis(since_boot)),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Boot => self.boot(),
            Event::Realtime(life) => self.step_realtime(life),
            Event::Historical(life) => self.step_historical(life),
            Event::Configuration(life) => self.step_configuration(life),
            Event::ConfigurationAnswer(life, sent, served_ms, outcome) => {
                self.configuration_answer(life, sent, served_ms, &outcome);
            }
            Event::RealtimeAnswer(life, sent, served_ms, outcome) => {
                self.realtime_answer(life, sent, served_ms, &outcome);
            }
            Event::HistoricalAnswer(life, sent, served_ms, outcome) => {
                self.historical_answer(life, sent, served_ms, &outcome);
            }
            Event::Maintain(life) => self.maintain(life),
            Event::Forward(life) => self.step_forward(life),
            Event::Arrives(life, call, back_ms) => self.arrives(life, call, back_ms),
            Event::ForwardAnswer(life, outcome) => self.forward_answer(life, outcome),
            Event::UpstreamBreaks => {
                self.upstream_trouble = Some(Upstream::any(&mut self.rng));
                let until = self.now_ms + self.lasts();
                self.at(
                    until.min(self.plan.trouble_until_ms()),
                    Event::UpstreamRecovers,
                );
            }
            Event::UpstreamRecovers => self.upstream_trouble = None,
            Event::TroubleBegins => {
                self.trouble = Some(Trouble::any(&mut self.rng));
                let lasts = self.lasts();
                let until = (self.now_ms + lasts).min(self.plan.trouble_until_ms());
                self.at(until, Event::TroubleEnds);
            }
            Event::TroubleEnds => self.trouble = None,
            Event::PowerWillFail => {
                let writes = self.rng.u64(1..60);
                self.disk.cut_power_after(writes);
            }
            Event::Restart => self.restart(),
            Event::ClockJumps => {
                self.tally.clock_jumps += 1;
                self.wall_error_ms = match self.rng.u32(..4) {
                    0 => -self.now_ms + self.rng.i64(0..DAY_MS),
                    1 => self.rng.i64(-2 * HOUR_MS..2 * HOUR_MS),
                    _ => self.rng.i64(-30_000..30_000),
                };
                let until = self.now_ms + self.rng.i64(60_000..6 * HOUR_MS);
                self.at(until.min(self.plan.trouble_until_ms()), Event::ClockIsSet);
            }
            Event::ClockIsSet => self.wall_error_ms = 0,
        }
    }

    /// Mostly minutes, now and then a day and a half.
    fn lasts(&mut self) -> i64 {
        match self.rng.u32(..10) {
            0 => self.rng.i64(HOUR_MS..36 * HOUR_MS),
            1..=4 => self.rng.i64(HOUR_MS / 6..2 * HOUR_MS),
            _ => self.rng.i64(10_000..HOUR_MS / 6),
        }
    }

    fn boot(&mut self) {
        let now = self.now_of(self.now_ms);
        let mut options =
            StoreOptions::new("unused".into(), BoxId::new("box").expect("a plain id"));
        // Walked, saved, or a bound that the store grows over: in turns, on what the life before left.
        options.walk_max = match self.lives % 3 {
            0 => StoreOptions::WALK_MAX,
            1 => 0,
            _ => 150_000,
        };
        let disk = self.disk.clone();
        let opened = match self.plan.planted {
            None => Store::open_simulated(disk, &options, now),
            Some(bug) => Store::open_simulated_with_bug(disk, &options, now, bug),
        };
        let Ok(opened) = opened else {
            // The armed power cut fell into the opening.
            self.power_failed();
            return;
        };
        let store = opened.store;
        self.lives += 1;
        self.ledger.reopened(&store);
        let life = self.start_workers(store, now);
        let number = life.number;
        self.life = Some(life);
        self.at(self.now_ms, Event::Realtime(number));
        self.at(self.now_ms, Event::Historical(number));
        self.at(self.now_ms, Event::Configuration(number));
        self.at(self.now_ms, Event::Forward(number));
        self.at(self.now_ms + UPKEEP_PERIOD_MS, Event::Maintain(number));
    }

    fn start_workers(&mut self, store: Store, now: Now) -> Life {
        let source = self.source.clone();
        let board = SourceBoard::new(source.clone(), &store, Box::new(|| {}));
        let board = Arc::new(board.expect("a disk that was just read"));
        let token = StopToken::new();
        let realtime = RealtimeOptions {
            period: Duration::from_mins(1),
            ..RealtimeOptions::default()
        };
        let realtime = RealtimeFeed::new(source.clone(), realtime, &store, self.rng.u64(..));
        let configuration = ConfigurationFeed::new(
            source.clone(),
            ConfigurationOptions::default(),
            &store,
            self.rng.u64(..),
        );
        let historical = HistoricalFeed::new(
            source,
            HistoricalOptions {
                max_backfill: Duration::from_hours(48),
                ..HistoricalOptions::default()
            },
            ClockOptions::default(),
            &store,
            now,
            self.rng.u64(..),
        );
        let waker = || Waker::new(&token);
        let forward = self.forward_worker(&store, waker());
        let (realtime, _) = FeedWorker::new(
            realtime.expect("a disk that was just read"),
            store.clone(),
            board.clone(),
            waker(),
        );
        let (historical, _) = FeedWorker::new(
            historical.expect("a disk that was just read"),
            store.clone(),
            board.clone(),
            waker(),
        );
        let (configuration, _) = FeedWorker::new(configuration, store.clone(), board, waker());
        Life {
            number: self.lives,
            booted_ms: self.now_ms,
            store,
            realtime,
            historical,
            configuration,
            forward,
        }
    }

    fn forward_worker(&mut self, store: &Store, waker: Waker) -> ForwardWorker {
        let settings = ForwardSettings {
            name: destination(),
            options: DeliveryOptions {
                poll_period: LOOK_PERIOD,
                ..DeliveryOptions::default()
            },
            sources: vec![self.source.clone()],
            heartbeat: Box::new(heartbeat),
            seed: self.rng.u64(..),
        };
        let worker = ForwardWorker::new(settings, store.clone(), waker);
        let (mut worker, _) = worker.expect("a disk that was just read");
        if self.plan.early_cursor {
            worker.plant_early_cursor();
        }
        worker
    }

    fn maintain(&mut self, number: u64) {
        let Some((life, now)) = self.take_life(number) else {
            return;
        };
        let done = life.store.maintain(now, &[destination()]);
        self.note(&life.store, done.is_ok());
        self.at(self.now_ms + UPKEEP_PERIOD_MS, Event::Maintain(number));
        self.put_back(life);
    }

    /// Restart in order: the service manager stops it, what rides is flushed, it starts again.
    fn restart(&mut self) {
        let Some(life) = self.life.take() else {
            return;
        };
        self.tally.restarts += 1;
        // A failing flush is a power cut in the middle of it; what rode is lost, no record.
        let _ = life.store.flush(self.now_of(life.booted_ms));
        self.ledger.read_on(&life.store);
        drop(life);
        let down = self.rng.i64(500..120_000);
        self.at(self.now_ms + down, Event::Boot);
    }

    fn power_failed(&mut self) {
        self.tally.power_cuts += 1;
        self.life = None;
        let down = self.rng.i64(1_000..1_200_000);
        self.at(self.now_ms + down, Event::Boot);
    }

    /// What the line makes of a call now.
    fn line(&mut self) -> (i64, Option<CallFailure>) {
        let (takes, failure) = match self.trouble {
            Some(trouble) => trouble.outcome(&mut self.rng),
            None => (centre::latency(&mut self.rng), None),
        };
        self.tally.failed_calls += u64::from(failure.is_some());
        (takes, failure)
    }

    /// After each step that may have written: reads on what is durable, and sees a power cut.
    fn note(&mut self, store: &Store, done: bool) {
        self.tally.store_errors += u64::from(!done);
        if self.disk.lives() == self.tally.power_cuts {
            self.ledger.read_on(store);
        }
    }

    fn take_life(&mut self, number: u64) -> Option<(Life, Now)> {
        let life = self.life.take_if(|life| life.number == number)?;
        let now = self.now_of(life.booted_ms);
        Some((life, now))
    }

    fn put_back(&mut self, life: Life) {
        if self.disk.lives() > self.tally.power_cuts {
            drop(life);
            self.power_failed();
        } else {
            self.life = Some(life);
        }
    }

    fn wait(&mut self, until: MonoTime, now: Now, event: Event) {
        let wait = i64::try_from(until.since(now.mono).as_millis()).expect("short waits");
        self.at(self.now_ms + wait.max(1), event);
    }

    fn wait_a_second(&mut self, event: Event) {
        self.tally.store_errors += 1;
        self.at(self.now_ms + 1_000, event);
    }
}

fn destination() -> DestinationName {
    DestinationName::new("product").expect("a plain name")
}

fn heartbeat(now: Now) -> Heartbeat {
    Heartbeat {
        box_id: BoxId::new("box").expect("a plain id"),
        version: "simulated".to_owned(),
        started_at: now.wall,
        at: now.wall,
        backlog: 0,
        oldest_unsent_at: None,
        alarms: Vec::new(),
        feeds: Vec::new(),
    }
}

fn timing(sent: Now, received: Now, served_ms: i64) -> Timing {
    Timing {
        sent,
        received,
        server_date: Some(WallTime::from_s(served_ms.div_euclid(1000))),
    }
}
