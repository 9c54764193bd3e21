//! `export` and `report` on a journal whose figures were worked out by hand, at rest and beside a
//! running daemon.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde_json::Value;
use thrio_edge::domain::agent::AgentDetails;
use thrio_edge::domain::health::FeedState;
use thrio_edge::domain::ids::{AgentId, Feed, QueueId, SourceName, StateText};
use thrio_edge::domain::interval::IntervalStart;
use thrio_edge::domain::queue::QueueDetails;
use thrio_edge::domain::record::{
    AgentChange, Category, CoverageEntry, CoverageStatus, Figures, IntervalRecord, Origin,
    QueueChange, Record, RevisionReason, RosterChange, Run, StateTransaction,
};
use thrio_edge::domain::timestamp::{MonoTime, Now, WallTime};
use thrio_edge::store::{Commit, Store, StoreOptions};

use crate::life::{Site, box_id};

/// 2024-07-25 in Berlin begins at 22:00 UTC of the day before.
const MIDNIGHT_S: i64 = 1_721_858_400;
const SPAN: [&str; 4] = [
    "--from",
    "2024-07-24T22:00:00Z",
    "--to",
    "2024-07-26T22:00:00Z",
];
/// More than two pages.
const CROWD: u32 = 2_300;

/// What clocks show in Berlin on 2024-07-25.
fn at(hour: i64, minute: i64) -> WallTime {
    WallTime::from_s(MIDNIGHT_S + (hour * 60 + minute) * 60)
}

fn source() -> SourceName {
    SourceName::new("main").unwrap()
}

fn queue() -> Record {
    Record::Queue(QueueChange {
        source: source(),
        queue: QueueId::new("q-1").unwrap(),
        change: RosterChange::Added,
        details: QueueDetails {
            name: Some("Sales, \"A\"".to_owned()),
            description: None,
            is_active: true,
        },
        valid_from: at(0, 0),
        first_seen: at(0, 0),
        provisional: false,
    })
}

fn agent() -> Record {
    Record::Agent(AgentChange {
        source: source(),
        agent: AgentId::new("a-1").unwrap(),
        change: RosterChange::Added,
        details: Arc::new(AgentDetails {
            username: Some("ada@example.com".to_owned()),
            display_name: Some("Ada".to_owned()),
            ..AgentDetails::default()
        }),
        valid_from: at(0, 0),
        first_seen: at(0, 0),
        provisional: false,
    })
}

fn interval(at: WallTime, entered: u64, abandoned: u64, handle_time_s: u64) -> Record {
    Record::Interval(IntervalRecord {
        source: source(),
        queue: QueueId::new("q-1").unwrap(),
        interval_start: IntervalStart::aligned_s(at.s()).unwrap(),
        figures: Figures {
            entered: Some(entered),
            abandoned: Some(abandoned),
            handle_time_s: Some(handle_time_s),
        },
        revision: 1,
        answered_at: at.plus(Duration::from_mins(20)),
        run: Run::Live,
        reason: RevisionReason::First,
        suspect: None,
    })
}

fn missing(at: WallTime) -> Record {
    Record::Coverage(CoverageEntry {
        source: source(),
        feed: Feed::Historical,
        interval_start: IntervalStart::aligned_s(at.s()).unwrap(),
        status: CoverageStatus::Missing,
        attempts: 3,
        last_error: Some("503".to_owned()),
        rows: 0,
        fetched_at: None,
        final_at: None,
        polls_expected: None,
        polls_made: None,
        unknown_s: None,
    })
}

fn change(agent: &str, at: WallTime, (state, category): (&str, Category), before: &str) -> Record {
    Record::Transaction(StateTransaction {
        source: source(),
        agent: AgentId::new(agent).unwrap(),
        started_at: at,
        state: StateText::new(state).unwrap(),
        category,
        previous_state: (!before.is_empty()).then(|| StateText::new(before).unwrap()),
        earliest_at: Some(at),
        observed_at: at.plus_ms(5_000),
        origin: Origin::Source,
        clamped: false,
        tied: false,
    })
}

/// The shift of `domain/report/adherence`: ten minutes late, lunch five minutes late.
fn shift() -> Vec<Record> {
    let available = ("Available", Category::Available);
    let out = ("Logged Out", Category::LoggedOut);
    let one = |at, state, before| change("a-1", at, state, before);
    vec![
        one(at(-5, 0), out, ""),
        one(at(9, 10), available, "Logged Out"),
        one(at(10, 0), ("Busy", Category::Busy), "Available"),
        one(at(12, 5), ("Lunch", Category::Aux), "Busy"),
        one(at(12, 35), available, "Lunch"),
        one(at(17, 0), out, "Available"),
    ]
}

