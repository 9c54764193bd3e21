//! How large a centre is and how its load behaves: the table and the load model of the design.

/// The sizes that the product is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Preset {
    /// 60 agents, 10 queues.
    #[default]
    S,
    /// 500 agents, 60 queues.
    M,
    /// 5,000 agents, 500 queues.
    L,
    /// 20,000 agents, 2,000 queues.
    Xl,
}

impl Preset {
    /// Every preset, smallest first.
    pub const ALL: [Self; 4] = [Self::S, Self::M, Self::L, Self::Xl];

    /// The preset of this name, whatever its case.
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "s" => Some(Self::S),
            "m" => Some(Self::M),
            "l" => Some(Self::L),
            "xl" => Some(Self::Xl),
            _ => None,
        }
    }

    /// What the preset means.
    pub fn shape(self) -> Shape {
        // Contacts a day are the table's transactions a day by three: a contact makes an agent
        // busy, then wrap up, then available.
        let (agents, queues, contacts_per_day) = match self {
            Self::S => (60, 10, 4_000.0),
            Self::M => (500, 60, 33_000.0),
            Self::L => (5_000, 500, 330_000.0),
            Self::Xl => (20_000, 2_000, 1_330_000.0),
        };
        Shape {
            agents,
            queues,
            contacts_per_day,
            ..Shape::default()
        }
    }
}

/// A centre's size and habits. The distributions themselves stand where they are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Agents that work the phones at any one time.
    pub agents: u32,
    /// Queues that exist at any one time.
    pub queues: u32,
    /// Contacts of a mean weekday, over all queues.
    pub contacts_per_day: f64,
    /// Coefficient of variation of the Gamma factor that a whole day shares.
    pub day_cv: f64,
    /// Coefficient of variation of the Gamma factor that an interval shares.
    pub interval_cv: f64,
    /// The centre's clock minus UTC, in seconds; a multiple of 900.
    pub utc_offset_s: i64,
    /// How long an agent stays before another one takes the place, in days.
    pub agent_tenure_days: i64,
    /// How long a queue exists before another one takes its place, in days.
    pub queue_tenure_days: i64,
    /// Share of the queue-intervals with contacts whose handle time is corrected by hand one to
    /// five days later: what makes figures change after they were final.
    pub correction_share: f64,
    /// Share of the shifts that end without a log-out.
    pub forgotten_logout_share: f64,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            agents: 60,
            queues: 10,
            contacts_per_day: 4_000.0,
            day_cv: 0.07,
            interval_cv: 0.05,
            utc_offset_s: 0,
            agent_tenure_days: 400,
            queue_tenure_days: 900,
            correction_share: 0.000_5,
            forgotten_logout_share: 0.005,
        }
    }
}

/// Percent of a day's contacts by local hour from 07 to 23.
const OPEN_HOUR_PERCENT: [f64; 17] = [
    2.7, 6.3, 7.2, 8.3, 7.5, 6.2, 7.9, 7.6, 7.5, 7.7, 6.2, 5.5, 4.4, 3.9, 4.1, 3.5, 2.7,
];
const OPENS_AT_HOUR: usize = 7;
/// What the open hours leave of 100, spread over the night.
const NIGHT_HOUR_PERCENT: f64 = 0.8 / 7.0;

/// The volume of a weekday (0 = Monday) against a mean weekday.
const WEEKDAY_FACTOR: [f64; 7] = [1.12, 1.02, 0.98, 0.96, 0.92, 0.55, 0.40];

/// The exponent of Zipf's law over queues.
const ZIPF_EXPONENT: f64 = 1.1;

/// The share of a mean weekday's contacts that an interval brings, by its local time.
pub(super) fn interval_share(local_s: i64) -> f64 {
    let day = local_s.div_euclid(86_400);
    let hour = usize::try_from(local_s.rem_euclid(86_400) / 3_600).expect("an hour of a day");
    let percent = match hour.checked_sub(OPENS_AT_HOUR) {
        Some(open) => OPEN_HOUR_PERCENT[open],
        None => NIGHT_HOUR_PERCENT,
    };
    percent / 100.0 / 4.0 * WEEKDAY_FACTOR[weekday(day)]
}

/// 0 = Monday. The epoch was a Thursday.
pub(super) fn weekday(local_day: i64) -> usize {
    usize::try_from((local_day + 3).rem_euclid(7)).expect("below seven")
}

/// The share of all contacts that each queue takes, by its place.
pub(super) fn zipf_shares(queues: u32) -> Vec<f64> {
    let weights: Vec<f64> = (1..=queues)
        .map(|rank| f64::from(rank).powf(-ZIPF_EXPONENT))
        .collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hours_of_a_day_sum_to_the_whole_day() {
        let tuesday = 86_400 * 5;
        let sum: f64 = (0..96).map(|n| interval_share(tuesday + n * 900)).sum();
        assert!((sum / WEEKDAY_FACTOR[1] - 1.0).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn presets_have_names_of_any_case() {
        assert_eq!(Preset::named("xL"), Some(Preset::Xl));
        assert_eq!(Preset::named("huge"), None);
    }
}
