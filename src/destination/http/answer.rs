//! What a receiver's answer means (architecture §3, "Applied once").

use std::time::Duration;

use super::options::Acknowledge;
use super::protocol::{Applied, NotApplied, parse_event_id};
use crate::destination::SendError;
use crate::domain::ids::StoreId;
use crate::domain::timestamp::WallTime;
use crate::transport::{self, mask::Secrets};

/// The longest wait that a receiver may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// One answer, read to its end or to its limit.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) retry_after: Option<String>,
    pub(super) location: Option<String>,
    pub(super) server_date: Option<WallTime>,
    pub(super) body: Vec<u8>,
}

/// What follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Everything is applied.
    Good(Applied),
    /// 2xx or 3xx, and not what a receiver says: perhaps a captive portal.
    Strange(String),
    /// It says why not.
    Failed(SendError),
}

/// Reads answers for one receiver.
pub(super) struct Judge<'a> {
    /// The receiver, as messages name it.
    pub(super) host: &'a str,
    /// What no message may show.
    pub(super) secrets: &'a Secrets,
    pub(super) acknowledge: Acknowledge,
    pub(super) store_id: StoreId,
    pub(super) now: WallTime,
}

impl Judge<'_> {
    /// What the answer to a body of so many events means.
    pub(super) fn verdict(&self, answer: &Answer, events: u64) -> Verdict {
        match answer.status {
            200..=299 => self.success(answer, events),
            300..=399 => {
                let target = answer.location.as_deref().unwrap_or("nowhere");
                let target = self.secrets.excerpt(target);
                Verdict::Strange(format!("redirects to {target}; redirects are not followed"))
            }
            _ => Verdict::Failed(self.failure(answer)),
        }
    }

    fn success(&self, answer: &Answer, events: u64) -> Verdict {
        if self.acknowledge == Acknowledge::Status {
            return if is_html(answer) {
                self.strange(answer)
            } else {
                let applied = Applied {
                    applied: events,
                    ..Applied::default()
                };
                Verdict::Good(applied)
            };
        }
        match serde_json::from_slice::<Applied>(&answer.body) {
            Ok(applied) if applied.applied == events => Verdict::Good(applied),
            Ok(applied) => Verdict::Strange(format!(
                "says that {} of {events} events are applied",
                applied.applied
            )),
            Err(_) => self.strange(answer),
        }
    }

    /// A 2xx that does not say what it should.
    pub(super) fn strange(&self, answer: &Answer) -> Verdict {
        Verdict::Strange(format!(
            "answers {} without saying what it applied ({}): {}",
            answer.status,
            self.secrets.excerpt(&answer.content_type),
            self.said(answer)
        ))
    }

    /// What a status that is no success means.
    pub(super) fn failure(&self, answer: &Answer) -> SendError {
        let status = answer.status;
        let host = self.host;
        let words = self.words(answer);
        let message = format!("{host} answered {status}: {}", words.message);
        let remedy = |otherwise: &str| {
            if words.remedy.is_empty() {
                otherwise.to_owned()
            } else {
                words.remedy.clone()
            }
        };
        match status {
            400 | 422 => SendError::Refused {
                records: self.named(&words),
                message,
            },
            401 => SendError::held(
                message,
                remedy("see whether token, user name and password are those of this box"),
            ),
            403 => SendError::held(message, remedy("let the receiver allow this box to write")),
            409 => SendError::claimed(
                message,
                remedy("if this box shall write the source, take it over with `thrio-edge claim`"),
            ),
            404 => SendError::held(message, remedy("see whether the path in url is right")),
            413 => SendError::TooLarge { message },
            408 | 425 | 429 | 500..=599 => SendError::Retry {
                message,
                retry_after: self.retry_after(answer),
                unreachable: false,
            },
            _ => SendError::held(message, remedy("look at the receiver's own log")),
        }
    }

    fn retry_after(&self, answer: &Answer) -> Option<Duration> {
        let server_now = answer.server_date.unwrap_or(self.now);
        transport::retry_after(answer.retry_after.as_deref()?, server_now, RETRY_AFTER_MAX)
    }

    /// The refused records that the answer names; of another store's or shape's ids none.
    fn named(&self, words: &NotApplied) -> Vec<(crate::domain::ids::RecordSeq, String)> {
        let named = words.errors.iter().filter_map(|error| {
            let (store_id, seq) = parse_event_id(&error.id)?;
            (store_id == self.store_id).then(|| (seq, self.secrets.excerpt(&error.reason)))
        });
        named.collect()
    }

    fn words(&self, answer: &Answer) -> NotApplied {
        let mut words = serde_json::from_slice::<NotApplied>(&answer.body).unwrap_or_default();
        words.message = if words.message.is_empty() {
            self.said(answer)
        } else {
            self.secrets.sentence(&words.message)
        };
        words.remedy = self.secrets.sentence(&words.remedy);
        words
    }

    fn said(&self, answer: &Answer) -> String {
        let head = &answer.body[..answer.body.len().min(4096)];
        let text = self.secrets.excerpt(&String::from_utf8_lossy(head));
        if text.is_empty() {
            "(no text)".to_owned()
        } else {
            text
        }
    }
}

