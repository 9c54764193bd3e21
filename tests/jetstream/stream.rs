//! The stream itself: made as it should be, refused where it would lose or lend records.

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use futures_util::StreamExt as _;
use serde_json::Value;
use thrio_edge::destination::Destination;

use crate::nats_server::{assert_once, seqs, shared};
use crate::records::transaction;
use crate::site::{Site, held, opened, part, writer};

#[test]
fn a_stream_is_made_for_every_feed_and_for_no_heartbeats() {
    let site = Site::new();
    opened(site.destination(), &writer("box-1", 1));
    let name = &site.options.stream;
    let config = shared().block_on(async {
        let stream = site.context.get_stream(name).await.expect("a stream");
        stream.cached_info().config.clone()
    });
    let subject = |feed: &str| format!("{name}.*.{feed}");
    let expected = ["realtime", "historical", "configuration"].map(subject);
    assert_eq!(config.subjects, expected);
    assert_eq!(config.storage, StorageType::File);
    assert_eq!(config.retention, RetentionPolicy::Limits);
    // The next opening finds it as it was made.
    opened(site.destination(), &writer("box-1", 1));
}

#[test]
fn a_stream_that_takes_more_is_as_good() {
    let site = Site::with_stream(|config| {
        config.subjects = vec![config.subjects[0].replace("*.realtime", ">")];
    });
    opened(site.destination(), &writer("box-1", 1))
        .send(&part(1, 20))
        .expect("published");
    assert_once(&site.seqs(), 1..=20);
}

#[test]
fn a_stream_that_would_lose_or_lend_records_holds_with_what_to_change() {
    type Change = fn(&mut Config);
    let cases: [(Change, &str); 6] = [
        (|c| c.subjects.truncate(1), "does not take"),
        (|c| c.retention = RetentionPolicy::WorkQueue, "workqueue"),
        (|c| c.retention = RetentionPolicy::Interest, "interest"),
        (|c| c.storage = StorageType::Memory, "memory"),
        (|c| c.no_ack = true, "acknowledges nothing"),
        (|c| c.max_messages_per_subject = 1, "keeps 1 messages"),
    ];
    for (change, expected) in cases {
        let site = Site::with_stream(change);
        let why = held(site.destination().open(&writer("box-1", 1)));
        assert!(why.contains(expected), "{expected}: {why}");
        assert!(why.contains("name another stream"), "{why}");
        assert_eq!(
            held(site.destination().probe()),
            why,
            "a test says the same"
        );
    }
}

#[test]
fn a_stream_with_fewer_replicas_than_asked_for_holds() {
    let mut site = Site::with_stream(|_| {});
    site.options.replicas = 3;
    let why = held(site.destination().open(&writer("box-1", 1)));
    assert!(why.contains("has 1 of 3 replicas"), "{why}");
    // And a single server cannot make one.
    let mut site = Site::new();
    site.options.replicas = 3;
    let why = held(site.destination().open(&writer("box-1", 1)));
    assert!(why.contains("set replicas"), "{why}");
}

#[test]
fn subjects_of_another_stream_hold() {
    let mut site = Site::with_stream(|_| {});
    site.options.stream += "-other";
    let why = held(site.destination().open(&writer("box-1", 1)));
    assert!(
        why.contains("overlap") && why.contains("subject_prefix"),
        "{why}"
    );
}

#[test]
fn a_full_stream_holds_and_goes_on_where_it_was_once_it_has_room() {
    let site = Site::with_stream(|config| {
        config.discard = DiscardPolicy::New;
        config.max_bytes = 300_000;
    });
    let mut edge = site.forwarding_box();
    edge.journal_transactions(2_500);
    let why = edge.run_until_held();
    assert!(
        why.contains("maximum bytes") && why.contains("max_bytes"),
        "{why}"
    );
    let there = site.seqs();
    assert!(!there.is_empty() && there.len() < 2_500, "{}", there.len());
    let more = site.config(|config| config.discard = DiscardPolicy::New);
    shared()
        .block_on(site.context.update_stream(more))
        .expect("changed");
    edge.run_until_delivered();
    assert_once(&site.seqs(), 1..=2_500);
}

