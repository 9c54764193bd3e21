//! The file destination: what its files hold, what a reader of the directory may rely on, and what
//! survives a kill and a power cut.

#[path = "../support/check.rs"]
mod check;
mod kill;
mod power;
mod published;
#[path = "../destination_suite/records.rs"]
mod records;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use check::check_connect;
use published::Published;
use records::{batch, history, seq, source, transaction};
use thrio_edge::clock::Clock;
use thrio_edge::destination::file::{
    FileCompression, FileDestination, FileFormat, FileOptions, Zone,
};
use thrio_edge::destination::{Destination, SendError, Writer};
use thrio_edge::domain::batch::Batch;
use thrio_edge::domain::health::Heartbeat;
use thrio_edge::domain::ids::{BoxId, SeqRange, StoreId};
use thrio_edge::domain::record::Record;
use thrio_edge::domain::timestamp::{Now, WallTime};

/// A clock that stands until it is moved.
#[derive(Debug, Default)]
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).expect("a short time");
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Now {
        Now {
            wall: WallTime::from_ms(self.0.load(Ordering::Relaxed)),
            ..Now::default()
        }
    }
}

pub(crate) const AGE: Duration = Duration::from_mins(15);

pub(crate) fn writer(store: u128) -> Writer {
    Writer {
        box_id: BoxId::new("box/1").expect("an id"),
        store_id: StoreId::from_bits(store),
        sources: vec![source()],
        take_over: Vec::new(),
    }
}

pub(crate) fn beat() -> Heartbeat {
    Heartbeat {
        box_id: writer(1).box_id,
        version: "0".to_owned(),
        started_at: WallTime::from_ms(0),
        at: WallTime::from_ms(7),
        backlog: 3,
        oldest_unsent_at: None,
        alarms: Vec::new(),
        feeds: Vec::new(),
    }
}

/// `count` transactions from `first` on.
pub(crate) fn transactions(first: u64, count: u64) -> Batch {
    let one = |n: u64| {
        let at = i64::try_from(n).expect("few records");
        Record::Transaction(transaction(&format!("a-{}", n % 7), at, "Ready"))
    };
    batch(first, &(first..first + count).map(one).collect::<Vec<_>>())
}

struct Site {
    folder: tempfile::TempDir,
    clock: Arc<HandClock>,
    options: FileOptions,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (directory, state) = (folder.path().join("out"), folder.path().join("state"));
        fs::create_dir(&directory).expect("made");
        fs::create_dir(&state).expect("made");
        Self {
            clock: Arc::new(HandClock::default()),
            options: FileOptions::new(directory, state.join("destinations/archive")),
            folder,
        }
    }

    fn open(&self) -> FileDestination {
        let mut destination = self.closed();
        destination.open(&writer(1)).expect("opened");
        destination
    }

    fn closed(&self) -> FileDestination {
        FileDestination::new(self.options.clone(), self.clock.clone())
    }

    /// Lets the open segment grow old.
    fn publish(&self, destination: &mut FileDestination) {
        self.clock.advance(AGE);
        destination.heartbeat(&beat()).expect("cut");
    }

    fn published(&self) -> Published {
        Published::read(&self.options.directory)
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }
}

fn range(first: u64, last: u64) -> SeqRange {
    SeqRange::new(seq(first), seq(last))
}

fn held(result: Result<impl std::fmt::Debug, SendError>) -> String {
    match result {
        Err(SendError::Held { reason, remedy }) => format!("{reason}; {remedy}"),
        other => panic!("not held: {other:?}"),
    }
}

