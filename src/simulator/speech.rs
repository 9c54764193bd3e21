//! How the simulated Thrio speaks: everything that no public document settles about the real one
//! is a field here, with the default that the client assumes.

use serde::{Deserialize, Serialize};

/// How the API is spoken. Read from JSON; what is absent keeps its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Speech {
    /// The only user name that may log in; `None` = any.
    pub username: Option<String>,
    /// The only password that may log in; `None` = any that is not empty.
    pub password: Option<String>,
    /// How later calls must carry the token.
    pub auth: Auth,
    /// How long a token is taken, in seconds of the simulated clock.
    pub token_life_s: u64,
    /// What the login says of where to call; `None` = the address that was called.
    pub location: Option<String>,
    /// How the address is written.
    pub location_style: LocationStyle,
    /// After this many refused logins in a row even the right password is refused.
    pub lockout_after: Option<u32>,
    /// How long, in seconds of the simulated clock.
    pub lockout_s: u64,
    /// Whether answers carry a readable `Date`.
    pub date_header: bool,
    /// The agent states.
    pub realtime: RealtimeSpeech,
    /// The contact volume.
    pub historical: HistoricalSpeech,
    /// Queues and users.
    pub configuration: ConfigurationSpeech,
}

impl Default for Speech {
    fn default() -> Self {
        Self {
            username: None,
            password: None,
            auth: Auth::Either,
            token_life_s: 23 * 3_600,
            location: None,
            location_style: LocationStyle::Url,
            lockout_after: None,
            lockout_s: 1_800,
            date_header: true,
            realtime: RealtimeSpeech::default(),
            historical: HistoricalSpeech::default(),
            configuration: ConfigurationSpeech::default(),
        }
    }
}

impl Speech {
    /// The sibling vendor's contract: its names, its times, only changes, only queues with
    /// contacts.
    pub fn sibling() -> Self {
        Self {
            realtime: RealtimeSpeech {
                list: List::Delta,
                names: Names::Sibling,
                since: Since::Seconds,
                ..RealtimeSpeech::default()
            },
            historical: HistoricalSpeech {
                names: Names::Sibling,
                times: Times::Text,
                ..HistoricalSpeech::default()
            },
            ..Self::default()
        }
    }
}

/// How the token must be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// As it is or after `Bearer`.
    #[default]
    Either,
    /// As it is.
    Raw,
    /// After `Bearer`.
    Bearer,
}

/// How `location` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocationStyle {
    /// `http://host:port`
    #[default]
    Url,
    /// `http://host:port/`
    UrlWithSlash,
    /// `host:port`
    BareHost,
}

/// What a list of rows is wrapped in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Envelope {
    /// Nothing: a bare array.
    #[default]
    Array,
    /// `{"objects": [...]}`
    Objects,
    /// `{"data": [...]}`
    Data,
    /// `{"rows": [...]}`
    Rows,
    /// `{"results": [...]}`
    Results,
    /// `{"items": [...]}`
    Items,
    /// A map of id to row.
    Map,
}

/// Whose column names rows carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Names {
    /// `agentId`, `agentStatus`; `queueId`, `interval`.
    #[default]
    Community,
    /// `agent-id`, `agent-status`; `queue-id`, `interval-start`.
    Dashed,
    /// `uKey`, `fullName`, `statusCode`, `lastStatusChange`; `queueID`, `interval`.
    Sibling,
}

/// Whether a poll lists everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum List {
    /// Every agent.
    #[default]
    Full,
    /// Those that changed since the time asked with, else since the token's last poll.
    Delta,
}

/// Whether rows say when the state began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Since {
    /// They do not.
    #[default]
    No,
    /// In seconds since the epoch.
    Seconds,
    /// In milliseconds since the epoch.
    Milliseconds,
}

/// How the agent states are told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RealtimeSpeech {
    /// The path below `location`.
    pub path: String,
    /// Everybody, or changes.
    pub list: List,
    /// Whether a full list names logged-out agents too.
    pub logged_out: bool,
    /// Whether rows say when the state began.
    pub since: Since,
    /// Column names.
    pub names: Names,
    /// `loggedOut` rather than `Logged out`.
    pub camel_case_states: bool,
    /// Whether rows carry the agent's id, or only the user name.
    pub ids: bool,
    /// What the rows are wrapped in.
    pub envelope: Envelope,
}

impl Default for RealtimeSpeech {
    fn default() -> Self {
        Self {
            path: "/wfm/community/realTime".to_owned(),
            list: List::Full,
            logged_out: true,
            since: Since::No,
            names: Names::Community,
            camel_case_states: false,
            ids: true,
            envelope: Envelope::Array,
        }
    }
}

/// How a row writes its interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Times {
    /// Unix seconds.
    #[default]
    UnixS,
    /// Unix milliseconds.
    UnixMs,
    /// ISO 8601 with `Z`.
    Iso8601,
    /// `YYYY-MM-DD HH:MM:SS`, UTC.
    Text,
}

/// How the contact volume is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent habits of an answer, each a switch of its own"
)]
pub struct HistoricalSpeech {
    /// The path below `location`.
    pub path: String,
    /// Whether queues without contacts have no row.
    pub sparse: bool,
    /// Column names.
    pub names: Names,
    /// How a row writes its interval.
    pub times: Times,
    /// Whether rows say their interval.
    pub interval_in_row: bool,
    /// Whether rows say their queue; where not, they are one sum over all queues asked for.
    pub queue_in_row: bool,
    /// Handle time in milliseconds rather than seconds.
    pub handle_time_in_ms: bool,
    /// Whether a row names its interval by its end.
    pub labelled_by_end: bool,
    /// `"12"` rather than `12`.
    pub numbers_as_strings: bool,
    /// What the rows are wrapped in.
    pub envelope: Envelope,
    /// How far back figures are kept, in days.
    pub kept_days: i64,
}

impl Default for HistoricalSpeech {
    fn default() -> Self {
        Self {
            path: "/wfm/community/historical".to_owned(),
            sparse: true,
            names: Names::Community,
            times: Times::UnixS,
            interval_in_row: true,
            queue_in_row: true,
            handle_time_in_ms: false,
            labelled_by_end: false,
            numbers_as_strings: false,
            envelope: Envelope::Array,
            kept_days: 400,
        }
    }
}

/// How `total`, `next` and `previous` of a page are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Totals {
    /// `"120"`
    #[default]
    Strings,
    /// `120`
    Numbers,
    /// Not at all.
    Absent,
}

/// How queues and users are listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigurationSpeech {
    /// A page never holds more, whatever `rows` asks for.
    pub page_rows_max: usize,
    /// How the totals are written.
    pub totals: Totals,
}

impl Default for ConfigurationSpeech {
    fn default() -> Self {
        Self {
            page_rows_max: 100,
            totals: Totals::Strings,
        }
    }
}
