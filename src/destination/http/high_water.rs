//! How far a receiver that cannot be asked has come: a file beside the store (architecture §2,
//! invariant 2). It is an understatement, as every progress: it is written after the
//! acknowledgement, and a power cut may take its last seconds.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::delivery::SeqRanges;
use crate::domain::ids::{SeqRange, StoreId};

/// 64 ranges take about 4 KiB.
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
        let Some(path) = &self.path else {
            return Ok(());
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let written = Written {
            store_id: self.store_id,
            applied: self.applied.as_slice().to_vec(),
        };
        let new = path.with_extension("new");
        std::fs::write(&new, serde_json::to_vec(&written)?)?;
        std::fs::rename(&new, path)
    }
}

fn read(path: &Path) -> io::Result<Option<Written>> {
    let size = match std::fs::metadata(path) {
        Ok(data) => data.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if size > FILE_BYTES_MAX {
        return Err(io::Error::other("it is too large to be what it should be"));
    }
    let written = serde_json::from_slice(&std::fs::read(path)?);
    if let Err(error) = &written {
        // A power cut may leave it empty: what it said is sent again, which the receiver's word
        // covers no worse than a lost answer.
        tracing::warn!(path = %path.display(), %error, "a high-water file cannot be read");
    }
    Ok(written.ok())
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
    fn a_file_that_a_power_cut_emptied_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("upstream.json");
        std::fs::write(&path, "").unwrap();
        let water = HighWater::open(Some(&path), StoreId::from_bits(1)).unwrap();
        assert!(water.applied().is_empty());
    }
}
