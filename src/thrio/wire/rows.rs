//! One pass over an answer's rows, whatever they are wrapped in.

use serde::de::DeserializeSeed;

use super::container::{ContainerSeed, ENVELOPE_DEPTH_MAX};
use super::names::{Matcher, unescape};
use super::pointer::PointerSeed;
use super::slots::Slots;
use crate::thrio::api::Envelope;

/// Why a body is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not JSON, or cut.
    #[error("not JSON: {0}")]
    Syntax(String),
    /// JSON, but not of the expected shape.
    #[error("{0}")]
    Shape(String),
    /// More rows than an answer may have.
    #[error("more than {0} rows")]
    TooManyRows(usize),
}

/// How an answer was wrapped, for `probe`.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Shape {
    /// Where the rows lay: `array`, `map`, a JSON pointer such as `/objects`, or none found.
    pub envelope: Option<String>,
    /// Rows were keyed by id, in a map.
    pub is_map: bool,
    /// How many rows there were, readable or not.
    pub rows: u64,
    /// How many of them held at least one known field.
    pub rows_with_fields: u64,
    /// The envelope's `total`, where it has one.
    pub total: Option<u64>,
}

/// Takes the rows, one at a time.
pub(super) trait RowSink<'de> {
    /// A row: its fields, and its key where rows are in a map.
    fn row(&mut self, slots: &Slots<'de>, key: Option<&str>);
    /// Something that is no row stood in a row's place.
    fn malformed(&mut self, what: &str);
    /// What came so far were not rows.
    fn forget(&mut self);
    /// Whether the key of a list of rows is their id: else it is an envelope's unknown name, and
    /// taking it for an id would store rows under it.
    fn keys_name_lists(&self) -> bool {
        false
    }
    /// Whether an object without an envelope may be one row itself.
    fn is_single(&self, own: &Slots<'de>) -> bool {
        let _ = own;
        false
    }
}

/// One pass over one body.
pub(super) struct Parse<'p, 'de, S> {
    pub(super) matcher: &'p mut Matcher,
    pub(super) sink: S,
    pub(super) shape: Shape,
    pub(super) slots: Slots<'de>,
}

impl<'p, 'de, S: RowSink<'de>> Parse<'p, 'de, S> {
    pub(super) fn new(matcher: &'p mut Matcher, sink: S) -> Self {
        Self {
            matcher,
            sink,
            shape: Shape::default(),
            slots: Slots::new(),
        }
    }

    /// Reads a whole body. On an error the sink's rows are worthless.
    pub(super) fn run<D: serde_json::de::Read<'de>>(
        &mut self,
        body: &mut serde_json::Deserializer<D>,
        envelope: &Envelope,
    ) -> Result<(), WireError> {
        let is_map = *envelope == Envelope::Map;
        let result = match envelope {
            Envelope::Pointer(pointer) => {
                let segments: Vec<String> = pointer.split('/').skip(1).map(unescape).collect();
                let seed = PointerSeed {
                    segments: &segments,
                    path: pointer,
                    parse: self,
                };
                seed.deserialize(&mut *body)
            }
            Envelope::Auto | Envelope::Map => ContainerSeed {
                path: String::new(),
                depth: if is_map { ENVELOPE_DEPTH_MAX } else { 0 },
                parse: self,
            }
            .deserialize(&mut *body),
        };
        result
            .and_then(|()| body.end())
            .map_err(|error| WireError::Syntax(syntax(&error)))?;
        self.check_shape()
    }

    fn check_shape(&self) -> Result<(), WireError> {
        if self.shape.envelope.is_none() {
            return Err(WireError::Shape("JSON without rows".to_owned()));
        }
        if self.shape.rows > 0 && self.shape.rows_with_fields == 0 {
            let names: Vec<&str> = self.matcher.spellings().map(|(name, _)| name).collect();
            return Err(WireError::Shape(super::excerpt(&format!(
                "no row holds a known field; names seen: {}",
                names.join(", ")
            ))));
        }
        Ok(())
    }

    pub(super) fn take_row(&mut self, key: Option<&str>) {
        self.shape.rows += 1;
        self.shape.rows_with_fields += u64::from(self.slots.said_anything());
        self.sink.row(&self.slots, key);
    }

    pub(super) fn take_malformed(&mut self, what: &str) {
        self.shape.rows += 1;
        self.sink.malformed(what);
    }

    pub(super) fn forget(&mut self) {
        self.shape.rows = 0;
        self.shape.rows_with_fields = 0;
        self.sink.forget();
    }
}

/// The parser's message without the text it may quote: only what and where.
fn syntax(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Io => "it could not be read",
        serde_json::error::Category::Syntax | serde_json::error::Category::Data => {
            "unexpected text"
        }
    };
    format!("{what} at line {}, column {}", error.line(), error.column())
}

/// Reads `body` from memory.
pub(super) fn from_text<'de, S: RowSink<'de>>(
    parse: &mut Parse<'_, 'de, S>,
    body: &'de str,
    envelope: &Envelope,
) -> Result<(), WireError> {
    parse.run(&mut serde_json::Deserializer::from_str(body), envelope)
}

/// Reads a body while it streams; nothing of it is borrowed.
pub(super) fn from_reader<'de, S: RowSink<'de>, R: std::io::Read>(
    parse: &mut Parse<'_, 'de, S>,
    body: R,
    envelope: &Envelope,
) -> Result<(), WireError> {
    parse.run(&mut serde_json::Deserializer::from_reader(body), envelope)
}
