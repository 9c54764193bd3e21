//! A journal with a backlog in it: what a simulated centre did on one day of the past.

use thrio_edge::domain::category::StateMap;
use thrio_edge::domain::ids::{AgentId, QueueId, SourceName, StateText};
use thrio_edge::domain::interval::IntervalStart;
use thrio_edge::domain::record::{
    Figures, IntervalRecord, Origin, Record, RevisionReason, Run, StateTransaction,
};
use thrio_edge::domain::timestamp::WallTime;
use thrio_edge::simulator::{Centre, Preset, QUARTER_HOUR_S};
use thrio_edge::store::Commit;

use crate::rig::{Rig, now};
use crate::truth::Expected;

/// 2026-03-02, a Monday.
const DAY_S: i64 = 1_772_409_600;
/// Long after every figure has settled.
const SETTLED_S: i64 = 30 * 86_400;
/// Records of one commit.
const COMMIT: usize = 2_000;

/// Journals that many transactions of a centre of preset M from a day on, and the figures of that
/// day's first half.
pub(crate) fn fill(rig: &Rig, day: i64, transactions: usize) -> Expected {
    let day_s = DAY_S + day * 86_400;
    let centre = Centre::new(Preset::M, rig.seed());
    let mut expected = Expected::default();
    let mut records = Vec::new();
    let states = StateMap::default();
    let changes = (0..).flat_map(|day| {
        let from_s = day_s + day * 86_400;
        centre.changes(from_s * 1_000, (from_s + 86_400) * 1_000)
    });
    for change in changes.take(transactions) {
        let key = (change.id.to_string(), change.at_ms);
        let text = change.state.text();
        if expected.transactions.insert(key, text.to_owned()).is_some() {
            continue;
        }
        let at = WallTime::from_ms(change.at_ms);
        records.push(Record::Transaction(StateTransaction {
            source: source(),
            agent: AgentId::new(&change.id).unwrap(),
            started_at: at,
            state: StateText::new(text).unwrap(),
            category: states.meaning(text).category,
            previous_state: None,
            earliest_at: None,
            observed_at: at.plus_ms(500),
            origin: Origin::Source,
            clamped: false,
            tied: false,
        }));
    }
    // Spread, as in life: an interval's figures come between two polls.
    let volumes: Vec<_> = centre
        .volumes(
            day_s,
            day_s + 12 * 4 * QUARTER_HOUR_S,
            (day_s + SETTLED_S) * 1_000,
        )
        .collect();
    let every = (records.len() / volumes.len().max(1)).max(1);
    let mut mixed = Vec::with_capacity(records.len() + volumes.len());
    let mut volumes = volumes.into_iter();
    for (n, record) in records.into_iter().enumerate() {
        mixed.push(record);
        if n % every == 0 {
            mixed.extend(volumes.next().map(|row| interval(&row, &mut expected)));
        }
    }
    mixed.extend(volumes.map(|row| interval(&row, &mut expected)));
    let store = rig.open_store();
    for records in mixed.chunks(COMMIT) {
        let commit = Commit {
            records,
            feed_states: &[],
        };
        store.append(&commit, now()).unwrap();
    }
    expected
}

fn interval(row: &thrio_edge::simulator::QueueVolume, expected: &mut Expected) -> Record {
    let volume = row.volume;
    let sums = [volume.entered, volume.abandoned, volume.handle_time_s];
    let [entered, abandoned, handle_time_s] = sums.map(|sum| i64::try_from(sum).unwrap());
    let key = (row.queue.to_string(), row.start_s);
    expected
        .volumes
        .insert(key, (entered, abandoned, handle_time_s));
    Record::Interval(IntervalRecord {
        source: source(),
        queue: QueueId::new(&row.queue).unwrap(),
        interval_start: IntervalStart::containing(WallTime::from_s(row.start_s)),
        figures: Figures {
            entered: Some(volume.entered),
            abandoned: Some(volume.abandoned),
            handle_time_s: Some(volume.handle_time_s),
        },
        revision: 1,
        answered_at: WallTime::from_s(row.start_s + 2 * QUARTER_HOUR_S),
        run: Run::Live,
        reason: RevisionReason::First,
        suspect: None,
    })
}

fn source() -> SourceName {
    SourceName::new("main").unwrap()
}
