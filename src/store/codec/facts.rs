//! State transactions and interval revisions, the bulk of every journal, coded by column.

use super::bytes::{BadBytes, Reader, Writer, unzigzag, zigzag};
use super::groups::Groups;
use super::names::{
    category_from, category_number, origin_from, origin_number, reason_from, reason_number,
    run_from, run_number, suspect_from, suspect_number,
};
use super::{FastMap, Lexicon, Meanings, column};
use crate::domain::ids::{AgentId, SourceName, StateText};
use crate::domain::interval::{INTERVAL_S, IntervalStart};
use crate::domain::record::{Category, Figures, IntervalRecord, Origin, StateTransaction};
use crate::domain::timestamp::WallTime;

const CLAMPED: u8 = 1;
const TIED: u8 = 2;
const HAS_PREVIOUS: u8 = 4;
const HAS_EARLIEST: u8 = 8;

const HAS_ENTERED: u8 = 1;
const HAS_ABANDONED: u8 = 2;
const HAS_HANDLE_TIME: u8 = 4;

/// The distinct combinations of the fields that take few values, numbered by first appearance.
struct Shapes<T> {
    list: Vec<T>,
    /// By [`Shape::packed`], which is hashed at once.
    number: FastMap<u128, u64>,
}

impl<T: Shape> Shapes<T> {
    fn new() -> Self {
        Self {
            list: Vec::new(),
            number: FastMap::default(),
        }
    }

    fn number(&mut self, shape: T) -> u64 {
        *self.number.entry(shape.packed()).or_insert_with(|| {
            self.list.push(shape);
            self.list.len() as u64 - 1
        })
    }
}

trait Shape {
    /// All of it in one number. A position among a block's texts takes 14 bits: 10,000 states at
    /// most, two of each record.
    fn packed(&self) -> u128;
}

fn packed_bytes<const N: usize>(bytes: [u8; N]) -> u128 {
    bytes
        .into_iter()
        .fold(0, |all, byte| all << 8 | u128::from(byte))
}

/// Each value as the zigzag difference from the one before.
fn deltas(values: impl Iterator<Item = i64>) -> Vec<u64> {
    let mut before = 0i64;
    values
        .map(|value| {
            let delta = zigzag(value.wrapping_sub(before));
            before = value;
            delta
        })
        .collect()
}

/// The inverse of [`deltas`].
fn undeltas(values: Vec<u64>) -> impl Iterator<Item = i64> {
    values.into_iter().scan(0i64, |before, delta| {
        *before = undelta(*before, delta);
        Some(*before)
    })
}

/// One step of [`undeltas`].
fn undelta(before: i64, delta: u64) -> i64 {
    before.wrapping_add(unzigzag(delta))
}

/// An index that lies in the list.
fn position<T>(list: &[T], index: u64) -> Result<u32, BadBytes> {
    u32::try_from(index)
        .ok()
        .filter(|index| (*index as usize) < list.len())
        .ok_or(BadBytes("points beyond its list"))
}

fn index(value: u64) -> i64 {
    value.cast_signed()
}

fn pick<T>(list: &[T], index: u64) -> Result<&T, BadBytes> {
    usize::try_from(index)
        .ok()
        .and_then(|index| list.get(index))
        .ok_or(BadBytes("points beyond its list"))
}

/// What `started_at` is measured from: it mostly is the midpoint of two polls, so that the
/// difference is mostly zero.
fn expected_start(earliest: Option<WallTime>, observed: WallTime) -> i64 {
    match earliest {
        // As `WallTime::midpoint`, but total: damaged bytes may hold any two numbers.
        Some(earliest) => earliest
            .ms()
            .wrapping_add(observed.ms().wrapping_sub(earliest.ms()) / 2),
        None => observed.ms(),
    }
}

/// The small fields that are written in one byte.
pub(super) fn flags(t: &StateTransaction) -> u8 {
    flag(t.clamped, CLAMPED)
        | flag(t.tied, TIED)
        | flag(t.previous_state.is_some(), HAS_PREVIOUS)
        | flag(t.earliest_at.is_some(), HAS_EARLIEST)
}

