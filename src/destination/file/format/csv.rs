//! RFC 4180: a header, commas, CR LF, quotes where needed. An empty field: the source did not say.

use std::borrow::Cow;
use std::io;

use super::super::table::{Cell, Row, Table};
use super::super::zone::Zone;
use super::{TableFile, Text};

pub(super) struct Csv {
    writer: csv::Writer<Text>,
    zone: Zone,
}

impl Csv {
    pub(super) fn new(file: Text, table: &Table, zone: Zone) -> io::Result<Self> {
        let mut writer = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(file);
        writer.write_record(table.columns.iter().map(|column| column.name))?;
        Ok(Self { writer, zone })
    }
}

impl TableFile for Csv {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        for cell in &row.cells {
            let text: Cow<'_, str> = match cell {
                Cell::Empty => "".into(),
                Cell::Text(text) => (*text).into(),
                Cell::Number(number) => number.to_string().into(),
                Cell::Truth(yes) => yes.to_string().into(),
                Cell::Time(at) => self.zone.text(*at).into(),
            };
            self.writer.write_field(text.as_bytes())?;
        }
        self.writer.write_record(None::<&[u8]>)?;
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        let file = self.writer.into_inner();
        file.map_err(csv::IntoInnerError::into_error)?.finish()
    }
}
