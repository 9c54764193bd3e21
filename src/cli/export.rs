//! `export`: what the box holds as a file, in the rows of the file destination (`docs/files.md`).

use std::io::{self, IsTerminal as _, Stdout, Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::backfill::moment;
use super::books::{self, Books, Wanted};
use super::{ConfigFile, Failure, absolute, remote};
use crate::clock::{Clock as _, SystemClock};
use crate::control::protocol::{ExportPage, ExportTable};
use crate::destination::file::disk::{Disk as _, DiskFile, SystemDisk};
use crate::destination::file::{FileFormat, SingleFile, SingleTable, Zone};
use crate::domain::ids::SourceName;
use crate::domain::timestamp::WallTime;
use crate::lifecycle::exit::Exit;

/// Writes what the box holds as CSV, NDJSON or Parquet, with the columns of docs/files.md.
///
/// Records that are older than `retention_days` and delivered are not on the box any more.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    table: Table,
}

#[derive(Debug, clap::Subcommand)]
enum Table {
    /// Contact volume: the last revision of each queue and interval that begins in the span.
    Intervals(OfSpan),
    /// Agent state changes that began in the span, in the order of the journal.
    Transactions(OfSpan),
    /// What is known of each quarter hour of the span: fetched, empty, missing, failed.
    Coverage(OfSpan),
    /// Every agent's last version, closed ones too.
    Agents(Output),
    /// Every queue's last version, closed ones too.
    Queues(Output),
}

#[derive(Debug, clap::Args)]
struct OfSpan {
    /// The first moment: RFC 3339 or Unix seconds.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: WallTime,
    /// The moment after the last; everything that is there where not given.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<WallTime>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, clap::Args)]
struct Output {
    /// One source; all where not given.
    #[arg(long, value_name = "NAME", value_parser = SourceName::new)]
    source: Option<SourceName>,
    /// The form.
    #[arg(long, value_enum, default_value = "csv")]
    format: Format,
    /// The zone of times as text, such as Europe/Berlin; the source's where not given. Parquet holds
    /// instants.
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    time_zone: Option<Zone>,
    /// A file, which appears whole or not at all; standard output where not given.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// RFC 4180 with a header.
    Csv,
    /// A JSON object a line.
    Ndjson,
    /// Parquet, compressed by Snappy.
    Parquet,
}

/// Later than anything that a box holds, also one whose clock ran ahead, or a demo's.
const FAR: Duration = Duration::from_hours(24 * 365);

/// Reads a zone of the command line.
pub(super) fn zone(text: &str) -> Result<Zone, String> {
    text.parse().map_err(|why: String| format!("it {why}"))
}

/// Writes the file.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let now = SystemClock::new().now().wall;
    let (table, from, to, output) = match &arguments.table {
        Table::Intervals(of) => (ExportTable::Intervals, of.from, of.to, &of.output),
        Table::Transactions(of) => (ExportTable::Transactions, of.from, of.to, &of.output),
        Table::Coverage(of) => (ExportTable::Coverage, of.from, of.to, &of.output),
        Table::Agents(output) => (ExportTable::Agents, now, None, output),
        Table::Queues(output) => (ExportTable::Queues, now, None, output),
    };
    let (_, config) = remote::configuration(&arguments.config)?;
    let sources = books::sources(&config, output.source.as_ref())?;
    let zone = books::one_zone(&books::zones(&config, &sources, output.time_zone.as_ref()));
    let books = Books::open(&config)?;
    let mut target = Target::new(table, output, zone)?;
    for source in sources {
        let to = to.unwrap_or(now.plus(FAR));
        let wanted = Wanted {
            table,
            source,
            from,
            to,
        };
        let done = books.each_page(&wanted, |page| Ok(target.add(&page)?));
        if is_nobody_there(&done) {
            return Ok(Exit::Ok);
        }
        done?;
    }
    let done = target.finish();
    if is_nobody_there(&done) {
        return Ok(Exit::Ok);
    }
    done.map(|()| Exit::Ok)
}

/// Whether whoever reads the output has gone (`| head`), which is no failure of ours.
fn is_nobody_there<T>(done: &anyhow::Result<T>) -> bool {
    let mut causes = done
        .as_ref()
        .err()
        .into_iter()
        .flat_map(anyhow::Error::chain);
    causes.any(|cause| {
        let cause: Option<&io::Error> = cause.downcast_ref();
        cause.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Where it is written to; begun with the first page, which names the store.
struct Target {
    table: SingleTable,
    format: FileFormat,
    zone: Zone,
    out: Option<PathBuf>,
    file: Option<SingleFile>,
}

impl Target {
    fn new(table: ExportTable, output: &Output, zone: Zone) -> anyhow::Result<Self> {
        let out = output.out.as_deref().map(absolute).transpose()?;
        if output.format == Format::Parquet && out.is_none() && stdout().is_terminal() {
            let message = "Parquet is nothing to look at: name a file with --out";
            return Err(Failure::new(Exit::Usage, message).into());
        }
        Ok(Self {
            table: match table {
                ExportTable::Intervals => SingleTable::Intervals,
                ExportTable::Transactions => SingleTable::Transactions,
                ExportTable::Agents => SingleTable::Agents,
                ExportTable::Queues => SingleTable::Queues,
                ExportTable::Coverage => SingleTable::Coverage,
            },
            format: match output.format {
                Format::Csv => FileFormat::Csv,
                Format::Ndjson => FileFormat::Ndjson,
                Format::Parquet => FileFormat::Parquet,
            },
            zone,
            out,
            file: None,
        })
    }

    fn add(&mut self, page: &ExportPage) -> io::Result<()> {
        let mut file = if let Some(file) = self.file.take() {
            file
        } else {
            let to: Box<dyn DiskFile> = match &self.out {
                Some(path) => SystemDisk.create(&part(path))?,
                None => Box::new(ToStdout(stdout())),
            };
            SingleFile::begin(self.table, self.format, &self.zone, page.store_id, to)?
        };
        for record in &page.records {
            file.add(record)?;
        }
        self.file = Some(file);
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        let file = self.file.expect("every source has a first page");
        file.finish()?;
        if let Some(path) = &self.out {
            let named = SystemDisk.rename_over(&part(path), path);
            named.with_context(|| path.display().to_string())?;
        }
        Ok(())
    }
}

/// The name until it is whole.
fn part(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

struct ToStdout(Stdout);

impl Write for ToStdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl DiskFile for ToStdout {
    fn sync(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