pub(super) fn write_transactions(
    writer: &mut Writer,
    lexicon: &mut Lexicon<'_>,
    all: &[&StateTransaction],
    groups: &Groups<'_>,
) {
    let mut shapes = Shapes::new();
    // Two groups whose texts lie in different places may have one shape.
    let numbers_of_groups: Vec<u64> = groups
        .first
        .iter()
        .map(|t| {
            let previous = t.previous_state.as_ref();
            shapes.number(CodedTransactionShape {
                source: lexicon.sources.next(),
                state: lexicon.states.next(),
                previous: previous.map_or(0, |_| lexicon.states.next()),
                category: category_number(t.category),
                origin: origin_number(t.origin),
                flags: flags(t),
            })
        })
        .collect();
    let numbers = groups
        .of
        .iter()
        .map(|group| numbers_of_groups[*group as usize]);
    let numbers: Vec<u64> = numbers.collect();
    writer.varint(shapes.list.len() as u64);
    for shape in shapes.list {
        writer.varint(shape.source);
        writer.varint(shape.state);
        writer.varint(shape.previous);
        writer.u8(shape.category);
        writer.u8(shape.origin);
        writer.u8(shape.flags);
    }
    column::write(writer, &numbers);
    let agents = all.iter().map(|_| index(lexicon.agents.next()));
    column::write(writer, &deltas(agents));
    column::write(writer, &deltas(all.iter().map(|t| t.observed_at.ms())));
    let spans: Vec<u64> = all
        .iter()
        .filter_map(|t| Some(t.observed_at.ms().wrapping_sub(t.earliest_at?.ms())))
        .map(zigzag)
        .collect();
    column::write(writer, &spans);
    let starts: Vec<u64> = all
        .iter()
        .map(|t| expected_start(t.earliest_at, t.observed_at).wrapping_sub(t.started_at.ms()))
        .map(zigzag)
        .collect();
    column::write(writer, &starts);
}

fn flag(is_set: bool, bit: u8) -> u8 {
    if is_set { bit } else { 0 }
}

/// What transactions of a block have in common, as it is written.
struct CodedTransactionShape {
    source: u64,
    state: u64,
    previous: u64,
    category: u8,
    origin: u8,
    flags: u8,
}

impl Shape for CodedTransactionShape {
    fn packed(&self) -> u128 {
        let words = [self.source, self.state, self.previous];
        let words = words
            .into_iter()
            .fold(0, |all, n| all << 32 | u128::from(n));
        words << 24 | packed_bytes([self.category, self.origin, self.flags])
    }
}

/// What transactions of a block have in common.
#[derive(Debug)]
struct TransactionShape {
    source: SourceName,
    state: StateText,
    previous_state: Option<StateText>,
    category: Category,
    origin: Origin,
    clamped: bool,
    tied: bool,
    has_earliest: bool,
}

impl TransactionShape {
    fn read(reader: &mut Reader<'_>, words: &Meanings) -> Result<Self, BadBytes> {
        let source = pick(&words.sources, reader.varint()?)?.clone();
        let state = pick(&words.states, reader.varint()?)?.clone();
        let previous = reader.varint()?;
        let category = category_from(reader.u8()?)?;
        let origin = origin_from(reader.u8()?)?;
        let flags = reader.u8()?;
        let previous_state = if flags & HAS_PREVIOUS == 0 {
            None
        } else {
            Some(pick(&words.states, previous)?.clone())
        };
        Ok(Self {
            source,
            state,
            previous_state,
            category,
            origin,
            clamped: flags & CLAMPED != 0,
            tied: flags & TIED != 0,
            has_earliest: flags & HAS_EARLIEST != 0,
        })
    }
}

/// One transaction of a block, with its place in the lists of shapes and agents. Times are
/// milliseconds; `earliest` counts where the shape has one.
#[derive(Debug, Clone, Copy, Default)]
struct TransactionRow {
    shape: u32,
    agent: u32,
    observed: i64,
    earliest: i64,
    started: i64,
}

/// The transactions of a block: checked, and made one by one when they are asked for. A drain
/// passes each once, so that none is made to be copied, and a block that is kept takes little.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    shapes: Vec<TransactionShape>,
    agents: Vec<AgentId>,
    rows: Vec<TransactionRow>,
}

