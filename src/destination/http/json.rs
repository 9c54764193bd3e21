//! State transactions as JSON, field by field: they are nearly all of a backlog, and a serializer
//! that knows nothing of them takes three times as long. What is written is what serde would
//! write; a test holds the two together.

use crate::domain::record::StateTransaction;
use crate::domain::timestamp::WallTime;

/// The longest that a transaction is beside its texts.
const FRAME_BYTES: usize = 320;

/// Appends the transaction as an object.
pub(super) fn transaction(out: &mut Vec<u8>, data: &StateTransaction) {
    out.reserve(FRAME_BYTES);
    out.extend_from_slice(b"{\"source\":");
    text(out, data.source.as_str());
    out.extend_from_slice(b",\"agent\":");
    text(out, data.agent.as_str());
    out.extend_from_slice(b",\"started_at\":");
    moment(out, data.started_at);
    out.extend_from_slice(b",\"state\":");
    text(out, data.state.as_str());
    out.extend_from_slice(b",\"category\":\"");
    out.extend_from_slice(data.category.as_str().as_bytes());
    out.extend_from_slice(b"\",\"previous_state\":");
    maybe(out, data.previous_state.as_ref(), |out, state| {
        text(out, state.as_str());
    });
    out.extend_from_slice(b",\"earliest_at\":");
    maybe(out, data.earliest_at, moment);
    out.extend_from_slice(b",\"observed_at\":");
    moment(out, data.observed_at);
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

fn moment(out: &mut Vec<u8>, at: WallTime) {
    number(out, at.ms());
}

fn truth(out: &mut Vec<u8>, is_so: bool) {
    out.extend_from_slice(if is_so { b"true" } else { b"false" });
}

fn maybe<T>(out: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        Some(value) => write(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    // Without an early end, which would keep it from looking at many bytes at once.
    if text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        serde_json::to_writer(out, text).expect("a text is JSON");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ids::{AgentId, SourceName, StateText};
    use crate::domain::record::{Category, Origin};

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
        ) -> Option<StateTransaction> {
            let (agent, state, previous) = texts;
            Some(StateTransaction {
                source: SourceName::new("main").ok()?,
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
        #[test]
        fn it_is_what_serde_writes(data in transactions()) {
            // Some texts are no ids.
            let Some(data) = data else { return Ok(()); };
            let mut out = Vec::new();
            transaction(&mut out, &data);
            let expected = serde_json::to_string(&data).expect("plain data");
            prop_assert_eq!(String::from_utf8(out).expect("text"), expected);
        }
    }
}
