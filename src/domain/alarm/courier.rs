//! One way of telling: what waits to be told, what was told, and when the next message may go.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use super::super::backoff::Backoff;
use super::super::timestamp::{MonoTime, Now, WallTime};
use super::{Alarm, AlarmOptions, Severity, Transition};

/// Changes in one message, and alarms in its list of what stands: at most about 100 KB of text.
/// More changes go with the next message.
const MESSAGE_ALARMS_MAX: usize = 100;
/// Episodes that came and went untold are kept up to this number, the newest; the others are
/// counted. Raises and clears are bounded by what stands.
const PASSED_MAX: usize = 200;
/// The waits between attempts.
const RETRY_MIN: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_mins(10);
/// An attempt is never made sooner than this after a failed one.
const RETRY_FLOOR: Duration = Duration::from_secs(1);

/// What one message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Why it is sent.
    pub kind: MessageKind,
    /// Raised, and standing still as far as is known.
    pub raised: Vec<Alarm>,
    /// Told earlier, and gone.
    pub cleared: Vec<Alarm>,
    /// Came and went before they could be told.
    pub passed: Vec<Alarm>,
    /// How many more of those there were.
    pub omitted: u64,
    /// What stands at this moment, the worst first, at most a hundred.
    pub standing: Vec<Alarm>,
    /// How many stand.
    pub standing_count: usize,
}

/// Why a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// Something was raised or cleared.
    Change,
    /// Nothing changed, and an error stands.
    Reminder,
    /// A person asked for it.
    Test,
}

impl MessageKind {
    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Reminder => "reminder",
            Self::Test => "test",
        }
    }
}

/// Why telling failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// For a person; without secrets.
    pub reason: String,
    /// What the other end asked to wait.
    pub retry_after: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    Raised,
    Cleared,
    Passed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    event: Event,
    alarm: Alarm,
    /// In the message that is under way.
    #[serde(skip)]
    is_out: bool,
}

/// One way of telling.
#[derive(Debug)]
pub struct Courier {
    waiting: Vec<Waiting>,
    /// Alarms that were told as raised, and not yet as cleared.
    told: BTreeMap<u64, Severity>,
    omitted: u64,
    omitted_out: u64,
    is_out: bool,
    /// When the message that waits may go.
    grouped_at: Option<MonoTime>,
    rest_until: MonoTime,
    remind_at: MonoTime,
    retry_at: MonoTime,
    backoff: Backoff,
    rng: Rng,
    last_error: Option<String>,
    last_told_at: Option<WallTime>,
}

/// A courier as it survives a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SavedCourier {
    waiting: Vec<Waiting>,
    told: BTreeMap<u64, Severity>,
    omitted: u64,
    rest_until: Option<WallTime>,
    remind_at: Option<WallTime>,
    last_told_at: Option<WallTime>,
}

impl SavedCourier {
    /// Forgets what was told of alarms that neither stand nor wait for their clear: nothing could
    /// ever clear them.
    pub fn forget_unless(&mut self, stands: impl Fn(u64) -> bool) {
        let waiting = &self.waiting;
        self.told
            .retain(|id, _| stands(*id) || waiting.iter().any(|w| w.alarm.id == *id));
    }
}

/// What `alarm list` says of a way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CourierStatus {
    /// Changes that wait to be told.
    pub waiting: usize,
    /// Failures since the last message that arrived.
    pub failures: u32,
    /// Why the last one failed, if it did.
    pub last_error: Option<String>,
    /// When the last one arrived.
    pub last_told_at: Option<WallTime>,
}

impl Courier {
    /// A courier that has told nothing.
    pub fn new(seed: u64) -> Self {
        Self {
            waiting: Vec::new(),
            told: BTreeMap::new(),
            omitted: 0,
            omitted_out: 0,
            is_out: false,
            grouped_at: None,
            rest_until: MonoTime::ZERO,
            remind_at: MonoTime::ZERO,
            retry_at: MonoTime::ZERO,
            backoff: Backoff::new(RETRY_MIN, RETRY_MAX),
            rng: Rng::with_seed(seed),
            last_error: None,
            last_told_at: None,
        }
    }

    /// The courier as it was saved; a clock that was set meanwhile lengthens no wait.
    pub fn restore(saved: SavedCourier, now: Now, options: &AlarmOptions, seed: u64) -> Self {
        let again = |at: Option<WallTime>, longest: Duration| {
            let ms = at.map_or(0, |at| at.ms_since(now.wall));
            let wait = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
            now.mono.plus(wait.min(longest))
        };
        let grouped_at = (!saved.waiting.is_empty()).then_some(now.mono);
        Self {
            rest_until: again(saved.rest_until, options.rest),
            remind_at: again(saved.remind_at, options.remind),
            waiting: saved.waiting,
            told: saved.told,
            omitted: saved.omitted,
            last_told_at: saved.last_told_at,
            grouped_at,
            ..Self::new(seed)
        }
    }

    /// What a restart needs.
    pub fn save(&self, now: Now) -> SavedCourier {
        let wall = |at: MonoTime| now.wall.plus(at.since(now.mono));
        SavedCourier {
            waiting: self.waiting.clone(),
            told: self.told.clone(),
            omitted: self.omitted,
            rest_until: Some(wall(self.rest_until)),
            remind_at: Some(wall(self.remind_at)),
            last_told_at: self.last_told_at,
        }
    }