fn is_html(answer: &Answer) -> bool {
    let body = answer.body.trim_ascii_start();
    let kind = answer.content_type.to_ascii_lowercase();
    kind.contains("html") || body.first() == Some(&b'<')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RecordSeq;

    fn judge(secrets: &Secrets, acknowledge: Acknowledge) -> Judge<'_> {
        Judge {
            host: "upstream",
            secrets,
            acknowledge,
            store_id: StoreId::from_bits(1),
            now: WallTime::from_s(0),
        }
    }

    fn verdict(acknowledge: Acknowledge, status: u16, kind: &str, body: &str) -> Verdict {
        let answer = Answer {
            status,
            content_type: kind.to_owned(),
            body: body.as_bytes().to_vec(),
            ..Answer::default()
        };
        judge(&Secrets::default(), acknowledge).verdict(&answer, 3)
    }

    #[test]
    fn only_the_whole_batch_is_an_acknowledgement() {
        let says = |body| verdict(Acknowledge::Applied, 200, "application/json", body);
        assert!(matches!(says(r#"{"applied":3}"#), Verdict::Good(_)));
        assert!(matches!(says(r#"{"applied":3,"new":1}"#), Verdict::Good(_)));
        for body in [r#"{"applied":2}"#, r#"{"applied":4}"#, "{}", "", "[]", "3"] {
            assert!(matches!(says(body), Verdict::Strange(_)), "{body}");
        }
    }

    #[test]
    fn a_captive_portal_acknowledges_nothing_by_either_rule() {
        for rule in [Acknowledge::Applied, Acknowledge::Status] {
            for (status, kind, body) in [
                (200, "text/html; charset=utf-8", "<html>Log in</html>"),
                (200, "text/plain", "\n <!DOCTYPE html>"),
                (302, "", ""),
            ] {
                let verdict = verdict(rule, status, kind, body);
                assert!(matches!(verdict, Verdict::Strange(_)), "{verdict:?}");
            }
        }
    }

    #[test]
    fn where_the_status_counts_any_2xx_that_is_no_page_does() {
        for (status, body) in [(200, ""), (204, ""), (202, "queued")] {
            let verdict = verdict(Acknowledge::Status, status, "text/plain", body);
            assert!(matches!(verdict, Verdict::Good(_)), "{verdict:?}");
        }
    }

    #[test]
    fn each_status_means_what_the_protocol_says() {
        let failure = |status| match verdict(Acknowledge::Applied, status, "", "") {
            Verdict::Failed(error) => error,
            other => panic!("{status}: {other:?}"),
        };
        for status in [400, 422] {
            assert!(matches!(failure(status), SendError::Refused { .. }));
        }
        for status in [401, 403, 404, 405, 415] {
            assert!(
                matches!(failure(status), SendError::Held { .. }),
                "{status}"
            );
        }
        assert!(matches!(failure(409), SendError::Claimed { .. }));
        assert!(matches!(failure(413), SendError::TooLarge { .. }));
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            let error = failure(status);
            assert!(matches!(
                error,
                SendError::Retry {
                    unreachable: false,
                    ..
                }
            ));
        }
    }

    #[test]
    fn only_the_named_events_of_our_own_store_are_refused() {
        let body = r#"{"message":"no","errors":[
            {"id":"00000000000000000000000000000001:7","reason":"bad"},
            {"id":"00000000000000000000000000000002:8","reason":"not ours"},
            {"id":"9","reason":"no id"}]}"#;
        let Verdict::Failed(SendError::Refused { records, .. }) =
            verdict(Acknowledge::Applied, 422, "application/json", body)
        else {
            panic!("not refused");
        };
        assert_eq!(records, [(RecordSeq::new(7), "bad".to_owned())]);
    }
}
