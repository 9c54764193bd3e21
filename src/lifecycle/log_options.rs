//! What can be set about the log.

/// How much is logged, and in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogOptions {
    /// The least important events that are logged.
    pub level: LogLevel,
    /// For whom they are written.
    pub format: LogFormat,
}

/// How important an event is; each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LogLevel {
    /// Data was lost, or a person is needed.
    Error,
    /// Something is held or retried for longer than usual.
    Warn,
    /// What an operator wants to see of a healthy day.
    #[default]
    Info,
    /// Each call and commit.
    Debug,
    /// Everything.
    Trace,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// The journal's own protocol under systemd, else text.
    #[default]
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}
