//! The stable numbers of every enumeration on disk. They never change and are never reused.

use super::bytes::BadBytes;
use crate::domain::ids::Feed;
use crate::domain::record::{
    Category, CoverageStatus, Origin, RevisionReason, RosterChange, Run, Suspect,
};

macro_rules! numbered {
    ($type:ty, $to:ident, $from:ident, $what:literal, { $($variant:path = $number:literal),+ $(,)? }) => {
        pub(crate) const fn $to(value: $type) -> u8 {
            match value { $($variant => $number),+ }
        }

        pub(crate) const fn $from(number: u8) -> Result<$type, BadBytes> {
            match number {
                $($number => Ok($variant),)+
                _ => Err(BadBytes(concat!("unknown ", $what))),
            }
        }
    };
}

numbered!(Feed, feed_number, feed_from, "feed", {
    Feed::Realtime = 0,
    Feed::Historical = 1,
    Feed::Configuration = 2,
});

numbered!(Category, category_number, category_from, "category", {
    Category::LoggedOut = 0,
    Category::LoggedIn = 1,
    Category::Available = 2,
    Category::Busy = 3,
    Category::Working = 4,
    Category::Wrapup = 5,
    Category::NoAnswer = 6,
    Category::Aux = 7,
    Category::Unmapped = 8,
    Category::Unknown = 9,
});

numbered!(Origin, origin_number, origin_from, "origin", {
    Origin::Source = 0,
    Origin::Observed = 1,
    Origin::Inferred = 2,
    Origin::Resync = 3,
    Origin::Gap = 4,
});

numbered!(Run, run_number, run_from, "run", {
    Run::Live = 0,
    Run::Hourly = 1,
    Run::Nightly = 2,
    Run::Heal = 3,
    Run::Manual = 4,
});

numbered!(RevisionReason, reason_number, reason_from, "reason of a revision", {
    RevisionReason::First = 0,
    RevisionReason::Late = 1,
    RevisionReason::Restated = 2,
    RevisionReason::Backfill = 3,
});

numbered!(RosterChange, change_number, change_from, "roster change", {
    RosterChange::Added = 0,
    RosterChange::Changed = 1,
    RosterChange::Closed = 2,
});

numbered!(CoverageStatus, status_number, status_from, "coverage status", {
    CoverageStatus::Expected = 0,
    CoverageStatus::Fetched = 1,
    CoverageStatus::EmptyConfirmed = 2,
    CoverageStatus::Missing = 3,
    CoverageStatus::Failed = 4,
});

/// 0 = not suspect.
pub(crate) const fn suspect_number(suspect: Option<Suspect>) -> u8 {
    match suspect {
        None => 0,
        Some(Suspect::HandleTimePerContact) => 1,
        Some(Suspect::AbandonedOverEntered) => 2,
        Some(Suspect::Both) => 3,
    }
}

pub(crate) const fn suspect_from(number: u8) -> Result<Option<Suspect>, BadBytes> {
    match number {
        0 => Ok(None),
        1 => Ok(Some(Suspect::HandleTimePerContact)),
        2 => Ok(Some(Suspect::AbandonedOverEntered)),
        3 => Ok(Some(Suspect::Both)),
        _ => Err(BadBytes("unknown suspicion")),
    }
}
