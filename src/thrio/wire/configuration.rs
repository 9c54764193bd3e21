//! Queues and users: one page into entries. Nothing but the named fields is read of a user, whose
//! real object also holds passwords and personal data.

use std::io::Read;
use std::sync::Arc;

use super::names::Matcher;
use super::rows::{Parse, RowSink, Shape, WireError, from_reader};
use super::slots::Slots;
use crate::domain::agent::{AgentDetails, AgentEntry};
use crate::domain::call::{RejectReason, Rejections};
use crate::domain::ids::{AgentId, IdError, QueueId};
use crate::domain::queue::{QueueDetails, QueueEntry};
use crate::thrio::api::{AgentsApi, Envelope, QueuesApi};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Its entries, in order; an id may come twice.
    pub entries: Vec<T>,
    /// The entries that were not taken.
    pub rejected: Rejections,
    /// An entry whose `_id` differs from its named id, where there is one.
    pub ids_differ: Option<String>,
    /// How it was wrapped, with the list's total where given.
    pub shape: Shape,
}

/// Reads pages of queues.
#[derive(Debug, Clone)]
pub struct QueuesParser {
    matcher: Matcher,
    envelope: Envelope,
}

impl QueuesParser {
    /// A parser for answers of this mapping.
    pub fn new(api: &QueuesApi) -> Self {
        let fields = &api.fields;
        Self {
            matcher: Matcher::new(&[
                &fields.id,
                &fields.name,
                &fields.description,
                &fields.deleted_at,
            ]),
            envelope: api.envelope.clone(),
        }
    }

    /// Reads one page. `body` should be buffered.
    pub fn parse(&mut self, body: impl Read) -> Result<Page<QueueEntry>, WireError> {
        parse(&mut self.matcher, &self.envelope, body, queue)
    }

    /// The names that rows have used so far, and whether they are read.
    pub fn names_seen(&self) -> impl Iterator<Item = (&str, bool)> {
        self.matcher.spellings()
    }
}

/// Reads pages of users.
#[derive(Debug, Clone)]
pub struct AgentsParser {
    matcher: Matcher,
    envelope: Envelope,
}

impl AgentsParser {
    /// A parser for answers of this mapping.
    pub fn new(api: &AgentsApi) -> Self {
        let fields = &api.fields;
        Self {
            matcher: Matcher::new(&[
                &fields.id,
                &fields.username,
                &fields.first_name,
                &fields.last_name,
                &fields.name,
                &fields.email,
                &fields.enabled,
                &fields.time_zone,
                &fields.deleted_at,
            ]),
            envelope: api.envelope.clone(),
        }
    }

    /// Reads one page. `body` should be buffered.
    pub fn parse(&mut self, body: impl Read) -> Result<Page<AgentEntry>, WireError> {
        parse(&mut self.matcher, &self.envelope, body, agent)
    }

    /// The names that rows have used so far, and whether they are read.
    pub fn names_seen(&self) -> impl Iterator<Item = (&str, bool)> {
        self.matcher.spellings()
    }
}

