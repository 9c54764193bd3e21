//! `simulate`: a Thrio without a tenant, for trying and testing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use super::Failure;
use crate::clock::{Clock, ScaledClock, SystemClock};
use crate::lifecycle::exit::Exit;
use crate::lifecycle::signals::{Asked, Inbox};
use crate::simulator::{self, Behaviour, Centre, Preset, Replay, Server, Shape};

/// Serves a simulated Thrio with a contact centre behind it, on a loopback address.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where it listens; a loopback address, port 0 for any free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8650")]
    listen: SocketAddr,
    /// How large the centre is: S, M, L or XL.
    #[arg(long, default_value = "S", value_parser = preset)]
    preset: Preset,
    /// Equal seeds are equal centres.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many seconds of the centre pass in one.
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// How many hours the centre's own time is ahead of UTC: its people work from 07 to 23 there.
    #[arg(long, value_name = "HOURS", default_value_t = 0, value_parser = clap::value_parser!(i64).range(-23..=23), allow_negative_numbers = true)]
    utc_offset_h: i64,
    /// A JSON file with `speech` (how the API is spoken) and `faults` (what goes wrong).
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Serve the answers that `probe --save` kept there instead.
    #[arg(long, value_name = "DIR")]
    replay: Option<PathBuf>,
}

/// Reads the name of a preset.
pub(super) fn preset(text: &str) -> Result<Preset, String> {
    Preset::named(text).ok_or_else(|| "one of S, M, L, XL is needed".to_owned())
}

/// The fastest that a simulated clock may run: a day a second.
const SPEED_MAX: f64 = 86_400.0;

/// Reads a speed.
pub(super) fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed > 0.0 && speed <= SPEED_MAX => Ok(speed),
        _ => Err(format!("a number above 0, at most {SPEED_MAX}, is needed")),
    }
}

/// Serves until it is told to stop.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut inbox = Inbox::open().context("signals")?;
    let server = start(arguments)?;
    println!("Simulated Thrio at {}", server.base_url());
    println!("Any user name and any password log in, unless the faults file names them.");
    println!(
        "Faults: POST a JSON list to {}/simulator/faults",
        server.base_url()
    );
    while let Some(asked) = inbox.next() {
        match asked {
            Asked::Stop => break,
            Asked::Report => report(&server),
            Asked::Reload => match behaviour(arguments.faults.as_deref()) {
                Ok(behaviour) => server.switch_faults(behaviour.faults),
                Err(error) => eprintln!("faults stay as they are: {error:#}"),
            },
        }
    }
    report(&server);
    server.stop();
    Ok(Exit::Ok)
}

fn start(arguments: &Arguments) -> anyhow::Result<Server> {
    let behaviour = behaviour(arguments.faults.as_deref())?;
    let clock: Arc<dyn Clock> = if (arguments.speed - 1.0).abs() < f64::EPSILON {
        Arc::new(SystemClock::new())
    } else {
        Arc::new(ScaledClock::new(arguments.speed))
    };
    let served = if let Some(directory) = &arguments.replay {
        let replay = Replay::read(directory)
            .with_context(|| format!("kept answers in {}", directory.display()))?;
        simulator::serve_replay(arguments.listen, replay, clock, behaviour)
    } else {
        let shape = Shape {
            utc_offset_s: arguments.utc_offset_h * 3_600,
            ..arguments.preset.shape()
        };
        let centre = Arc::new(Centre::with_shape(shape, arguments.seed));
        simulator::serve(arguments.listen, centre, clock, behaviour)
    };
    served.map_err(|error| {
        let message = format!("cannot listen on {}: {error}", arguments.listen);
        Failure::new(Exit::Unavailable, message).into()
    })
}

fn behaviour(file: Option<&Path>) -> anyhow::Result<Behaviour> {
    let Some(path) = file else {
        return Ok(Behaviour::default());
    };
    let text =
        std::fs::read_to_string(path).with_context(|| format!("faults file {}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| {
        let message = format!("faults file {}: {error}", path.display());
        Failure::new(Exit::Configuration, message).into()
    })
}

fn report(server: &Server) {
    for (route, count) in server.calls() {
        println!("{route:?}: {count} calls");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_and_speeds_are_checked() {
        assert_eq!(preset("xl"), Ok(Preset::Xl));
        assert!(preset("XXL").is_err());
        assert_eq!(speed("60"), Ok(60.0));
        for wrong in ["0", "-1", "NaN", "inf", "fast", "100000"] {
            assert!(speed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_faults_file_is_read_and_a_wrong_one_names_itself() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("faults.json");
        std::fs::write(
            &path,
            r#"{"speech": {"realtime": {"list": "delta"}}, "faults": [{"kind": "hang"}]}"#,
        )
        .unwrap();
        let read = behaviour(Some(&path)).unwrap();
        assert_eq!(read.faults.len(), 1);
        std::fs::write(&path, r#"{"speach": {}}"#).unwrap();
        let error = behaviour(Some(&path)).unwrap_err().to_string();
        assert!(
            error.contains("faults.json") && error.contains("speach"),
            "{error}"
        );
    }
}
