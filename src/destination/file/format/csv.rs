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
        let header = table.columns.iter().map(|column| column.name);
        writer.write_record(header).map_err(other)?;
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
            self.writer.write_field(text.as_bytes()).map_err(other)?;
        }
        self.writer.write_record(None::<&[u8]>).map_err(other)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        let file = self.writer.into_inner();
        file.map_err(csv::IntoInnerError::into_error)?.finish()
    }
}

/// What the file said, as it said it: the package's own conversion hides a full disk.
fn other(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufWriter, ErrorKind, Write};

    use super::super::super::disk::DiskFile;
    use super::super::super::table::CODE;
    use super::*;

    /// A disk without room.
    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl DiskFile for Full {
        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_told_as_one() {
        let file = Text::Plain(BufWriter::new(Box::new(Full)));
        let mut csv = Csv::new(file, &CODE, Zone::utc()).expect("nothing is written yet");
        let row = Row {
            table: &CODE,
            cells: vec![Cell::Text("a text of some length"); CODE.columns.len()],
        };
        let failed = (0..10_000).find_map(|_| csv.row(&row).err());
        let kind = failed.map(|error| error.kind());
        assert_eq!(kind, Some(ErrorKind::StorageFull));
    }
}
