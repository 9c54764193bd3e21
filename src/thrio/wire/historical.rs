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
mod tests {
    use super::*;
    use crate::domain::interval::Window;
    use crate::domain::record::Run;

    const FROM: i64 = 1_785_000_600;

    fn call(intervals: i64) -> HistoricalCall {
        let from = IntervalStart::aligned_s(FROM).unwrap();
        HistoricalCall {
            window: Window::new(from, from.plus(intervals)),
            queue: None,
            queues: Vec::new(),
            run: Run::Live,
        }
    }

    type Row = (String, i64, Option<u64>, Option<u64>, Option<u64>);

    fn read(
        api: &HistoricalApi,
        call: &HistoricalCall,
        body: &str,
    ) -> Result<(Vec<Row>, Vec<RejectReason>), WireError> {
        let (answer, _) = HistoricalParser::new(api).parse(call, body.as_bytes())?;
        let rows = answer
            .rows
            .iter()
            .map(|r| {
                let f = r.figures;
                (
                    r.queue.to_string(),
                    (r.interval_start.s() - FROM) / INTERVAL_S,
                    f.entered,
                    f.abandoned,
                    f.handle_time_s,
                )
            })
            .collect();
        let reasons = answer.rejected.samples.iter().map(|(r, _)| *r).collect();
        Ok((rows, reasons))
    }

    fn row(queue: &str, interval: i64) -> Row {
        (queue.to_owned(), interval, Some(3), Some(1), Some(600))
    }

    const FIGURES: &str = r#""sumHandleTime":600,"enteredCount":3,"abandonedCount":1"#;

