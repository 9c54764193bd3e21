//! What a reader of the directory finds.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::ops::RangeInclusive;
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use flate2::read::GzDecoder;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Map, Value, json};

/// The rows of every published file, as objects by column; times as text, in UTC.
#[derive(Debug, Default)]
pub(crate) struct Published {
    pub(crate) names: Vec<String>,
    pub(crate) rows: Vec<Value>,
    texts: BTreeMap<String, String>,
}

impl Published {
    pub(crate) fn read(directory: &Path) -> Self {
        let mut files = Vec::new();
        for entry in fs::read_dir(directory).expect("a directory") {
            let entry = entry.expect("readable");
            let name = entry.file_name().into_string().expect("text");
            if name.starts_with("wfm_") && !name.starts_with("wfm_box-") {
                files.push((name, fs::read(entry.path()).expect("readable")));
            }
        }
        Self::of(files)
    }

    pub(crate) fn of(mut files: Vec<(String, Vec<u8>)>) -> Self {
        files.sort();
        let mut published = Self::default();
        for (name, bytes) in files {
            published.take(&name, bytes);
            published.names.push(name);
        }
        published
    }

    fn take(&mut self, name: &str, bytes: Vec<u8>) {
        if Path::new(name).extension() == Some("parquet".as_ref()) {
            self.rows.extend(parquet_rows(bytes));
            return;
        }
        let (name_inside, bytes) = match name.strip_suffix(".gz") {
            None => (name, bytes),
            Some(inside) => {
                let mut plain = Vec::new();
                GzDecoder::new(&bytes[..])
                    .read_to_end(&mut plain)
                    .expect("whole");
                (inside, plain)
            }
        };
        let text = String::from_utf8(bytes).expect("UTF-8");
        if Path::new(name_inside).extension() == Some("csv".as_ref()) {
            self.rows.extend(csv_rows(&text));
        } else {
            let line = |line: &str| serde_json::from_str::<Value>(line).expect("a JSON line");
            assert!(text.ends_with('\n'), "the last line is whole");
            self.rows.extend(text.lines().map(line));
        }
        self.texts.insert(name.to_owned(), text);
    }

    /// The text of the file that begins so.
    pub(crate) fn text(&self, word: &str) -> &str {
        let start = format!("{word}-");
        let found = self.texts.iter().find(|(name, _)| name.starts_with(&start));
        found.expect("published").1
    }

    pub(crate) fn text_of(&self, name: &str) -> &str {
        &self.texts[name]
    }

    pub(crate) fn seqs(&self) -> impl Iterator<Item = u64> {
        self.rows
            .iter()
            .map(|row| row["record_seq"].as_u64().expect("a seq"))
    }

    /// 0 missing, 0 doubled.
    pub(crate) fn assert_each_once(&self, seqs: RangeInclusive<u64>) {
        let mut found: Vec<u64> = self.seqs().collect();
        found.sort_unstable();
        assert_eq!(found, seqs.collect::<Vec<_>>(), "{:?}", self.names);
    }
}

fn csv_rows(text: &str) -> Vec<Value> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let cell = |(name, text): (&str, &str)| (name.to_owned(), value(text));
    reader
        .records()
        .map(|row| {
            let row = row.expect("RFC 4180");
            Value::Object(header.iter().zip(row.iter()).map(cell).collect())
        })
        .collect()
}

fn value(text: &str) -> Value {
    match text {
        "" => Value::Null,
        "true" => json!(true),
        "false" => json!(false),
        text => text
            .parse::<i64>()
            .map_or_else(|_| json!(text), |number| json!(number)),
    }
}

fn parquet_rows(bytes: Vec<u8>) -> Vec<Value> {
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).expect("a footer");
    let rows = reader.get_row_iter(None).expect("a schema");
    rows.map(|row| {
        let row = row.expect("a row");
        let cells = row.get_column_iter().map(|(name, field)| {
            let value = match field {
                Field::Null => Value::Null,
                Field::Bool(yes) => json!(yes),
                Field::Long(number) => json!(number),
                Field::Str(text) => value(text),
                Field::TimestampMillis(ms) => {
                    let at = DateTime::<Utc>::from_timestamp_millis(*ms).expect("a date");
                    json!(at.to_rfc3339_opts(SecondsFormat::Millis, true))
                }
                other => panic!("{other:?}"),
            };
            (name.clone(), value)
        });
        Value::Object(cells.collect::<Map<_, _>>())
    })
    .collect()
}
