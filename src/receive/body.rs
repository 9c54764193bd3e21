//! From a body to what is to be written: decompressed within a bound, event by event, with the
//! reason for each that cannot be taken.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read};

use serde::Deserialize;
use serde::de::{DeserializeOwned, DeserializeSeed, SeqAccess, Visitor};
use serde_json::Value;

use crate::destination::http::protocol::{Claim, EventError, Roster, parse_event_id, types};
use crate::domain::batch::{Batch, CurrentState};
use crate::domain::health::Heartbeat;
use crate::domain::ids::{RecordSeq, SeqRange, SourceName, StoreId};
use crate::domain::record::{Record, SequencedRecord};

/// Reasons that one answer names; a body full of nonsense needs no more.
const REASONS_MAX: usize = 10_000;

/// How a body was made smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// What the header says; none for what is not known.
    pub(super) fn named(header: Option<&str>) -> Option<Self> {
        match header.map(str::trim) {
            None | Some("" | "identity") => Some(Self::Identity),
            Some("gzip" | "x-gzip") => Some(Self::Gzip),
            Some("zstd") => Some(Self::Zstd),
            Some(_) => None,
        }
    }
}

/// What a body asks for.
#[derive(Debug)]
pub(super) enum Content {
    /// Records, which stand for a range.
    Batch(Batch),
    /// Events without a seq, in their order.
    Beside(Vec<Beside>),
}

/// An event without a seq.
#[derive(Debug)]
pub(super) enum Beside {
    Heartbeat(Heartbeat),
    Current(CurrentState),
    Roster(Roster),
    Claim(Claim),
}

/// Why a body is not taken.
#[derive(Debug)]
pub(super) enum BodyError {
    /// Larger than this, once decompressed.
    TooLarge(usize),
    /// Not what it is said to be.
    Malformed(String),
    /// Some of its events cannot be taken.
    Events(Vec<EventError>),
}

/// What the headers say of the body.
#[derive(Debug, Clone, Copy)]
pub(super) struct About {
    pub(super) store_id: StoreId,
    pub(super) range: Option<SeqRange>,
    pub(super) encoding: Encoding,
}

/// The body as it was before it was made smaller.
fn unpacked(packed: &[u8], encoding: Encoding, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
    let limit = bytes_max as u64 + 1;
    let mut body = Vec::new();
    let read: io::Result<usize> = match encoding {
        Encoding::Identity => packed.take(limit).read_to_end(&mut body),
        Encoding::Gzip => flate2::read::MultiGzDecoder::new(packed)
            .take(limit)
            .read_to_end(&mut body),
        Encoding::Zstd => zstd::stream::read::Decoder::with_buffer(packed).and_then(|mut zstd| {
            // A frame may ask for a window of gigabytes.
            zstd.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            zstd.take(limit).read_to_end(&mut body)
        }),
    };
    read.map_err(|_| BodyError::Malformed("it cannot be decompressed".to_owned()))?;
    if body.len() > bytes_max {
        return Err(BodyError::TooLarge(bytes_max));
    }
    Ok(body)
}

/// 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Reads a body. `allowed` says whether the box may write a source.
pub(super) fn parse(
    packed: &[u8],
    about: About,
    bytes_max: usize,
    allowed: &dyn Fn(&SourceName) -> bool,
) -> Result<Content, BodyError> {
    let body = unpacked(packed, about.encoding, bytes_max)?;
    let mut events = Events {
        about,
        allowed,
        records: Vec::new(),
        seen: BTreeSet::new(),
        beside: Vec::new(),
        errors: Vec::new(),
    };
    let mut json = serde_json::Deserializer::from_slice(&body);
    let parsed = (&mut events)
        .deserialize(&mut json)
        .and_then(|()| json.end());
    parsed.map_err(|error| BodyError::Malformed(format!("it is no batch of events: {error}")))?;
    events.finish()
}

/// Takes one event after the other, so that only one of them is held as a tree.
struct Events<'a> {
    about: About,
    allowed: &'a dyn Fn(&SourceName) -> bool,
    records: Vec<SequencedRecord>,
    seen: BTreeSet<RecordSeq>,
    beside: Vec<Beside>,
    errors: Vec<EventError>,
}

#[derive(Deserialize)]
struct Event {
    specversion: String,
    #[serde(rename = "type")]
    kind: String,
    data: Value,
}