#[test]
fn ndjson_is_one_stream_of_records_in_the_order_of_the_journal() {
    let site = Site::new();
    let mut to = site.open();
    let records = history();
    to.send(&batch(1, &records)).expect("taken");
    assert_eq!(
        site.published().names,
        [""; 0],
        "nothing is seen of an open segment"
    );
    site.publish(&mut to);

    let published = site.published();
    let name = format!(
        "wfm_records-{:020}-{:020}-{:032x}.ndjson",
        1,
        records.len(),
        1
    );
    assert_eq!(published.names, [name]);
    let seqs: Vec<u64> = published.seqs().collect();
    assert_eq!(seqs, (1..=records.len() as u64).collect::<Vec<_>>());
    let first = &published.rows[0];
    assert_eq!(first["table"], "wfm_agent_state_transaction");
    assert_eq!(first["started_at"], "1970-01-01T00:00:00.000Z");
    assert_eq!(first["previous_state"], serde_json::Value::Null);
}

#[test]
fn csv_is_a_file_for_each_table_with_header_quotes_and_the_named_zone() {
    let mut site = Site::new();
    site.options.format = FileFormat::Csv;
    site.options.zone = "Europe/Berlin".parse::<Zone>().expect("in every zoneinfo");
    let mut to = site.open();
    let mut odd = transaction("a,1", 1_785_000_000_500, "say \"Pause\"\nnow");
    odd.earliest_at = None;
    let mut all = history();
    all.push(Record::Transaction(odd));
    to.send(&batch(1, &all)).expect("taken");
    site.publish(&mut to);

    let published = site.published();
    let words: Vec<&str> = published
        .names
        .iter()
        .map(|n| n.split('-').next().expect("a word"))
        .collect();
    let tables = [
        "wfm_agent",
        "wfm_agent_state_transaction",
        "wfm_interval_coverage",
        "wfm_queue",
        "wfm_queue_interval_revision",
        "wfm_state_code",
    ];
    assert_eq!(words, tables);
    let text = published.text("wfm_agent_state_transaction");
    let header = "store_id,record_seq,source,agent_id,started_at,state,category,previous_state,\
                  earliest_at,observed_at,origin,is_clamped,is_tied\r\n";
    assert!(text.starts_with(header), "{text}");
    let last = format!(
        "{:032x},{},main,\"a,1\",2026-07-25T19:20:00.500+02:00,\"say \"\"Pause\"\"\nnow\",AVAILABLE,,,\
         2026-07-25T19:20:00.501+02:00,observed,false,false\r\n",
        1,
        all.len()
    );
    assert!(text.ends_with(&last), "{text}");
    published.assert_each_once(1..=all.len() as u64);
}

#[test]
fn parquet_holds_the_same_rows_as_csv() {
    let rows_of = |format| {
        let mut site = Site::new();
        site.options.format = format;
        let mut to = site.open();
        to.send(&batch(1, &history())).expect("taken");
        site.publish(&mut to);
        let mut rows = site.published().rows;
        rows.sort_by_key(|row| row["record_seq"].as_u64());
        rows
    };
    let (csv, parquet) = (rows_of(FileFormat::Csv), rows_of(FileFormat::Parquet));
    assert_eq!(csv.len(), history().len());
    assert_eq!(csv, parquet);
}

#[test]
fn gzip_holds_the_same_bytes() {
    let text_of = |compression| {
        let mut site = Site::new();
        site.options.compression = compression;
        let mut to = site.open();
        to.send(&batch(1, &history())).expect("taken");
        site.publish(&mut to);
        let published = site.published();
        (
            published.names[0].clone(),
            published.text("wfm_records").to_owned(),
        )
    };
    let (name, plain) = text_of(FileCompression::None);
    assert_eq!(
        (format!("{name}.gz"), plain),
        text_of(FileCompression::Gzip)
    );
}

