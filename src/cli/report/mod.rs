//! `report`: contact volume and adherence as tables, from what the box holds.

mod adherence;
mod schedule;
mod volume;

use std::io::{Write as _, stdout};

use super::output;
use crate::lifecycle::exit::Exit;

/// Tables of contact volume and of schedule adherence, in the terminal or as CSV.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    report: Report,
}

#[derive(Debug, clap::Subcommand)]
enum Report {
    Volume(volume::Arguments),
    Adherence(adherence::Arguments),
}

/// Makes the report.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.report {
        Report::Volume(arguments) => volume::run(arguments),
        Report::Adherence(arguments) => adherence::run(arguments),
    }
}

/// What a report prints: for a person or for a spreadsheet.
struct Sheet {
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Sheet {
    /// RFC 4180; empty fields are what nobody knows.
    fn csv(&self) {
        let mut writer = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(Vec::new());
        let mut put = |fields: Vec<&str>| {
            writer.write_record(fields).expect("memory takes every row");
        };
        put(self.columns.to_vec());
        for row in &self.rows {
            put(row.iter().map(String::as_str).collect());
        }
        let text = writer.into_inner().expect("memory takes every row");
        // A closed pipe (`| head`) is no failure of ours.
        let _ = stdout().write_all(&text);
    }

    fn table(&self) {
        let headings: Vec<String> = self.columns.iter().map(|c| c.replace('_', " ")).collect();
        let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
        let mut table = output::table(&headings);
        for row in &self.rows {
            let cell = |text: &String| {
                if text.is_empty() {
                    "–".to_owned()
                } else {
                    text.clone()
                }
            };
            table.add_row(row.iter().map(cell));
        }
        output::line(&table.to_string());
    }

    fn show(&self, as_csv: bool) {
        if as_csv {
            self.csv();
        } else {
            self.table();
        }
    }
}

/// A figure, or nothing.
fn number(figure: Option<u64>) -> String {
    figure.map_or_else(String::new, |figure| figure.to_string())
}

/// A figure with so many digits behind the point, or nothing.
fn decimal(figure: Option<f64>, digits: usize) -> String {
    figure.map_or_else(String::new, |figure| format!("{figure:.digits$}"))
}
