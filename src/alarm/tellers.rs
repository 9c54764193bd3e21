//! The ways of telling as they are set up: what carries a message out, once.

use std::path::PathBuf;

use serde::Serialize;

use super::http::Caller;
use super::options::{AlarmWays, TokenProvider};
use super::{command, message};
use crate::domain::alarm::{Failed, Message, MessageKind, Way};
use crate::domain::ids::BoxId;
use crate::domain::timestamp::WallTime;
use crate::stop::StopToken;

/// What came of trying one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trial {
    /// `webhook`, `command` or `heartbeat`.
    pub way: &'static str,
    /// The host, or the program.
    pub to: String,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// The ways.
pub struct Tellers {
    ways: AlarmWays,
    token: Option<TokenProvider>,
    /// Or why no call can be made.
    caller: Result<Caller, String>,
    box_id: BoxId,
    state_dir: PathBuf,
    stop: StopToken,
}

impl Tellers {
    /// Sets them up; a setting that cannot work is told by each message that fails.
    pub fn new(
        ways: AlarmWays,
        token: Option<TokenProvider>,
        box_id: BoxId,
        state_dir: PathBuf,
    ) -> Self {
        Self {
            caller: Caller::new(&ways),
            ways,
            token,
            box_id,
            state_dir,
            stop: StopToken::new(),
        }
    }

    /// Ends what is under way, and whatever is begun later.
    pub fn shutdown(&self) {
        self.stop.stop();
        if let Ok(caller) = &self.caller {
            caller.shutdown();
        }
    }

    /// The token that [`Self::shutdown`] sets.
    pub(super) fn stop_token(&self) -> &StopToken {
        &self.stop
    }

    /// Tells it once.
    pub(super) fn tell(&self, way: Way, message: &Message, now: WallTime) -> Result<(), Failed> {
        let text = message::json(message, &self.box_id, now).to_string();
        match (way, &self.ways.webhook, &self.ways.command) {
            (Way::Webhook, Some(webhook), _) => {
                let unset = |reason| Failed {
                    reason,
                    retry_after: None,
                };
                let caller = self.caller.as_ref().map_err(|why| unset(why.clone()))?;
                let token = self.token.as_ref().map(|read| read());
                let token = token.transpose().map_err(unset)?;
                caller.post(&webhook.url, token.as_ref(), &text, now)
            }
            (Way::Command, _, Some(options)) => {
                let environment = message::environment(message, &self.box_id);
                command::run(options, &environment, &text, &self.state_dir, &self.stop)
            }
            _ => Err(Failed {
                reason: format!("no {} is set up", way.as_str()),
                retry_after: None,
            }),
        }
    }

    /// Calls the heartbeat's address once.
    pub(super) fn beat(&self, now: WallTime) -> Result<(), String> {
        let url = self.ways.heartbeat_url.as_ref();
        let url = url.ok_or_else(|| "no heartbeat_url is set up".to_owned())?;
        self.caller.as_ref().map_err(Clone::clone)?.get(url, now)
    }

    /// Sends a test message each way, and calls the heartbeat's address.
    pub fn try_all(&self, now: WallTime) -> Vec<Trial> {
        let test = Message::test();
        let mut trials = Vec::new();
        for way in self.ways.ways() {
            let told = self.tell(way, &test, now);
            trials.push(Trial {
                way: way.as_str(),
                to: self.target(way),
                error: told.err().map(|failed| failed.reason),
            });
        }
        if let Some(url) = &self.ways.heartbeat_url {
            trials.push(Trial {
                way: "heartbeat",
                to: url.host(),
                error: self.beat(now).err(),
            });
        }
        trials
    }

    fn target(&self, way: Way) -> String {
        let name = match way {
            Way::Webhook => self.ways.webhook.as_ref().map(|webhook| webhook.url.host()),
            Way::Command => self
                .ways
                .command
                .as_ref()
                .and_then(|c| c.line.first().cloned()),
        };
        name.unwrap_or_default()
    }
}

impl Message {
    fn test() -> Self {
        Self {
            kind: MessageKind::Test,
            raised: Vec::new(),
            cleared: Vec::new(),
            passed: Vec::new(),
            omitted: 0,
            standing: Vec::new(),
            standing_count: 0,
        }
    }
}