impl Transactions {
    /// Reads so many; [`Self::name`] has to give them their agents before one is made.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        words: &Meanings,
        count: usize,
    ) -> Result<Self, BadBytes> {
        if count == 0 {
            return Ok(Self::default());
        }
        let shapes = read_list(reader, |reader| TransactionShape::read(reader, words))?;
        let mut rows = vec![TransactionRow::default(); count];
        column::read_into(reader, &mut rows, |row, number| {
            row.shape = position(&shapes, number)?;
            Ok(())
        })?;
        let mut before = 0;
        column::read_into(reader, &mut rows, |row, delta| {
            before = undelta(before, delta);
            row.agent = position(&words.agents, before.cast_unsigned())?;
            Ok(())
        })?;
        let mut before = 0;
        column::read_into(reader, &mut rows, |row, delta| {
            before = undelta(before, delta);
            row.observed = before;
            Ok(())
        })?;
        read_earliest(reader, &shapes, &mut rows)?;
        column::read_into(reader, &mut rows, |row, start| {
            let expected = expected_start(
                shapes[row.shape as usize].earliest_of(row),
                WallTime::from_ms(row.observed),
            );
            row.started = expected.wrapping_sub(unzigzag(start));
            Ok(())
        })?;
        Ok(Self {
            shapes,
            agents: Vec::new(),
            rows,
        })
    }

    /// Gives them the block's agents, which they were read with.
    pub(super) fn name(&mut self, agents: Vec<AgentId>) {
        self.agents = agents;
    }

    pub(super) fn get(&self, n: usize) -> StateTransaction {
        let row = &self.rows[n];
        let shape = &self.shapes[row.shape as usize];
        StateTransaction {
            source: shape.source.clone(),
            agent: self.agents[row.agent as usize].clone(),
            started_at: WallTime::from_ms(row.started),
            state: shape.state.clone(),
            category: shape.category,
            previous_state: shape.previous_state.clone(),
            earliest_at: shape.earliest_of(row),
            observed_at: WallTime::from_ms(row.observed),
            origin: shape.origin,
            clamped: shape.clamped,
            tied: shape.tied,
        }
    }
}

impl TransactionShape {
    fn earliest_of(&self, row: &TransactionRow) -> Option<WallTime> {
        self.has_earliest.then(|| WallTime::from_ms(row.earliest))
    }
}

fn read_earliest(
    reader: &mut Reader<'_>,
    shapes: &[TransactionShape],
    rows: &mut [TransactionRow],
) -> Result<(), BadBytes> {
    let has = |row: &TransactionRow| shapes[row.shape as usize].has_earliest;
    let count = rows.iter().filter(|row| has(row)).count();
    let mut with = rows.iter_mut().filter(|row| has(row));
    column::for_each(reader, count, |span| {
        if let Some(row) = with.next() {
            row.earliest = row.observed.wrapping_sub(unzigzag(span));
        }
        Ok(())
    })
}

pub(super) fn write_intervals(
    writer: &mut Writer,
    lexicon: &mut Lexicon<'_>,
    all: &[&IntervalRecord],
) {
    let mut shapes = Shapes::new();
    let numbers: Vec<u64> = all
        .iter()
        .map(|i| {
            let figures = flag(i.figures.entered.is_some(), HAS_ENTERED)
                | flag(i.figures.abandoned.is_some(), HAS_ABANDONED)
                | flag(i.figures.handle_time_s.is_some(), HAS_HANDLE_TIME);
            shapes.number(IntervalShape {
                source: lexicon.sources.next(),
                run: run_number(i.run),
                reason: reason_number(i.reason),
                suspect: suspect_number(i.suspect),
                figures,
            })
        })
        .collect();
    writer.varint(shapes.list.len() as u64);
    for shape in shapes.list {
        writer.varint(shape.source);
        for byte in [shape.run, shape.reason, shape.suspect, shape.figures] {
            writer.u8(byte);
        }
    }
    column::write(writer, &numbers);
    let queues = all.iter().map(|_| index(lexicon.queues.next()));
    column::write(writer, &deltas(queues));
    let starts = all
        .iter()
        .map(|i| i.interval_start.s().div_euclid(INTERVAL_S));
    column::write(writer, &deltas(starts));
    column::write(writer, &deltas(all.iter().map(|i| i.answered_at.ms())));
    let revisions: Vec<u64> = all.iter().map(|i| u64::from(i.revision)).collect();
    column::write(writer, &revisions);
    for figure in [
        |f: &Figures| f.entered,
        |f: &Figures| f.abandoned,
        |f: &Figures| f.handle_time_s,
    ] {
        let values: Vec<u64> = all.iter().filter_map(|i| figure(&i.figures)).collect();
        column::write(writer, &values);
    }
}

