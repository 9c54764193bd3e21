//! A look into a store that leaves no trace: reads go through, writes stay in memory, for good or
//! until what is there is known to be ours.
//!
//! redb marks a file as open before anything of it can be read, so that even refusing a store of
//! a newer format would touch it. A store that is not refused is let through as it is: after a kill
//! redb may have walked all of it, which nobody wants to wait for twice.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use redb::{BackendError, StorageBackend};

use super::engine::lock;

/// The grain of what is kept in memory.
const PIECE: u64 = 4096;

/// Another backend under a layer of memory.
#[derive(Debug)]
pub(super) struct Overlay {
    layers: Arc<Layers>,
}

/// The way to let through what an overlay holds back.
#[derive(Debug)]
pub(super) struct Held {
    layers: Arc<Layers>,
}

#[derive(Debug)]
struct Layers {
    under: Box<dyn StorageBackend>,
    /// None once it is let through.
    over: Mutex<Option<Over>>,
}

#[derive(Debug)]
struct Over {
    len: u64,
    pieces: HashMap<u64, Box<[u8]>>,
    /// What was done, in its order, where it is to be let through some day.
    steps: Option<Vec<Step>>,
}

#[derive(Debug)]
enum Step {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

impl Overlay {
    /// One that keeps everything to itself.
    pub(super) fn over(under: impl StorageBackend) -> io::Result<Self> {
        Self::with_steps(under, None)
    }

    /// One that holds everything back until it is let through.
    pub(super) fn holding(under: impl StorageBackend) -> io::Result<(Self, Held)> {
        let overlay = Self::with_steps(under, Some(Vec::new()))?;
        let layers = overlay.layers.clone();
        Ok((overlay, Held { layers }))
    }

    fn with_steps(under: impl StorageBackend, steps: Option<Vec<Step>>) -> io::Result<Self> {
        let over = Over {
            len: under.len()?,
            pieces: HashMap::new(),
            steps,
        };
        let layers = Arc::new(Layers {
            under: Box::new(under),
            over: Mutex::new(Some(over)),
        });
        Ok(Self { layers })
    }
}

impl Held {
    /// Does below what was done above, step by step, syncs included; from then on everything goes
    /// through. After an error everything stays held back, and what was done below is as after a
    /// power cut.
    pub(super) fn let_through(self) -> io::Result<()> {
        let mut over = lock(&self.layers.over);
        let under = &self.layers.under;
        for step in over.iter().filter_map(|over| over.steps.as_ref()).flatten() {
            match step {
                Step::Write(offset, data) => under.write(*offset, data)?,
                Step::SetLen(len) => under.set_len(*len)?,
                Step::Sync => under.sync_data()?,
            }
        }
        *over = None;
        Ok(())
    }
}

impl Layers {
    /// The piece as it lies under the layer; zeros beyond its end.
    fn fetch(&self, piece: u64) -> io::Result<Box<[u8]>> {
        let mut bytes = vec![0; index(PIECE)].into_boxed_slice();
        let start = piece * PIECE;
        let len = self.under.len()?;
        if start < len {
            let there = index((len - start).min(PIECE));
            self.under.read(start, &mut bytes[..there])?;
        }
        Ok(bytes)
    }

    fn read_over(&self, over: &Over, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset + out.len() as u64 > over.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut done = 0;
        while done < out.len() {
            let at = offset + done as u64;
            let within = index(at % PIECE);
            let count = (index(PIECE) - within).min(out.len() - done);
            let target = &mut out[done..done + count];
            match over.pieces.get(&(at / PIECE)) {
                Some(piece) => target.copy_from_slice(&piece[within..within + count]),
                None => target.copy_from_slice(&self.fetch(at / PIECE)?[within..within + count]),
            }
            done += count;
        }
        Ok(())
    }

    fn write_over(&self, over: &mut Over, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let within = index(at % PIECE);
            let count = (index(PIECE) - within).min(data.len() - done);
            let piece = match over.pieces.entry(at / PIECE) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.fetch(at / PIECE)?),
            };
            piece[within..within + count].copy_from_slice(&data[done..done + count]);
            done += count;
        }
        over.note(|| Step::Write(offset, data.to_vec()));
        Ok(())
    }
}

impl Over {
    fn note(&mut self, step: impl FnOnce() -> Step) {
        if let Some(steps) = &mut self.steps {
            steps.push(step());
        }
    }
}

fn index(value: u64) -> usize {
    usize::try_from(value).expect("a piece is a few thousand bytes")
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        match lock(&self.layers.over).as_ref() {
            Some(over) => Ok(over.len),
            None => self.layers.under.len(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let over = lock(&self.layers.over);
        if let Some(over) = over.as_ref() {
            return self.layers.read_over(over, offset, out);
        }
        drop(over);
        self.layers.under.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        match lock(&self.layers.over).as_mut() {
            Some(over) => {
                over.len = len;
                over.note(|| Step::SetLen(len));
                Ok(())
            }
            None => self.layers.under.set_len(len),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut over = lock(&self.layers.over);
        if let Some(over) = over.as_mut() {
            over.note(|| Step::Sync);
            return Ok(());
        }
        drop(over);
        self.layers.under.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut over = lock(&self.layers.over);
        if let Some(over) = over.as_mut() {
            return self.layers.write_over(over, offset, data);
        }
        drop(over);
        self.layers.under.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.layers.under.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.layers.under.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.layers.under.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.layers.under.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.layers.under.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.layers.under.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.layers.under.query_lock_range(start, end)
    }
}
