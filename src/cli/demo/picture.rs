//! The demo in the terminal: lines that change in place, or plain ones now and then where nobody
//! looks.

use chrono::DateTime;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Folder;
use super::tally::Tally;
use crate::control::Status;
use crate::daemon::{Daemon, StopReport};
use crate::simulator::Server;

/// Where the picture goes.
pub(super) enum Screen {
    /// A terminal: each line has its place.
    Terminal {
        lines: MultiProgress,
        bars: Vec<ProgressBar>,
    },
    /// A file or a pipe: the lines at most every few moments.
    Plain { draws: u32 },
}

/// Draws between two plain pictures: one each five seconds.
const PLAIN_EVERY: u32 = 20;

impl Screen {
    pub(super) fn new(is_terminal: bool) -> Self {
        if is_terminal {
            Self::Terminal {
                lines: MultiProgress::with_draw_target(ProgressDrawTarget::stdout()),
                bars: Vec::new(),
            }
        } else {
            Self::Plain { draws: 0 }
        }
    }

    /// What runs, and where to look.
    pub(super) fn introduce(&self, folder: &Folder, server: &Server, daemon: &Daemon, speed: f64) {
        self.say(&format!(
            "Simulated Thrio   {}  (60 agents, 10 queues)",
            server.base_url()
        ));
        self.say(&format!(
            "Status            http://{}",
            daemon.control_address()
        ));
        self.say(&format!(
            "Neutral tables    {}",
            folder.database().display()
        ));
        self.say(&format!(
            "Clock             {speed} seconds pass in one; Ctrl-C ends"
        ));
    }

    /// A line that stays.
    pub(super) fn say(&self, line: &str) {
        match self {
            // A terminal that went away is noticed by the next signal.
            Self::Terminal { lines, .. } => drop(lines.println(line)),
            Self::Plain { .. } => println!("{line}"),
        }
    }

    /// The picture of this moment.
    pub(super) fn draw(&mut self, status: &Status, tally: &Tally, now_ms: i64) {
        match self {
            Self::Terminal { lines, bars } => {
                let texts = texts(status, tally, now_ms);
                while bars.len() < texts.len() {
                    bars.push(lines.add(line()));
                }
                for (bar, text) in bars.iter().zip(texts) {
                    bar.set_message(text);
                }
            }
            Self::Plain { draws } => {
                if *draws % PLAIN_EVERY == 0 {
                    for text in texts(status, tally, now_ms) {
                        println!("{text}");
                    }
                }
                *draws += 1;
            }
        }
    }

    /// What it came to, below the last picture.
    pub(super) fn sum_up(
        mut self,
        folder: &Folder,
        status: &Status,
        tally: &Tally,
        report: &StopReport,
    ) {
        if let Self::Terminal { bars, .. } = &self {
            bars.iter().for_each(ProgressBar::abandon);
            self = Self::Plain { draws: 0 };
        }
        self.say("");
        self.say(&report.to_string());
        self.say(&stored(tally));
        for problem in &status.problems {
            self.say(&format!("{}: {}", problem.subject, problem.message));
        }
        self.say(&format!(
            "Look    sqlite3 {} .tables",
            folder.database().display()
        ));
        self.say(&format!("Log     {}", folder.log_file().display()));
        self.say(&format!("Config  {}", folder.configuration().display()));
    }
}

fn line() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_msg}").expect("a constant template");
    ProgressBar::new(0).with_style(style)
}

fn texts(status: &Status, tally: &Tally, now_ms: i64) -> Vec<String> {
    let now = DateTime::from_timestamp_millis(now_ms).map(|at| at.format("%Y-%m-%d %H:%M:%S"));
    let now = now.map_or_else(String::new, |now| now.to_string());
    let mut texts = vec![format!(
        "{now} UTC on the demo's clock, {}",
        if status.ready { "ready" } else { "starting" }
    )];
    for feed in &status.feeds {
        texts.push(format!(
            "feed {:<14} {:<12} {:>8} rows read, {:>6} changed, {} answers, {} failures",
            feed.feed,
            feed.phase,
            feed.counts.rows_received,
            feed.counts.rows_changed,
            feed.counts.answers,
            feed.counts.failures,
        ));
    }
    texts.push(stored(tally));
    for destination in &status.destinations {
        texts.push(format!(
            "to   {:<14} {:<12} {:>8} delivered, {} in the backlog, {} quarantined",
            destination.name,
            destination.phase,
            destination.acknowledged,
            destination.backlog,
            destination.quarantined,
        ));
    }
    texts.push(match status.problems.first() {
        Some(problem) => format!("{}: {}", problem.subject, problem.message),
        None => "no problems".to_owned(),
    });
    texts
}

fn stored(tally: &Tally) -> String {
    format!(
        "journal: {} intervals, {} revisions, {} transactions ({} gaps), {} roster, {} others",
        tally.intervals,
        tally.revisions,
        tally.transactions,
        tally.gaps,
        tally.roster,
        tally.others,
    )
}
