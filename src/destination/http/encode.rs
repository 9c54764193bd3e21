//! A batch as the bytes of a body: written straight from the records into one buffer that is kept,
//! because a backlog of millions goes through here.

use serde::Serialize;

use super::json::{self, Transactions};
use super::options::Format;
use super::protocol::types;
use super::protocol::{Claim, TYPE_PREFIX, type_of};
use crate::domain::batch::{Batch, CurrentState};
use crate::domain::health::Heartbeat;
use crate::domain::ids::{BoxId, RecordSeq, SourceName, StoreId};
use crate::domain::record::{AgentChange, QueueChange, Record, SequencedRecord};

/// A buffer that once held a roster is not kept at its size for ever.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// Writes bodies for one store of one box.
#[derive(Debug)]
pub(in super::super) struct Encoder {
    format: Format,
    store: String,
    /// The box as JSON, with its quotes.
    box_json: String,
    /// The start of every event's `source`.
    source_start: String,
    /// The start of a transaction's line, up to the seq in its id.
    line_start: Vec<u8>,
    transactions: Transactions,
    body: Vec<u8>,
    events: u64,
}

/// A roster in one piece, so that it is taken whole or not at all.
#[derive(Serialize)]
struct RosterData<'a> {
    source: &'a SourceName,
    agents: &'a [AgentChange],
    queues: &'a [QueueChange],
}

impl Encoder {
    pub(in super::super) fn new(format: Format, box_id: &BoxId, store_id: StoreId) -> Self {
        let mut new = Self {
            format,
            store: store_id.to_string(),
            box_json: serde_json::to_string(box_id).expect("a text is JSON"),
            source_start: format!("/thrio-edge/{}/", percent_encoded(box_id.as_str())),
            line_start: Vec::new(),
            transactions: Transactions::default(),
            body: Vec::new(),
            events: 0,
        };
        new.line_start(types::TRANSACTION);
        new.id("");
        new.line_start = std::mem::take(&mut new.body);
        new
    }

    /// The body that was written last.
    pub(in super::super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// How many events it has.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    pub(super) fn batch(&mut self, batch: &Batch) {
        self.begin();
        for entry in &batch.records {
            match self.format {
                Format::CloudEvents => self.record_event(entry),
                Format::Ndjson => self.record_line(entry),
            }
        }
        self.end();
    }

    /// As many of the records as fit into so many bytes, but one at least. Answers how many.
    pub(in super::super) fn run(&mut self, records: &[SequencedRecord], bytes_max: usize) -> usize {
        self.begin();
        for (taken, entry) in records.iter().enumerate() {
            let before = self.body.len();
            self.record_event(entry);
            if taken > 0 && self.body.len() >= bytes_max {
                self.body.truncate(before);
                self.events -= 1;
                break;
            }
        }
        self.end();
        usize::try_from(self.events).unwrap_or(usize::MAX)
    }

    pub(super) fn current(&mut self, states: &[CurrentState]) {
        self.begin();
        for state in states {
            let id = format!("current:{}", state.record_seq);
            self.beside(types::CURRENT_STATE, &id, Some(&state.source), state);
        }
        self.end();
    }

    pub(super) fn roster(
        &mut self,
        source: &SourceName,
        agents: &[AgentChange],
        queues: &[QueueChange],
    ) {
        let data = RosterData {
            source,
            agents,
            queues,
        };
        self.begin();
        let id = format!("roster:{source}");
        self.beside(types::ROSTER, &id, Some(source), &data);
        self.end();
    }

    pub(super) fn heartbeat(&mut self, beat: &Heartbeat) {
        self.begin();
        let id = format!("heartbeat:{}", beat.at.ms());
        self.beside(types::HEARTBEAT, &id, None, beat);
        self.end();
    }

    pub(super) fn claim(&mut self, claim: &Claim) {
        self.begin();
        self.beside(types::CLAIM, "claim", None, claim);
        self.end();
    }

