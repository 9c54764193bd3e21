//! The receipt: how far a journal's records were taken, beside the store and beside the segments.
//!
//! Whichever reaches further counts: the one survives a directory that was emptied, the other a
//! state folder that was restored from yesterday's copy.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::disk::Disk;
use crate::domain::ids::{RecordSeq, SeqRange, StoreId};

/// A receipt has less than a hundred bytes.
const RECEIPT_BYTES_MAX: u64 = 4096;

/// The two folders that hold a receipt each.
pub(super) fn path(folder: &Path, store_id: StoreId) -> PathBuf {
    folder.join(format!("receipt-{store_id}.json"))
}

/// What the receipt in this folder says; none where there is none, or nothing that can be read.
pub(super) fn read(
    disk: &dyn Disk,
    folder: &Path,
    store_id: StoreId,
) -> io::Result<Option<SeqRange>> {
    let path = path(folder, store_id);
    if !disk.is_there(&path)? {
        return Ok(None);
    }
    let mut text = Vec::new();
    disk.read(&path)?
        .take(RECEIPT_BYTES_MAX)
        .read_to_end(&mut text)?;
    let range = serde_json::from_slice::<(RecordSeq, RecordSeq)>(&text);
    let Some((first, last)) = range.ok().filter(|(first, last)| first <= last) else {
        tracing::warn!(path = %path.display(), "a receipt cannot be read; the other one counts");
        return Ok(None);
    };
    Ok(Some(SeqRange::new(first, last)))
}

/// Writes the receipt, durable when this returns.
pub(super) fn write(
    disk: &dyn Disk,
    folder: &Path,
    store_id: StoreId,
    range: SeqRange,
) -> io::Result<()> {
    let text = serde_json::to_vec(&(range.first, range.last))?;
    replace(disk, folder, &path(folder, store_id), &text)?;
    disk.sync_folder(folder)
}

/// Puts a small file in the place of its former version; a reader sees the one or the other.
pub(super) fn replace(disk: &dyn Disk, folder: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
    let new = folder.join(name).with_extension("new");
    let mut file = disk.create(&new)?;
    file.write_all(text)?;
    file.sync()?;
    drop(file);
    disk.rename_over(&new, path)
}

/// The range that reaches from the first of both to the last of both.
pub(super) fn merged(a: Option<SeqRange>, b: Option<SeqRange>) -> Option<SeqRange> {
    match (a, b) {
        (Some(a), Some(b)) => Some(SeqRange::new(a.first.min(b.first), a.last.max(b.last))),
        (a, b) => a.or(b),
    }
}
