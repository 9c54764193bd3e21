//! Contact volume summed over quarter hours of one queue.
//!
//! What the source did not say is not zero: a sum is over the quarter hours that said it, and a
//! ratio over those that said both of its figures, so that a sum that lacks a part never makes an
//! average smaller. A ratio over no contacts is empty, not 0.

use crate::domain::record::Figures;

/// The sums of some quarter hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VolumeSums {
    /// The three sums; `None` = no quarter hour said it.
    pub figures: Figures,
    /// Quarter hours that were added.
    pub quarters: u64,
    abandoned_of: Ratio,
    time_of_entered: Ratio,
    time_of_handled: Ratio,
}

/// A sum over another one, both of the same quarter hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Ratio {
    of: u64,
    over: u64,
}

impl VolumeSums {
    /// Adds a quarter hour.
    pub fn add(&mut self, quarter: Figures) {
        let Figures {
            entered,
            abandoned,
            handle_time_s,
        } = quarter;
        self.quarters += 1;
        self.figures.entered = plus(self.figures.entered, entered);
        self.figures.abandoned = plus(self.figures.abandoned, abandoned);
        self.figures.handle_time_s = plus(self.figures.handle_time_s, handle_time_s);
        let handled = entered
            .zip(abandoned)
            .map(|(entered, abandoned)| entered.saturating_sub(abandoned));
        self.abandoned_of.add(abandoned, entered);
        self.time_of_entered.add(handle_time_s, entered);
        self.time_of_handled.add(handle_time_s, handled);
    }

    /// Abandoned per entered contact.
    pub fn abandon_rate(&self) -> Option<f64> {
        self.abandoned_of.value()
    }

    /// Average handle time per entered contact, in seconds.
    pub fn aht_per_entered_s(&self) -> Option<f64> {
        self.time_of_entered.value()
    }

    /// Average handle time per contact that was not abandoned, in seconds.
    pub fn aht_per_handled_s(&self) -> Option<f64> {
        self.time_of_handled.value()
    }
}

impl Ratio {
    fn add(&mut self, of: Option<u64>, over: Option<u64>) {
        if let Some((of, over)) = of.zip(over) {
            self.of = self.of.saturating_add(of);
            self.over = self.over.saturating_add(over);
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "digits beyond 2^52 contacts or seconds do not matter"
    )]
    fn value(self) -> Option<f64> {
        (self.over > 0).then(|| self.of as f64 / self.over as f64)
    }
}

fn plus(sum: Option<u64>, more: Option<u64>) -> Option<u64> {
    match (sum, more) {
        (Some(sum), Some(more)) => Some(sum.saturating_add(more)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(quarters: &[(Option<u64>, Option<u64>, Option<u64>)]) -> VolumeSums {
        let mut sums = VolumeSums::default();
        for &(entered, abandoned, handle_time_s) in quarters {
            sums.add(Figures {
                entered,
                abandoned,
                handle_time_s,
            });
        }
        sums
    }

    fn check(given: Option<f64>, expected: Option<f64>) {
        match (given, expected) {
            (Some(given), Some(expected)) => assert!((given - expected).abs() < 1e-9, "{given}"),
            _ => assert_eq!(given, expected),
        }
    }

    #[test]
    fn a_day_is_the_sum_of_its_quarter_hours_and_no_mean_of_means() {
        let day = sums(&[
            (Some(10), Some(1), Some(1_800)),
            (Some(30), Some(5), Some(6_000)),
        ]);
        assert_eq!(day.figures.entered, Some(40));
        assert_eq!(day.figures.abandoned, Some(6));
        assert_eq!(day.figures.handle_time_s, Some(7_800));
        check(day.abandon_rate(), Some(0.15)); // 6 / 40
        check(day.aht_per_entered_s(), Some(195.0)); // 7,800 / 40; the means were 180 and 200
        check(day.aht_per_handled_s(), Some(7_800.0 / 34.0)); // 40 - 6
    }

    #[test]
    fn what_nobody_said_is_no_zero_and_lowers_no_average() {
        let day = sums(&[
            (Some(10), None, Some(1_000)),
            (Some(10), Some(2), None),
            (None, None, None),
        ]);
        assert_eq!(day.quarters, 3);
        assert_eq!(day.figures.entered, Some(20));
        assert_eq!(day.figures.abandoned, Some(2));
        check(day.abandon_rate(), Some(0.2)); // 2 of the 10 beside it, not of 20
        check(day.aht_per_entered_s(), Some(100.0));
        check(day.aht_per_handled_s(), None);
        assert_eq!(sums(&[(None, None, None)]).figures, Figures::default());
    }

    #[test]
    fn a_ratio_over_no_contacts_is_empty() {
        let night = sums(&[(Some(0), Some(0), Some(0))]);
        assert_eq!(night.figures.entered, Some(0));
        check(night.abandon_rate(), None);
        check(night.aht_per_entered_s(), None);
        check(night.aht_per_handled_s(), None);
    }
}
