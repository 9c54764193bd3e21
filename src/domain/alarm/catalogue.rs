//! Every alarm that there is, in one place: the code that raises them, the page, the metrics, the
//! handbook (`docs/alarms.md`) and the tests hold to it.

use super::Severity;
use Severity::{Error, Warning};

/// What can be the matter. The word of a code never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the catalogue says what each means")]
pub enum AlarmCode {
    StoreFailing,
    StoreReplaced,
    StoreFull,
    WorkerLate,
    ReloadFailed,
    ConfigurationInvalid,
    ConfigurationDiffers,
    Configuration,
    FeedHeld,
    FeedFailing,
    FeedStale,
    Unbalanced,
    ClockOff,
    NotJournaled,
    SnapshotUnknown,
    MassAbsence,
    StatesUnmapped,
    RowsRejected,
    Gaps,
    GapsGivenUp,
    ImportHeld,
    DestinationHeld,
    DestinationFailing,
    DestinationPaused,
    DestinationDiffers,
    Quarantine,
    RecordsLost,
    RecordsDamaged,
    BudgetRunningOut,
    GapsExpiring,
    AlarmUndelivered,
    Expiring,
    ExpiryDue,
    StoreDamaged,
    NotRunning,
}

/// What the catalogue says of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlarmNote {
    /// The code.
    pub code: AlarmCode,
    /// Its word in JSON, metrics, messages and the handbook.
    pub word: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it means.
    pub meaning: &'static str,
    /// What is lost or wrong while it stands.
    pub at_risk: &'static str,
    /// What to do, where the moment does not know better.
    pub remedy: &'static str,
}

