//! Who works there and what the queues are called, at any moment.
//!
//! A *place* is filled by one agent (or queue) after another: a tenure each, with an id of its own.
//! Within a tenure a name may change once; after it the object is listed as deleted for a month
//! and then gone from the lists. All changes happen at the start of a service day.

use super::draws::{Draws, Stream};
use super::shape::Shape;
use super::shifts::{service_day, service_day_starts_ms};

/// A queue as the configuration lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its opaque id.
    pub id: String,
    /// Its name at that time.
    pub name: String,
    /// A longer text, where somebody wrote one.
    pub description: Option<String>,
    /// When it was made.
    pub created_at_ms: i64,
    /// When it last changed.
    pub modified_at_ms: i64,
    /// When it was deleted, if it was.
    pub deleted_at_ms: Option<i64>,
}

/// A user as the configuration lists it. Agents, supervisors and administrators look alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its opaque id.
    pub id: String,
    /// The login name.
    pub username: String,
    /// The first name.
    pub first_name: String,
    /// The last name.
    pub last_name: String,
    /// The display name, where one is set.
    pub name: Option<String>,
    /// The e-mail address.
    pub email: String,
    /// False where an administrator switched the account off.
    pub enabled: bool,
    /// The IANA name of the time zone.
    pub time_zone: String,
    /// When it was made.
    pub created_at_ms: i64,
    /// When it last changed.
    pub modified_at_ms: i64,
    /// When it was deleted, if it was.
    pub deleted_at_ms: Option<i64>,
}

/// How long a deleted object is still listed, in days.
const DELETED_LISTED_DAYS: i64 = 30;

/// What fills places: each kind has streams of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Agent = 1,
    Queue = 2,
    /// A user that never works the phones.
    Supervisor = 3,
}

/// One object in its place, from its first service day until before `ends`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tenure {
    kind: Kind,
    place: u32,
    pub(super) number: i64,
    starts: i64,
    ends: i64,
}

impl Tenure {
    /// Who fills the place on that service day.
    pub(super) fn on(seed: u64, shape: &Shape, kind: Kind, place: u32, day: i64) -> Self {
        let length = match kind {
            Kind::Agent | Kind::Supervisor => shape.agent_tenure_days,
            Kind::Queue => shape.queue_tenure_days,
        };
        let mut draws = Draws::of(seed, Stream::Tenure, &[kind as i64, i64::from(place)]);
        let phase = i64::try_from(draws.below(length.unsigned_abs())).expect("below a tenure");
        let number = (day + phase).div_euclid(length);
        let starts = number * length - phase;
        Self {
            kind,
            place,
            number,
            starts,
            ends: starts + length,
        }
    }

    fn before(self, seed: u64, shape: &Shape) -> Self {
        Self::on(seed, shape, self.kind, self.place, self.starts - 1)
    }

    fn draws(self, seed: u64) -> Draws {
        let keys = [self.kind as i64, i64::from(self.place), self.number];
        Draws::of(seed, Stream::Identity, &keys)
    }

    /// The object's id: 24 hexadecimal digits.
    pub(super) fn id(self, seed: u64) -> String {
        let mut draws = self.draws(seed);
        format!("{:016x}{:08x}", draws.bits(), draws.bits() >> 32)
    }

    /// The day of a change of name within the tenure, for this share of the objects.
    fn renamed_on(self, draws: &mut Draws, share: f64) -> Option<i64> {
        let renamed = draws.chance(share);
        let days = u64::try_from((self.ends - self.starts).max(1)).expect("a positive length");
        let day = self.starts + i64::try_from(draws.below(days)).expect("below a tenure");
        renamed.then_some(day)
    }
}

const FIRST_NAMES: [&str; 24] = [
    "Ada", "Bruno", "Chiara", "Dmitri", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kim",
    "Lars", "Mila", "Nils", "Oya", "Petra", "Quentin", "Rosa", "Sven", "Tara", "Uwe", "Vera",
    "Yusuf", "Zoë",
];
const LAST_NAMES: [&str; 24] = [
    "Adler", "Brandt", "Costa", "Dvořák", "Eriksen", "Fischer", "García", "Horn", "Ivanova",
    "Jansen", "König", "Lehmann", "Moreau", "Novak", "O'Brien", "Peters", "Quist", "Richter",
    "Schäfer", "Tanaka", "Ulrich", "Vogel", "Weiß", "Yılmaz",
];
const QUEUE_NAMES: [&str; 16] = [
    "Sales",
    "Support",
    "Billing",
    "Returns",
    "Technical",
    "Retention",
    "Claims",
    "Orders",
    "Renewals",
    "Escalations",
    "Warranty",
    "Delivery",
    "Partners",
    "Press",
    "Complaints",
    "Jobs",
];
const REGIONS: [&str; 8] = [
    "North",
    "South",
    "East",
    "West",
    "DE",
    "FR",
    "Key Accounts",
    "Night",
];

