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
