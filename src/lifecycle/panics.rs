//! A panic is a bug, and the process that had it is not to be trusted with the next record.
//!
//! The hook logs every panic where it happens, with thread and place. It does not end the process:
//! calls into the store are caught (a damaged file must not become a crash loop). The supervisor
//! notices a worker whose thread is gone and ends the process in order, and the service manager
//! starts it again.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

/// Sends panics to the log instead of raw text to standard error.
pub fn log_panics() {
    std::panic::set_hook(Box::new(log));
}

fn log(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let place = panic
        .location()
        .map_or_else(String::new, ToString::to_string);
    let message = panic.payload_as_str().unwrap_or("no message");
    tracing::error!(
        thread = thread.name().unwrap_or("unnamed"),
        place,
        "panic: {message}"
    );
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!("{backtrace}");
    }
}
