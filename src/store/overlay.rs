//! A look into a store that leaves no trace: reads go through, writes stay in memory.
//!
//! redb marks a file as open before anything of it can be read, so that even refusing a store of
//! a newer format would touch it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::ops::Bound;
use std::sync::Mutex;

use redb::{BackendError, StorageBackend};

use super::engine::lock;

/// The grain of what is kept in memory.
const PIECE: u64 = 4096;

/// Another backend under a layer of memory.
#[derive(Debug)]
pub(super) struct Overlay<B> {
    under: B,
    over: Mutex<Over>,
}

#[derive(Debug)]
struct Over {
    len: u64,
    pieces: HashMap<u64, Box<[u8]>>,
}

impl<B: StorageBackend> Overlay<B> {
    pub(super) fn over(under: B) -> io::Result<Self> {
        let len = under.len()?;
        Ok(Self {
            under,
            over: Mutex::new(Over {
                len,
                pieces: HashMap::new(),
            }),
        })
    }

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
}

fn index(value: u64) -> usize {
    usize::try_from(value).expect("a piece is a few thousand bytes")
}

impl<B: StorageBackend> StorageBackend for Overlay<B> {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.over).len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let over = lock(&self.over);
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

    fn set_len(&self, len: u64) -> io::Result<()> {
        lock(&self.over).len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut over = lock(&self.over);
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
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.under.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.under.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.under.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.under.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.under.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.under.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.under.query_lock_range(start, end)
    }
}
