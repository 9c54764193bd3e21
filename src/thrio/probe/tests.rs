use super::*;
use crate::domain::interval::{IntervalStart, Window};
use crate::thrio::api::ApiOptions;

const FROM: i64 = 1_785_000_600;

fn sample(body: &str, window: Option<(i64, i64)>) -> Sample {
    Sample {
        request: None,
        status: 200,
        content_type: "application/json".to_owned(),
        body: body.as_bytes().to_vec(),
        took_ms: 0,
        window: window.map(|(from, to)| {
            let start = |s| IntervalStart::aligned_s(s).unwrap();
            Window::new(start(from), start(to))
        }),
    }
}

fn says(report: &ProbeReport, about: &str) -> String {
    report
        .findings
        .iter()
        .find(|finding| finding.about == about)
        .map_or_else(
            || panic!("nothing about {about}: {report:#?}"),
            |f| f.says.clone(),
        )
}

fn pasted(report: &ProbeReport) -> ApiOptions {
    let text = report.settings.replace("[source.api.", "[");
    toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn a_known_answer_is_confirmed() {
    let body = r#"{"data":[
        {"queueId":"q1","interval":1785000600,"sumHandleTime":900,"enteredCount":4,"abandonedCount":1,"extra":"x"},
        {"queueId":"q2","interval":1785000600,"sumHandleTime":0,"enteredCount":0,"abandonedCount":0,"extra":"y"}]}"#;
    let sample = sample(body, Some((FROM, FROM + 900)));
    let report = report(ProbeFeed::Historical, &[sample], &ApiOptions::default());
    assert_eq!(report.problem, None);
    assert!(
        report
            .fields
            .iter()
            .all(|f| f.found.is_some() && !f.proposed),
        "{report:#?}"
    );
    assert_eq!(report.unused.len(), 1);
    assert_eq!(
        report.rows[0],
        "queue q1  2026-07-25T17:30:00Z  entered 4  abandoned 1  handle_time_s 900"
    );
    assert!(
        says(&report, "handle time").contains("300.0 s if seconds, 0.3 s if milliseconds: seconds")
    );
    assert!(says(&report, "rows").contains("dense"));
    assert!(says(&report, "interval label").contains("start"));
    assert_eq!(pasted(&report).problems(), []);
}

#[test]
fn a_strange_answer_ends_in_settings_that_understand_it() {
    let body = r#"{"meta":{"page":1},"payload":{"list":[
        {"skillName":"q1","bucketStart":"7/25/2026 5:45:00 PM","offered":10,"abandons":0,"handleMs":3000000},
        {"skillName":"q2","bucketStart":"7/25/2026 5:45:00 PM","offered":10,"abandons":2,"handleMs":2400000},
        {"skillName":"q1","bucketStart":"7/25/2026 6:00:00 PM","offered":10,"abandons":0,"handleMs":3000000}]}}"#;
    let window = Some((FROM, FROM + 1800));
    let first = report(
        ProbeFeed::Historical,
        &[sample(body, window)],
        &ApiOptions::default(),
    );
    assert!(first.problem.is_some());
    let api = pasted(&first);
    assert_eq!(api.historical.envelope.to_string(), "/payload/list");
    assert!(
        first.settings.contains("interval_label = \"end\""),
        "{}",
        first.settings
    );
    assert!(
        first
            .settings
            .contains("handle_time_unit = \"milliseconds\"")
    );
    assert!(says(&first, "rows").contains("sparse"));
    assert_eq!((first.rejected, first.rows.len()), (0, 3));
    // With the pasted lines the same answer is understood.
    let again = report(ProbeFeed::Historical, &[sample(body, window)], &api);
    assert_eq!(again.problem, None);
    assert!(
        again
            .fields
            .iter()
            .all(|f| f.found.is_some() && !f.proposed)
    );
}

