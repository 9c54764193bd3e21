//! How the process lives with its surroundings: signals, service manager, logs, exit codes.

pub mod daemonize;
pub mod exit;
#[cfg(feature = "jemalloc")]
mod heap;
pub mod log_file;
pub mod logging;
pub mod panics;
pub mod restart_delay;
pub mod service_manager;
pub mod signals;