type ReadEntry<T> = fn(&Slots<'_>, &str) -> Result<T, IdError>;

fn parse<T>(
    matcher: &mut Matcher,
    envelope: &Envelope,
    body: impl Read,
    read: ReadEntry<T>,
) -> Result<Page<T>, WireError> {
    let sink = Sink {
        read,
        entries: Vec::new(),
        rejected: Rejections::default(),
        ids_differ: None,
    };
    let mut parse = Parse::new(matcher, sink);
    from_reader(&mut parse, body, envelope)?;
    Ok(Page {
        entries: parse.sink.entries,
        rejected: parse.sink.rejected,
        ids_differ: parse.sink.ids_differ,
        shape: parse.shape,
    })
}

struct Sink<T> {
    read: ReadEntry<T>,
    entries: Vec<T>,
    rejected: Rejections,
    ids_differ: Option<String>,
}

impl<'de, T> RowSink<'de> for Sink<T> {
    fn row(&mut self, slots: &Slots<'de>, key: Option<&str>) {
        let own = slots.text(0);
        let Some(id) = own.as_deref().or(key) else {
            let detail = || "an entry without an id".to_owned();
            return self.rejected.push(RejectReason::MissingId, detail);
        };
        if slots.ids_differ() && self.ids_differ.is_none() {
            self.ids_differ = Some(super::excerpt(id));
        }
        match (self.read)(slots, id) {
            Ok(entry) => self.entries.push(entry),
            Err(error) => {
                let reason = match error {
                    IdError::Empty { .. } => RejectReason::MissingId,
                    _ => RejectReason::TooLong,
                };
                self.rejected
                    .push(reason, || super::excerpt(&error.to_string()));
            }
        }
    }

    fn malformed(&mut self, what: &str) {
        self.rejected
            .push(RejectReason::Malformed, || what.to_owned());
    }

    fn forget(&mut self) {
        self.entries.clear();
        self.rejected.clear();
        self.ids_differ = None;
    }
}

fn queue(slots: &Slots<'_>, id: &str) -> Result<QueueEntry, IdError> {
    Ok(QueueEntry {
        id: QueueId::new(id)?,
        details: QueueDetails {
            name: slots.owned_text(1),
            description: slots.owned_text(2),
            is_active: !is_deleted(slots, 3),
        },
    })
}

fn agent(slots: &Slots<'_>, id: &str) -> Result<AgentEntry, IdError> {
    let first_name = slots.owned_text(2);
    let last_name = slots.owned_text(3);
    let display_name = slots
        .owned_text(4)
        .or_else(|| match (&first_name, &last_name) {
            (Some(first), Some(last)) => Some(format!("{first} {last}")),
            (one, other) => one.as_ref().or(other.as_ref()).cloned(),
        });
    Ok(AgentEntry {
        id: AgentId::new(id)?,
        details: Arc::new(AgentDetails {
            username: slots.owned_text(1),
            first_name,
            last_name,
            display_name,
            email: slots.owned_text(5),
            time_zone: slots.owned_text(7),
            is_active: slots.flag(6).unwrap_or(true) && !is_deleted(slots, 8),
        }),
    })
}

/// A time of deletion, or any other sign of it; 0, false and nothing mean that it is there.
fn is_deleted(slots: &Slots<'_>, field: usize) -> bool {
    match slots.text(field) {
        None => false,
        Some(text) => !matches!(text.trim(), "0" | "0.0" | "false" | "-1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agents(body: &str) -> Page<AgentEntry> {
        AgentsParser::new(&AgentsApi::default())
            .parse(body.as_bytes())
            .unwrap()
    }

    #[test]
    fn a_page_of_queues_with_its_total_as_number_or_text() {
        for total in ["2", "\"2\""] {
            let body = format!(
                r#"{{"count":"2","total":{total},"next":null,"previous":"","objects":[
                    {{"_id":"1","queueId":"1","name":"Sales","description":"","createdAt":"1700000000000"}},
                    {{"_id":"2","name":"Old","deletedAt":"1700000000000"}}]}}"#
            );
            let page = QueuesParser::new(&QueuesApi::default())
                .parse(body.as_bytes())
                .unwrap();
            assert_eq!(page.shape.total, Some(2));
            assert_eq!(page.entries.len(), 2);
            assert_eq!(page.entries[0].details.name.as_deref(), Some("Sales"));
            assert_eq!(page.entries[0].details.description, None);
            assert!(page.entries[0].details.is_active && !page.entries[1].details.is_active);
        }
    }

    #[test]
    fn the_named_id_is_preferred_and_a_difference_told() {
        let page = agents(r#"[{"_id":"1","userId":"u1"},{"_id":"2"},{"userId":"3","_id":"3"}]"#);
        let ids: Vec<_> = page.entries.iter().map(|e| e.id.as_str()).collect();
        assert_eq!(ids, ["u1", "2", "3"]);
        assert_eq!(page.ids_differ.as_deref(), Some("u1"));
        assert_eq!(agents(r#"[{"_id":"1","userId":1}]"#).ids_differ, None);
    }

    #[test]
    fn a_name_is_made_of_its_parts_where_thrio_has_none() {
        let page = agents(
            r#"[{"userId":"1","name":"Kim L.","firstName":"Kim","lastName":"Lee"},
                {"userId":"2","firstName":"Kim","lastName":"Lee"},{"userId":"3","lastName":"Lee"},{"userId":"4"}]"#,
        );
        let names: Vec<_> = page
            .entries
            .iter()
            .map(|e| e.details.display_name.as_deref())
            .collect();
        assert_eq!(names, [Some("Kim L."), Some("Kim Lee"), Some("Lee"), None]);
    }

    #[test]
    fn a_disabled_or_deleted_user_is_inactive() {
        let page = agents(
            r#"[{"userId":"1","enabled":false},{"userId":"2","enabled":"false"},{"userId":"3","enabled":1},
                {"userId":"4","deletedAt":1700000000000},{"userId":"5","deletedAt":0},{"userId":"6","deletedAt":null}]"#,
        );
        let active: Vec<_> = page.entries.iter().map(|e| e.details.is_active).collect();
        assert_eq!(active, [false, false, true, false, true, true]);
    }

    #[test]
    fn nothing_else_of_a_user_is_kept() {
        let page = agents(r#"[{"userId":"1","password":"canary","ssn":{"username":"canary"}}]"#);
        assert!(!format!("{page:?}").contains("canary"));
    }
}
