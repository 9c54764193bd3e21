//! Records in a NATS JetStream stream, for fleets: `docs/fleet.md`.
//!
//! - One message is a run of records of one source and feed, with the positions that it stands for
//!   in a header. The next is published only after the stream has acknowledged the one before, so
//!   that what is in the stream is a beginning of the journal, in order and without a hole.
//! - Each is published with the expected last sequence of its subject. One that arrives late, or a
//!   second time, is refused by the stream, however long ago the first was.
//! - After every error the subjects' last messages are read anew: they are the receipt.
//! - One lane: readers get each subject in the journal's order.

mod error;
mod link;
mod options;
mod owner;

use std::collections::HashMap;
use std::sync::Arc;

use async_nats::HeaderMap;
use tokio::runtime::Runtime;

use self::link::{Link, Stopping, heartbeat_subject};
use self::owner::{APPLIED, BOX, End, Identity, RANGE, REPLACED, STORE, Verdict, verdict};
use super::http::encode::{Encoder, percent_encoded};
use super::http::protocol::{self, range_text};
use super::sql::kept_runtime;
use super::{Credentials, Destination, Interrupter, Receipt, SendError, Writer};
use crate::domain::batch::{Batch, CurrentState};
use crate::domain::health::Heartbeat;
use crate::domain::ids::{Feed, RecordSeq, SeqRange, SourceName};
use crate::domain::record::SequencedRecord;

pub use options::{JetStreamOptions, ServerUrl, check_name};

/// A message is cut here: large enough that waiting for its acknowledgement costs little.
const BODY_BYTES: usize = 256 << 10;
/// What the headers need at most: a box id of 128 characters as it is written, stores, numbers.
const HEADERS_BYTES: usize = 4 << 10;

const MESSAGE_ID: &str = "Nats-Msg-Id";
const EXPECTED_STREAM: &str = "Nats-Expected-Stream";
const EXPECTED_SEQUENCE: &str = "Nats-Expected-Last-Subject-Sequence";

/// A stream that records are published into.
pub struct JetStreamDestination {
    options: JetStreamOptions,
    credentials: Credentials,
    stopping: Stopping,
    runtime: Option<Arc<Runtime>>,
    session: Option<Session>,
    /// How often the stream believed to have a message that is none of its subject's last: from
    /// then on ids are others, and the expected sequence alone decides.
    ids_doubted: u64,
    /// How far the stream once was, while this process lives.
    highest: Option<(Identity, RecordSeq)>,
}

/// What is known after opening.
struct Session {
    link: Link,
    me: Identity,
    encoder: Encoder,
    body_bytes_max: usize,
    /// From the first to the last position that is in the stream.
    applied: Option<SeqRange>,
    ends: HashMap<String, End>,
}

/// One message, but for its body.
struct Envelope {
    subject: String,
    /// The positions that it stands for; none for a claim.
    range: Option<SeqRange>,
    id: String,
}

impl std::fmt::Debug for JetStreamDestination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JetStreamDestination")
            .field("options", &self.options)
            .field("open", &self.session.is_some())
            .finish_non_exhaustive()
    }
}

impl JetStreamDestination {
    /// A destination that connects with the first [`Destination::open`].
    pub fn new(options: JetStreamOptions, credentials: Credentials) -> Self {
        Self {
            options,
            credentials,
            stopping: Stopping::default(),
            runtime: None,
            session: None,
            ids_doubted: 0,
            highest: None,
        }
    }

    async fn connect(&self) -> Result<Link, SendError> {
        Link::connect(&self.options, &self.credentials, self.stopping.clone()).await
    }

    async fn begin(&self, writer: &Writer) -> Result<Session, SendError> {
        let link = self.connect().await?;
        let stream = link.stream(&self.options).await?;
        let message_max = match stream.cached_info().config.max_message_size {
            bound @ 1.. => usize::try_from(bound).unwrap_or(usize::MAX),
            _ => usize::MAX,
        };
        let room = link.payload_max().min(message_max);
        let mut session = Session {
            encoder: Encoder::new(
                super::http::Format::CloudEvents,
                &writer.box_id,
                writer.store_id,
            ),
            body_bytes_max: room.saturating_sub(HEADERS_BYTES).clamp(1, BODY_BYTES),
            me: Identity {
                box_id: percent_encoded(writer.box_id.as_str()),
                store: writer.store_id.to_string(),
            },
            applied: None,
            ends: HashMap::new(),
            link,
        };
        let mut taken = Vec::new();
        for source in &writer.sources {
            for feed in Feed::ALL {
                let subject = self.subject(source, feed);
                let Some(last) = session.link.last(&stream, &subject).await? else {
                    session.ends.insert(subject, End::default());
                    continue;
                };
                let (end, verdict) = verdict(last.sequence, &last.headers, &session.me);
                session.ends.insert(subject.clone(), end);
                match verdict {
                    Verdict::Ours(applied) => session.advance(applied),
                    Verdict::Free => {}
                    Verdict::Theirs(_) if writer.take_over.contains(source) => taken.push(subject),
                    Verdict::Theirs(who) => return Err(is_theirs(source, &subject, &who)),
                }
            }
        }
        for subject in taken {
            self.claim(&mut session, subject).await?;
        }
        Ok(session)
    }

