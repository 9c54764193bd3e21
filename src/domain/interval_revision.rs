//! What an answered row does to the figures that are known (domain rules 3 and 11): nothing where
//! they are equal, else a new revision. Figures are replaced, never added.

use super::historical::KnownInterval;
use super::record::{Figures, RevisionReason, Run, Suspect};

/// More handle time per contact than this (4 h) is doubtful.
pub const HANDLE_TIME_PER_CONTACT_S_MAX: u64 = 4 * 3_600;
/// Up to this many abandoned contacts no ratio is doubtful.
pub const ABANDONED_DOUBTED_FROM: u64 = 20;

/// What is known of the interval that a row is about, beside its figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// Which run asked.
    pub run: Run,
    /// The interval was final before this answer.
    pub was_final: bool,
    /// The interval had no good answer before this one.
    pub was_gap: bool,
}

/// The number and reason of the revision that these figures make, or none where they are known.
pub fn revise(
    known: Option<&KnownInterval>,
    figures: Figures,
    circumstances: Circumstances,
) -> Option<(u32, RevisionReason)> {
    let Some(known) = known else {
        return Some((1, RevisionReason::First));
    };
    if known.figures == figures {
        return None;
    }
    let reason = match circumstances {
        Circumstances {
            run: Run::Manual, ..
        } => RevisionReason::Backfill,
        Circumstances {
            was_final: true, ..
        } => RevisionReason::Restated,
        Circumstances {
            run: Run::Heal,
            was_gap: true,
            ..
        } => RevisionReason::Backfill,
        _ => RevisionReason::Late,
    };
    Some((known.revision.saturating_add(1), reason))
}

/// Why these figures are doubtful, if they are. They are stored all the same; a mere spike is no
/// reason: a real outage brings 226 contacts in a quarter hour against a usual 30.
pub fn suspect(figures: &Figures) -> Option<Suspect> {
    let long = match (figures.handle_time_s, figures.entered) {
        (Some(handle_time_s), Some(entered)) if entered > 0 => {
            handle_time_s > entered.saturating_mul(HANDLE_TIME_PER_CONTACT_S_MAX)
        }
        _ => false,
    };
    let abandoned = match (figures.abandoned, figures.entered) {
        (Some(abandoned), Some(entered)) => {
            abandoned > entered.saturating_mul(2) && abandoned > ABANDONED_DOUBTED_FROM
        }
        _ => false,
    };
    match (long, abandoned) {
        (false, false) => None,
        (true, false) => Some(Suspect::HandleTimePerContact),
        (false, true) => Some(Suspect::AbandonedOverEntered),
        (true, true) => Some(Suspect::Both),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RecordSeq;

    fn figures(entered: u64, abandoned: u64, handle_time_s: u64) -> Figures {
        Figures {
            entered: Some(entered),
            abandoned: Some(abandoned),
            handle_time_s: Some(handle_time_s),
        }
    }

    const LIVE: Circumstances = Circumstances {
        run: Run::Live,
        was_final: false,
        was_gap: false,
    };

    fn known(figures: Figures) -> KnownInterval {
        KnownInterval {
            figures,
            revision: 3,
            seq: RecordSeq::new(9),
        }
    }

    #[test]
    fn equal_figures_make_no_revision_and_other_ones_the_next() {
        let was = known(figures(5, 1, 300));
        assert_eq!(revise(Some(&was), figures(5, 1, 300), LIVE), None);
        assert_eq!(
            revise(Some(&was), figures(5, 1, 420), LIVE),
            Some((4, RevisionReason::Late))
        );
        assert_eq!(
            revise(None, figures(0, 0, 0), LIVE),
            Some((1, RevisionReason::First))
        );
    }

    #[test]
    fn what_the_source_no_longer_says_is_a_change_too() {
        let was = known(figures(5, 1, 300));
        let mut silent = figures(5, 1, 300);
        silent.handle_time_s = None;
        assert!(revise(Some(&was), silent, LIVE).is_some());
    }

    #[test]
    fn the_reason_tells_late_from_restated_from_backfilled() {
        let was = known(figures(5, 1, 300));
        let reason = |run, was_final, was_gap| {
            let circumstances = Circumstances {
                run,
                was_final,
                was_gap,
            };
            revise(Some(&was), figures(6, 1, 300), circumstances).map(|(_, reason)| reason)
        };
        assert_eq!(
            reason(Run::Hourly, false, false),
            Some(RevisionReason::Late)
        );
        assert_eq!(
            reason(Run::Nightly, true, false),
            Some(RevisionReason::Restated)
        );
        assert_eq!(
            reason(Run::Heal, false, true),
            Some(RevisionReason::Backfill)
        );
        assert_eq!(reason(Run::Heal, false, false), Some(RevisionReason::Late));
        assert_eq!(
            reason(Run::Manual, true, false),
            Some(RevisionReason::Backfill)
        );
    }

    #[test]
    fn doubtful_figures_are_marked_and_spikes_are_not() {
        assert_eq!(suspect(&figures(226, 90, 226 * 200)), None);
        assert_eq!(suspect(&figures(1, 0, 4 * 3_600)), None);
        assert_eq!(
            suspect(&figures(1, 0, 4 * 3_600 + 1)),
            Some(Suspect::HandleTimePerContact)
        );
        assert_eq!(suspect(&figures(10, 20, 0)), None);
        assert_eq!(suspect(&figures(8, 20, 0)), None);
        assert_eq!(
            suspect(&figures(10, 21, 0)),
            Some(Suspect::AbandonedOverEntered)
        );
        assert_eq!(suspect(&figures(1, 30, 20_000)), Some(Suspect::Both));
        assert_eq!(
            suspect(&figures(0, 0, 900)),
            None,
            "calls of before may end now"
        );
        let silent = Figures {
            handle_time_s: Some(99_999),
            ..Figures::default()
        };
        assert_eq!(suspect(&silent), None);
    }
}
