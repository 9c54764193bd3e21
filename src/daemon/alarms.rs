//! From the picture's problems to what people are told, and back: since when they stand.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::Parts;
use super::at_rest::not_running;
use crate::alarm::{Tellers, Trial, last_known};
use crate::config::Config;
use crate::control::Refusal;
use crate::control::status::{AlarmWayStatus, AlarmsStatus, Problem, Status};
use crate::domain::alarm::Condition;
use crate::domain::timestamp::WallTime;
use crate::lifecycle::exit::Exit;

impl Parts {
    pub(super) fn start_alarms(&self) -> std::io::Result<()> {
        if self.only.is_some() {
            // A command's own short life tells nobody anything.
            return Ok(());
        }
        let settings = super::lock(&self.applied).config.alarm.settings();
        self.alarms.start(&settings)
    }

    /// Takes in what the picture shows.
    pub(super) fn observe(&self, picture: &Status) {
        if self.only.is_none() {
            let seen = picture.problems.iter().map(condition).collect();
            self.alarms.observe(seen, picture.ready);
        }
    }

    /// Says since when each problem stands; one that nobody has observed yet begins now.
    pub(super) fn date(&self, status: &mut Status) {
        let standing = self.alarms.standing();
        let known: HashMap<(&str, &str), _> = standing
            .iter()
            .map(|s| ((s.condition.code.as_str(), s.condition.subject.as_str()), s))
            .collect();
        for problem in &mut status.problems {
            let known = known.get(&(problem.code.as_str(), problem.subject.as_str()));
            problem.since = Some(known.map_or(status.at, |standing| standing.since));
            problem.raised_at = known.and_then(|standing| Some(standing.raised?.1));
        }
    }

    pub(super) fn alarms_status(&self) -> AlarmsStatus {
        let (ways, heartbeat_error) = self.alarms.ways();
        let ways = ways.into_iter().map(|(way, status)| AlarmWayStatus {
            way: way.as_str().to_owned(),
            waiting: status.waiting,
            failures: status.failures,
            last_error: status.last_error,
            last_told_at: status.last_told_at,
        });
        AlarmsStatus {
            ways: ways.collect(),
            heartbeat: super::lock(&self.applied)
                .config
                .alarm
                .ways
                .heartbeat_url
                .is_some(),
            heartbeat_error,
        }
    }
}

fn condition(problem: &Problem) -> Condition {
    Condition {
        severity: problem.severity,
        code: problem.code.clone(),
        subject: problem.subject.clone(),
        message: problem.message.clone(),
        remedy: problem.remedy.clone(),
        at_risk: problem.at_risk.clone(),
        by: problem.by,
    }
}

/// What came of the trials; a refusal where nothing is set up or something failed.
pub(super) fn tried(trials: &[Trial]) -> Result<Value, Refusal> {
    if trials.is_empty() {
        let message = "nobody is told: set webhook_url, command or heartbeat_url in [alarm]";
        return Err(Refusal::new(Exit::Configuration, message));
    }
    Ok(json!({"ok": trials.iter().all(|trial| trial.error.is_none()), "trials": trials}))
}

/// The same where no daemon runs: that, and what was raised when it ended.
pub fn listed_at_rest(config: &Config, now: WallTime) -> Value {
    let mut alarms = vec![not_running()];
    let known = last_known(&config.store.state_dir).into_iter();
    alarms.extend(known.map(|alarm| Problem {
        severity: alarm.condition.severity,
        code: alarm.condition.code,
        subject: alarm.condition.subject,
        message: alarm.condition.message,
        remedy: alarm.condition.remedy,
        at_risk: alarm.condition.at_risk,
        by: alarm.condition.by,
        since: Some(alarm.since),
        raised_at: Some(alarm.raised_at),
    }));
    json!({"at": now.to_string(), "alarms": alarms, "told": AlarmsStatus::default()})
}

/// Tries each way of the configuration from this process.
pub fn test_at_rest(config: &Config, now: WallTime) -> Result<Value, Refusal> {
    let settings = config.alarm.settings();
    let tellers = Tellers::new(
        settings.ways,
        settings.token,
        config.store.box_id.clone(),
        config.store.state_dir.clone(),
    );
    tried(&tellers.try_all(now))
}