#[test]
fn a_segment_is_cut_by_size_and_by_age_even_when_nothing_more_comes() {
    let mut site = Site::new();
    site.options.segment_bytes = 10_000;
    let mut to = site.open();
    for n in 0..10 {
        to.send(&transactions(1 + n * 20, 20)).expect("taken");
    }
    let by_size = site.published();
    assert!(by_size.names.len() >= 3, "{:?}", by_size.names);
    to.heartbeat(&beat()).expect("nothing is old yet");
    assert_eq!(site.published().names.len(), by_size.names.len());
    site.publish(&mut to);
    site.published().assert_each_once(1..=200);
    site.publish(&mut to);
    assert_eq!(
        site.published().names.len(),
        by_size.names.len() + 1,
        "nothing is published of nothing"
    );
}

#[test]
fn a_clock_that_is_set_back_keeps_no_segment_open() {
    let site = Site::new();
    site.clock.advance(Duration::from_hours(1000));
    let mut to = site.open();
    to.send(&transactions(1, 3)).expect("taken");
    site.clock.0.store(0, Ordering::Relaxed);
    to.heartbeat(&beat()).expect("cut");
    site.published().assert_each_once(1..=3);
}

#[test]
fn what_was_taken_is_in_the_receipt_and_the_segment_goes_on() {
    let site = Site::new();
    site.open().send(&transactions(1, 5)).expect("taken");
    let mut to = site.closed();
    let receipt = to.open(&writer(1)).expect("opened");
    assert_eq!(receipt.applied, [range(1, 5)]);
    to.send(&transactions(6, 5)).expect("taken");
    site.publish(&mut to);
    let published = site.published();
    assert_eq!(published.names.len(), 1);
    published.assert_each_once(1..=10);
    assert_eq!(
        site.closed().open(&writer(1)).expect("opened").applied,
        [range(1, 10)]
    );
}

#[test]
fn a_batch_without_a_record_moves_the_receipt_and_makes_no_file() {
    let site = Site::new();
    let mut to = site.open();
    let empty = |first, last| Batch {
        range: range(first, last),
        records: Vec::new(),
    };
    to.send(&empty(1, 10)).expect("taken");
    site.publish(&mut to);
    assert_eq!(site.published().names, [""; 0]);
    to.send(&transactions(11, 2)).expect("taken");
    to.send(&empty(13, 20)).expect("taken");
    site.publish(&mut to);
    assert_eq!(
        site.closed().open(&writer(1)).expect("opened").applied,
        [range(1, 20)]
    );
}

#[test]
fn a_replay_gets_segments_of_its_own_and_overwrites_nothing() {
    let site = Site::new();
    let mut to = site.open();
    to.send(&transactions(1, 5)).expect("taken");
    site.publish(&mut to);
    let first = site.published();
    for _ in 0..2 {
        to.send(&transactions(1, 5)).expect("taken");
        site.publish(&mut to);
    }
    to.send(&transactions(6, 5)).expect("taken");
    site.publish(&mut to);
    let published = site.published();
    assert_eq!(
        published.text_of(&first.names[0]),
        first.text_of(&first.names[0])
    );
    let again: Vec<_> = published
        .names
        .iter()
        .filter(|n| n.contains("-again"))
        .collect();
    assert_eq!(again.len(), 2, "{:?}", published.names);
    assert_eq!(published.seqs().filter(|n| *n == 3).count(), 3);
    assert_eq!(published.seqs().filter(|n| *n == 7).count(), 1);
    assert_eq!(to.open(&writer(1)).expect("opened").applied, [range(1, 10)]);
}

#[test]
fn a_new_store_id_ends_the_segment_of_the_former() {
    let site = Site::new();
    let mut to = site.open();
    to.send(&transactions(1, 5)).expect("taken");
    let receipt = to.open(&writer(2)).expect("opened");
    assert_eq!(receipt.applied, []);
    to.send(&transactions(4, 5)).expect("taken");
    site.publish(&mut to);
    let stores = site.published();
    assert_eq!(stores.names.len(), 2);
    assert_eq!(stores.rows.len(), 10);
}

