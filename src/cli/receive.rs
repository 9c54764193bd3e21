//! `receive`: takes what boxes send over HTTP, and writes it into a database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Builder;

use anyhow::Context as _;

use super::{ConfigFile, Failure, LogArguments, absolute};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config, DestinationConfig, ReceiveConfig};
use crate::daemon::connector;
use crate::destination::Secret;
use crate::lifecycle::exit::Exit;
use crate::lifecycle::logging;
use crate::lifecycle::signals::{Asked, Inbox};
use crate::lifecycle::{panics, service_manager};
use crate::receive::{
    AllowedBox, BODY_TIMEOUT, CERTIFICATE_LOOK, EVENTS_PATH, ReceiveOptions, Receiver,
};

/// Receives from boxes over HTTP into the database that `[receive]` names, until it is told to stop.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    log: LogArguments,
}

/// Runs the receiver.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let config = config::load(&absolute(&arguments.config.path)?)?;
    logging::start(&arguments.log.over(config.log.clone()))?;
    panics::log_panics();
    for warning in &config.warnings {
        tracing::warn!(field = warning.field, "{}", warning.message);
    }
    let options = options(&config.receive)?;
    let target = destination(&config)?.target.clone();
    let mut inbox = Inbox::open().context("signals")?;
    let failed = Arc::new(AtomicBool::new(false));
    let on_failure = {
        let (failed, closer) = (Arc::clone(&failed), inbox.closer());
        move || {
            failed.store(true, Ordering::Release);
            closer.close();
        }
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let make = {
        let clock = Arc::clone(&clock);
        move || connector(&target, Arc::clone(&clock))
    };
    let boxes = options.boxes.len();
    let receiver = Receiver::start(options, Box::new(make), clock, Box::new(on_failure))?;
    let address = receiver.address();
    service_manager::ready(&format!("receives on {address} from {boxes} boxes"));
    tracing::info!(%address, path = EVENTS_PATH, boxes, "ready");
    until_stopped(receiver, &mut inbox, &config);
    Ok(if failed.load(Ordering::Acquire) {
        Exit::Unavailable
    } else {
        Exit::Ok
    })
}

fn options(config: &ReceiveConfig) -> anyhow::Result<ReceiveOptions> {
    if config.boxes.is_empty() {
        let message = "nobody may write: add a [[receive.box]] with id and token_file for each box";
        return Err(Failure::new(Exit::Configuration, message).into());
    }
    let boxes = config.boxes.iter().map(|one| AllowedBox {
        id: one.id.clone(),
        token: Secret::new(one.token.provider()),
        sources: one.sources.clone(),
    });
    Ok(ReceiveOptions {
        listen: config.listen,
        identity: config.identity.clone(),
        boxes: boxes.collect(),
        body_timeout: BODY_TIMEOUT,
        certificate_look: CERTIFICATE_LOOK,
    })
}

fn destination(config: &Config) -> anyhow::Result<&DestinationConfig> {
    let all = &config.destinations;
    let found = match &config.receive.destination {
        Some(name) => all.iter().find(|one| one.name == *name),
        None if all.len() == 1 => all.first(),
        None => None,
    };
    let found = found.filter(|one| config::is_database(&one.target));
    found.ok_or_else(|| {
        let message = "receive.destination: name the [[destination]] of kind sqlite, postgres or \
                       sqlserver that it writes into";
        Failure::new(Exit::Configuration, message).into()
    })
}

/// The main thread's loop. It never does the work itself, so that a second signal is always heard.
fn until_stopped(receiver: Receiver, inbox: &mut Inbox, config: &Config) {
    let timeout = config.stop_timeout;
    let mut running = Some(receiver);
    while let Some(asked) = inbox.next() {
        match (asked, running.take()) {
            (Asked::Stop, Some(receiver)) => {
                tracing::info!("stopping; a second signal ends at once");
                service_manager::stopping(timeout);
                let closer = inbox.closer();
                let spawned = Builder::new().name("stop".to_owned()).spawn(move || {
                    if receiver.stop(timeout) {
                        tracing::info!("stopped; everything that was answered is written");
                    } else {
                        tracing::warn!("stopped; what was not answered will be sent again");
                    }
                    closer.close();
                });
                if let Err(error) = spawned {
                    tracing::error!(%error, "no thread for the ordered stop; ends at once");
                    return;
                }
            }
            (Asked::Stop, None) => return,
            (Asked::Reload, receiver) => {
                running = receiver;
                if let Some(receiver) = &running {
                    receiver.renew();
                    tracing::info!("tokens read anew; other settings need a restart");
                }
            }
            (Asked::Report, receiver) => running = receiver,
        }
    }
}
