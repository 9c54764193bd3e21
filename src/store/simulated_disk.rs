//! A disk in memory that loses power, fails and fills up, all by a seed.
//!
//! Written bytes are not durable before a sync. At a power cut the disk keeps the durable image
//! and, of what was written since, a seeded subset in pieces of 512 bytes; every later call fails,
//! so that closing the database cannot tidy up. The next life opens that image.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use super::engine::lock;
use crate::domain::timestamp::WallTime;

/// What a disk writes at once or not at all.
const SECTOR_BYTES: usize = 512;

/// A disk that several lives of a store share. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimulatedDisk {
    shared: Arc<Mutex<Disk>>,
}

#[derive(Debug)]
struct Disk {
    rng: fastrand::Rng,
    /// What a program reads: the durable image with the unsynced writes.
    image: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that were written since the last sync.
    unsynced: BTreeSet<usize>,
    /// Counts power cuts: backends of an earlier life fail.
    life: u64,
    capacity: Option<usize>,
    /// Writes and syncs until the power fails.
    cut_after: Option<u64>,
    /// Once: the next write or sync fails although the disk lives on.
    fail_after: Option<u64>,
    error_rate: f64,
    writes: u64,
    bytes_written: u64,
    asides: Vec<Vec<u8>>,
    installed_at: Option<WallTime>,
}

impl SimulatedDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        Self::with_image(seed, Vec::new())
    }

    /// A disk that holds these bytes.
    pub fn with_image(seed: u64, image: Vec<u8>) -> Self {
        let disk = Disk {
            rng: fastrand::Rng::with_seed(seed),
            durable: image.clone(),
            image,
            unsynced: BTreeSet::new(),
            life: 0,
            capacity: None,
            cut_after: None,
            fail_after: None,
            error_rate: 0.0,
            writes: 0,
            bytes_written: 0,
            asides: Vec::new(),
            installed_at: None,
        };
        Self {
            shared: Arc::new(Mutex::new(disk)),
        }
    }

    /// The power fails now: what was not synced is lost but for a seeded subset.
    pub fn cut_power(&self) {
        lock(&self.shared).cut_power();
    }

    /// The power fails at the n-th write, resize or sync from now (1 = the next), before it is
    /// done in full.
    pub fn cut_power_after(&self, operations: u64) {
        lock(&self.shared).cut_after = Some(operations);
    }

    /// Takes a cut back that has not come yet; says whether one was still to come.
    pub fn cancel_cut(&self) -> bool {
        lock(&self.shared).cut_after.take().is_some()
    }

    /// The n-th write, resize or sync from now fails once (1 = the next).
    pub fn fail_after(&self, operations: u64) {
        lock(&self.shared).fail_after = Some(operations);
    }

    /// Each write, resize or sync fails with this probability.
    pub fn set_error_rate(&self, probability: f64) {
        lock(&self.shared).error_rate = probability;
    }

    /// The disk holds no more than this; `None` = no end.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        lock(&self.shared).capacity = bytes;
    }

    /// How often power was lost.
    pub fn lives(&self) -> u64 {
        lock(&self.shared).life
    }

    /// Writes, resizes and syncs so far.
    pub fn operations(&self) -> u64 {
        lock(&self.shared).writes
    }

    /// Bytes written so far.
    pub fn bytes_written(&self) -> u64 {
        lock(&self.shared).bytes_written
    }

    /// What the disk holds, unsynced writes included.
    pub fn image(&self) -> Vec<u8> {
        lock(&self.shared).image.clone()
    }

    /// Turns these bits of the byte over, durably.
    pub fn flip(&self, at: usize, bits: u8) {
        let mut disk = lock(&self.shared);
        disk.image[at] ^= bits;
        let byte = disk.image[at];
        let len = disk.image.len();
        disk.durable.resize(len, 0);
        disk.durable[at] = byte;
    }

    /// Images that were set aside as damaged.
    pub fn asides(&self) -> Vec<Vec<u8>> {
        lock(&self.shared).asides.clone()
    }

    /// Bytes that are not zero, in whole sectors: what a file system would have allocated.
    pub fn allocated(&self) -> u64 {
        let disk = lock(&self.shared);
        let sectors = disk.image.chunks(SECTOR_BYTES);
        let used = sectors.filter(|sector| sector.iter().any(|byte| *byte != 0));
        used.count() as u64 * SECTOR_BYTES as u64
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.shared).image.len()
    }

    pub(super) fn free(&self) -> Option<u64> {
        let disk = lock(&self.shared);
        let capacity = disk.capacity?;
        Some(capacity.saturating_sub(disk.image.len()) as u64)
    }

    pub(super) fn backend(&self) -> SimulatedFile {
        SimulatedFile {
            disk: self.clone(),
            life: lock(&self.shared).life,
        }
    }

    pub(super) fn set_aside(&self) -> PathBuf {
        let mut disk = lock(&self.shared);
        let image = std::mem::take(&mut disk.image);
        disk.asides.push(image);
        disk.durable.clear();
        disk.unsynced.clear();
        PathBuf::from(format!("simulated-aside-{}", disk.asides.len()))
    }

    /// Sets the image aside and holds another, durably.
    pub(super) fn put_in_place(&self, image: Vec<u8>) -> PathBuf {
        let aside = self.set_aside();
        let mut disk = lock(&self.shared);
        disk.durable.clone_from(&image);
        disk.image = image;
        aside
    }

    pub(super) fn aside(&self, path: &std::path::Path) -> Option<Vec<u8>> {
        let number = path.to_str()?.strip_prefix("simulated-aside-")?;
        let number: usize = number.parse().ok()?;
        lock(&self.shared)
            .asides
            .get(number.checked_sub(1)?)
            .cloned()
    }

    pub(super) fn installed_at(&self) -> Option<WallTime> {
        lock(&self.shared).installed_at
    }

    pub(super) fn set_installed_at(&self, at: WallTime) {
        lock(&self.shared).installed_at = Some(at);
    }

    pub(super) fn random_bits(&self) -> u128 {
        lock(&self.shared).rng.u128(..)
    }
}