    fn subject(&self, source: &SourceName, feed: Feed) -> String {
        format!("{}.{source}.{feed}", self.options.subject_prefix)
    }

    /// Publishes an empty message, so that the subject is this box's from here on.
    async fn claim(&self, session: &mut Session, subject: String) -> Result<(), SendError> {
        tracing::warn!(subject, "taken over from another writer");
        session.encoder.run(&[], session.body_bytes_max);
        let envelope = Envelope {
            id: format!(
                "{}:claim:{subject}:{}",
                session.me.store,
                session.sequence(&subject)
            ),
            subject,
            range: None,
        };
        if session.publish(&self.options, envelope).await? {
            Ok(())
        } else {
            Err(SendError::later(
                "the stream says that it has the claim already; it is asked again",
            ))
        }
    }

    async fn send_records(
        &mut self,
        session: &mut Session,
        batch: &Batch,
    ) -> Result<(), SendError> {
        let applied = session.applied.map(|applied| applied.last);
        let is_again = applied.is_some_and(|last| batch.range.first <= last);
        let mut from = batch.range.first;
        let mut rest = batch.records.as_slice();
        while let Some(first) = rest.first() {
            let run = run_of(rest);
            let taken = session.encoder.run(run, session.body_bytes_max);
            rest = &rest[taken..];
            let last = match rest.first() {
                Some(_) => run[taken - 1].seq,
                None => batch.range.last,
            };
            let range = SeqRange::new(from, last);
            if !is_again {
                session.advance(Some(range));
            }
            let subject = self.subject(first.record.source(), first.record.feed());
            let envelope = Envelope {
                id: self.message_id(session, &subject, range),
                subject,
                range: Some(range),
            };
            let published = session.publish(&self.options, envelope).await;
            if !published.map_err(|error| alone(error, &run[..taken]))? {
                self.ids_doubted += 1;
                return Err(SendError::later(
                    "the stream says that it has the message already; its end is read again",
                ));
            }
            from = last.next();
        }
        Ok(())
    }

    /// What the stream tells doubles by, while it remembers: the same for the same positions at the
    /// same place only, so that what is sent once more on purpose is none.
    fn message_id(&self, session: &Session, subject: &str, range: SeqRange) -> String {
        let (store, at) = (&session.me.store, session.sequence(subject));
        let range = range_text(range);
        match self.ids_doubted {
            0 => format!("{store}:{range}:{at}"),
            doubted => format!("{store}:{range}:{at}:{doubted}"),
        }
    }

    /// Says so where a stream ends before what it has acknowledged.
    fn compare_with_former(&mut self, session: &Session) {
        let last = session
            .applied
            .map_or(RecordSeq::ZERO, |applied| applied.last);
        if let Some((who, highest)) = &self.highest
            && *who == session.me
            && last < *highest
        {
            tracing::warn!(
                stream = self.options.stream, %last, acknowledged = %highest,
                "the stream lacks what it had: it was purged, made anew or restored; \
                 `thrio-edge replay --from-seq` sends it again"
            );
        }
        self.highest = Some((session.me.clone(), last));
    }
}

/// The first records that share a subject.
fn run_of(records: &[SequencedRecord]) -> &[SequencedRecord] {
    let is_one = |a: &SequencedRecord, b: &SequencedRecord| {
        a.record.source() == b.record.source() && a.record.feed() == b.record.feed()
    };
    records.chunk_by(is_one).next().unwrap_or_default()
}

/// A message of one record that is too large names what is at fault.
fn alone(error: SendError, records: &[SequencedRecord]) -> SendError {
    match (error, records) {
        (SendError::TooLarge { message }, [record]) => SendError::Refused {
            records: vec![(record.seq, format!("too large by itself: {message}"))],
            message,
        },
        (error, _) => error,
    }
}

