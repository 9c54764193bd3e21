//! What a stream of NATS JetStream holds.

use async_nats::jetstream::message::StreamMessage;
use serde_json::Value;
use thrio_edge::domain::record::Record;

use crate::nats_server::events;
use crate::rig::note;
use crate::truth::Journal;

/// The records of these messages, as a journal.
pub(crate) fn read(messages: &[StreamMessage]) -> Journal {
    let mut read = Journal::default();
    for event in events(messages) {
        if let Some(record) = record(event) {
            note(&record, &mut read);
        }
    }
    read
}

/// The event's record, where the truth knows of its kind.
fn record(mut event: Value) -> Option<Record> {
    let data = event["data"].take();
    match event["type"].as_str().unwrap() {
        "thrio-edge.transaction" => {
            Some(Record::Transaction(serde_json::from_value(data).unwrap()))
        }
        "thrio-edge.interval" => Some(Record::Interval(serde_json::from_value(data).unwrap())),
        _ => None,
    }
}