impl Disk {
    fn cut_power(&mut self) {
        let mut kept = std::mem::take(&mut self.durable);
        // A file's length is kept by the file system's own journal: it may be ahead of the data.
        kept.resize(kept.len().max(self.image.len()), 0);
        let sectors = std::mem::take(&mut self.unsynced);
        for sector in sectors {
            let start = sector * SECTOR_BYTES;
            let end = (start + SECTOR_BYTES).min(self.image.len());
            if start < end && self.rng.bool() {
                kept[start..end].copy_from_slice(&self.image[start..end]);
            }
        }
        self.image.clone_from(&kept);
        self.durable = kept;
        self.life += 1;
        self.cut_after = None;
        self.fail_after = None;
    }

    /// Counts an operation that changes the disk; an error says that it is not (fully) done.
    fn step(&mut self) -> io::Result<bool> {
        self.writes += 1;
        if let Some(left) = &mut self.cut_after {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Ok(false);
            }
        }
        if let Some(left) = &mut self.fail_after {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.fail_after = None;
                return Err(io::Error::other("simulated I/O error"));
            }
        }
        if self.error_rate > 0.0 && self.rng.f64() < self.error_rate {
            return Err(io::Error::other("simulated I/O error"));
        }
        Ok(true)
    }

    fn write(&mut self, offset: usize, data: &[u8]) {
        self.image[offset..offset + data.len()].copy_from_slice(data);
        let first = offset / SECTOR_BYTES;
        let last = (offset + data.len()).div_ceil(SECTOR_BYTES);
        self.unsynced.extend(first..last);
        self.bytes_written += data.len() as u64;
    }

    fn sync(&mut self) {
        self.durable.resize(self.image.len(), 0);
        for sector in std::mem::take(&mut self.unsynced) {
            let start = (sector * SECTOR_BYTES).min(self.image.len());
            let end = (start + SECTOR_BYTES).min(self.image.len());
            self.durable[start..end].copy_from_slice(&self.image[start..end]);
        }
    }
}

/// One life's handle to the disk.
#[derive(Debug)]
pub(super) struct SimulatedFile {
    disk: SimulatedDisk,
    life: u64,
}

fn dead() -> io::Error {
    io::Error::other("the power is off")
}

fn index(value: u64) -> io::Result<usize> {
    usize::try_from(value).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl SimulatedFile {
    fn with<T>(&self, work: impl FnOnce(&mut Disk) -> io::Result<T>) -> io::Result<T> {
        let mut disk = lock(&self.disk.shared);
        if disk.life == self.life {
            work(&mut disk)
        } else {
            Err(dead())
        }
    }

    /// A change of the disk: `work` is also done where the power fails at this very operation,
    /// as none of it is durable then.
    fn change(&self, work: impl FnOnce(&mut Disk) -> io::Result<()>) -> io::Result<()> {
        self.with(|disk| {
            let lives = disk.step()?;
            if !lives {
                let _ = work(disk);
                disk.cut_power();
                return Err(dead());
            }
            work(disk)
        })
    }
}

impl StorageBackend for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|disk| Ok(disk.image.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|disk| {
            let start = index(offset)?;
            let bytes = disk.image.get(start..start + out.len());
            out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|disk| {
            let len = index(len)?;
            if disk.capacity.is_some_and(|capacity| len > capacity) && len > disk.image.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.image.resize(len, 0);
            disk.durable.resize(disk.durable.len().max(len), 0);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|disk| {
            if disk.step()? {
                disk.sync();
                Ok(())
            } else {
                disk.cut_power();
                Err(dead())
            }
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(|disk| {
            let start = index(offset)?;
            if start + data.len() > disk.image.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            disk.write(start, data);
            Ok(())
        })
    }
}