#[test]
fn a_restored_state_folder_is_told_how_far_it_was_and_publishes_nothing_twice() {
    let site = Site::new();
    let mut to = site.open();
    to.send(&transactions(1, 5)).expect("taken");
    let yesterday = fs::read(site.options.work_folder.join("open.segment")).expect("there");
    to.send(&transactions(6, 5)).expect("taken");
    site.publish(&mut to);
    drop(to);
    fs::remove_dir_all(site.state().join("destinations")).expect("removed");
    fs::create_dir_all(&site.options.work_folder).expect("made");
    fs::write(site.options.work_folder.join("open.segment"), yesterday).expect("restored");

    let mut to = site.closed();
    assert_eq!(to.open(&writer(1)).expect("opened").applied, [range(1, 10)]);
    site.publish(&mut to);
    site.published().assert_each_once(1..=10);
}

#[test]
fn an_emptied_directory_is_told_by_the_receipt_beside_the_store() {
    let site = Site::new();
    let mut to = site.open();
    to.send(&transactions(1, 5)).expect("taken");
    site.publish(&mut to);
    fs::remove_dir_all(&site.options.directory).expect("removed");
    fs::create_dir(&site.options.directory).expect("made");
    assert_eq!(to.open(&writer(1)).expect("opened").applied, [range(1, 5)]);
}

#[test]
fn a_removed_directory_holds_with_a_remedy_and_loses_nothing() {
    let mut site = Site::new();
    site.options.segment_bytes = 1;
    let mut to = site.open();
    let away = site.folder.path().join("away");
    fs::rename(&site.options.directory, &away).expect("moved");
    let why = held(to.send(&transactions(1, 5)));
    assert!(
        why.contains("out") && why.contains("make the folder"),
        "{why}"
    );
    held(to.open(&writer(1)));
    held(to.probe());
    assert!(
        !site.options.directory.exists(),
        "a disk that is not mounted is not written beside"
    );
    fs::rename(&away, &site.options.directory).expect("moved back");
    to.probe().expect("reached");
    // The batch was taken before the directory was missed: it is not sent again.
    assert_eq!(to.open(&writer(1)).expect("opened").applied, [range(1, 5)]);
    site.published().assert_each_once(1..=5);
}

#[test]
fn a_file_in_the_way_is_held_and_never_overwritten() {
    let site = Site::new();
    let mut to = site.open();
    to.send(&transactions(1, 5)).expect("taken");
    // Where the heartbeat's file belongs there is a folder.
    let beat_file = site.options.directory.join("wfm_box-box%2F1.json");
    fs::create_dir(&beat_file).expect("made");
    assert!(to.heartbeat(&beat()).is_err());
    fs::remove_dir(&beat_file).expect("removed");
    to.open(&writer(1)).expect("opened");
    let taken = format!("wfm_records-{:020}-{:020}-{:032x}.ndjson", 1, 5, 1);
    fs::write(site.options.directory.join(&taken), "mine").expect("written");
    site.clock.advance(AGE);
    to.heartbeat(&beat()).expect("published beside it");
    assert_eq!(
        fs::read_to_string(site.options.directory.join(&taken)).expect("there"),
        "mine"
    );
    let named = site
        .options
        .directory
        .join(taken.replace(".ndjson", "-again1.ndjson"));
    assert!(named.exists());
}

#[test]
fn a_revoked_permission_holds_with_a_remedy() {
    let site = Site::new();
    let mut to = site.open();
    let set = |mode| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(&site.options.directory, mode).expect("set");
    };
    set(0o500);
    // Nothing is forbidden to the superuser.
    if fs::write(site.options.directory.join("try"), "").is_err() {
        let why = held(to.probe());
        assert!(why.contains("let the program's user write there"), "{why}");
        held(to.open(&writer(1)));
    }
    set(0o700);
    to.open(&writer(1)).expect("opened");
}

