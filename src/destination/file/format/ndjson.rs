//! A JSON object a line: the table, and every column by its name.

use std::io::{self, Write as _};

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::super::table::{Cell, Row};
use super::super::zone::Zone;
use super::{TableFile, Text};

pub(super) struct Ndjson {
    file: Text,
    zone: Zone,
}

impl Ndjson {
    pub(super) fn new(file: Text, zone: Zone) -> Self {
        Self { file, zone }
    }
}

impl TableFile for Ndjson {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        let zone = &self.zone;
        serde_json::to_writer(&mut self.file, &Line { row, zone })?;
        self.file.write_all(b"\n")
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.file.finish()
    }
}

struct Line<'a> {
    row: &'a Row<'a>,
    zone: &'a Zone,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let table = self.row.table;
        let mut map = serializer.serialize_map(Some(table.columns.len() + 1))?;
        map.serialize_entry("table", table.name)?;
        for (column, cell) in table.columns.iter().zip(&self.row.cells) {
            match cell {
                Cell::Empty => map.serialize_entry(column.name, &())?,
                Cell::Text(text) => map.serialize_entry(column.name, text)?,
                Cell::Number(number) => map.serialize_entry(column.name, number)?,
                Cell::Truth(yes) => map.serialize_entry(column.name, yes)?,
                Cell::Time(at) => map.serialize_entry(column.name, &self.zone.text(*at))?,
            }
        }
        map.end()
    }
}
