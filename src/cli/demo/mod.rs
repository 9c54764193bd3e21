//! `demo`: the simulated Thrio, the box and a SQLite destination in one process on one scaled
//! clock, so that everything can be seen within a minute and without a configuration.

mod folder;
mod picture;
mod tally;

use std::io::IsTerminal as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::simulate::speed;
use crate::clock::{Clock, ScaledClock, SystemClock};
use crate::config;
use crate::control::ControlOptions;
use crate::daemon::{Daemon, DaemonOptions, StopReport};
use crate::lifecycle::exit::Exit;
use crate::lifecycle::logging::{self, LogOptions};
use crate::lifecycle::signals::{Asked, Inbox};
use crate::simulator::{self, Behaviour, Centre, Preset, Server, Shape};
use crate::stop::{StopToken, Woken};
use folder::Folder;
use picture::Screen;
use tally::Tally;

/// Shows the whole way of the data with a simulated contact centre; needs nothing else.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where its files lie; what an earlier demo left there is replaced.
    #[arg(long, value_name = "DIR", default_value = "demo-data")]
    dir: PathBuf,
    /// End by itself after this time (real time, for example 60s or 5m). Default: until Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    length: Option<Duration>,
    /// How many seconds pass in one; 1 is real time.
    #[arg(long, value_name = "X", default_value_t = 60.0, value_parser = speed)]
    speed: f64,
    /// Equal seeds are equal contact centres.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// How often the picture is drawn anew, in real time.
const REDRAW: Duration = Duration::from_millis(250);
/// The hour on the centre's clock at which a demo begins: in the busy part of the day.
const STARTS_AT_HOUR: i64 = 10;

/// Runs the demo until its time is over or somebody ends it.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let stop = StopToken::new();
    let signals = Signals::watch(&stop)?;
    let folder = Folder::fresh(&arguments.dir)?;
    logging::start(&LogOptions {
        file: Some(folder.log_file()),
        ..LogOptions::default()
    })?;
    let clock: Arc<dyn Clock> = Arc::new(ScaledClock::new(arguments.speed));
    let server = start_simulator(arguments.seed, &clock)?;
    let token = folder.make_admin_token()?;
    let daemon = start_box(&folder, &server, &clock, &stop)?;
    let mut tally = Tally::default();
    let mut screen = Screen::new(std::io::stdout().is_terminal());
    screen.introduce(&folder, &server, &daemon, arguments.speed);
    screen.say(&format!("Admin token       {token}\n"));
    watch(&daemon, &clock, arguments.length, &stop, |status, now| {
        tally.read_on(daemon.store());
        screen.draw(status, &tally, now);
    });
    let store = daemon.store().clone();
    let last = daemon.status();
    screen.say("Stopping: feeds, then destinations, then the journal ...");
    let report = daemon.stop(STOP_TIMEOUT);
    tally.read_on(&store);
    server.stop();
    signals.end();
    screen.sum_up(&folder, &last, &tally, &report);
    Ok(exit_of(&report))
}

/// As long as the daemon's own default.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

fn exit_of(report: &StopReport) -> Exit {
    match report.flush_error {
        Some(_) => Exit::Io,
        None => Exit::Ok,
    }
}

/// Draws until the time is over or the stop.
fn watch(
    daemon: &Daemon,
    clock: &Arc<dyn Clock>,
    length: Option<Duration>,
    stop: &StopToken,
    mut draw: impl FnMut(&crate::control::Status, i64),
) {
    let real = SystemClock::new();
    loop {
        draw(&daemon.status(), clock.now().wall.ms());
        let passed = real.now().mono.since_start();
        let left = length.map_or(REDRAW, |length| length.saturating_sub(passed));
        if left.is_zero() || stop.wait(left.min(REDRAW)) == Woken::Stopped {
            return;
        }
    }
}

fn start_simulator(seed: u64, clock: &Arc<dyn Clock>) -> anyhow::Result<Server> {
    let shape = Shape {
        utc_offset_s: offset_s(clock.now().wall.s()),
        ..Preset::S.shape()
    };
    let centre = Arc::new(Centre::with_shape(shape, seed));
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    simulator::serve(anywhere, centre, Arc::clone(clock), Behaviour::default())
        .context("the simulated Thrio cannot listen on a loopback address")
}

/// The centre's clock against UTC, so that somebody works there at whatever hour the demo is
/// started: it is 10 o'clock there, and no weekend.
fn offset_s(now_s: i64) -> i64 {
    const DAY_S: i64 = 86_400;
    let to_ten = STARTS_AT_HOUR * 3_600 - now_s.rem_euclid(DAY_S);
    let quarters = to_ten.div_euclid(900) * 900;
    // The epoch was a Thursday: 0 = Monday.
    let days = match (now_s.div_euclid(DAY_S) + 3).rem_euclid(7) {
        5 => 2,
        6 => 1,
        _ => 0,
    };
    quarters + days * DAY_S
}

fn start_box(
    folder: &Folder,
    server: &Server,
    clock: &Arc<dyn Clock>,
    stop: &StopToken,
) -> anyhow::Result<Daemon> {
    let file = folder.write_configuration(&server.base_url(), control_address())?;
    let config = config::load(&file)
        .map_err(|errors| anyhow::anyhow!("the demo's own configuration: {errors}"))?;
    let stop = stop.clone();
    let daemon = Daemon::start(DaemonOptions {
        config,
        file: Some(file),
        clock: Arc::clone(clock),
        on_failure: Box::new(move |why| {
            tracing::error!(why, "the demo ends");
            stop.stop();
        }),
    })?;
    Ok(daemon)
}

/// The usual address of the control server, or any free one where that is taken.
fn control_address() -> SocketAddr {
    let usual = ControlOptions::default().listen;
    match TcpListener::bind(usual) {
        Ok(_) => usual,
        Err(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}

/// Ctrl-C and SIGTERM: once in order, twice at once.
struct Signals {
    closer: crate::lifecycle::signals::Closer,
    thread: std::thread::JoinHandle<()>,
}

impl Signals {
    fn watch(stop: &StopToken) -> anyhow::Result<Self> {
        let mut inbox = Inbox::open().context("signals")?;
        let closer = inbox.closer();
        let stop = stop.clone();
        let thread = std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                while let Some(asked) = inbox.next() {
                    if asked != Asked::Stop {
                        continue;
                    }
                    if stop.is_stopped() {
                        std::process::exit(i32::from(Exit::Unavailable.code()));
                    }
                    stop.stop();
                }
            })
            .context("the thread for signals")?;
        Ok(Self { closer, thread })
    }

    fn end(self) {
        self.closer.close();
        // A panic in it has nothing left to spoil.
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centre_works_whenever_the_demo_is_started() {
        for now_s in (1_785_000_000..1_785_000_000 + 8 * 86_400).step_by(6_133) {
            let offset_s = offset_s(now_s);
            assert_eq!(offset_s % 900, 0);
            let local_s = now_s + offset_s;
            let minute = local_s.rem_euclid(86_400) / 60;
            assert!((9 * 60 + 45..=10 * 60).contains(&minute), "{minute}");
            let weekday = (local_s.div_euclid(86_400) + 3).rem_euclid(7);
            assert!(weekday < 5, "{weekday}");
        }
    }
}