struct IntervalShape {
    source: u64,
    run: u8,
    reason: u8,
    suspect: u8,
    figures: u8,
}

impl Shape for IntervalShape {
    fn packed(&self) -> u128 {
        let bytes = packed_bytes([self.run, self.reason, self.suspect, self.figures]);
        u128::from(self.source) << 32 | bytes
    }
}

pub(super) fn read_intervals(
    reader: &mut Reader<'_>,
    words: &Meanings,
    count: usize,
) -> Result<Vec<IntervalRecord>, BadBytes> {
    let shapes = read_list(reader, |reader| {
        Ok(IntervalShape {
            source: reader.varint()?,
            run: reader.u8()?,
            reason: reader.u8()?,
            suspect: reader.u8()?,
            figures: reader.u8()?,
        })
    })?;
    let numbers = column::read(reader, count)?;
    let queues = column::read(reader, count)?;
    let starts = column::read(reader, count)?;
    let answered = column::read(reader, count)?;
    let revisions = column::read(reader, count)?;
    let mut with = [0usize; 3];
    for &number in &numbers {
        let figures = pick(&shapes, number)?.figures;
        for (n, bit) in [HAS_ENTERED, HAS_ABANDONED, HAS_HANDLE_TIME]
            .into_iter()
            .enumerate()
        {
            with[n] += usize::from(figures & bit != 0);
        }
    }
    let mut entered = column::read(reader, with[0])?.into_iter();
    let mut abandoned = column::read(reader, with[1])?.into_iter();
    let mut handle_time = column::read(reader, with[2])?.into_iter();
    let mut all = Vec::with_capacity(count);
    let times = undeltas(starts).zip(undeltas(answered)).zip(revisions);
    for ((number, queue), ((start, answered), revision)) in
        numbers.into_iter().zip(undeltas(queues)).zip(times)
    {
        let shape = pick(&shapes, number)?;
        let figure = |bit: u8, column: &mut std::vec::IntoIter<u64>| {
            (shape.figures & bit != 0).then(|| column.next()).flatten()
        };
        all.push(IntervalRecord {
            source: pick(&words.sources, shape.source)?.clone(),
            queue: pick(&words.queues, queue.cast_unsigned())?.clone(),
            interval_start: interval_start(start)?,
            figures: Figures {
                entered: figure(HAS_ENTERED, &mut entered),
                abandoned: figure(HAS_ABANDONED, &mut abandoned),
                handle_time_s: figure(HAS_HANDLE_TIME, &mut handle_time),
            },
            revision: u32::try_from(revision).map_err(|_| BadBytes("a revision beyond 32 bits"))?,
            answered_at: WallTime::from_ms(answered),
            run: run_from(shape.run)?,
            reason: reason_from(shape.reason)?,
            suspect: suspect_from(shape.suspect)?,
        });
    }
    Ok(all)
}

/// The interval with this number since the epoch.
pub(crate) fn interval_start(index: i64) -> Result<IntervalStart, BadBytes> {
    index
        .checked_mul(INTERVAL_S)
        .and_then(IntervalStart::aligned_s)
        .ok_or(BadBytes("an interval beyond all time"))
}

fn read_list<'a, T>(
    reader: &mut Reader<'a>,
    mut one: impl FnMut(&mut Reader<'a>) -> Result<T, BadBytes>,
) -> Result<Vec<T>, BadBytes> {
    let count = reader.size()?;
    if count > reader.remaining() {
        return Err(BadBytes("a list longer than its block"));
    }
    (0..count).map(|_| one(reader)).collect()
}