impl<'de> DeserializeSeed<'de> for &mut Events<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut Events<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(event) = list.next_element::<Value>()? {
            let id = event.get("id").and_then(Value::as_str).unwrap_or_default();
            let id: String = id.chars().take(200).collect();
            if let Err(reason) = self.take(&id, event)
                && self.errors.len() < REASONS_MAX
            {
                self.errors.push(EventError { id, reason });
            }
        }
        Ok(())
    }
}

impl Events<'_> {
    fn take(&mut self, id: &str, event: Value) -> Result<(), String> {
        let event: Event = serde_json::from_value(event).map_err(|error| error.to_string())?;
        if event.specversion != "1.0" {
            return Err(format!("specversion is \"{}\", not 1.0", event.specversion));
        }
        match self.about.range {
            Some(range) => self.record(id, range, event),
            None => self.without_seq(event),
        }
    }

    fn record(&mut self, id: &str, range: SeqRange, event: Event) -> Result<(), String> {
        let (store_id, seq) = parse_event_id(id)
            .ok_or("its id is not {store_id}:{seq}, as an event's in a range is")?;
        if store_id != self.about.store_id {
            return Err(format!("it is of store {store_id}, the batch of another"));
        }
        if !range.contains(seq) {
            return Err(format!("its seq is outside of the batch's {range:?}"));
        }
        let record = record_of(&event.kind, event.data)?;
        self.check_source(record.source())?;
        if !self.seen.insert(seq) {
            return Err("its seq comes twice in the batch".to_owned());
        }
        self.records.push(SequencedRecord { seq, record });
        Ok(())
    }

    fn without_seq(&mut self, event: Event) -> Result<(), String> {
        let beside = match event.kind.as_str() {
            types::HEARTBEAT => Beside::Heartbeat(data(event.data)?),
            types::CURRENT_STATE => Beside::Current(data(event.data)?),
            types::ROSTER => Beside::Roster(data(event.data)?),
            types::CLAIM => Beside::Claim(data(event.data)?),
            other => return Err(format!("type \"{other}\" cannot come without a range")),
        };
        match &beside {
            Beside::Heartbeat(beat) => {
                let mut sources = beat.feeds.iter().map(|feed| &feed.source);
                sources.try_for_each(|s| self.check_source(s))?;
            }
            Beside::Current(state) => self.check_source(&state.source)?,
            Beside::Roster(roster) => self.check_roster(roster)?,
            Beside::Claim(claim) => {
                let mut sources = claim.sources.iter().chain(&claim.take_over);
                sources.try_for_each(|s| self.check_source(s))?;
            }
        }
        self.beside.push(beside);
        Ok(())
    }

    fn check_roster(&self, roster: &Roster) -> Result<(), String> {
        self.check_source(&roster.source)?;
        let agents = roster.agents.iter().map(|agent| &agent.source);
        let mut all = agents.chain(roster.queues.iter().map(|queue| &queue.source));
        match all.find(|source| **source != roster.source) {
            Some(other) => Err(format!(
                "it is of {}, and holds an entry of {other}",
                roster.source
            )),
            None => Ok(()),
        }
    }

    fn check_source(&self, source: &SourceName) -> Result<(), String> {
        if (self.allowed)(source) {
            Ok(())
        } else {
            Err(format!("this box may not write source {source}"))
        }
    }

    fn finish(mut self) -> Result<Content, BodyError> {
        if !self.errors.is_empty() {
            return Err(BodyError::Events(self.errors));
        }
        let Some(range) = self.about.range else {
            return Ok(Content::Beside(self.beside));
        };
        self.records.sort_unstable_by_key(|entry| entry.seq);
        Ok(Content::Batch(Batch {
            range,
            records: self.records,
        }))
    }
}

fn record_of(kind: &str, from: Value) -> Result<Record, String> {
    Ok(match kind {
        types::INTERVAL => Record::Interval(data(from)?),
        types::TRANSACTION => Record::Transaction(data(from)?),
        types::AGENT => Record::Agent(data(from)?),
        types::QUEUE => Record::Queue(data(from)?),
        types::COVERAGE => Record::Coverage(data(from)?),
        types::STATE_CODE => Record::StateCode(data(from)?),
        other => return Err(format!("type \"{other}\" is not known")),
    })
}

fn data<T: DeserializeOwned>(from: Value) -> Result<T, String> {
    serde_json::from_value(from).map_err(|error| format!("data: {error}"))
}
