//! Roster changes, coverage entries and state codes, coded one after the other. The same bytes
//! are the values of the state tables, so that a row there is its last record.

use std::sync::Arc;

use super::bytes::{BadBytes, Reader, Writer};
use super::facts::interval_start;
use super::names::{
    category_from, category_number, change_from, change_number, status_from, status_number,
};
use crate::domain::agent::AgentDetails;
use crate::domain::ids::{AgentId, Feed, QueueId, SourceName, StateText};
use crate::domain::interval::IntervalStart;
use crate::domain::queue::QueueDetails;
use crate::domain::record::{AgentChange, CoverageEntry, QueueChange, StateCode};

const ACTIVE: u8 = 1;
const PROVISIONAL: u8 = 2;

/// Everything of an agent's change but its source and id.
pub(crate) fn write_agent(writer: &mut Writer, change: &AgentChange) {
    let details = &change.details;
    writer.u8(change_number(change.change));
    writer.u8(roster_flags(details.is_active, change.provisional));
    writer.time(change.valid_from);
    writer.time(change.first_seen);
    for text in [
        &details.username,
        &details.first_name,
        &details.last_name,
        &details.display_name,
        &details.email,
        &details.time_zone,
    ] {
        writer.text_option(text.as_deref());
    }
}

pub(crate) fn read_agent(
    reader: &mut Reader<'_>,
    source: SourceName,
    agent: AgentId,
) -> Result<AgentChange, BadBytes> {
    let change = change_from(reader.u8()?)?;
    let flags = reader.u8()?;
    let valid_from = reader.time()?;
    let first_seen = reader.time()?;
    let mut text = || Ok(reader.text_option()?.map(str::to_owned));
    Ok(AgentChange {
        source,
        agent,
        change,
        details: Arc::new(AgentDetails {
            username: text()?,
            first_name: text()?,
            last_name: text()?,
            display_name: text()?,
            email: text()?,
            time_zone: text()?,
            is_active: flags & ACTIVE != 0,
        }),
        valid_from,
        first_seen,
        provisional: flags & PROVISIONAL != 0,
    })
}

/// Everything of a queue's change but its source and id.
pub(crate) fn write_queue(writer: &mut Writer, change: &QueueChange) {
    writer.u8(change_number(change.change));
    writer.u8(roster_flags(change.details.is_active, change.provisional));
    writer.time(change.valid_from);
    writer.time(change.first_seen);
    writer.text_option(change.details.name.as_deref());
    writer.text_option(change.details.description.as_deref());
}

pub(crate) fn read_queue(
    reader: &mut Reader<'_>,
    source: SourceName,
    queue: QueueId,
) -> Result<QueueChange, BadBytes> {
    let change = change_from(reader.u8()?)?;
    let flags = reader.u8()?;
    let valid_from = reader.time()?;
    let first_seen = reader.time()?;
    Ok(QueueChange {
        source,
        queue,
        change,
        details: QueueDetails {
            name: reader.text_option()?.map(str::to_owned),
            description: reader.text_option()?.map(str::to_owned),
            is_active: flags & ACTIVE != 0,
        },
        valid_from,
        first_seen,
        provisional: flags & PROVISIONAL != 0,
    })
}

fn roster_flags(is_active: bool, provisional: bool) -> u8 {
    (u8::from(is_active) * ACTIVE) | (u8::from(provisional) * PROVISIONAL)
}

/// Everything of a coverage entry but its source, feed and interval.
pub(crate) fn write_coverage(writer: &mut Writer, entry: &CoverageEntry) {
    writer.u8(status_number(entry.status));
    writer.varint(u64::from(entry.attempts));
    writer.varint(u64::from(entry.rows));
    writer.text_option(entry.last_error.as_deref());
    writer.time_option(entry.fetched_at);
    writer.time_option(entry.final_at);
    for count in [entry.polls_expected, entry.polls_made, entry.unknown_s] {
        writer.option(count.map(u64::from));
    }
}

pub(crate) fn read_coverage(
    reader: &mut Reader<'_>,
    source: SourceName,
    feed: Feed,
    interval_start: IntervalStart,
) -> Result<CoverageEntry, BadBytes> {
    Ok(CoverageEntry {
        source,
        feed,
        interval_start,
        status: status_from(reader.u8()?)?,
        attempts: reader.u32()?,
        rows: reader.u32()?,
        last_error: reader.text_option()?.map(str::to_owned),
        fetched_at: reader.time_option()?,
        final_at: reader.time_option()?,
        polls_expected: reader.option_u32()?,
        polls_made: reader.option_u32()?,
        unknown_s: reader.option_u32()?,
    })
}

/// The interval of a coverage entry, as it stands in a block.
pub(super) fn write_interval(writer: &mut Writer, start: IntervalStart) {
    writer.signed(start.index());
}

pub(super) fn read_interval(reader: &mut Reader<'_>) -> Result<IntervalStart, BadBytes> {
    interval_start(reader.signed()?)
}

/// Everything of a state code but its source and text.
pub(crate) fn write_state_code(writer: &mut Writer, code: &StateCode) {
    writer.u8(category_number(code.category));
    writer.u8(u8::from(code.mapped));
    writer.time(code.first_seen);
}

pub(crate) fn read_state_code(
    reader: &mut Reader<'_>,
    source: SourceName,
    state: StateText,
) -> Result<StateCode, BadBytes> {
    let category = category_from(reader.u8()?)?;
    let mapped = reader.u8()? != 0;
    Ok(StateCode {
        source,
        state,
        category,
        first_seen: reader.time()?,
        mapped,
    })
}
