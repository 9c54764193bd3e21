//! The machine of all alarms: the book, a courier for each way, and the heartbeat.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::timestamp::{MonoTime, Now, WallTime};
use super::book::{AlarmBook, SavedBook, Standing, Transition};
use super::courier::{Courier, CourierStatus, Failed, Message, SavedCourier};
use super::heartbeat::HeartbeatPlan;
use super::{Alarm, AlarmOptions, Condition, Severity};

/// A way of telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// A POST to `webhook_url`.
    Webhook,
    /// The program `command`.
    Command,
}

impl Way {
    /// The word in texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Command => "command",
        }
    }
}

/// What the worker is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlarmStep {
    /// Tell this, then call [`AlarmMachine::told`].
    Tell(Way, Box<Message>),
    /// Call the heartbeat's address, then [`AlarmMachine::beaten`].
    Beat,
    /// Nothing until then, or until something is observed.
    Wait(Option<MonoTime>),
}

/// The machine.
#[derive(Debug)]
pub struct AlarmMachine {
    options: AlarmOptions,
    book: AlarmBook,
    couriers: BTreeMap<Way, Courier>,
    heartbeat: Option<HeartbeatPlan>,
}

/// What survives a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SavedAlarms {
    book: SavedBook,
    #[serde(default)]
    ways: BTreeMap<Way, SavedCourier>,
}

impl SavedAlarms {
    /// What was raised.
    pub fn standing(&self) -> &[Alarm] {
        self.book.standing()
    }
}

impl AlarmMachine {
    /// A machine that goes on where another one ended.
    pub fn restore(
        options: AlarmOptions,
        ways: &[Way],
        has_heartbeat: bool,
        mut saved: SavedAlarms,
        now: Now,
        seed: u64,
    ) -> Self {
        let book = AlarmBook::restore(saved.book, now);
        let stands = |id| book.raised().any(|alarm| alarm.id == id);
        let couriers = ways.iter().map(|way| {
            let mut saved = saved.ways.remove(way).unwrap_or_default();
            saved.forget_unless(stands);
            (
                *way,
                Courier::restore(saved, now, &options, seed ^ *way as u64),
            )
        });
        let couriers = couriers.collect();
        Self {
            couriers,
            book,
            heartbeat: has_heartbeat.then(HeartbeatPlan::default),
            options,
        }
    }

    /// What a restart needs.
    pub fn save(&self, now: Now) -> SavedAlarms {
        let ways = self.couriers.iter().map(|(way, c)| (*way, c.save(now)));
        SavedAlarms {
            book: self.book.save(),
            ways: ways.collect(),
        }
    }

    /// Takes in everything that stands, and whether the box is ready.
    pub fn observe(&mut self, now: Now, seen: Vec<Condition>, is_ready: bool) -> Vec<Transition> {
        let changes = self.book.observe(now, seen, &self.options);
        for courier in self.couriers.values_mut() {
            for change in &changes {
                courier.take(change, now, &self.options);
            }
        }
        let has_error = self
            .book
            .raised()
            .any(|alarm| alarm.condition.severity == Severity::Error);
        if let Some(heartbeat) = &mut self.heartbeat {
            let period = self.options.heartbeat_period;
            heartbeat.observe(now.mono, is_ready && !has_error, period);
        }
        changes
    }

    /// What to do now.
    pub fn begin(&mut self, now: Now) -> AlarmStep {
        let beats = self.heartbeat.as_ref().and_then(HeartbeatPlan::due_at);
        if beats.is_some_and(|at| at <= now.mono) {
            return AlarmStep::Beat;
        }
        for (way, courier) in &mut self.couriers {
            if let Some(message) = courier.begin(now, self.book.raised(), &self.options) {
                return AlarmStep::Tell(*way, Box::new(message));
            }
        }
        let messages = self
            .couriers
            .values()
            .filter_map(|c| c.due_at(&self.options));
        AlarmStep::Wait(messages.chain(beats).min())
    }

    /// How telling ended.
    pub fn told(&mut self, now: Now, way: Way, outcome: Result<(), Failed>) {
        if let Some(courier) = self.couriers.get_mut(&way) {
            courier.finish(now, outcome, &self.options);
        }
    }

    /// How the call of the heartbeat's address ended. `sent` is when it began.
    pub fn beaten(&mut self, sent: MonoTime, outcome: Result<(), String>) {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.finish(sent, outcome, self.options.heartbeat_period);
        }
    }

    /// Everything that is followed.
    pub fn standing(&self) -> impl Iterator<Item = Standing> + '_ {
        self.book.standing()
    }

    /// Since when this condition stands, if it is followed.
    pub fn since(&self, code: &str, subject: &str) -> Option<WallTime> {
        self.book.since(code, subject)
    }

    /// Each way.
    pub fn ways(&self) -> impl Iterator<Item = (Way, CourierStatus)> + '_ {
        self.couriers.iter().map(|(way, c)| (*way, c.status()))
    }

    /// Why the last heartbeat failed, if it did.
    pub fn heartbeat_error(&self) -> Option<&str> {
        self.heartbeat.as_ref()?.last_error()
    }
}
