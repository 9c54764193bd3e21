//! One table as one file, for whoever asks for it: the rows are those of the segments.

use std::io;

use super::disk::DiskFile;
use super::format::{TableFile, table_file};
use super::options::{FileCompression, FileFormat};
use super::table::{self, AGENT, COVERAGE, INTERVAL, QUEUE, StoreText, TRANSACTION, Table};
use super::zone::Zone;
use crate::domain::ids::StoreId;
use crate::domain::record::SequencedRecord;

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SingleTable {
    /// `wfm_queue_interval_revision`.
    Intervals,
    /// `wfm_agent_state_transaction`.
    Transactions,
    /// `wfm_agent`.
    Agents,
    /// `wfm_queue`.
    Queues,
    /// `wfm_interval_coverage`.
    Coverage,
}

/// A file that is being written, in bounded memory. It has a header (CSV) or a schema (Parquet)
/// although no row comes.
pub struct SingleFile {
    file: Box<dyn TableFile>,
    store: StoreText,
    table: &'static Table,
}

impl SingleFile {
    /// Begins it; Parquet's times are instants whatever the zone.
    pub fn begin(
        table: SingleTable,
        format: FileFormat,
        zone: &Zone,
        store_id: StoreId,
        to: Box<dyn DiskFile>,
    ) -> io::Result<Self> {
        let table = match table {
            SingleTable::Intervals => &INTERVAL,
            SingleTable::Transactions => &TRANSACTION,
            SingleTable::Agents => &AGENT,
            SingleTable::Queues => &QUEUE,
            SingleTable::Coverage => &COVERAGE,
        };
        Ok(Self {
            file: table_file(to, table, (format, FileCompression::None), zone)?,
            store: StoreText::new(store_id),
            table,
        })
    }

    /// Adds the record's row.
    ///
    /// # Panics
    /// Where the record belongs into another table.
    pub fn add(&mut self, record: &SequencedRecord) -> io::Result<()> {
        let row = table::row(&self.store, record);
        assert_eq!(row.table.name, self.table.name, "a row of another table");
        self.file.row(&row)
    }

    /// Ends it; it is durable when this returns, where it is a file.
    pub fn finish(self) -> io::Result<()> {
        self.file.finish()
    }
}