/// A box that has collected all of it, and delivers nothing.
fn site() -> Site {
    let site = Site::new();
    let text = site.config_text().replace(
        "name = \"main\"\n",
        "name = \"main\"\ntime_zone = \"Europe/Berlin\"\n",
    );
    fs::write(site.config_file(), text + "paused = true\n").unwrap();
    fs::create_dir(site.state_dir()).unwrap();
    let now = |wall| Now {
        wall,
        mono: MonoTime::ZERO,
    };
    let mut options = StoreOptions::new(site.state_dir(), box_id());
    options.min_free = 0;
    let store = Store::open(&options, now(at(0, 0))).unwrap().store;
    let mut records = vec![
        queue(),
        agent(),
        interval(at(10, 0), 10, 1, 1_800),
        interval(at(10, 15), 30, 5, 6_000),
        missing(at(10, 30)),
        interval(at(23, 45), 0, 0, 0),
        interval(at(24, 0), 4, 0, 400),
    ];
    records.extend(shift());
    records.extend((0..CROWD).map(|n| {
        let at = at(18, 0).plus_ms(i64::from(n) * 1_000);
        change(&format!("b-{n}"), at, ("Busy", Category::Busy), "")
    }));
    let mut seen = FeedState::new(source(), Feed::Realtime);
    seen.last_complete_poll_at = Some(at(40, 0));
    let commit = Commit {
        records: &records,
        feed_states: &[seen],
    };
    store.append(&commit, now(at(24, 30))).unwrap();
    store.flush(now(at(24, 30))).unwrap();
    site
}

#[track_caller]
fn said(site: &Site, arguments: &[&str]) -> String {
    let output = site.command(arguments);
    assert_eq!(output.code, 0, "{arguments:?}: {}", output.stderr);
    output.stdout
}

fn with_span<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    arguments.iter().copied().chain(SPAN).collect()
}

fn schedule(site: &Site, text: &str) -> PathBuf {
    let file = site.folder().join("schedule.csv");
    fs::write(&file, text).unwrap();
    file
}

const SHIFT: &str = "agent,start,end,expected\n\
    Ada@Example.com,2024-07-25 09:00,2024-07-25 12:00,IN_SERVICE\n\
    a-1,2024-07-25T10:00:00Z,2024-07-25T10:30:00Z,AUX\n\
    a-1,2024-07-25 12:30,2024-07-25 17:00,IN_SERVICE\n";

fn volume(site: &Site) -> String {
    said(site, &with_span(&["report", "volume", "--csv"]))
}

fn adherence(site: &Site, more: &[&str]) -> String {
    let file = schedule(site, SHIFT);
    let mut arguments = vec!["report", "adherence", "--csv", "--schedule"];
    arguments.push(file.to_str().unwrap());
    arguments.extend(more);
    said(site, &arguments)
}

const VOLUME: &str = "source,queue_id,queue,period,entered,abandoned,abandoned_percent,\
    handle_time_s,aht_per_entered_s,aht_per_handled_s,quarters,missing\r\n\
    main,q-1,\"Sales, \"\"A\"\"\",2024-07-25,40,6,15.0,7800,195.0,229.4,3,1\r\n\
    main,q-1,\"Sales, \"\"A\"\"\",2024-07-26,4,0,0.0,400,100.0,100.0,1,0\r\n";

const ADHERENCE: &str = "source,agent_id,agent,scheduled_s,adherent_s,out_of_adherence_s,\
    unknown_s,adherence_percent,in_service_s,conformance_percent\r\n\
    main,a-1,Ada,28800,27600,1200,0,95.8,26400,97.8\r\n";

#[test]
fn the_reports_are_those_that_were_worked_out_by_hand() {
    let site = site();
    assert_eq!(volume(&site), VOLUME);
    let quarters = with_span(&["report", "volume", "--by", "interval", "--queue", "q-1"]);
    let table = said(&site, &quarters);
    for part in [
        "2024-07-25 10:00",
        "2024-07-25 23:45",
        "abandoned percent",
        "–",
    ] {
        assert!(table.contains(part), "{part} is missing in\n{table}");
    }
    assert_eq!(table.lines().count(), 1 + 4, "{table}");
    let utc = said(
        &site,
        &with_span(&["report", "volume", "--csv", "--time-zone", "UTC"]),
    );
    assert!(utc.contains("2024-07-25,44,6,"), "{utc}");

    assert_eq!(adherence(&site, &[]), ADHERENCE);
    let forgiving = adherence(&site, &["--late-start", "10m", "--from", "1721858400"]);
    // 09:00 to 09:10 is forgiven; so is 12:00 to 12:05, the late start of lunch, and what follows it.
    assert!(
        forgiving.contains("a-1,Ada,28800,28800,0,0,100.0,"),
        "{forgiving}"
    );
}

