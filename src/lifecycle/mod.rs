//! How the process lives with its surroundings: signals, service manager, logs, exit codes.

pub mod exit;