fn pick<'a>(draws: &mut Draws, from: &[&'a str]) -> &'a str {
    let index = draws.below(from.len() as u64);
    from[usize::try_from(index).expect("an index")]
}

/// The queues that the configuration lists at that moment, deleted ones last.
pub(super) fn queues_at(seed: u64, shape: &Shape, at_ms: i64) -> Vec<Queue> {
    let (day, _) = service_day(shape, at_ms);
    listed(seed, shape, Kind::Queue, shape.queues, day)
        .map(|tenure| queue(seed, shape, tenure, day))
        .collect()
}

/// The users that the configuration lists at that moment, deleted ones last.
pub(super) fn users_at(seed: u64, shape: &Shape, at_ms: i64) -> Vec<User> {
    let (day, _) = service_day(shape, at_ms);
    let supervisors = shape.agents / 10 + 1;
    listed(seed, shape, Kind::Agent, shape.agents, day)
        .chain(listed(seed, shape, Kind::Supervisor, supervisors, day))
        .map(|tenure| user(seed, shape, tenure, day))
        .collect()
}

/// Who fills each place, then who left one of them during the last month.
fn listed(
    seed: u64,
    shape: &Shape,
    kind: Kind,
    places: u32,
    day: i64,
) -> impl Iterator<Item = Tenure> {
    let present = move |place| Tenure::on(seed, shape, kind, place, day);
    let gone = move |place| {
        let before = present(place).before(seed, shape);
        (day < before.ends + DELETED_LISTED_DAYS).then_some(before)
    };
    (0..places).map(present).chain((0..places).filter_map(gone))
}

/// When something of the tenure happened, where it has by `day`: at the start of that day.
fn happened(shape: &Shape, on: i64, day: i64) -> Option<i64> {
    (on <= day).then(|| service_day_starts_ms(shape, on))
}

fn queue(seed: u64, shape: &Shape, tenure: Tenure, day: i64) -> Queue {
    let mut draws = tenure.draws(seed);
    let id = tenure.id(seed);
    let (_, _) = (draws.bits(), draws.bits());
    let topic = pick(&mut draws, &QUEUE_NAMES);
    let region = pick(&mut draws, &REGIONS);
    let described = draws.chance(0.5);
    let renamed = tenure
        .renamed_on(&mut draws, 0.5)
        .and_then(|on| happened(shape, on, day));
    let number = tenure.place + 1;
    let created_at_ms = service_day_starts_ms(shape, tenure.starts);
    let deleted_at_ms = happened(shape, tenure.ends, day);
    Queue {
        id,
        name: if renamed.is_some() {
            format!("{region} {topic} {number:03}")
        } else {
            format!("{topic} {region} {number:03}")
        },
        description: described.then(|| format!("Contacts about {topic}, {region}")),
        created_at_ms,
        modified_at_ms: deleted_at_ms.or(renamed).unwrap_or(created_at_ms),
        deleted_at_ms,
    }
}

fn user(seed: u64, shape: &Shape, tenure: Tenure, day: i64) -> User {
    let mut draws = tenure.draws(seed);
    let id = tenure.id(seed);
    let (_, _) = (draws.bits(), draws.bits());
    let first_name = pick(&mut draws, &FIRST_NAMES).to_owned();
    let birth_name = pick(&mut draws, &LAST_NAMES);
    let later_name = pick(&mut draws, &LAST_NAMES);
    let displayed = draws.chance(0.7);
    let disabled = tenure.kind == Kind::Supervisor && draws.chance(0.3);
    let renamed = tenure
        .renamed_on(&mut draws, 0.2)
        .and_then(|on| happened(shape, on, day));
    let last_name = if renamed.is_some() {
        later_name
    } else {
        birth_name
    }
    .to_owned();
    let username = username(seed, tenure);
    let created_at_ms = service_day_starts_ms(shape, tenure.starts);
    let deleted_at_ms = happened(shape, tenure.ends, day);
    User {
        id,
        email: format!("{username}@example.com"),
        username,
        name: displayed.then(|| format!("{last_name}, {first_name}")),
        first_name,
        last_name,
        enabled: !disabled,
        time_zone: "Europe/Berlin".to_owned(),
        created_at_ms,
        modified_at_ms: deleted_at_ms.or(renamed).unwrap_or(created_at_ms),
        deleted_at_ms,
    }
}

/// The login name: it never changes within a tenure.
pub(super) fn username(seed: u64, tenure: Tenure) -> String {
    let mut draws = tenure.draws(seed);
    let (_, _) = (draws.bits(), draws.bits());
    let first = pick(&mut draws, &FIRST_NAMES).to_lowercase();
    let kind = if tenure.kind == Kind::Supervisor {
        "s"
    } else {
        "a"
    };
    format!("{first}.{kind}{}-{}", tenure.place, tenure.number)
}
