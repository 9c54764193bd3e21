//! State transactions as JSON, field by field: they are nearly all of a backlog, and a serializer
//! that knows nothing of them takes three times as long. What is written is what serde would
//! write; a test holds the two together.

use crate::domain::ids::{SourceName, StateText};
use crate::domain::record::{Category, Origin, StateTransaction};
use crate::domain::timestamp::WallTime;

/// The longest that a transaction is beside its texts.
const FRAME_BYTES: usize = 320;
/// States as they were written last, by where their text lies: a power of two.
const STATES_KEPT: usize = 32;
/// Longer ones are written anew, so that all take some 10 KB at most.
const STATE_BYTES_KEPT: usize = 256;

/// Writes transactions, and remembers what most of them repeat.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    start: Start,
    states: [Option<Written>; STATES_KEPT],
    earliest: Moment,
    end: End,
}

/// Up to before the value of `agent`, as it was written last.
#[derive(Debug, Default)]
struct Start {
    source: Option<SourceName>,
    json: Vec<u8>,
}

/// From `state` to before the value of `earliest_at`, with what it was written for.
#[derive(Debug)]
struct Written {
    state: StateText,
    category: Category,
    previous_state: Option<StateText>,
    json: Vec<u8>,
}

/// What follows the value of `earliest_at`, as it was written last: most of one poll have it in common.
#[derive(Debug, Default)]
struct End {
    written_for: Option<(WallTime, Origin, bool, bool)>,
    json: Vec<u8>,
}

/// The digits of the moment that was written last: those of one poll have it in common.
#[derive(Debug, Default)]
struct Moment {
    at: WallTime,
    digits: Vec<u8>,
}

impl Transactions {
    /// Appends the transaction as an object.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, data: &StateTransaction) {
        out.reserve(FRAME_BYTES);
        self.start.write(out, &data.source);
        text(out, data.agent.as_str());
        out.extend_from_slice(b",\"started_at\":");
        number(out, data.started_at.ms());
        self.state(out, data);
        match data.earliest_at {
            Some(at) => self.earliest.write(out, at),
            None => out.extend_from_slice(b"null"),
        }
        self.end.write(out, data);
    }

    fn state(&mut self, out: &mut Vec<u8>, data: &StateTransaction) {
        // Texts of the journal are shared, so that where one lies tells it from most others.
        let place = data.state.as_str().as_ptr() as usize / align_of::<u128>();
        let kept = &mut self.states[place % STATES_KEPT];
        if let Some(kept) = kept
            && kept.is_for(data)
        {
            out.extend_from_slice(&kept.json);
            return;
        }
        let start = out.len();
        state(out, data);
        let json = &out[start..];
        *kept = (json.len() <= STATE_BYTES_KEPT).then(|| Written {
            state: data.state.clone(),
            category: data.category,
            previous_state: data.previous_state.clone(),
            json: json.to_vec(),
        });
    }
}

impl Written {
    fn is_for(&self, data: &StateTransaction) -> bool {
        self.state == data.state
            && self.category == data.category
            && self.previous_state == data.previous_state
    }
}

impl Start {
    fn write(&mut self, out: &mut Vec<u8>, source: &SourceName) {
        if self.source.as_ref() != Some(source) {
            self.source = Some(source.clone());
            self.json.clear();
            self.json.extend_from_slice(b"{\"source\":");
            text(&mut self.json, source.as_str());
            self.json.extend_from_slice(b",\"agent\":");
        }
        out.extend_from_slice(&self.json);
    }
}

impl End {
    fn write(&mut self, out: &mut Vec<u8>, data: &StateTransaction) {
        let needed = Some((data.observed_at, data.origin, data.clamped, data.tied));
        if self.written_for != needed {
            self.written_for = needed;
            self.json.clear();
            end(&mut self.json, data);
        }
        out.extend_from_slice(&self.json);
    }
}

impl Moment {
    fn write(&mut self, out: &mut Vec<u8>, at: WallTime) {
        if self.at != at || self.digits.is_empty() {
            self.at = at;
            self.digits.clear();
            number(&mut self.digits, at.ms());
        }
        out.extend_from_slice(&self.digits);
    }
}

fn state(out: &mut Vec<u8>, data: &StateTransaction) {
    out.extend_from_slice(b",\"state\":");
    text(out, data.state.as_str());
    out.extend_from_slice(b",\"category\":\"");
    out.extend_from_slice(data.category.as_str().as_bytes());
    out.extend_from_slice(b"\",\"previous_state\":");
    match &data.previous_state {
        Some(state) => text(out, state.as_str()),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"earliest_at\":");
}

fn end(out: &mut Vec<u8>, data: &StateTransaction) {
    out.extend_from_slice(b",\"observed_at\":");
    number(out, data.observed_at.ms());
    out.extend_from_slice(b",\"origin\":\"");
    out.extend_from_slice(data.origin.as_str().as_bytes());
    out.extend_from_slice(b"\",\"clamped\":");
    truth(out, data.clamped);
    out.extend_from_slice(b",\"tied\":");
    truth(out, data.tied);
    out.push(b'}');
}

