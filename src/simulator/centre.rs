//! The simulated contact centre, to be asked about any moment.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::roster::{self, Kind, Queue, Tenure, User};
use super::shape::{Preset, Shape, zipf_shares};
use super::shifts::{self, Change, State, service_day, service_day_starts_ms};
use super::volume::{self, QUARTER_HOUR_S, Volume};

/// A contact centre of which every moment, past or future, is determined by its seed. Asking is
/// pure: equal questions have equal answers, on every machine and in every order.
///
/// It is the truth that tests compare the product with, and shares no type with the product's
/// own data model.
#[derive(Debug)]
pub struct Centre {
    seed: u64,
    shape: Shape,
    queue_shares: Vec<f64>,
    /// The last service days that were asked for, newest use last: at preset XL one is 30 MB and
    /// takes a good part of a second to draw.
    days: Mutex<VecDeque<Arc<Day>>>,
    /// The roster of the service day that was asked for last: lists are read page by page.
    roster: Mutex<Option<(i64, Arc<Roster>)>>,
}

/// What the configuration lists on a service day.
#[derive(Debug, PartialEq, Eq)]
pub struct Roster {
    /// The queues, deleted ones included.
    pub queues: Vec<Queue>,
    /// The users, deleted and disabled ones included.
    pub users: Vec<User>,
}

/// Service days kept: today, yesterday, and one that a question about the past needs.
const DAYS_KEPT: usize = 3;

/// One agent at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentNow {
    /// The agent's id.
    pub id: Arc<str>,
    /// Its login name.
    pub username: Arc<str>,
    /// Its state.
    pub state: State,
    /// When the state began; `None` = before this service day (logged out overnight).
    pub since_ms: Option<i64>,
}

/// One change of one agent's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentChanged {
    /// When.
    pub at_ms: i64,
    /// The agent's id.
    pub id: Arc<str>,
    /// The state from then on.
    pub state: State,
}

/// The figures of one queue and interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueVolume {
    /// The queue's id.
    pub queue: Arc<str>,
    /// The start of the interval, in seconds since the epoch.
    pub start_s: i64,
    /// Its figures.
    pub volume: Volume,
}

/// All agents of one service day: who they are, and their changes one after another.
#[derive(Debug)]
struct Day {
    number: i64,
    agents: Vec<(Arc<str>, Arc<str>)>,
    /// Where each agent's changes begin, and one past the last.
    begins: Vec<usize>,
    changes: Vec<Change>,
}

impl Day {
    fn draw(seed: u64, shape: &Shape, number: i64) -> Self {
        let mut day = Self {
            number,
            agents: Vec::with_capacity(shape.agents as usize),
            begins: vec![0],
            changes: Vec::new(),
        };
        for place in 0..shape.agents {
            let tenure = Tenure::on(seed, shape, Kind::Agent, place, number);
            let username = roster::username(seed, tenure);
            day.agents.push((tenure.id(seed).into(), username.into()));
            shifts::write_day(seed, shape, place, tenure.number, number, &mut day.changes);
            day.begins.push(day.changes.len());
        }
        day.changes.shrink_to_fit();
        day
    }

    fn changes_of(&self, agent: usize) -> &[Change] {
        &self.changes[self.begins[agent]..self.begins[agent + 1]]
    }
}

impl Centre {
    /// A centre of a preset's size.
    pub fn new(preset: Preset, seed: u64) -> Self {
        Self::with_shape(preset.shape(), seed)
    }

    /// A centre of any size.
    ///
    /// # Panics
    /// Where a tenure is shorter than a day or the offset is no quarter hour.
    pub fn with_shape(shape: Shape, seed: u64) -> Self {
        assert!(
            shape.agent_tenure_days > 0 && shape.queue_tenure_days > 0,
            "tenures last at least a day: {shape:?}"
        );
        assert!(
            shape.utc_offset_s % QUARTER_HOUR_S == 0,
            "offsets are quarter hours: {shape:?}"
        );
        Self {
            seed,
            queue_shares: zipf_shares(shape.queues),
            shape,
            days: Mutex::default(),
            roster: Mutex::default(),
        }
    }

    /// Its size and habits.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Its seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Draws the agents' day of that moment and the next one, so that no poll has to.
    pub fn warm_up(&self, at_ms: i64) {
        let (day, _) = service_day(&self.shape, at_ms);
        self.day(day);
        self.day(day + 1);
    }

    /// Every agent and its state at that moment, logged-out ones included, in a fixed order.
    pub fn agents_at(&self, at_ms: i64) -> Vec<AgentNow> {
        let (number, into_ms) = service_day(&self.shape, at_ms);
        let starts_ms = service_day_starts_ms(&self.shape, number);
        let day = self.day(number);
        let now = |(agent, (id, username)): (usize, &(Arc<str>, Arc<str>))| {
            let changes = day.changes_of(agent);
            let passed = changes.partition_point(|change| change.at_ms <= into_ms);
            let last = passed.checked_sub(1).map(|index| changes[index]);
            AgentNow {
                id: Arc::clone(id),
                username: Arc::clone(username),
                state: last.map_or(State::LoggedOut, |change| change.state),
                since_ms: last.map(|change| starts_ms + i64::from(change.at_ms)),
            }
        };
        day.agents.iter().enumerate().map(now).collect()
    }