#[test]
fn damage_in_the_open_segment_costs_the_damaged_batch_only() {
    let site = Site::new();
    let mut to = site.open();
    for n in 0..5 {
        to.send(&transactions(1 + n * 10, 10)).expect("taken");
    }
    drop(to);
    let log = site.options.work_folder.join("open.segment");
    let whole = fs::read(&log).expect("there");
    // In a batch's text, in its length, and at a torn end.
    let third = whole
        .windows(4)
        .enumerate()
        .filter(|(_, w)| *w == [0xF5, b'S', b'E', b'G']);
    let third = third.map(|(at, _)| at).nth(3).expect("the third batch");
    for (at, flipped) in [(third + 40, 0x01), (third + 5, 0x01), (third + 7, 0x80)] {
        let mut bytes = whole.clone();
        bytes[at] ^= flipped;
        fs::write(&log, &bytes).expect("damaged");
        let mut to = site.closed();
        assert_eq!(
            to.open(&writer(1)).expect("opened").applied,
            [range(1, 50)],
            "{at}"
        );
        site.publish(&mut to);
        let published = site.published();
        let seqs: Vec<u64> = published.seqs().collect();
        assert_eq!(seqs, (1..=20).chain(31..=50).collect::<Vec<_>>());
        fs::remove_dir_all(&site.options.directory).expect("removed");
        fs::create_dir(&site.options.directory).expect("made");
        fs::remove_dir_all(site.state().join("destinations")).expect("removed");
        fs::create_dir_all(&site.options.work_folder).expect("made");
    }
}

#[test]
fn wherever_the_last_write_is_torn_what_was_acknowledged_stays() {
    let site = Site::new();
    let mut to = site.open();
    to.send(&transactions(1, 3)).expect("taken");
    let log = site.options.work_folder.join("open.segment");
    let acknowledged = fs::metadata(&log).expect("there").len();
    to.send(&transactions(4, 2)).expect("taken");
    drop(to);
    let whole = fs::read(&log).expect("there");
    for end in (usize::try_from(acknowledged).expect("small")..whole.len()).step_by(7) {
        fs::write(&log, &whole[..end]).expect("torn");
        let mut to = site.closed();
        assert_eq!(
            to.open(&writer(1)).expect("opened").applied,
            [range(1, 3)],
            "{end}"
        );
        to.send(&transactions(4, 2)).expect("taken");
        assert_eq!(
            fs::read(&log).expect("there"),
            whole,
            "cut off and written again"
        );
    }
}

#[test]
fn figures_past_64_bits_are_refused_by_name() {
    let site = Site::new();
    let mut to = site.open();
    let mut records = vec![Record::Interval(records::interval("q", 0, 1, 5)); 2];
    if let Record::Interval(interval) = &mut records[1] {
        interval.figures.entered = Some(u64::MAX);
    }
    let Err(SendError::Refused {
        records: refused, ..
    }) = to.send(&batch(1, &records))
    else {
        panic!("not refused");
    };
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].0, seq(2));
    to.send(&batch(1, &records[..1])).expect("it is still open");
}

#[test]
fn the_heartbeat_is_a_file_that_is_replaced() {
    let site = Site::new();
    let mut to = site.open();
    for backlog in [3, 4] {
        to.heartbeat(&Heartbeat { backlog, ..beat() })
            .expect("written");
        let text = fs::read(site.options.directory.join("wfm_box-box%2F1.json")).expect("there");
        let read: Heartbeat = serde_json::from_slice(&text).expect("whole");
        assert_eq!(read.backlog, backlog);
    }
    assert!(
        Path::new(&site.options.directory)
            .join(".thrio-edge")
            .is_dir()
    );
}

#[test]
fn check_connect_leaves_no_file_and_no_folder_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = || check_connect(folder.path(), "kind = \"file\"\ndirectory = \"out\"\n");
    let (code, said) = check();
    assert!(code == Some(69) && said.contains("out"), "{said}");
    fs::create_dir(folder.path().join("out")).expect("made");
    let (code, said) = check();
    assert_eq!(code, Some(0), "{said}");
}