    /// Takes a change over. It is told unless it is under the least severity.
    pub fn take(&mut self, change: &Transition, now: Now, options: &AlarmOptions) {
        let (event, alarm) = match change {
            Transition::Raised(alarm) => (Event::Raised, alarm),
            Transition::Cleared(alarm) => (Event::Cleared, alarm),
        };
        let is_told = self.told.contains_key(&alarm.id) || self.waits(alarm.id);
        let is_wanted = match event {
            Event::Raised => alarm.condition.severity <= options.least,
            _ => is_told,
        };
        if !is_wanted {
            return;
        }
        self.waiting.push(Waiting {
            event,
            alarm: alarm.clone(),
            is_out: false,
        });
        self.grouped_at
            .get_or_insert_with(|| now.mono.plus(options.group));
        self.put_together();
    }

    /// When the next message is due; none while one is under way or nothing is to be told.
    pub fn due_at(&self, options: &AlarmOptions) -> Option<MonoTime> {
        if self.is_out {
            return None;
        }
        let changes = self.grouped_at.filter(|_| !self.waiting.is_empty());
        let reminder = (self.reminds() && !options.remind.is_zero()).then_some(self.remind_at);
        let at = changes.into_iter().chain(reminder).min()?;
        Some(at.max(self.rest_until).max(self.retry_at))
    }

    /// The message that is due, given what is raised; its end is told by [`Self::finish`].
    pub fn begin(
        &mut self,
        now: Now,
        raised: impl Iterator<Item = Alarm>,
        options: &AlarmOptions,
    ) -> Option<Message> {
        if self.due_at(options).is_none_or(|at| now.mono < at) {
            return None;
        }
        self.is_out = true;
        self.omitted_out = self.omitted;
        let mut standing: Vec<Alarm> = raised
            .filter(|alarm| alarm.condition.severity <= options.least)
            .collect();
        standing.sort_by_key(|alarm| (alarm.condition.severity, alarm.since, alarm.id));
        let standing_count = standing.len();
        standing.truncate(MESSAGE_ALARMS_MAX);
        for waiting in self.waiting.iter_mut().take(MESSAGE_ALARMS_MAX) {
            waiting.is_out = true;
        }
        let out = |event| {
            let out = self.waiting.iter().filter(|w| w.is_out && w.event == event);
            out.map(|w| w.alarm.clone()).collect::<Vec<_>>()
        };
        let message = Message {
            kind: MessageKind::Change,
            raised: out(Event::Raised),
            cleared: out(Event::Cleared),
            passed: out(Event::Passed),
            omitted: self.omitted_out,
            standing,
            standing_count,
        };
        let is_change = self.waiting.iter().any(|w| w.is_out);
        Some(Message {
            kind: if is_change {
                MessageKind::Change
            } else {
                MessageKind::Reminder
            },
            ..message
        })
    }

    /// How telling ended.
    pub fn finish(&mut self, now: Now, outcome: Result<(), Failed>, options: &AlarmOptions) {
        self.is_out = false;
        match outcome {
            Ok(()) => self.arrived(now, options),
            Err(failed) => {
                self.waiting.iter_mut().for_each(|w| w.is_out = false);
                self.put_together();
                let wait = self.backoff.next(&mut self.rng, failed.retry_after);
                self.retry_at = now.mono.plus(wait.max(RETRY_FLOOR));
                self.last_error = Some(failed.reason);
            }
        }
    }

    /// For `alarm list` and the problem that nobody can be told.
    pub fn status(&self) -> CourierStatus {
        CourierStatus {
            waiting: self.waiting.len(),
            failures: self.backoff.failures(),
            last_error: self.last_error.clone(),
            last_told_at: self.last_told_at,
        }
    }

    fn arrived(&mut self, now: Now, options: &AlarmOptions) {
        for waiting in self.waiting.iter().filter(|w| w.is_out) {
            let alarm = &waiting.alarm;
            match waiting.event {
                Event::Raised => self.told.insert(alarm.id, alarm.condition.severity),
                Event::Cleared | Event::Passed => self.told.remove(&alarm.id),
            };
        }
        self.waiting.retain(|w| !w.is_out);
        self.omitted -= self.omitted_out;
        // What did not go with this message, or came meanwhile, has waited long enough.
        self.grouped_at = (!self.waiting.is_empty()).then_some(now.mono);
        self.rest_until = now.mono.plus(options.rest);
        self.remind_at = now.mono.plus(options.remind);
        self.retry_at = now.mono;
        self.backoff.reset();
        self.last_error = None;
        self.last_told_at = Some(now.wall);
    }

    /// Whether an error was told that still stands.
    fn reminds(&self) -> bool {
        self.told.values().any(|s| *s == Severity::Error)
    }

    fn waits(&self, id: u64) -> bool {
        self.waiting.iter().any(|w| w.alarm.id == id)
    }

    /// A raise that nobody was told of and its clear become one: it passed. Bounds what passed.
    fn put_together(&mut self) {
        let untold = |w: &&Waiting| !w.is_out && w.event == Event::Raised;
        let raises: Vec<u64> = self
            .waiting
            .iter()
            .filter(untold)
            .map(|w| w.alarm.id)
            .collect();
        let is_gone = |w: &Waiting| w.event == Event::Cleared && raises.contains(&w.alarm.id);
        let passed: Vec<u64> = self
            .waiting
            .iter()
            .filter(|w| is_gone(w))
            .map(|w| w.alarm.id)
            .collect();
        self.waiting
            .retain(|w| !(untold(&w) && passed.contains(&w.alarm.id)));
        for waiting in &mut self.waiting {
            if waiting.event == Event::Cleared && passed.contains(&waiting.alarm.id) {
                waiting.event = Event::Passed;
            }
        }
        let is_spare = |w: &Waiting| w.event == Event::Passed && !w.is_out;
        let spare = self.waiting.iter().filter(|w| is_spare(w)).count();
        let mut over = spare.saturating_sub(PASSED_MAX);
        self.waiting.retain(|w| {
            let drops = over > 0 && is_spare(w);
            if drops {
                over -= 1;
                self.omitted += 1;
            }
            !drops
        });
    }
}
