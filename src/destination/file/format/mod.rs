//! What a segment's files look like inside. Files are written from first to last row, in bounded
//! memory, and are synced when they are finished.

mod csv;
mod ndjson;
mod parquet;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::disk::{Disk, DiskFile};
use super::options::{FileCompression, FileFormat, FileOptions};
use super::table::{Row, TABLES, Table};
use super::zone::Zone;

/// The name of the one stream of NDJSON, where other formats have the table's.
const STREAM: &str = "wfm_records";

/// One file that is being written.
pub(super) trait TableFile {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()>;
    /// Ends the file; what was written is durable when this returns.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// The files of one segment, each made with its first row.
pub(super) struct Files<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    options: &'a FileOptions,
    /// What follows a file's first word, up to its ending.
    stem: &'a str,
    open: BTreeMap<String, Box<dyn TableFile>>,
}

impl<'a> Files<'a> {
    /// No file yet; they are made in `folder` under their names with `.part`.
    pub(super) fn new(
        disk: &'a dyn Disk,
        folder: &'a Path,
        options: &'a FileOptions,
        stem: &'a str,
    ) -> Self {
        Self {
            disk,
            folder,
            options,
            stem,
            open: BTreeMap::new(),
        }
    }

    /// Adds a row to its file.
    pub(super) fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        let name = name(
            self.options,
            word(self.options.format, row.table.name),
            self.stem,
        );
        if let Some(file) = self.open.get_mut(&name) {
            return file.row(row);
        }
        let raw = self.disk.create(&self.folder.join(part(&name)))?;
        let FileOptions {
            format,
            compression,
            zone,
            ..
        } = self.options;
        let mut file = table_file(raw, row.table, (*format, *compression), zone)?;
        file.row(row)?;
        self.open.insert(name, file);
        Ok(())
    }

    /// Ends every file; their names, without `.part`.
    pub(super) fn finish(self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for (name, file) in self.open {
            file.finish()?;
            names.push(name);
        }
        Ok(names)
    }
}

/// An empty file of one table (or, as NDJSON, of any).
pub(super) fn table_file(
    raw: Box<dyn DiskFile>,
    table: &Table,
    (format, compression): (FileFormat, FileCompression),
    zone: &Zone,
) -> io::Result<Box<dyn TableFile>> {
    let text = |raw| {
        let raw = BufWriter::new(raw);
        match compression {
            FileCompression::None => Text::Plain(raw),
            FileCompression::Gzip => Text::Gzip(GzEncoder::new(raw, Compression::default())),
        }
    };
    Ok(match format {
        FileFormat::Ndjson => Box::new(ndjson::Ndjson::new(text(raw), zone.clone())),
        FileFormat::Csv => Box::new(csv::Csv::new(text(raw), table, zone.clone())?),
        FileFormat::Parquet => Box::new(parquet::Parquet::new(raw, table)?),
    })
}

/// The name under which a file is written before it may be seen.
pub(super) fn part(name: &str) -> String {
    format!("{name}.part")
}

/// Every name that a segment's files may get.
pub(super) fn names<'a>(options: &'a FileOptions, stem: &'a str) -> impl Iterator<Item = String> {
    TABLES
        .into_iter()
        .map(move |table| name(options, word(options.format, table.name), stem))
}

fn word(format: FileFormat, table: &'static str) -> &'static str {
    match format {
        FileFormat::Ndjson => STREAM,
        FileFormat::Csv | FileFormat::Parquet => table,
    }
}

fn name(options: &FileOptions, word: &str, stem: &str) -> String {
    let ending = match options.format {
        FileFormat::Ndjson => "ndjson",
        FileFormat::Csv => "csv",
        FileFormat::Parquet => return format!("{word}-{stem}.parquet"),
    };
    match options.compression {
        FileCompression::None => format!("{word}-{stem}.{ending}"),
        FileCompression::Gzip => format!("{word}-{stem}.{ending}.gz"),
    }
}

/// A text file, compressed or not.
enum Text {
    Plain(BufWriter<Box<dyn DiskFile>>),
    Gzip(GzEncoder<BufWriter<Box<dyn DiskFile>>>),
}

impl Text {
    fn finish(self) -> io::Result<()> {
        let buffered = match self {
            Self::Plain(file) => file,
            Self::Gzip(encoder) => encoder.finish()?,
        };
        sync(buffered)
    }
}

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Gzip(file) => file.flush(),
        }
    }
}

fn sync(buffered: BufWriter<Box<dyn DiskFile>>) -> io::Result<()> {
    buffered
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync()
}
