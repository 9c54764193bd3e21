//! Contact volume: parsed while it streams, each queue and interval once, inside what was asked.

use std::collections::HashMap;
use std::io::Read;

use super::names::Matcher;
use super::rows::{Parse, RowSink, Shape, WireError, from_reader};
use super::slots::{BadFigure, Figure, Slots};
use crate::domain::call::{HistoricalAnswer, HistoricalCall, HistoricalRow, RejectReason};
use crate::domain::ids::{IdError, QueueId};
use crate::domain::interval::{INTERVAL_S, IntervalStart};
use crate::domain::record::Figures;
use crate::domain::timestamp::WallTime;
use crate::thrio::api::{HandleTimeUnit, HistoricalApi, IntervalFrom, IntervalLabel, QueueFrom};

const QUEUE: usize = 0;
const INTERVAL: usize = 1;
const HANDLE_TIME: usize = 2;
const ENTERED: usize = 3;
const ABANDONED: usize = 4;

/// The most rows of one answer: five times the 20,000 that a window is sized for, 10 MB at most.
pub const ROWS_MAX: usize = 100_000;

/// Reads answers with contact volume.
#[derive(Debug, Clone)]
pub struct HistoricalParser {
    matcher: Matcher,
    api: HistoricalApi,
}

impl HistoricalParser {
    /// A parser for answers of this mapping.
    pub fn new(api: &HistoricalApi) -> Self {
        let fields = &api.fields;
        Self {
            matcher: Matcher::new(&[
                &fields.queue,
                &fields.interval,
                &fields.handle_time,
                &fields.entered,
                &fields.abandoned,
            ]),
            api: api.clone(),
        }
    }

    /// Reads the answer to this call. `body` should be buffered.
    pub fn parse(
        &mut self,
        call: &HistoricalCall,
        body: impl Read,
    ) -> Result<(HistoricalAnswer, Shape), WireError> {
        let sink = Sink {
            api: &self.api,
            call,
            answer: HistoricalAnswer::default(),
            queues: HashMap::new(),
            seen: HashMap::new(),
            overflowed: false,
        };
        let mut parse = Parse::new(&mut self.matcher, sink);
        from_reader(&mut parse, body, &self.api.envelope)?;
        if parse.sink.overflowed {
            return Err(WireError::TooManyRows(ROWS_MAX));
        }
        Ok((parse.sink.answer, parse.shape))
    }

    /// The names that rows have used so far, and whether they are read.
    pub fn names_seen(&self) -> impl Iterator<Item = (&str, bool)> {
        self.matcher.spellings()
    }
}

struct Sink<'a> {
    api: &'a HistoricalApi,
    call: &'a HistoricalCall,
    answer: HistoricalAnswer,
    /// Each queue's id once, with its number.
    queues: HashMap<QueueId, u32>,
    /// The row of each queue and interval.
    seen: HashMap<(u32, IntervalStart), usize>,
    overflowed: bool,
}

/// A row that is not taken, and what to show of it.
type Rejected = (RejectReason, String);