const fn note(
    code: AlarmCode,
    word: &'static str,
    severity: Severity,
    [meaning, at_risk, remedy]: [&'static str; 3],
) -> AlarmNote {
    AlarmNote {
        code,
        word,
        severity,
        meaning,
        at_risk,
        remedy,
    }
}

/// Every code, in the order of [`AlarmCode`].
pub const CATALOGUE: [AlarmNote; 35] = [
    note(
        AlarmCode::StoreFailing,
        "store_failing",
        Error,
        [
            "The journal cannot be written.",
            "agents' states from now on; contact volume can be read again",
            "look at the disk of state_dir; collecting goes on as soon as it can be written",
        ],
    ),
    note(
        AlarmCode::StoreReplaced,
        "store_replaced",
        Error,
        [
            "The journal was damaged and set aside; a new one was started.",
            "undelivered records that lay in the damaged part",
            "nothing is lost that was intact; keep the file until the log says so, and look at the \
             disk",
        ],
    ),
    note(
        AlarmCode::StoreFull,
        "store_full",
        Error,
        [
            "The journal's budget of the disk is used up.",
            "the oldest undelivered records are given up, one by one",
            "make room, raise store.max_bytes, or get the destinations going",
        ],
    ),
    note(
        AlarmCode::WorkerLate,
        "worker_late",
        Error,
        [
            "A worker has not taken a step in the time that it has for one.",
            "what this worker collects or delivers",
            "see the log; under systemd the watchdog starts the service again",
        ],
    ),
    note(
        AlarmCode::ReloadFailed,
        "reload_failed",
        Warning,
        [
            "The last reload changed nothing, because the file is wrong or a restart is needed.",
            "the next start fails, if the file stays as it is",
            "correct the file (`thrio-edge check`) and reload, or restart where it says so; the \
             former settings run on",
        ],
    ),
    note(
        AlarmCode::ConfigurationInvalid,
        "configuration_invalid",
        Error,
        [
            "The configuration on disk is wrong; what runs is the former one.",
            "the next start, a reboot's included: it would fail, and nothing be collected",
            "correct them (`thrio-edge check`) before the next start, which would fail; the former \
             settings run on",
        ],
    ),
    note(
        AlarmCode::ConfigurationDiffers,
        "configuration_differs",
        Warning,
        [
            "The configuration on disk is not the one that runs.",
            "the next start, a reboot's included: it takes over what nobody has seen run",
            "take them over with `thrio-edge reload`, or `systemctl restart thrio-edge` for [box], \
             [store], [control] and [log]",
        ],
    ),
    note(
        AlarmCode::Configuration,
        "configuration",
        Warning,
        [
            "The configuration can be run, but something in it will be held or is less safe.",
            "what the warning says",
            "see `thrio-edge check`",
        ],
    ),
    note(
        AlarmCode::FeedHeld,
        "feed_held",
        Error,
        [
            "A feed waits for a person: Thrio refuses the account, or the settings cannot work.",
            "this feed collects nothing; agents' states of that time stay unknown, contact volume \
             is read again later",
            "correct the account, the password or the settings; a replaced password file is \
             noticed within a minute, after another change `reload` tries at once",
        ],
    ),
    note(
        AlarmCode::FeedFailing,
        "feed_failing",
        Warning,
        [
            "Several calls of a feed in a row brought no usable answer.",
            "freshness; agents' states of that time, if it lasts for more than two periods",
            "it is tried again by itself; see its last error",
        ],
    ),
    note(
        AlarmCode::FeedStale,
        "feed_stale",
        Error,
        [
            "The realtime feed is blind: for more than two periods nobody has seen the agents.",
            "agents' states: the unknown span grows with every second, and cannot be read again",
            "the span is recorded as unknown; see the feed's last error",
        ],
    ),
    note(
        AlarmCode::Unbalanced,
        "unbalanced",
        Error,
        [
            "Rows or records are not all accounted for.",
            "trust in the figures",
            "this is a bug: keep the state directory and report it",
        ],
    ),
    note(
        AlarmCode::ClockOff,
        "clock_off",
        Warning,
        [
            "The box's clock differs from Thrio's by more than two seconds.",
            "times are labelled by Thrio's clock meanwhile",
            "set the box's clock by NTP",
        ],
    ),
    note(
        AlarmCode::NotJournaled,
        "not_journaled",
        Error,
        [
            "What a feed brought could not be journaled.",
            "agents' states of this time; contact volume is read again",
            "see the store's problem",
        ],
    ),
    note(
        AlarmCode::SnapshotUnknown,
        "snapshot_unknown",
        Warning,
        [
            "Whether realtime answers list every agent or only changes is not set.",
            "agents who vanish without logging out stay in their last state",
            "find out with `thrio-edge probe --feed realtime` and set source.realtime.snapshot",
        ],
    ),
    note(
        AlarmCode::MassAbsence,
        "mass_absence",
        Error,
        [
            "More than half of the agents vanished from Thrio's answer at once.",
            "they are taken as logged out from the first such answer on, true or not",
            "check in Thrio whether these agents really left, and what the account may see",
        ],
    ),
    note(
        AlarmCode::StatesUnmapped,
        "states_unmapped",
        Warning,
        [
            "Agents are in states that nobody gave a category.",
            "adherence: these times count as UNMAPPED, the text travels whole",
            "map them on the page under Agents, or in [source.states]",
        ],
    ),
    note(
        AlarmCode::RowsRejected,
        "rows_rejected",
        Warning,
        [
            "Rows of an answer could not be taken.",
            "these rows",
            "see `status --json`, or what Thrio sends with `thrio-edge probe`",
        ],
    ),
    note(
        AlarmCode::Gaps,
        "gaps",
        Warning,
        [
            "Contact volume of some intervals is missing.",
            "these intervals, once they are older than source.historical.max_backfill_days",
            "they are asked for again by themselves",
        ],
    ),
    note(
        AlarmCode::GapsGivenUp,
        "gaps_given_up",
        Error,
        [
            "Intervals were asked for in vain until they were given up.",
            "contact volume of these intervals",
            "`thrio-edge backfill --from --to` asks again",
        ],
    ),
    note(
        AlarmCode::ImportHeld,
        "import_held",
        Error,
        [
            "A list of queues or agents shrank by more than max_shrink_percent.",
            "nothing is closed meanwhile; those who really left stay in the roster",
            "if they are really gone: `thrio-edge import --confirm`",
        ],
    ),
    note(
        AlarmCode::DestinationHeld,
        "destination_held",
        Error,
        [
            "A destination waits for a person: it refuses the login, the tables or the claim.",
            "nothing until the disk budget is used up; then the oldest undelivered records",
            "see its last error",
        ],
    ),
    note(
        AlarmCode::DestinationFailing,
        "destination_failing",
        Warning,
        [
            "Several attempts in a row to reach a destination failed.",
            "nothing until the disk budget is used up; then the oldest undelivered records",
            "nothing is lost; it is tried again by itself",
        ],
    ),
    note(
        AlarmCode::DestinationPaused,
        "destination_paused",
        Warning,
        [
            "A destination is paused by its settings.",
            "nothing until the disk budget is used up; then the oldest undelivered records",
            "set paused = false",
        ],
    ),
    note(
        AlarmCode::DestinationDiffers,
        "destination_differs",
        Warning,
        [
            "The last comparison found days on which a destination holds something else than the box.",
            "trust in the figures of these days there",
            "`thrio-edge reconcile` shows them; with `--repair` they are sent again",
        ],
    ),
    note(
        AlarmCode::Quarantine,
        "quarantine",
        Error,
        [
            "A destination refused records for good; they are kept.",
            "these records are missing there",
            "`thrio-edge quarantine list` shows the reasons; then `quarantine retry` or `discard`",
        ],
    ),
    note(
        AlarmCode::RecordsLost,
        "records_lost",
        Error,
        [
            "Undelivered records were given up for want of room.",
            "these records are missing at the destination",
            "raise store.max_bytes, and backfill what can be asked again",
        ],
    ),
    note(
        AlarmCode::RecordsDamaged,
        "records_damaged",
        Error,
        [
            "Undelivered records were unreadable in the journal.",
            "these records are missing at the destination",
            "look at the disk; gaps heal where Thrio can be asked again",
        ],
    ),
    note(
        AlarmCode::BudgetRunningOut,
        "budget_running_out",
        Error,
        [
            "The backlog of a destination that takes nothing fills the disk budget within three days.",
            "the oldest undelivered records, from that moment on",
            "get the destination going, raise store.max_bytes, or make room on the disk",
        ],
    ),
    note(
        AlarmCode::GapsExpiring,
        "gaps_expiring",
        Error,
        [
            "Missing contact volume can be asked for by itself for three days at the most.",
            "these intervals, once they are older than source.historical.max_backfill_days",
            "see the feed's last error, or raise source.historical.max_backfill_days",
        ],
    ),
    note(
        AlarmCode::AlarmUndelivered,
        "alarm_undelivered",
        Warning,
        [
            "Several messages in a row could not be told to webhook or command.",
            "nobody hears of what is raised meanwhile; it is told once the way works again",
            "try it with `thrio-edge alarm test`, and correct [alarm]",
        ],
    ),
    note(
        AlarmCode::Expiring,
        "expiring",
        Warning,
        [
            "A certificate or a token ends within three weeks, or in the last fifth of a short life.",
            "whoever is shown it, or whom it stands for, refuses from then on",
            "renew it where it is made; a replaced file is noticed within a minute, the control \
             server takes its own over with `thrio-edge reload`",
        ],
    ),
    note(
        AlarmCode::ExpiryDue,
        "expiry_due",
        Error,
        [
            "A certificate or a token has ended, or ends within three days.",
            "what is collected, delivered or told through it: it waits, and nothing journaled is lost",
            "renew it now; `thrio-edge status` names the file or the server",
        ],
    ),
    note(
        AlarmCode::StoreDamaged,
        "store_damaged",
        Error,
        [
            "No daemon runs, and the journal cannot be read as it lies there; only `status` says so.",
            "undelivered records that lie in the damaged part",
            "start the service: it sets the file aside, collects at once, and brings over what is \
             intact",
        ],
    ),
    note(
        AlarmCode::NotRunning,
        "not_running",
        Error,
        [
            "No daemon runs on this state folder; only `status` and `alarm list` can say so.",
            "agents' states from now on; contact volume can be read again",
            "start it: `systemctl start thrio-edge`, or `thrio-edge run`",
        ],
    ),
];

impl AlarmCode {
    /// What the catalogue says of it.
    pub const fn note(self) -> &'static AlarmNote {
        &CATALOGUE[self as usize]
    }

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        self.note().word
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_catalogue_is_in_the_order_of_the_codes_and_each_word_is_its_own() {
        let mut words = HashSet::new();
        for (at, note) in CATALOGUE.iter().enumerate() {
            assert_eq!(note.code as usize, at, "{}", note.word);
            assert!(words.insert(note.word), "{} twice", note.word);
            assert!(note.meaning.ends_with('.'), "{}", note.meaning);
            for text in [note.meaning, note.at_risk, note.remedy] {
                assert!(!text.is_empty(), "{}", note.word);
            }
        }
    }
}