#[test]
fn a_record_that_no_message_can_hold_is_set_apart_with_the_reason() {
    let site = Site::with_stream(|config| config.max_message_size = 1_500);
    let mut edge = site.forwarding_box();
    edge.journal_transactions(10);
    let mut long = transaction("a-1", 1_764_000_000_500, &"ä".repeat(500));
    long.previous_state = None;
    edge.journal(&[thrio_edge::domain::record::Record::Transaction(long)]);
    edge.journal_transactions(10);
    edge.run_until_delivered();
    let quarantine = edge.quarantine();
    assert_eq!(quarantine.keys().copied().collect::<Vec<_>>(), [11]);
    assert!(
        quarantine[&11].contains("too large by itself"),
        "{quarantine:?}"
    );
    assert_once(&site.seqs(), (1..=10).chain(12..=21));
}

#[test]
fn messages_fit_what_the_server_takes_and_say_what_they_stand_for() {
    let site = Site::new();
    let mut edge = site.forwarding_box();
    edge.journal_transactions(2_000);
    edge.run_until_delivered();
    let messages = site.messages();
    assert!(messages.len() > 1, "one would be larger than 64 KiB");
    let mut next = 1_u64;
    for message in &messages {
        assert!(message.payload.len() <= 65_536, "{}", message.payload.len());
        let header = |name: &str| message.headers.get(name).expect(name).as_str().to_owned();
        let (first, last) = (header("Thrio-Edge-Range"), header("Thrio-Edge-Applied"));
        let (first, end) = first.split_once('-').expect("a range");
        assert_eq!(first, next.to_string());
        assert_eq!(last, format!("1-{end}"));
        assert_eq!(header("Thrio-Edge-Box"), "box-1");
        assert_eq!(
            header("Thrio-Edge-Store"),
            edge.store.store_id().to_string()
        );
        assert_eq!(
            message.subject.as_str(),
            format!("{}.main.realtime", site.options.stream)
        );
        next = end.parse::<u64>().expect("a number") + 1;
    }
    assert_eq!(next, 2_001);
    let events: Vec<Value> = serde_json::from_slice(&messages[0].payload).expect("events");
    assert_eq!(events[0]["specversion"], "1.0");
    assert_eq!(events[0]["type"], "thrio-edge.transaction");
    assert_eq!(events[0]["source"], "/thrio-edge/box-1/main");
    assert_eq!(events[0]["data"]["state"], "Bereit für Ä");
}

#[test]
fn each_feed_has_its_subject_and_each_subject_the_journals_order() {
    let site = Site::new();
    let mut to = opened(site.destination(), &writer("box-1", 1));
    to.send(&part(1, 140)).expect("published");
    let messages = site.messages();
    for feed in ["realtime", "historical", "configuration"] {
        let of_feed: Vec<_> = messages
            .iter()
            .filter(|m| m.subject.ends_with(&format!(".main.{feed}")))
            .cloned()
            .collect();
        let there = seqs(&of_feed);
        assert!(!there.is_empty(), "{feed}");
        assert!(there.is_sorted(), "{feed}: {there:?}");
    }
    assert_once(&site.seqs(), 1..=140);
}

#[test]
fn heartbeats_are_told_to_whoever_listens_and_kept_in_no_stream() {
    let site = Site::new();
    let client = site.context.client();
    let subject = format!("{}.*.heartbeat", site.options.subject_prefix);
    let mut heard = shared().block_on(async {
        let heard = client.subscribe(subject).await.expect("subscribed");
        client.flush().await.expect("flushed");
        heard
    });
    let mut edge = site.forwarding_box();
    edge.journal_transactions(3);
    edge.run_until_delivered();
    let beat = shared().block_on(async {
        let next = tokio::time::timeout(crate::nats_server::PATIENCE, heard.next());
        next.await.expect("a heartbeat comes").expect("a message")
    });
    let told: Value = serde_json::from_slice(&beat.payload).expect("JSON");
    assert_eq!(told["box_id"], "box-1");
    assert_eq!(site.seqs(), [1, 2, 3]);
}