fn is_theirs(source: &SourceName, subject: &str, who: &str) -> SendError {
    SendError::claimed(
        format!("source {source} is claimed by {who}, which has written {subject} last"),
        format!(
            "if this box shall write it, run `thrio-edge claim --source {source} --destination \
             NAME` here, and stop the other"
        ),
    )
}

impl Session {
    fn advance(&mut self, range: Option<SeqRange>) {
        let joined =
            |a: SeqRange, b: SeqRange| SeqRange::new(a.first.min(b.first), a.last.max(b.last));
        self.applied = match (self.applied, range) {
            (Some(a), Some(b)) => Some(joined(a, b)),
            (a, b) => a.or(b),
        };
    }

    fn sequence(&self, subject: &str) -> u64 {
        self.ends.get(subject).map_or(0, |end| end.sequence)
    }

    /// Publishes what the encoder wrote last; false where the stream believes to have it already.
    async fn publish(
        &mut self,
        options: &JetStreamOptions,
        envelope: Envelope,
    ) -> Result<bool, SendError> {
        let headers = self.headers(options, &envelope);
        let body = self.encoder.body().to_vec();
        let Envelope { subject, .. } = envelope;
        let published = self.link.publish(subject.clone(), headers, body).await?;
        let Some(sequence) = published else {
            return Ok(false);
        };
        self.ends.entry(subject).or_default().sequence = sequence;
        Ok(true)
    }

    fn headers(&self, options: &JetStreamOptions, envelope: &Envelope) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(MESSAGE_ID, envelope.id.as_str());
        headers.insert(EXPECTED_STREAM, options.stream.as_str());
        headers.insert(
            EXPECTED_SEQUENCE,
            self.sequence(&envelope.subject).to_string(),
        );
        headers.insert("Content-Type", protocol::EVENTS_TYPE);
        headers.insert(STORE, self.me.store.as_str());
        headers.insert(BOX, self.me.box_id.as_str());
        if let Some(range) = envelope.range {
            headers.insert(RANGE, range_text(range));
        }
        if let Some(applied) = self.applied {
            headers.insert(APPLIED, range_text(applied));
        }
        let replaced = self
            .ends
            .get(&envelope.subject)
            .map(|end| end.replaced.join(","));
        if let Some(replaced) = replaced.filter(|list| !list.is_empty()) {
            headers.insert(REPLACED, replaced);
        }
        headers
    }
}

impl Destination for JetStreamDestination {
    fn open(&mut self, writer: &Writer) -> Result<Receipt, SendError> {
        self.session = None;
        let runtime = kept_runtime(&mut self.runtime)?;
        let session = runtime.block_on(self.begin(writer))?;
        self.compare_with_former(&session);
        let applied = session.applied.into_iter().collect();
        self.session = Some(session);
        Ok(Receipt {
            applied,
            roster_wanted: Vec::new(),
        })
    }

    /// After an error the next call asks to be opened first: a part of the batch may be there.
    fn send(&mut self, batch: &Batch) -> Result<(), SendError> {
        let runtime = kept_runtime(&mut self.runtime)?;
        let mut session = self.session.take().ok_or_else(not_open)?;
        runtime.block_on(self.send_records(&mut session, batch))?;
        if let Some(applied) = session.applied {
            self.highest = Some((session.me.clone(), applied.last));
        }
        self.session = Some(session);
        Ok(())
    }

    /// One lane: what is current stands in the records.
    fn send_current(&mut self, _states: &[CurrentState]) -> Result<(), SendError> {
        Ok(())
    }

    /// Told to whoever listens.
    fn heartbeat(&mut self, beat: &Heartbeat) -> Result<(), SendError> {
        let runtime = kept_runtime(&mut self.runtime)?;
        let session = self.session.take().ok_or_else(not_open)?;
        let subject = heartbeat_subject(&self.options, &session.me.box_id);
        let body = serde_json::to_vec(beat).expect("a heartbeat is JSON");
        runtime.block_on(session.link.tell(subject, body))?;
        self.session = Some(session);
        Ok(())
    }

    /// Logs in and looks at the stream.
    fn probe(&mut self) -> Result<(), SendError> {
        let runtime = kept_runtime(&mut self.runtime)?;
        runtime.block_on(async {
            let link = self.connect().await?;
            link.look(&self.options).await.map(drop)
        })
    }

    fn interrupter(&self) -> Option<Interrupter> {
        let stopping = self.stopping.clone();
        Some(Box::new(move || stopping.stop()))
    }
}

/// The loop opens again after this.
fn not_open() -> SendError {
    SendError::unreachable("nats: the connection is made anew")
}
