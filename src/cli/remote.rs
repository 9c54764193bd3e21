//! Asking the daemon of a configuration.

use std::path::PathBuf;

use serde_json::Value;

use super::{ConfigFile, Failure, absolute};
use crate::config::{self, Config};
use crate::control::Request;
use crate::control::client::{ClientError, ask};
use crate::daemon;
use crate::thrio::install_crypto_provider;

/// The configuration that a command was pointed at.
pub(super) fn configuration(file: &ConfigFile) -> anyhow::Result<(PathBuf, Config)> {
    let file = absolute(&file.path)?;
    let config = config::load(&file)?;
    Ok((file, config))
}

/// The daemon's answer; none where no daemon runs.
pub(super) fn try_ask(
    config: &Config,
    request: &Request,
    progress: impl FnMut(&Value),
) -> anyhow::Result<Option<Value>> {
    match ask(&config.store.state_dir, request, progress) {
        Ok(value) => Ok(Some(value)),
        Err(ClientError::NotRunning { .. }) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// The daemon's answer; where none runs, this process does it itself, if the store is free.
pub(super) fn ask_or_do(
    config: &Config,
    request: &Request,
    mut progress: impl FnMut(&Value),
) -> anyhow::Result<Value> {
    if let Some(value) = try_ask(config, request, &mut progress)? {
        return Ok(value);
    }
    install_crypto_provider();
    let mut goes_on = |value| {
        progress(&value);
        true
    };
    Ok(daemon::perform_at_rest(config, request, &mut goes_on)?)
}

/// The daemon's answer, where there must be a daemon.
pub(super) fn ask_running(
    config: &Config,
    request: &Request,
    progress: impl FnMut(&Value),
) -> anyhow::Result<Value> {
    ask(&config.store.state_dir, request, progress).map_err(failed)
}

fn failed(error: ClientError) -> anyhow::Error {
    match error {
        ClientError::Refused(refusal) => Failure::new(refusal.exit, refusal.message).into(),
        other => other.into(),
    }
}
