//! What systemd is told: ready, reloading, stopping, and that the workers still step.
//!
//! Without `NOTIFY_SOCKET` every call does nothing. A message that cannot be sent is logged at
//! debug level and otherwise ignored: the service manager's own time-outs are the answer to that.

use std::time::Duration;

use sd_notify::NotifyState;

/// Whether a service manager waits for messages; daemonizing under one would lose it.
pub fn is_present() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Everything is open and the workers run.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(one_line(status))]);
}

/// A reload begins; [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(_) => send(&[NotifyState::Reloading]),
    }
}

/// The ordered stop begins and may take this long.
pub fn stopping(timeout: Duration) {
    let timeout_us = u32::try_from(timeout.as_micros()).unwrap_or(u32::MAX);
    send(&[
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(timeout_us),
    ]);
}

/// The start waits for this long first: it is not late.
pub fn delayed(by: Duration, why: &str) {
    let by_us = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
    send(&[
        NotifyState::Status(one_line(why)),
        NotifyState::ExtendTimeoutUsec(by_us),
    ]);
}

/// One line that `systemctl status` shows.
pub fn status(line: &str) {
    send(&[NotifyState::Status(one_line(line))]);
}

/// The workers step in time.
pub fn watchdog() {
    send(&[NotifyState::Watchdog]);
}

/// How often [`watchdog`] must be called: half of what systemd waits for. `None` = nobody waits.
pub fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|timeout| timeout / 2)
}

/// A newline would end the field and start another.
fn one_line(text: &str) -> &str {
    text.lines().next().unwrap_or("")
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_cannot_smuggle_in_a_second_field() {
        assert_eq!(one_line("fine\nREADY=1"), "fine");
        assert_eq!(one_line(""), "");
    }
}