    #[test]
    fn names_and_times_are_read_in_every_spelling() {
        let api = HistoricalApi::default();
        for (queue, interval) in [
            ("queueId", "\"interval\":1785001500"),
            ("queue-id", "\"intervalStart\":1785001500000"),
            ("queueID", "\"startTime\":\"2026-07-25T17:45:00Z\""),
            ("_id", "\"timestamp\":\"2026-07-25 17:45:00\""),
            ("QUEUE_ID", "\"Interval\":\"1785001500\""),
        ] {
            let body = format!(r#"[{{"{queue}":"q",{interval},{FIGURES}}}]"#);
            let expected = (vec![row("q", 1)], vec![]);
            assert_eq!(read(&api, &call(2), &body).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn figures_come_as_numbers_texts_or_not_at_all() {
        let body = r#"[
            {"queueId":1,"interval":1785000600,"sumHandleTime":"600","enteredCount":"3","abandonedCount":1.0},
            {"queueId":"2","interval":1785000600,"sumHandleTime":null,"enteredCount":"","abandonedCount":0},
            {"queueId":"3","interval":1785000600,"sumHandleTime":12.5,"enteredCount":0}]"#;
        let (rows, rejected) = read(&HistoricalApi::default(), &call(1), body).unwrap();
        assert_eq!(
            rows,
            [
                row("1", 0),
                ("2".to_owned(), 0, None, Some(0), None),
                ("3".to_owned(), 0, Some(0), None, Some(13)),
            ]
        );
        assert_eq!(rejected, []);
    }

    #[test]
    fn a_bad_row_costs_that_row_only() {
        let rows = [
            format!(r#"{{"interval":1785000600,{FIGURES}}}"#),
            format!(r#"{{"queueId":"q",{FIGURES}}}"#),
            format!(r#"{{"queueId":"q","interval":1785000601,{FIGURES}}}"#),
            format!(r#"{{"queueId":"q","interval":"soon",{FIGURES}}}"#),
            format!(r#"{{"queueId":"q","interval":1785009600,{FIGURES}}}"#),
            r#"{"queueId":"q","interval":1785000600,"enteredCount":-1}"#.to_owned(),
            r#"{"queueId":"q","interval":1785000600,"enteredCount":"NaN"}"#.to_owned(),
            r#"{"queueId":"q","interval":1785000600,"enteredCount":1.5}"#.to_owned(),
            r#"{"queueId":"q","interval":1785000600,"enteredCount":null}"#.to_owned(),
            format!(
                r#"{{"queueId":"{}","interval":1785000600,{FIGURES}}}"#,
                "q".repeat(129)
            ),
            "[]".to_owned(),
            format!(r#"{{"queueId":"good","interval":1785000600,{FIGURES}}}"#),
        ];
        let body = format!("[{}]", rows.join(","));
        let (rows, rejected) = read(&HistoricalApi::default(), &call(2), &body).unwrap();
        assert_eq!(rows, [row("good", 0)]);
        assert_eq!(
            rejected,
            [
                RejectReason::MissingId,
                RejectReason::MissingInterval,
                RejectReason::UnalignedInterval,
                RejectReason::UnalignedInterval,
                RejectReason::OutsideWindow,
                RejectReason::Negative,
                RejectReason::NotANumber,
                RejectReason::NotANumber,
                RejectReason::Empty,
                RejectReason::TooLong,
                RejectReason::Malformed,
            ]
        );
    }

    #[test]
    fn of_duplicates_the_last_counts() {
        let body = r#"[{"queueId":"q","interval":1785000600,"enteredCount":1},
            {"queueId":"q","interval":1785001500,"enteredCount":2},
            {"queueId":"q","interval":"2026-07-25 17:30:00","enteredCount":5}]"#;
        let (rows, rejected) = read(&HistoricalApi::default(), &call(2), body).unwrap();
        let entered: Vec<_> = rows.iter().map(|r| (r.1, r.2)).collect();
        assert_eq!(entered, [(0, Some(5)), (1, Some(2))]);
        assert_eq!(rejected, [RejectReason::Duplicate]);
    }

    #[test]
    fn a_map_gives_its_key_where_the_row_has_no_id() {
        let body = format!(
            r#"{{"a":{{"interval":1785000600,{FIGURES}}},"b":{{"queueId":"c","interval":1785000600,{FIGURES}}}}}"#
        );
        let mut api = HistoricalApi::default();
        let (rows, _) = read(&api, &call(2), &body).unwrap();
        assert_eq!(rows, [row("a", 0), row("c", 0)]);
        api.queue_from = QueueFrom::Key;
        let (rows, _) = read(&api, &call(2), &body).unwrap();
        assert_eq!(rows, [row("a", 0), row("b", 0)]);
    }

    #[test]
    fn the_name_of_a_list_is_a_queue_only_where_a_setting_says_so() {
        let body = format!(
            r#"{{"d":[{{"interval":1785000600,{FIGURES}}},{{"interval":1785001500,{FIGURES}}}]}}"#
        );
        let mut api = HistoricalApi::default();
        let (rows, rejected) = read(&api, &call(2), &body).unwrap();
        assert_eq!((rows, rejected), (vec![], vec![RejectReason::MissingId; 2]));
        api.queue_from = QueueFrom::Key;
        let (rows, _) = read(&api, &call(2), &body).unwrap();
        assert_eq!(rows, [row("d", 0), row("d", 1)]);
    }

    #[test]
    fn what_rows_do_not_say_comes_from_the_request() {
        let api = HistoricalApi {
            queue_from: QueueFrom::Request,
            interval_from: IntervalFrom::Request,
            ..HistoricalApi::default()
        };
        let mut one = call(1);
        let bare = format!("{{{FIGURES}}}");
        for body in [
            format!("[{bare}]"),
            bare.clone(),
            format!(r#"{{"data":{bare}}}"#),
        ] {
            assert_eq!(
                read(&api, &one, &body).unwrap().0,
                [row("(all)", 0)],
                "{body}"
            );
        }
        one.queue = Some(QueueId::new("q").unwrap());
        assert_eq!(read(&api, &one, &bare).unwrap().0, [row("q", 0)]);
        // A bare object answers a question for one interval only.
        assert!(read(&api, &call(2), &bare).is_err());
    }

    #[test]
    fn a_row_without_an_interval_takes_the_only_one_asked_for() {
        let body = format!(r#"[{{"queueId":"q",{FIGURES}}}]"#);
        let api = HistoricalApi::default();
        assert_eq!(read(&api, &call(1), &body).unwrap().0, [row("q", 0)]);
        assert_eq!(
            read(&api, &call(2), &body).unwrap().1,
            [RejectReason::MissingInterval]
        );
    }

    #[test]
    fn labels_units_and_patterns_are_settings() {
        let mut api = HistoricalApi {
            interval_label: IntervalLabel::End,
            handle_time_unit: HandleTimeUnit::Milliseconds,
            ..HistoricalApi::default()
        };
        api.row_time_format = Some(
            crate::thrio::api::TimeFormat::try_from("%-m/%-d/%Y %-I:%M:%S %p".to_owned()).unwrap(),
        );
        let body = r#"[{"queueId":"q","interval":"7/25/2026 5:45:00 PM","sumHandleTime":599500,
            "enteredCount":3,"abandonedCount":1}]"#;
        assert_eq!(read(&api, &call(1), body).unwrap().0, [row("q", 0)]);
    }

    #[test]
    fn what_is_no_answer_leaves_no_rows() {
        let api = HistoricalApi::default();
        for body in [
            String::new(),
            "<html>".to_owned(),
            r#"{"code":"x","message":"y","timestamp":1785000600}"#.to_owned(),
            format!(r#"[{{"queueId":"q","interval":1785000600,{FIGURES}}}"#),
            r#"[{"queueId":"q","enteredCount":NaN}]"#.to_owned(),
        ] {
            assert!(read(&api, &call(1), &body).is_err(), "{body}");
        }
    }

    #[test]
    fn an_answer_with_too_many_rows_is_refused() {
        let rows: Vec<_> = (0..=ROWS_MAX)
            .map(|n| format!(r#"{{"_id":{n},"enteredCount":1}}"#))
            .collect();
        let body = format!("[{}]", rows.join(","));
        assert_eq!(
            read(&HistoricalApi::default(), &call(1), &body),
            Err(WireError::TooManyRows(ROWS_MAX))
        );
    }
}