impl Sink<'_> {
    fn read(&mut self, slots: &Slots<'_>, key: Option<&str>) -> Result<(), Rejected> {
        let queue = self.queue(slots, key)?;
        let interval_start = self.interval(slots, &queue)?;
        let figures = self.figures(slots, &queue)?;
        self.take(HistoricalRow {
            queue,
            interval_start,
            figures,
        });
        Ok(())
    }

    fn queue(&self, slots: &Slots<'_>, key: Option<&str>) -> Result<QueueId, Rejected> {
        let own = slots.text(QUEUE);
        let said = match self.api.queue_from {
            QueueFrom::Row => own.as_deref().or(key),
            QueueFrom::Key => key.or(own.as_deref()),
            QueueFrom::Request => match &self.call.queue {
                Some(asked) => return Ok(asked.clone()),
                None => match own.as_deref().or(key) {
                    Some(said) => Some(said),
                    None => return Ok(QueueId::all()),
                },
            },
        };
        let Some(said) = said else {
            return Err((RejectReason::MissingId, "a row without a queue".to_owned()));
        };
        if let Some((known, _)) = self.queues.get_key_value(said) {
            return Ok(known.clone());
        }
        QueueId::new(said).map_err(|error| {
            let reason = match error {
                IdError::Empty { .. } => RejectReason::MissingId,
                _ => RejectReason::TooLong,
            };
            (reason, error.to_string())
        })
    }

    fn interval(&self, slots: &Slots<'_>, queue: &QueueId) -> Result<IntervalStart, Rejected> {
        let window = self.call.window;
        let is_single = window.len() == 1;
        if is_single && self.api.interval_from == IntervalFrom::Request {
            return Ok(window.from);
        }
        let said = match slots.time(INTERVAL, self.api.row_time_format.as_ref()) {
            Ok(Some(said)) => said,
            Ok(None) if is_single => return Ok(window.from),
            Ok(None) => return Err((RejectReason::MissingInterval, format!("queue {queue}"))),
            Err(()) => {
                let text = slots.text(INTERVAL).unwrap_or_default();
                return Err((
                    RejectReason::UnalignedInterval,
                    format!("queue {queue}: interval \"{text}\" is no time"),
                ));
            }
        };
        let start = aligned(said, self.api.interval_label).ok_or_else(|| {
            (
                RejectReason::UnalignedInterval,
                format!("queue {queue}: {said} is no quarter hour"),
            )
        })?;
        if window.contains(start) {
            Ok(start)
        } else {
            Err((
                RejectReason::OutsideWindow,
                format!("queue {queue}: {start} was not asked for"),
            ))
        }
    }

    fn figures(&self, slots: &Slots<'_>, queue: &QueueId) -> Result<Figures, Rejected> {
        let bad = |field: &'static str, slot: usize| {
            move |bad: BadFigure| {
                let value = match slots.text(slot) {
                    Some(text) => format!("\"{text}\""),
                    None => "no scalar".to_owned(),
                };
                let reason = match bad {
                    BadFigure::Negative => RejectReason::Negative,
                    BadFigure::NotANumber => RejectReason::NotANumber,
                };
                (reason, format!("queue {queue}: {field} is {value}"))
            }
        };
        let count = |field, slot| {
            slots
                .figure(slot)
                .and_then(|figure| figure.map(Figure::count).transpose())
                .map_err(bad(field, slot))
        };
        let divisor = match self.api.handle_time_unit {
            HandleTimeUnit::Seconds => 1,
            HandleTimeUnit::Milliseconds => 1000,
        };
        let figures = Figures {
            entered: count("entered", ENTERED)?,
            abandoned: count("abandoned", ABANDONED)?,
            handle_time_s: slots
                .figure(HANDLE_TIME)
                .map_err(bad("handle time", HANDLE_TIME))?
                .map(|figure| figure.rounded(divisor)),
        };
        if figures == Figures::default() {
            return Err((RejectReason::Empty, format!("queue {queue}: no figure")));
        }
        Ok(figures)
    }

    fn take(&mut self, row: HistoricalRow) {
        let next = u32::try_from(self.queues.len()).expect("rows are limited");
        let number = match self.queues.get(&row.queue) {
            Some(&number) => number,
            None => *self.queues.entry(row.queue.clone()).or_insert(next),
        };
        let place = self.answer.rows.len();
        match self.seen.entry((number, row.interval_start)) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(place);
                self.answer.rows.push(row);
            }
            std::collections::hash_map::Entry::Occupied(entry) => {
                let detail = format!("queue {} at {}", row.queue, row.interval_start);
                self.answer.rows[*entry.get()] = row;
                self.reject(RejectReason::Duplicate, &detail);
            }
        }
    }

    fn reject(&mut self, reason: RejectReason, detail: &str) {
        self.answer.rejected.push(reason, || super::excerpt(detail));
    }
}

fn aligned(said: WallTime, label: IntervalLabel) -> Option<IntervalStart> {
    let start = match label {
        IntervalLabel::Start => said,
        IntervalLabel::End => said.plus_ms(-INTERVAL_S * 1000),
    };
    if start.ms().rem_euclid(1000) != 0 {
        return None;
    }
    IntervalStart::aligned_s(start.s())
}

impl<'de> RowSink<'de> for Sink<'_> {
    fn row(&mut self, slots: &Slots<'de>, key: Option<&str>) {
        if self.answer.rows.len() >= ROWS_MAX {
            self.overflowed = true;
            return;
        }
        if let Err((reason, detail)) = self.read(slots, key) {
            self.reject(reason, &detail);
        }
    }

    fn malformed(&mut self, what: &str) {
        self.reject(RejectReason::Malformed, what);
    }

    fn forget(&mut self) {
        self.answer = HistoricalAnswer::default();
        self.queues.clear();
        self.seen.clear();
        self.overflowed = false;
    }

    fn keys_name_lists(&self) -> bool {
        self.api.queue_from == QueueFrom::Key
    }

    /// Where one interval was asked for, the answer may be its figures, bare.
    fn is_single(&self, own: &Slots<'de>) -> bool {
        self.call.window.len() == 1
            && [HANDLE_TIME, ENTERED, ABANDONED]
                .iter()
                .any(|&field| own.text(field).is_some())
    }
}

#[cfg(test)]
mod tests;
