//! `report volume`: contacts and handle time per queue and day, or per quarter hour.

use std::collections::BTreeMap;

use super::super::backfill::moment;
use super::super::books::{self, Books, Wanted};
use super::super::{ConfigFile, export, remote};
use super::{Sheet, decimal, number};
use crate::clock::{Clock as _, SystemClock};
use crate::control::protocol::ExportTable;
use crate::destination::file::Zone;
use crate::domain::ids::{Feed, QueueId, SourceName};
use crate::domain::record::{CoverageStatus, Record};
use crate::domain::report::volume::VolumeSums;
use crate::domain::timestamp::WallTime;
use crate::lifecycle::exit::Exit;

/// Contacts entered and abandoned, and handle time, per queue and day.
///
/// A sum is over the quarter hours that Thrio gave a figure for (`quarters`); `missing` are those of
/// the same day that nobody answered for, so that its sums are too small. An average handle time is
/// per entered contact, and per contact that was not abandoned; over no contacts it is empty.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// The first moment: RFC 3339 or Unix seconds.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: WallTime,
    /// The moment after the last; now where not given.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<WallTime>,
    /// One source; all where not given.
    #[arg(long, value_name = "NAME", value_parser = SourceName::new)]
    source: Option<SourceName>,
    /// One queue; all where not given.
    #[arg(long, value_name = "ID", value_parser = QueueId::new)]
    queue: Option<QueueId>,
    /// What a line stands for.
    #[arg(long, value_enum, default_value = "day")]
    by: Period,
    /// The zone of days and times, such as Europe/Berlin; the source's where not given.
    #[arg(long, value_name = "ZONE", value_parser = export::zone)]
    time_zone: Option<Zone>,
    /// CSV (RFC 4180) instead of a table.
    #[arg(long)]
    csv: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Period {
    /// A day of the time zone.
    Day,
    /// A quarter hour.
    Interval,
}

const COLUMNS: [&str; 12] = [
    "source",
    "queue_id",
    "queue",
    "period",
    "entered",
    "abandoned",
    "abandoned_percent",
    "handle_time_s",
    "aht_per_entered_s",
    "aht_per_handled_s",
    "quarters",
    "missing",
];

impl Period {
    fn of(self, zone: &Zone, at: WallTime) -> String {
        let pattern = match self {
            Self::Day => "%Y-%m-%d",
            Self::Interval => "%Y-%m-%d %H:%M",
        };
        let local = zone.local(at);
        local.map_or_else(|| at.to_string(), |local| local.format(pattern).to_string())
    }
}

/// A queue and a period, in which they are listed. The moment orders an hour that comes twice.
type Key = (SourceName, QueueId, String, Option<WallTime>);

/// Makes the report.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let (_, config) = remote::configuration(&arguments.config)?;
    let sources = books::sources(&config, arguments.source.as_ref())?;
    let zones = books::zones(&config, &sources, arguments.time_zone.as_ref());
    let books = Books::open(&config)?;
    let mut report = Report {
        arguments,
        to: arguments
            .to
            .unwrap_or_else(|| SystemClock::new().now().wall),
        sums: BTreeMap::new(),
        missing: BTreeMap::new(),
        names: BTreeMap::new(),
    };
    for (source, zone) in &zones {
        report.read(&books, source, zone)?;
    }
    report.sheet().show(arguments.csv);
    Ok(Exit::Ok)
}

struct Report<'a> {
    arguments: &'a Arguments,
    to: WallTime,
    sums: BTreeMap<Key, VolumeSums>,
    /// Quarter hours that were not answered, by source and period.
    missing: BTreeMap<(SourceName, String), u64>,
    names: BTreeMap<(SourceName, QueueId), String>,
}

impl Report<'_> {
    fn read(&mut self, books: &Books<'_>, source: &SourceName, zone: &Zone) -> anyhow::Result<()> {
        for table in [
            ExportTable::Queues,
            ExportTable::Coverage,
            ExportTable::Intervals,
        ] {
            let wanted = Wanted {
                table,
                source: source.clone(),
                from: self.arguments.from,
                to: self.to,
            };
            books.each_page(&wanted, |page| {
                for one in page.records {
                    self.add(one.record, zone);
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn add(&mut self, record: Record, zone: &Zone) {
        let by = self.arguments.by;
        match record {
            Record::Queue(queue) => {
                if let Some(name) = queue.details.name {
                    self.names.insert((queue.source, queue.queue), name);
                }
            }
            Record::Coverage(entry) => {
                let is_missing = !matches!(
                    entry.status,
                    CoverageStatus::Fetched | CoverageStatus::EmptyConfirmed
                );
                if entry.feed == Feed::Historical && is_missing {
                    let period = by.of(zone, entry.interval_start.start());
                    *self.missing.entry((entry.source, period)).or_default() += 1;
                }
            }
            Record::Interval(interval) => {
                let wanted = self.arguments.queue.as_ref();
                if wanted.is_none_or(|queue| *queue == interval.queue) {
                    let at = interval.interval_start.start();
                    let moment = (by == Period::Interval).then_some(at);
                    let key = (interval.source, interval.queue, by.of(zone, at), moment);
                    self.sums.entry(key).or_default().add(interval.figures);
                }
            }
            _ => {}
        }
    }

    fn sheet(self) -> Sheet {
        let row = |((source, queue, period, _), sums): (Key, VolumeSums)| {
            let name = self.names.get(&(source.clone(), queue.clone()));
            let missing = self.missing.get(&(source.clone(), period.clone()));
            vec![
                source.to_string(),
                queue.to_string(),
                name.cloned().unwrap_or_default(),
                period,
                number(sums.figures.entered),
                number(sums.figures.abandoned),
                decimal(sums.abandon_rate().map(|rate| 100.0 * rate), 1),
                number(sums.figures.handle_time_s),
                decimal(sums.aht_per_entered_s(), 1),
                decimal(sums.aht_per_handled_s(), 1),
                sums.quarters.to_string(),
                missing.copied().unwrap_or(0).to_string(),
            ]
        };
        Sheet {
            columns: &COLUMNS,
            rows: self.sums.into_iter().map(row).collect(),
        }
    }
}