/// Appends a whole number.
pub(super) fn number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn truth(out: &mut Vec<u8>, is_so: bool) {
    out.extend_from_slice(if is_so { b"true" } else { b"false" });
}

fn text(out: &mut Vec<u8>, text: &str) {
    if is_plain(text.as_bytes()) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        serde_json::to_writer(out, text).expect("a text is JSON");
    }
}

/// Whether JSON has the text as it is: no control character, quote or backslash. Looks at eight bytes
/// at once.
fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let special = words.iter().fold(0, |special, word| {
        let word = u64::from_le_bytes(*word);
        special
            | below(word, b' ')
            | below(word ^ (EACH * u64::from(b'"')), 1)
            | below(word ^ (EACH * u64::from(b'\\')), 1)
    });
    let is_plain = |byte: &u8| *byte >= b' ' && *byte != b'"' && *byte != b'\\';
    special & TOP == 0 && rest.iter().all(is_plain)
}

/// One in each byte, and the top bit of each.
const EACH: u64 = 0x0101_0101_0101_0101;
const TOP: u64 = EACH << 7;

/// Has a top bit set where any byte is below the limit, which is 128 at most. (A byte above one that
/// is below may be taken for one, too: "any" is exact, "which" is not.)
const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(EACH * limit as u64) & !word
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ids::AgentId;

    const ORIGINS: [Origin; 5] = [
        Origin::Source,
        Origin::Observed,
        Origin::Inferred,
        Origin::Resync,
        Origin::Gap,
    ];

    /// What an id or a state may be, quotes and control characters included.
    fn words() -> impl Strategy<Value = String> {
        prop_oneof![
            "[A-Za-z0-9 ]{1,24}",
            "[\"\\\\/\u{0}-\u{1f}\u{7f}äß\u{2028}😀a]{1,24}",
        ]
    }

    prop_compose! {
        fn transactions()(
            texts in (words(), words(), proptest::option::of(words())),
            moments in (any::<i64>(), any::<i64>(), proptest::option::of(any::<i64>())),
            kinds in (0..Category::ALL.len(), 0..ORIGINS.len()),
            flags in any::<(bool, bool)>(),
            source in "main|other",
        ) -> Option<StateTransaction> {
            let (agent, state, previous) = texts;
            Some(StateTransaction {
                source: SourceName::new(&source).ok()?,
                agent: AgentId::new(&agent).ok()?,
                started_at: WallTime::from_ms(moments.0),
                state: StateText::new(&state).ok()?,
                category: Category::ALL[kinds.0],
                previous_state: previous.and_then(|text| StateText::new(&text).ok()),
                earliest_at: moments.2.map(WallTime::from_ms),
                observed_at: WallTime::from_ms(moments.1),
                origin: ORIGINS[kinds.1],
                clamped: flags.0,
                tied: flags.1,
            })
        }
    }

    proptest! {
        /// Several by one writer, which remembers what the former ones had.
        #[test]
        fn it_is_what_serde_writes(all in proptest::collection::vec(transactions(), 1..4)) {
            let mut writer = Transactions::default();
            // Some texts are no ids.
            let all: Vec<_> = all.into_iter().flatten().collect();
            for data in all.iter().chain(&all) {
                let mut out = Vec::new();
                writer.write(&mut out, data);
                let expected = serde_json::to_string(data).expect("plain data");
                prop_assert_eq!(String::from_utf8(out).expect("text"), expected);
            }
        }

        #[test]
        fn a_text_is_plain_where_json_has_it_as_it_is(text in "[ -~\u{0}-\u{1f}\u{7f}é]{0,40}") {
            let as_it_is = format!("\"{text}\"");
            let json = serde_json::to_string(&text).expect("a text");
            prop_assert_eq!(is_plain(text.as_bytes()), json == as_it_is);
        }
    }

    #[test]
    fn what_differs_in_one_field_is_not_taken_for_the_former_one() {
        let text = StateText::new("Busy").unwrap();
        let first = StateTransaction {
            source: SourceName::new("main").unwrap(),
            agent: AgentId::new("kim").unwrap(),
            started_at: WallTime::from_ms(0),
            state: text.clone(),
            category: Category::Busy,
            previous_state: None,
            earliest_at: Some(WallTime::from_ms(0)),
            observed_at: WallTime::from_ms(0),
            origin: Origin::Source,
            clamped: false,
            tied: false,
        };
        let category = StateTransaction {
            category: Category::Aux,
            ..first.clone()
        };
        let previous = StateTransaction {
            previous_state: Some(text),
            observed_at: WallTime::from_ms(-7),
            ..first.clone()
        };
        let origin = StateTransaction {
            origin: Origin::Gap,
            ..first.clone()
        };
        let source = StateTransaction {
            source: SourceName::new("other").unwrap(),
            tied: true,
            ..first.clone()
        };
        let mut writer = Transactions::default();
        for data in [&first, &category, &previous, &origin, &source, &first] {
            let mut out = Vec::new();
            writer.write(&mut out, data);
            let expected = serde_json::to_string(data).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
