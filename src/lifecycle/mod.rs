//! How the process lives with its surroundings: signals, service manager, logs, exit codes.

pub mod exit;
mod log_options;

pub use log_options::{LogFormat, LogLevel, LogOptions};
