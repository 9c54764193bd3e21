//! A machine with one way and its own hands of the clock.

use std::time::Duration;

use thrio_edge::domain::alarm::{
    AlarmMachine, AlarmOptions, AlarmStep, Condition, Failed, Message, SavedAlarms, Severity,
    Transition, Way,
};
use thrio_edge::domain::timestamp::{MonoTime, Now, WallTime};

pub(crate) const S: Duration = Duration::from_secs(1);

/// The box and its clock.
pub(crate) struct Rig {
    pub(crate) machine: AlarmMachine,
    pub(crate) now: Now,
    pub(crate) options: AlarmOptions,
    ways: Vec<Way>,
}

pub(crate) fn condition(severity: Severity, code: &str, subject: &str) -> Condition {
    Condition {
        severity,
        code: code.to_owned(),
        subject: subject.to_owned(),
        message: format!("{code} of {subject}"),
        remedy: "mend it".to_owned(),
        at_risk: "something".to_owned(),
        by: None,
    }
}

pub(crate) fn error(code: &str) -> Condition {
    condition(Severity::Error, code, "main/realtime")
}

pub(crate) fn warning(code: &str) -> Condition {
    condition(Severity::Warning, code, "main/realtime")
}

/// The codes of these alarms.
pub(crate) fn codes(alarms: &[thrio_edge::domain::alarm::Alarm]) -> Vec<&str> {
    alarms.iter().map(|a| a.condition.code.as_str()).collect()
}

impl Rig {
    /// Raised after 60 s, cleared after 120 s, grouped over 30 s, 300 s of rest.
    pub(crate) fn new() -> Self {
        Self::with(AlarmOptions::default(), &[Way::Webhook])
    }

    pub(crate) fn with(options: AlarmOptions, ways: &[Way]) -> Self {
        let now = Now {
            wall: WallTime::from_s(1_785_000_000),
            mono: MonoTime::ZERO,
        };
        let saved = SavedAlarms::default();
        Self {
            machine: AlarmMachine::restore(options.clone(), ways, true, saved, now, 7),
            now,
            options,
            ways: ways.to_vec(),
        }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now.wall = self.now.wall.plus(time);
        self.now.mono = self.now.mono.plus(time);
    }

    pub(crate) fn see(&mut self, seen: &[Condition]) -> Vec<Transition> {
        self.machine.observe(self.now, seen.to_vec(), true)
    }

    /// The same conditions, looked at every three seconds for so long.
    pub(crate) fn watch(&mut self, seen: &[Condition], time: Duration) -> Vec<Transition> {
        let end = self.now.mono.plus(time);
        let mut changes = self.see(seen);
        while self.now.mono < end {
            self.pass(3 * S);
            changes.extend(self.see(seen));
        }
        changes
    }

    /// The message that is due now, if one is; heartbeats arrive meanwhile.
    pub(crate) fn message(&mut self) -> Option<Message> {
        loop {
            match self.machine.begin(self.now) {
                AlarmStep::Tell(_, message) => return Some(*message),
                AlarmStep::Beat => self.machine.beaten(self.now.mono, Ok(())),
                AlarmStep::Wait(_) => return None,
            }
        }
    }

    pub(crate) fn arrives(&mut self) {
        self.machine.told(self.now, Way::Webhook, Ok(()));
    }

    pub(crate) fn fails(&mut self) {
        let failed = Failed {
            reason: "the receiver is down".to_owned(),
            retry_after: None,
        };
        self.machine.told(self.now, Way::Webhook, Err(failed));
    }

    /// Everything that is told while these conditions stand for so long.
    pub(crate) fn tell(&mut self, seen: &[Condition], time: Duration) -> Vec<Message> {
        let end = self.now.mono.plus(time);
        let mut told = Vec::new();
        while self.now.mono < end {
            self.pass(3 * S);
            self.see(seen);
            if let Some(message) = self.message() {
                self.arrives();
                told.push(message);
            }
        }
        told
    }

    /// The process ends and starts anew; what it saved goes through a file's text.
    pub(crate) fn restart(&mut self) {
        let text = serde_json::to_string(&self.machine.save(self.now)).unwrap();
        self.now.mono = MonoTime::ZERO;
        let saved = serde_json::from_str(&text).unwrap();
        self.machine =
            AlarmMachine::restore(self.options.clone(), &self.ways, true, saved, self.now, 11);
    }
}