#[test]
fn rows_without_queue_or_interval_are_labelled_by_the_request() {
    let body = r#"[{"sumHandleTime":900,"enteredCount":4,"abandonedCount":1}]"#;
    let report = report(
        ProbeFeed::Historical,
        &[sample(body, Some((FROM, FROM + 900)))],
        &ApiOptions::default(),
    );
    assert!(report.settings.contains("interval_from = \"request\""));
    assert!(report.settings.contains("queue_from = \"request\""));
    assert!(report.rows[0].starts_with("queue (all)"), "{report:#?}");
}

#[test]
fn several_polls_tell_a_full_list_from_changes() {
    let poll = |agents: &[u32]| {
        let rows: Vec<_> = agents
            .iter()
            .map(|n| format!(r#"{{"agentId":"a{n}","status":"Available"}}"#))
            .collect();
        sample(&format!("[{}]", rows.join(",")), None)
    };
    let all: Vec<u32> = (0..20).collect();
    let api = ApiOptions::default();
    let full = report(
        ProbeFeed::Realtime,
        &[poll(&all), poll(&all), poll(&all[..19])],
        &api,
    );
    assert!(says(&full, "list").contains("a full list"), "{full:#?}");
    let changes = report(
        ProbeFeed::Realtime,
        &[poll(&all), poll(&all[3..5]), poll(&all[7..8])],
        &api,
    );
    assert!(says(&changes, "list").contains("changes only"));
    let one = report(ProbeFeed::Realtime, &[poll(&all)], &api);
    assert!(says(&one, "list").contains("cannot be told"));
}

#[test]
fn an_answer_that_is_no_answer_is_shown_by_its_start() {
    let html = sample("<html><body>Sign in</body></html>", None);
    let report = report(ProbeFeed::Realtime, &[html], &ApiOptions::default());
    assert!(report.problem.unwrap().contains("<html><body>Sign in"));
}

#[test]
fn a_saved_answer_holds_no_name_and_reads_the_same() {
    let users = r#"{"total":"2","objects":[
        {"_id":"u-1","userId":"u-1","username":"kim@example.com","firstName":"Kim","name":"Kim Lee",
         "password":"hunter2","phone":"4930123456","pin":4711,"enabled":true,"deletedAt":"1700000000000"},
        {"_id":"u-2","userId":"u-2","username":"lee@example.com","enabled":true}]}"#;
    let polls = r#"{"u-1":{"status":"Mittagspause","since":1785000600},"u-2":{"status":"Busy","since":1785000600}}"#;
    let volume =
        r#"[{"queueId":17,"queueName":"Sales","interval":"2026-07-25 17:30:00","enteredCount":4}]"#;
    let api = ApiOptions::default();
    let mut pseudonyms = Pseudonyms::new();
    let mut save =
        |feed, body: &str| String::from_utf8(pseudonyms.body(feed, body.as_bytes(), &api)).unwrap();
    let users = save(ProbeFeed::Agents, users);
    let polls = save(ProbeFeed::Realtime, polls);
    let volume = save(ProbeFeed::Historical, volume);
    for secret in [
        "u-1",
        "u-2",
        "kim",
        "Kim",
        "Lee",
        "hunter2",
        "4930123456",
        "4711",
        "17,",
        "Sales",
    ] {
        assert!(
            !format!("{users}{polls}{volume}").contains(secret),
            "{secret}: {users} {polls} {volume}"
        );
    }
    for kept in ["Mittagspause", "Busy"] {
        assert!(polls.contains(kept));
    }
    assert!(users.contains("1700000000000") && volume.contains("2026-07-25 17:30:00"));
    // One agent has one stand-in, wherever it comes.
    let users: serde_json::Value = serde_json::from_str(&users).unwrap();
    let polls: serde_json::Value = serde_json::from_str(&polls).unwrap();
    let id = users["objects"][0]["userId"].as_str().unwrap();
    assert!(polls.get(id).is_some(), "{id} in {polls}");
    let report = report(ProbeFeed::Historical, &[sample(&volume, None)], &api);
    assert_eq!((report.problem, report.rows.len()), (None, 1));
}