    /// Every change of state after `after_ms` until `until_ms` included, in order of time.
    pub fn changes(&self, after_ms: i64, until_ms: i64) -> Vec<AgentChanged> {
        let (first, _) = service_day(&self.shape, after_ms);
        let (last, _) = service_day(&self.shape, until_ms);
        let mut found = Vec::new();
        for number in first..=last {
            let starts_ms = service_day_starts_ms(&self.shape, number);
            let day = self.day(number);
            for (agent, (id, _)) in day.agents.iter().enumerate() {
                let changes = day.changes_of(agent);
                let from = changes
                    .partition_point(|change| starts_ms + i64::from(change.at_ms) <= after_ms);
                let due = changes[from..]
                    .iter()
                    .map(|change| (starts_ms + i64::from(change.at_ms), change.state))
                    .take_while(|(at_ms, _)| *at_ms <= until_ms);
                found.extend(due.map(|(at_ms, state)| AgentChanged {
                    at_ms,
                    id: Arc::clone(id),
                    state,
                }));
            }
        }
        found.sort_by_key(|change| change.at_ms);
        found
    }

    /// The figures, true zeros included, of every queue and every interval that starts in
    /// `[from_s, to_s)`, as known at `known_at_ms`; interval by interval, queues in a fixed order.
    pub fn volumes(
        &self,
        from_s: i64,
        to_s: i64,
        known_at_ms: i64,
    ) -> impl Iterator<Item = QueueVolume> {
        let first =
            from_s.div_euclid(QUARTER_HOUR_S) + i64::from(from_s.rem_euclid(QUARTER_HOUR_S) != 0);
        let last =
            to_s.div_euclid(QUARTER_HOUR_S) + i64::from(to_s.rem_euclid(QUARTER_HOUR_S) != 0);
        let mut names: Option<(i64, Vec<Arc<str>>)> = None;
        (first..last).flat_map(move |index| {
            let start_s = index * QUARTER_HOUR_S;
            let (day, _) = service_day(&self.shape, start_s * 1_000);
            if names.as_ref().is_none_or(|(of, _)| *of != day) {
                names = Some((day, self.queue_ids(day)));
            }
            let ids = names
                .as_ref()
                .map(|(_, ids)| ids.clone())
                .unwrap_or_default();
            let mean = volume::mean_contacts(self.seed, &self.shape, start_s);
            ids.into_iter()
                .zip(0_u32..)
                .map(move |(queue, place)| QueueVolume {
                    queue,
                    start_s,
                    volume: volume::volume(
                        self.seed,
                        &self.shape,
                        place,
                        mean * self.queue_shares[place as usize],
                        start_s,
                        known_at_ms,
                    ),
                })
        })
    }

    /// The queues that the configuration lists at that moment, deleted ones included.
    pub fn queues_at(&self, at_ms: i64) -> Vec<Queue> {
        roster::queues_at(self.seed, &self.shape, at_ms)
    }

    /// The users that the configuration lists at that moment, deleted and disabled ones included.
    pub fn users_at(&self, at_ms: i64) -> Vec<User> {
        roster::users_at(self.seed, &self.shape, at_ms)
    }

    /// Both lists, kept for the next page: names and deletions change only between service days.
    pub fn roster_at(&self, at_ms: i64) -> Arc<Roster> {
        let (day, _) = service_day(&self.shape, at_ms);
        let mut kept = self.roster.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((of, roster)) if *of == day => Arc::clone(roster),
            _ => {
                let roster = Arc::new(Roster {
                    queues: self.queues_at(at_ms),
                    users: self.users_at(at_ms),
                });
                *kept = Some((day, Arc::clone(&roster)));
                roster
            }
        }
    }

    fn queue_ids(&self, day: i64) -> Vec<Arc<str>> {
        (0..self.shape.queues)
            .map(|place| Tenure::on(self.seed, &self.shape, Kind::Queue, place, day))
            .map(|tenure| tenure.id(self.seed).into())
            .collect()
    }

    fn day(&self, number: i64) -> Arc<Day> {
        if let Some(day) = self.kept(number) {
            return day;
        }
        // Drawn outside the lock; two who draw the same day at once get equal days.
        let day = Arc::new(Day::draw(self.seed, &self.shape, number));
        let mut days = self.lock();
        days.retain(|kept| kept.number != number);
        days.push_back(Arc::clone(&day));
        if days.len() > DAYS_KEPT {
            days.pop_front();
        }
        day
    }

    fn kept(&self, number: i64) -> Option<Arc<Day>> {
        let mut days = self.lock();
        let index = days.iter().position(|day| day.number == number)?;
        let day = days.remove(index)?;
        days.push_back(Arc::clone(&day));
        Some(day)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Day>>> {
        // A panic elsewhere cannot leave the list half changed in a way that matters: any subset
        // of it is a valid cache.
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
