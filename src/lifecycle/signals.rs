//! The signals of architecture §7 as the main thread's loop.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::{Handle, Signals};

/// What somebody asks the process to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM, SIGINT: stop in order; asked again: at once.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR1: write the whole status to the log.
    Report,
}

/// The signals that arrived and were not yet looked at.
#[derive(Debug)]
pub struct Inbox {
    signals: Signals,
}

/// Ends [`Inbox::next`] from another thread, for good.
#[derive(Debug, Clone)]
pub struct Closer(Handle);

impl Inbox {
    /// Takes the signals over from their default actions.
    pub fn open() -> std::io::Result<Self> {
        let signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1])?;
        Ok(Self { signals })
    }

    /// What closes it.
    pub fn closer(&self) -> Closer {
        Closer(self.signals.handle())
    }

    /// Blocks until the next signal; `None` once it is closed.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator that blocks would invite adapters that cannot be stopped"
    )]
    pub fn next(&mut self) -> Option<Asked> {
        self.signals.forever().find_map(|signal| match signal {
            SIGTERM | SIGINT => Some(Asked::Stop),
            SIGHUP => Some(Asked::Reload),
            SIGUSR1 => Some(Asked::Report),
            _ => None,
        })
    }
}

impl Closer {
    /// Ends the wait.
    pub fn close(&self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_arrive_as_what_they_ask_and_closing_ends_the_wait() {
        let mut inbox = Inbox::open().unwrap();
        signal_hook::low_level::raise(SIGHUP).unwrap();
        assert_eq!(inbox.next(), Some(Asked::Reload));
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert_eq!(inbox.next(), Some(Asked::Stop));
        inbox.closer().close();
        assert_eq!(inbox.next(), None);
    }
}
