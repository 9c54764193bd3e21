//! The keys of `kind = "file"`.

use std::path::{Path, PathBuf};

use super::super::field::Placed;
use super::super::section::{Finding, Section};
use super::super::text;
use crate::destination::file::{FileCompression, FileFormat, FileOptions, Zone};
use crate::domain::ids::DestinationName;

pub(super) fn read(section: &Section<'_>) -> Option<FileOptions> {
    let directory: Option<Placed<PathBuf>> = section
        .path("directory")
        .required("directory = \"/srv/wfm\"");
    let is_given = directory.is_some();
    let directory = directory.map_or_else(PathBuf::new, |directory| directory.value);
    let default = FileOptions::new(directory, PathBuf::new());
    let formats = [
        ("ndjson", FileFormat::Ndjson),
        ("csv", FileFormat::Csv),
        ("parquet", FileFormat::Parquet),
    ];
    let compressions = [
        ("none", FileCompression::None),
        ("gzip", FileCompression::Gzip),
    ];
    let options = FileOptions {
        format: section.choice("format", &formats, default.format),
        segment_bytes: section
            .bytes("segment_bytes", 64 << 10..=1 << 30)
            .or(default.segment_bytes),
        segment_age: section.span("segment_age_s", 60..=86_400, default.segment_age),
        compression: section.choice("compression", &compressions, default.compression),
        zone: section
            .checked(
                "time_zone",
                "",
                |zone: &Zone| text::quote(&zone.to_string()),
                str::parse,
            )
            .or(default.zone),
        ..default
    };
    check_compression(section, &options);
    is_given.then_some(options)
}

/// Parquet is compressed inside; a second time gains nothing and few readers expect it.
fn check_compression(section: &Section<'_>, options: &FileOptions) {
    let is_twice =
        options.format == FileFormat::Parquet && options.compression == FileCompression::Gzip;
    if let (true, Some(entry)) = (is_twice, section.entry("compression")) {
        let message = "`compression` does not go with format = \"parquet\"";
        let hint = "remove it: Parquet files are compressed inside";
        section.add(
            "compression",
            Finding::error(&entry.node.place, message).hint(hint),
        );
    }
}

/// Where the open segment and the receipt of this destination are kept.
pub(super) fn work_folder(state_dir: &Path, name: &DestinationName) -> PathBuf {
    state_dir.join("destinations").join(name.as_str())
}
