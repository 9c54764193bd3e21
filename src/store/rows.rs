//! The values of the state tables that are not simply a record's own coding.

use super::codec::names::{
    category_from, category_number, origin_from, origin_number, reason_from, reason_number,
    run_from, run_number, suspect_from, suspect_number,
};
use super::codec::{BadBytes, Reader, Writer};
use super::live::Cursor;
use super::tables::Number;
use crate::domain::ids::{QueueId, RecordSeq, SourceName, StateText};
use crate::domain::interval::IntervalStart;
use crate::domain::record::{Category, Figures, IntervalRecord, Origin};
use crate::domain::timestamp::WallTime;

/// The last known state of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AgentRow {
    pub(super) state: StateText,
    pub(super) category: Category,
    pub(super) origin: Origin,
    pub(super) since: WallTime,
    pub(super) seq: RecordSeq,
}

impl AgentRow {
    /// The value of `agent_states`; the state text by its number.
    pub(super) fn write(&self, writer: &mut Writer, state: Number) {
        writer.varint(u64::from(state));
        writer.u8(category_number(self.category));
        writer.u8(origin_number(self.origin));
        writer.time(self.since);
        writer.varint(self.seq.get());
    }

    pub(super) fn read(
        bytes: &[u8],
        state: impl FnOnce(Number) -> Option<StateText>,
    ) -> Result<Self, BadBytes> {
        let mut reader = Reader::new(bytes);
        Ok(Self {
            state: state(reader.u32()?).ok_or(BadBytes("its state text is missing"))?,
            category: category_from(reader.u8()?)?,
            origin: origin_from(reader.u8()?)?,
            since: reader.time()?,
            seq: RecordSeq::new(reader.varint()?),
        })
    }
}

/// The row's figures were given up with its record, so that the next answer counts as a change.
const GIVEN_UP: u8 = 1;

/// The last revision of one queue and interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IntervalRow {
    pub(super) record: IntervalRecord,
    pub(super) seq: RecordSeq,
    pub(super) given_up: bool,
}

/// Everything of the row but source, queue and interval, which are its key.
pub(super) fn write_interval(
    writer: &mut Writer,
    record: &IntervalRecord,
    seq: RecordSeq,
    given_up: bool,
) {
    writer.u8(u8::from(given_up) * GIVEN_UP);
    writer.varint(seq.get());
    writer.varint(u64::from(record.revision));
    writer.option(record.figures.entered);
    writer.option(record.figures.abandoned);
    writer.option(record.figures.handle_time_s);
    writer.time(record.answered_at);
    writer.u8(run_number(record.run));
    writer.u8(reason_number(record.reason));
    writer.u8(suspect_number(record.suspect));
}

pub(super) fn read_interval(
    bytes: &[u8],
    source: SourceName,
    queue: QueueId,
    interval_start: IntervalStart,
) -> Result<IntervalRow, BadBytes> {
    let mut reader = Reader::new(bytes);
    let given_up = reader.u8()? & GIVEN_UP != 0;
    let seq = RecordSeq::new(reader.varint()?);
    Ok(IntervalRow {
        record: IntervalRecord {
            source,
            queue,
            interval_start,
            revision: reader.u32()?,
            figures: Figures {
                entered: reader.option()?,
                abandoned: reader.option()?,
                handle_time_s: reader.option()?,
            },
            answered_at: reader.time()?,
            run: run_from(reader.u8()?)?,
            reason: reason_from(reader.u8()?)?,
            suspect: suspect_from(reader.u8()?)?,
        },
        seq,
        given_up,
    })
}

/// A value that begins with the seq of its record, followed by the record's own coding.
pub(super) fn split_seq(bytes: &[u8]) -> Result<(RecordSeq, Reader<'_>), BadBytes> {
    let mut reader = Reader::new(bytes);
    let seq = RecordSeq::new(reader.varint()?);
    Ok((seq, reader))
}

/// When it last moved, and the place itself as JSON: its fields grow with the delivery machine.
pub(super) fn write_cursor(writer: &mut Writer, cursor: &Cursor) {
    writer.time_option(cursor.moved_at);
    let json = serde_json::to_vec(&cursor.progress).expect("a progress is plain data");
    writer.bytes.extend_from_slice(&json);
}

pub(super) fn read_cursor(reader: &mut Reader<'_>) -> Result<Cursor, BadBytes> {
    let moved_at = reader.time_option()?;
    let json = reader.bytes(reader.remaining())?;
    let progress = serde_json::from_slice(json).map_err(|_| BadBytes("it is no progress"))?;
    Ok(Cursor { progress, moved_at })
}
