//! Exit codes: the part of the contract that scripts and systemd read (architecture §7).
//!
//! The numbers are those of `sysexits.h`, so that a shell script can tell a wrong file from a dead
//! network without reading text.

use std::fmt;
use std::process::{ExitCode, Termination};

/// How the process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// 0: did what was asked, or stopped as asked.
    Ok,
    /// 64: the command line is wrong.
    Usage,
    /// 69: something needed cannot be reached.
    Unavailable,
    /// 74: the disk or another file failed.
    Io,
    /// 75: another process holds the store.
    AlreadyRunning,
    /// 78: the configuration is wrong.
    Configuration,
}

impl Exit {
    /// Every way to end.
    pub const ALL: [Self; 6] = [
        Self::Ok,
        Self::Usage,
        Self::Unavailable,
        Self::Io,
        Self::AlreadyRunning,
        Self::Configuration,
    ];

    /// The number that the parent process sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Usage => 64,
            Self::Unavailable => 69,
            Self::Io => 74,
            Self::AlreadyRunning => 75,
            Self::Configuration => 78,
        }
    }

    /// The end that this number stands for; `None` for a number that the program never ends with.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| exit.code() == code)
    }
}

/// What the code means, for the last log line.
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "done",
            Self::Usage => "wrong usage",
            Self::Unavailable => "unavailable",
            Self::Io => "input or output error",
            Self::AlreadyRunning => "already running",
            Self::Configuration => "configuration error",
        })
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_the_contract() {
        let codes = Exit::ALL.map(Exit::code);
        assert_eq!(codes, [0, 64, 69, 74, 75, 78]);
    }

    #[test]
    fn a_code_leads_back_to_its_meaning() {
        for exit in Exit::ALL {
            assert_eq!(Exit::from_code(exit.code()), Some(exit));
        }
        assert_eq!(Exit::from_code(1), None);
    }
}