    fn begin(&mut self) {
        self.body.clear();
        self.body.shrink_to(KEPT_BYTES_MAX);
        self.events = 0;
        if self.format == Format::CloudEvents {
            self.body.push(b'[');
        }
    }

    fn end(&mut self) {
        if self.format == Format::CloudEvents {
            self.body.push(b']');
        }
    }

    fn record_event(&mut self, entry: &SequencedRecord) {
        let record = &entry.record;
        self.separate();
        self.put("{\"specversion\":\"1.0\",\"id\":\"");
        self.id_of(entry.seq);
        self.put("\",\"source\":\"");
        self.source(Some(record.source()));
        self.put("\",\"type\":\"");
        self.put(type_of(record));
        self.put("\",\"data\":");
        self.data_of(record);
        self.body.push(b'}');
    }

    /// A line is the event's data with what identifies it before its first field.
    fn record_line(&mut self, entry: &SequencedRecord) {
        self.separate();
        if let Record::Transaction(_) = &entry.record {
            self.body.extend_from_slice(&self.line_start);
        } else {
            self.line_start(type_of(&entry.record));
            self.id("");
        }
        let mut digits = itoa::Buffer::new();
        let seq = digits.format(entry.seq.get());
        self.put(seq);
        self.put("\",\"seq\":");
        self.put(seq);
        let at = self.body.len();
        self.data_of(&entry.record);
        self.join_objects(at);
        self.body.push(b'\n');
    }

    /// An event without a seq.
    fn beside(&mut self, kind: &str, id: &str, source: Option<&SourceName>, data: &impl Serialize) {
        self.separate();
        if self.format == Format::Ndjson {
            self.line_start(kind);
            self.id(id);
            self.put("\"");
            let at = self.body.len();
            self.json(data);
            self.join_objects(at);
            self.body.push(b'\n');
            return;
        }
        self.put("{\"specversion\":\"1.0\",\"id\":\"");
        self.id(id);
        self.put("\",\"source\":\"");
        self.source(source);
        self.put("\",\"type\":\"");
        self.put(kind);
        self.put("\",\"data\":");
        self.json(data);
        self.body.push(b'}');
    }

    fn separate(&mut self) {
        if self.events > 0 && self.format == Format::CloudEvents {
            self.body.push(b',');
        }
        self.events += 1;
    }

    fn line_start(&mut self, kind: &str) {
        self.put("{\"kind\":\"");
        self.put(kind.strip_prefix(TYPE_PREFIX).unwrap_or(kind));
        self.put("\",\"box\":");
        self.body.extend_from_slice(self.box_json.as_bytes());
        self.put(",\"id\":\"");
    }

    /// What begins at `at` is an object whose fields belong into the one that is open.
    fn join_objects(&mut self, at: usize) {
        self.body[at] = b',';
    }

    fn id(&mut self, last: &str) {
        self.body.extend_from_slice(self.store.as_bytes());
        self.body.push(b':');
        self.put(last);
    }

    fn id_of(&mut self, seq: RecordSeq) {
        self.id("");
        json::number(&mut self.body, seq.get());
    }

    fn source(&mut self, source: Option<&SourceName>) {
        self.body.extend_from_slice(self.source_start.as_bytes());
        self.put(source.map_or("", SourceName::as_str));
    }

    fn put(&mut self, text: &str) {
        self.body.extend_from_slice(text.as_bytes());
    }

    fn json(&mut self, data: &impl Serialize) {
        serde_json::to_writer(&mut self.body, data).expect("records are JSON");
    }

    fn data_of(&mut self, record: &Record) {
        match record {
            Record::Interval(data) => self.json(data),
            Record::Transaction(data) => self.transactions.write(&mut self.body, data),
            Record::Agent(data) => self.json(data),
            Record::Queue(data) => self.json(data),
            Record::Coverage(data) => self.json(data),
            Record::StateCode(data) => self.json(data),
        }
    }
}

/// A text as one segment of a URI's path.
pub(in super::super) fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a text takes every character");
        }
    }
    out
}
