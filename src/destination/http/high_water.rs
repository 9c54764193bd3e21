//! How far a receiver that cannot be asked has come: a file beside the store (architecture §2,
//! invariant 2). It is an understatement, as every progress: it is written after the
//! acknowledgement, and a power cut may take its last seconds.
//!
//! Each line of it is the whole truth of its moment, and the last whole one counts. A line is
//! appended with each batch; now and then a file with the last one alone takes its place, because
//! replacing a file costs as much as sending a batch.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::delivery::SeqRanges;
use crate::domain::ids::{SeqRange, StoreId};

/// A line of 64 ranges takes about 4 KiB; most have one or two.
const FILE_BYTES_MAX: u64 = 64 * 1024;

#[derive(Serialize, Deserialize)]
struct Written {
    store_id: StoreId,
    applied: Vec<SeqRange>,
}

#[derive(Debug)]
pub(super) struct HighWater {
    path: Option<PathBuf>,
    store_id: StoreId,
    applied: SeqRanges,
    /// The file that is appended to, and its size.
    file: Option<(File, u64)>,
}

impl HighWater {
    /// What the file says of this store; nothing where there is none.
    pub(super) fn open(path: Option<&Path>, store_id: StoreId) -> io::Result<Self> {
        let written = match path {
            Some(path) => read(path)?,
            None => None,
        };
        let ours = written.filter(|written| written.store_id == store_id);
        Ok(Self {
            path: path.map(Path::to_owned),
            store_id,
            applied: SeqRanges::from_ranges(&ours.map_or(Vec::new(), |w| w.applied)),
            file: None,
        })
    }

    pub(super) fn applied(&self) -> &[SeqRange] {
        self.applied.as_slice()
    }

    /// The receiver has these too.
    pub(super) fn add(&mut self, range: SeqRange) -> io::Result<()> {
        if self.applied.insert(range) == 0 {
            return Ok(());
        }
        let Some(path) = self.path.clone() else {
            return Ok(());
        };
        let written = Written {
            store_id: self.store_id,
            applied: self.applied.as_slice().to_vec(),
        };
        let mut line = serde_json::to_vec(&written)?;
        line.push(b'\n');
        // After an error the file begins anew, so that no line is appended to half of one.
        let appended = self
            .file
            .take()
            .map(|file| append(file, &line))
            .transpose()?;
        self.file = match appended.flatten() {
            Some(file) => Some(file),
            None => Some(replaced(&path, &line)?),
        };
        Ok(())
    }
}

/// None where the file is full.
fn append((mut file, size): (File, u64), line: &[u8]) -> io::Result<Option<(File, u64)>> {
    let size = size + line.len() as u64;
    if size > FILE_BYTES_MAX {
        return Ok(None);
    }
    file.write_all(line)?;
    Ok(Some((file, size)))
}

/// A file with this line alone, in the place of the former one.
fn replaced(path: &Path, line: &[u8]) -> io::Result<(File, u64)> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&new)?;
    file.write_all(line)?;
    fs::rename(&new, path)?;
    Ok((file, line.len() as u64))
}

fn read(path: &Path) -> io::Result<Option<Written>> {
    let size = match fs::metadata(path) {
        Ok(data) => data.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if size > FILE_BYTES_MAX {
        return Err(io::Error::other("it is too large to be what it should be"));
    }
    let bytes = fs::read(path)?;
    let mut lines = bytes.split(|byte| *byte == b'\n').rev();
    let last = lines.find_map(|line| serde_json::from_slice::<Written>(line).ok());
    if last.is_none() {
        // A power cut may leave it empty: what it said is sent again, which the receiver's word
        // covers no worse than a lost answer.
        tracing::warn!(path = %path.display(), "a high-water file cannot be read");
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RecordSeq;

    fn range(first: u64, last: u64) -> SeqRange {
        SeqRange::new(RecordSeq::new(first), RecordSeq::new(last))
    }

    #[test]
    fn what_was_acknowledged_is_known_after_a_restart_and_only_for_its_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http/upstream.json");
        let (ours, other) = (StoreId::from_bits(1), StoreId::from_bits(2));
        let open = |id| HighWater::open(Some(&path), id).unwrap();
        let mut water = open(ours);
        assert!(water.applied().is_empty());
        water.add(range(1, 10)).unwrap();
        water.add(range(21, 30)).unwrap();
        water.add(range(11, 12)).unwrap();
        assert_eq!(open(ours).applied(), [range(1, 12), range(21, 30)]);
        assert!(open(other).applied().is_empty());
    }

    #[test]
    fn the_file_stays_small_and_its_last_whole_line_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("upstream.json");
        let id = StoreId::from_bits(1);
        let open = || HighWater::open(Some(&path), id).unwrap();
        let mut water = open();
        for n in 0..2_000 {
            water.add(range(n * 10 + 1, n * 10 + 10)).unwrap();
            assert!(fs::metadata(&path).unwrap().len() <= FILE_BYTES_MAX);
        }
        assert_eq!(open().applied(), [range(1, 20_000)]);
        // A restart goes on in a file of its own.
        let mut water = open();
        water.add(range(20_001, 20_010)).unwrap();
        water.add(range(20_011, 20_020)).unwrap();
        // The power was cut in the middle of the last line.
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        assert_eq!(open().applied(), [range(1, 20_010)]);
    }

    #[test]
    fn a_file_that_a_power_cut_emptied_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("upstream.json");
        std::fs::write(&path, "").unwrap();
        let water = HighWater::open(Some(&path), StoreId::from_bits(1)).unwrap();
        assert!(water.applied().is_empty());
    }
}
