//! Parquet, written column by column without arrow. Times are instants in UTC, in milliseconds.

use std::fmt::Write as _;
use std::io::{self, BufWriter};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::super::disk::DiskFile;
use super::super::table::{Cell, Column, Kind, Row, Table};
use super::{TableFile, sync};

/// Rows that are gathered in memory: at some 300 bytes each, 5 MiB.
const ROWS_PER_GROUP: usize = 16_384;

pub(super) struct Parquet {
    writer: SerializedFileWriter<BufWriter<Box<dyn DiskFile>>>,
    columns: Vec<Gathered>,
    rows: usize,
}

/// The values of a column, without those that are empty.
struct Gathered {
    values: Values,
    /// For each row 1 where there is a value.
    present: Vec<i16>,
    is_optional: bool,
}

enum Values {
    Text(Vec<ByteArray>),
    Number(Vec<i64>),
    Truth(Vec<bool>),
}

impl Parquet {
    pub(super) fn new(file: Box<dyn DiskFile>, table: &Table) -> io::Result<Self> {
        let schema = parse_message_type(&schema(table)).map_err(other)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("thrio-edge ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let writer =
            SerializedFileWriter::new(BufWriter::new(file), Arc::new(schema), Arc::new(properties));
        Ok(Self {
            writer: writer.map_err(other)?,
            columns: table.columns.iter().map(Gathered::new).collect(),
            rows: 0,
        })
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        let mut columns = self.columns.iter_mut();
        while let Some(mut writer) = group.next_column()? {
            let column = columns.next().expect("the schema has the table's columns");
            let present = column.is_optional.then_some(column.present.as_slice());
            match &column.values {
                Values::Text(values) => writer
                    .typed::<ByteArrayType>()
                    .write_batch(values, present, None),
                Values::Number(values) => writer
                    .typed::<Int64Type>()
                    .write_batch(values, present, None),
                Values::Truth(values) => writer
                    .typed::<BoolType>()
                    .write_batch(values, present, None),
            }?;
            writer.close()?;
            column.clear();
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

impl TableFile for Parquet {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        for (column, cell) in self.columns.iter_mut().zip(&row.cells) {
            column.add(*cell);
        }
        self.rows += 1;
        if self.rows == ROWS_PER_GROUP {
            self.write_group().map_err(other)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        if self.rows > 0 {
            self.write_group().map_err(other)?;
        }
        sync(self.writer.into_inner().map_err(other)?)
    }
}

impl Gathered {
    fn new(column: &Column) -> Self {
        let values = match column.kind {
            Kind::Text => Values::Text(Vec::new()),
            Kind::Number | Kind::Time => Values::Number(Vec::new()),
            Kind::Truth => Values::Truth(Vec::new()),
        };
        Self {
            values,
            present: Vec::new(),
            is_optional: column.is_optional,
        }
    }

    fn add(&mut self, cell: Cell<'_>) {
        self.present.push(i16::from(cell != Cell::Empty));
        match (&mut self.values, cell) {
            (_, Cell::Empty) => assert!(self.is_optional, "a column that is never empty"),
            (Values::Text(values), Cell::Text(text)) => values.push(text.into()),
            (Values::Number(values), Cell::Number(number)) => values.push(number),
            (Values::Number(values), Cell::Time(at)) => values.push(at.ms()),
            (Values::Truth(values), Cell::Truth(yes)) => values.push(yes),
            (_, cell) => panic!("{cell:?} is of another kind than its column"),
        }
    }

    fn clear(&mut self) {
        self.present.clear();
        match &mut self.values {
            Values::Text(values) => values.clear(),
            Values::Number(values) => values.clear(),
            Values::Truth(values) => values.clear(),
        }
    }
}

fn schema(table: &Table) -> String {
    let mut schema = format!("message {} {{\n", table.name);
    for column in table.columns {
        let presence = if column.is_optional {
            "OPTIONAL"
        } else {
            "REQUIRED"
        };
        let (kind, meaning) = match column.kind {
            Kind::Text => ("BYTE_ARRAY", " (STRING)"),
            Kind::Number => ("INT64", ""),
            Kind::Time => ("INT64", " (TIMESTAMP(MILLIS,true))"),
            Kind::Truth => ("BOOLEAN", ""),
        };
        let name = column.name;
        writeln!(schema, "{presence} {kind} {name}{meaning};").expect("texts take all");
    }
    schema + "}"
}

fn other(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(cause) => io::Error::other(cause),
        },
        error => io::Error::other(error),
    }
}
