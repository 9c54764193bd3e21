//! Conditions, outages of the receiver and restarts by chance: each raise is told or passed once,
//! each raise that was told gets its clear told, messages keep their rest, memory stays bounded.

use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;
use thrio_edge::domain::alarm::{
    AlarmOptions, Condition, Message, MessageKind, Severity, Transition, Way,
};
use thrio_edge::domain::timestamp::WallTime;

use crate::rig::{Rig, S, condition};

const SEEDS: u64 = 8;
/// Half a day of looks, three seconds apart.
const LOOKS: u32 = 12 * 1_200;
/// Everything that a file of alarms may grow to in these runs.
const SAVED_BYTES_MAX: usize = 200_000;

/// What the receiver has heard.
#[derive(Default)]
struct Receiver {
    told: BTreeSet<u64>,
    finished: u64,
    omitted: u64,
    last_at: Option<WallTime>,
}

impl Receiver {
    fn hear(&mut self, message: &Message, at: WallTime, options: &AlarmOptions) {
        if let Some(last) = self.last_at {
            let apart = Duration::from_millis(at.ms_since(last).unsigned_abs());
            assert!(apart >= options.rest, "two messages {apart:?} apart");
        }
        self.last_at = Some(at);
        for alarm in &message.raised {
            assert!(self.told.insert(alarm.id), "{} raised twice", alarm.id);
        }
        for alarm in &message.cleared {
            assert!(self.told.remove(&alarm.id), "{} was never told", alarm.id);
            self.finished += 1;
        }
        for alarm in &message.passed {
            assert!(!self.told.contains(&alarm.id), "{} was told", alarm.id);
            self.finished += 1;
        }
        self.omitted += message.omitted;
        if message.kind == MessageKind::Reminder {
            assert!(message.standing_count > 0);
        } else {
            let changes = message.raised.len() + message.cleared.len() + message.passed.len();
            assert!(changes > 0);
        }
    }
}

/// Conditions that come and go, each at its own pace.
struct Weather {
    rng: Rng,
    stands: Vec<(Condition, bool, f64)>,
    is_down: bool,
}

impl Weather {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let number = rng.usize(1..60);
        let stands = (0..number).map(|n| {
            let severity = if rng.bool() {
                Severity::Error
            } else {
                Severity::Warning
            };
            let pace = 0.1_f64.powf(1.0 + 3.0 * rng.f64());
            (
                condition(severity, "feed_failing", &format!("s{n}")),
                false,
                pace,
            )
        });
        let stands = stands.collect();
        Self {
            rng,
            stands,
            is_down: false,
        }
    }

    fn turn(&mut self) -> Vec<Condition> {
        for (_, stands, pace) in &mut self.stands {
            *stands ^= self.rng.f64() < *pace;
        }
        let turns = if self.is_down { 0.000_5 } else { 0.002 };
        self.is_down ^= self.rng.f64() < turns;
        let standing = self.stands.iter().filter(|(_, stands, _)| *stands);
        standing.map(|(condition, ..)| condition.clone()).collect()
    }
}

fn options(rng: &mut Rng) -> AlarmOptions {
    AlarmOptions {
        raise_after: rng.u32(0..120) * S,
        clear_after: rng.u32(0..240) * S,
        group: rng.u32(0..60) * S,
        rest: rng.u32(0..900) * S,
        remind: Duration::from_hours(rng.u64(0..5)),
        ..AlarmOptions::default()
    }
}

fn raises(changes: &[Transition]) -> u64 {
    let raised = changes
        .iter()
        .filter(|c| matches!(c, Transition::Raised(_)));
    raised.count() as u64
}

fn run(seed: u64) {
    let mut weather = Weather::new(seed);
    let mut rig = Rig::with(options(&mut weather.rng), &[Way::Webhook]);
    let mut receiver = Receiver::default();
    let mut raised = 0;
    for _ in 0..LOOKS {
        rig.pass(3 * S);
        raised += raises(&rig.see(&weather.turn()));
        if let Some(message) = rig.message() {
            // What changes while a message is under way belongs to the next one.
            if weather.rng.bool() {
                rig.pass(weather.rng.u32(1..30) * S);
                raised += raises(&rig.see(&weather.turn()));
            }
            if weather.is_down {
                rig.fails();
            } else {
                receiver.hear(&message, rig.now.wall, &rig.options);
                rig.arrives();
            }
        }
        if weather.rng.f64() < 0.000_5 {
            let bytes = serde_json::to_string(&rig.machine.save(rig.now))
                .unwrap()
                .len();
            assert!(bytes < SAVED_BYTES_MAX, "{bytes}");
            rig.restart();
        }
    }
    for message in settle(&mut rig) {
        receiver.hear(&message.0, message.1, &rig.options);
    }
    assert_eq!(receiver.told, BTreeSet::new(), "never told as cleared");
    assert_eq!(receiver.finished + receiver.omitted, raised, "episodes");
    assert!(raised > 0 || rig.options.raise_after > 30 * S);
}

/// All is well, and the receiver is there, for hours.
fn settle(rig: &mut Rig) -> Vec<(Message, WallTime)> {
    let mut heard = Vec::new();
    for _ in 0..4_000 {
        rig.pass(3 * S);
        rig.see(&[]);
        if let Some(message) = rig.message() {
            rig.arrives();
            heard.push((message, rig.now.wall));
        }
    }
    heard
}

#[test]
fn whatever_fails_nothing_is_lost_doubled_or_hurried() {
    let given = std::env::var("THRIO_EDGE_SEED")
        .ok()
        .and_then(|s| s.parse().ok());
    let seeds = given.map_or_else(|| (0..SEEDS).collect(), |seed: u64| vec![seed]);
    for seed in seeds {
        println!("THRIO_EDGE_SEED={seed}");
        run(seed);
    }
}