#[test]
fn an_export_holds_every_row_of_the_span_and_no_other() {
    let site = site();
    let intervals = said(&site, &with_span(&["export", "intervals"]));
    let mut lines = intervals.lines();
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("store_id,record_seq,source,queue_id,")
    );
    let first = lines.next().unwrap();
    assert!(
        first.contains(",main,q-1,2024-07-25T10:00:00.000+02:00,900,1,10,1,1800,"),
        "{first}"
    );
    assert_eq!(lines.count(), 3);
    let from = [
        "--from",
        "2024-07-25T08:00:01Z",
        "--to",
        "2024-07-25T21:45:01Z",
    ];
    let some = [&["export", "intervals", "--time-zone", "UTC"][..], &from].concat();
    assert_eq!(said(&site, &some).lines().count(), 1 + 2);

    // Over several pages, in the order of the journal.
    let transactions = said(
        &site,
        &with_span(&["export", "transactions", "--format", "ndjson"]),
    );
    let rows: Vec<Value> = transactions
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 5 + CROWD as usize, "one began before the span");
    assert!(
        rows.iter()
            .all(|row| row["table"] == "wfm_agent_state_transaction")
    );
    let seqs: Vec<u64> = rows
        .iter()
        .map(|r| r["record_seq"].as_u64().unwrap())
        .collect();
    assert!(seqs.is_sorted_by(|a, b| a < b));

    let file = site.folder().join("transactions.parquet");
    let out = ["--format", "parquet", "--out", file.to_str().unwrap()];
    let arguments = with_span(&[&["export", "transactions"][..], &out].concat());
    assert_eq!(said(&site, &arguments), "");
    let reader = SerializedFileReader::new(fs::File::open(&file).unwrap()).unwrap();
    let rows = reader.metadata().file_metadata().num_rows();
    assert_eq!(rows, 5 + i64::from(CROWD));
    assert!(!site.folder().join("transactions.parquet.part").exists());

    let agents = said(&site, &["export", "agents"]);
    assert!(agents.contains(",main,a-1,2024-07-25T00:00:00.000+02:00,added,ada@example.com,"));
    let queues = said(&site, &["export", "queues", "--format", "ndjson"]);
    assert!(queues.contains(r#""name":"Sales, \"A\"""#), "{queues}");
    let coverage = said(&site, &with_span(&["export", "coverage"]));
    assert!(coverage.contains(",historical,2024-07-25T10:30:00.000+02:00,missing,3,503,0,"));
    // Nothing there is a header and no row.
    let nothing = ["export", "intervals", "--from", "0", "--to", "900"];
    assert_eq!(said(&site, &nothing).lines().count(), 1);
}

#[test]
fn whoever_stops_reading_is_no_failure() {
    let site = site();
    for format in ["csv", "ndjson"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_thrio-edge"))
            .args(["export", "transactions", "--from", "0", "--format", format])
            .arg("--config")
            .arg(site.config_file())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let done = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!((done.status.code(), &*said), (Some(0), ""), "{format}");
    }
}

#[test]
fn a_running_daemon_tells_the_same() {
    let site = site();
    let export = with_span(&["export", "transactions"]);
    let at_rest = said(&site, &export);
    let mut life = site.start();
    assert_eq!(said(&site, &export), at_rest);
    assert_eq!(volume(&site), VOLUME);
    let to = ["--to", "2024-07-25T22:00:00Z"];
    assert_eq!(adherence(&site, &to), ADHERENCE);
    assert_eq!(life.terminate().0, Some(0));
}

#[test]
fn what_cannot_be_told_is_refused_with_its_reason() {
    let site = site();
    let file = schedule(
        &site,
        &format!("{SHIFT}nobody@example.com,1721858400,1721858401,AUX\n"),
    );
    let output = site.command(&["report", "adherence", "--schedule", file.to_str().unwrap()]);
    assert_eq!(output.code, 64, "{}", output.stderr);
    assert!(
        output
            .stderr
            .contains("line 5: nobody is called nobody@example.com")
    );
    let output = site.command(&with_span(&[
        "export",
        "intervals",
        "--time-zone",
        "Mars/Base",
    ]));
    assert_eq!(output.code, 64);
    assert!(output.stderr.contains("zoneinfo"), "{}", output.stderr);
    let twice = format!("{SHIFT}a-1,2024-07-25 16:59,2024-07-25 18:00,AUX\n");
    let file = schedule(&site, &twice);
    let output = site.command(&["report", "adherence", "--schedule", file.to_str().unwrap()]);
    assert_eq!(output.code, 64);
    assert!(
        output.stderr.contains("two lines of agent a-1 overlap"),
        "{}",
        output.stderr
    );
}
