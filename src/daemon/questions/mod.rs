//! What the reader thread answers beside the picture: one page at a time, one short read of the
//! store each (architecture §2).

mod board;
mod coverage;
mod journal;
mod volume;

pub(super) use volume::window;

use serde::Serialize;
use serde_json::Value;

use super::commands::{plain, refuse_store};
use super::transactions::Wanted;
use super::{Parts, lock};
use crate::control::Refusal;
use crate::control::question::Question;
use crate::control::rows::Rows;
use crate::domain::ids::SourceName;

impl Parts {
    /// Answers one question.
    pub(super) fn look(&self, question: &Question) -> Result<Value, Refusal> {
        let answer = match question {
            Question::Agents {
                source,
                after,
                limit,
            } => self.agents(source.as_ref(), after.as_ref(), *limit),
            Question::Queues {
                source,
                after,
                limit,
            } => self.queues(source.as_ref(), after.as_ref(), *limit),
            Question::StateCodes {
                source,
                after,
                limit,
            } => self.state_codes(source.as_ref(), after.as_ref(), *limit),
            Question::Changes { since } => self.changes(*since),
            Question::Intervals {
                source,
                queue,
                span,
                after,
                limit,
            } => match queue {
                Some(queue) => {
                    self.intervals_of(source.as_ref(), queue, *span, after.as_ref(), *limit)
                }
                None => self.intervals(source.as_ref(), *span, after.as_ref(), *limit),
            },
            Question::Coverage {
                source,
                feed,
                span,
                after,
            } => self.coverage(source.as_ref(), *feed, *span, after.as_ref()),
            Question::Transactions {
                source,
                agent,
                span,
                after,
                limit,
            } => self.transactions(
                &Wanted {
                    source: source.as_ref(),
                    agent: agent.as_ref(),
                    span: *span,
                },
                *after,
                *limit,
            ),
            Question::Quarantine {
                destination,
                after,
                limit,
            } => self.quarantine(destination.as_ref(), after.as_ref(), *limit),
            Question::Journal { from, limit } => self.journal(*from, *limit),
            Question::Sources => return self.sources_with_settings(),
        };
        answer.map_err(refuse_store)
    }

    /// The source that is meant, or every configured one by name.
    fn meant(&self, source: Option<&SourceName>) -> Vec<SourceName> {
        let mut names: Vec<SourceName> = match source {
            Some(name) => vec![name.clone()],
            None => super::sources::names(&lock(&self.applied).config),
        };
        names.sort();
        names
    }
}

/// The first `limit` of what is ordered, and the cursor of the last where more follows.
fn page<T: Serialize>(mut rows: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Value {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(cursor);
    plain(&Rows { rows, next })
}
