//! The open segment: a log of batches beside the store, appended and synced before a batch is
//! acknowledged, and read again when it is cut, or after a crash.
//!
//! A frame is `0xF5 'S' 'E' 'G'`, the payload's length and its CRC-32 (both little-endian, 4 bytes),
//! and the payload as JSON. The first byte stands in no UTF-8 text, so a frame is found again behind
//! damage. What a crash left half written at the end was never acknowledged and is cut off.

use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::disk::{Disk, DiskFile};
use crate::domain::batch::Batch;
use crate::domain::ids::{SeqRange, StoreId};
use crate::domain::record::SequencedRecord;
use crate::domain::timestamp::WallTime;

const MAGIC: [u8; 4] = [0xF5, b'S', b'E', b'G'];
/// A batch holds at most 64 MiB as estimated; texts that are escaped take more.
const FRAME_BYTES_MAX: u32 = 512 << 20;
const FORMAT: u32 = 1;

/// What a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SegmentHead {
    /// The version of this file's format.
    pub(super) format: u32,
    /// The journal that its records are from.
    pub(super) store_id: StoreId,
    /// Its records were published before and are wanted once more.
    pub(super) is_again: bool,
    /// When its first batch came.
    pub(super) opened_at: WallTime,
}

impl SegmentHead {
    pub(super) fn new(store_id: StoreId, is_again: bool, opened_at: WallTime) -> Self {
        Self {
            format: FORMAT,
            store_id,
            is_again,
            opened_at,
        }
    }
}

/// The files of a segment, all written under their temporary names: from here on they are only
/// renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Prepared {
    /// Where they are published.
    pub(super) directory: PathBuf,
    /// The names that they get.
    pub(super) names: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum FrameOut<'a> {
    Head(SegmentHead),
    Batch(SeqRange, &'a [SequencedRecord]),
    Prepared(&'a Prepared),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Frame {
    Head(SegmentHead),
    Batch(SeqRange, Vec<SequencedRecord>),
    Prepared(Prepared),
}

/// An open segment.
pub(super) struct Spool {
    pub(super) head: SegmentHead,
    /// From its first to its last position.
    pub(super) range: SeqRange,
    pub(super) bytes: u64,
    file: Box<dyn DiskFile>,
}

/// What lies in the log of a segment.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) head: SegmentHead,
    pub(super) range: SeqRange,
    /// Up to the end of its last whole frame.
    pub(super) bytes: u64,
    /// Its files, once they may be renamed.
    pub(super) prepared: Option<Prepared>,
    /// How often something unreadable stands before a whole frame.
    pub(super) damaged: u32,
}

impl Spool {
    /// A new segment with its first batch, durable when this returns.
    pub(super) fn begin(
        disk: &dyn Disk,
        path: &Path,
        head: SegmentHead,
        batch: &Batch,
    ) -> io::Result<Self> {
        let mut bytes = frame(&FrameOut::Head(head))?;
        bytes.extend(frame(&FrameOut::Batch(batch.range, &batch.records))?);
        let mut spool = Self {
            head,
            range: batch.range,
            bytes: 0,
            file: disk.create(path)?,
        };
        spool.write(&bytes)?;
        disk.sync_folder(path.parent().expect("a file lies in a folder"))?;
        Ok(spool)
    }

    /// Goes on with a segment that was found.
    pub(super) fn go_on(disk: &dyn Disk, path: &Path, found: &Found) -> io::Result<Self> {
        Ok(Self {
            head: found.head,
            range: found.range,
            bytes: found.bytes,
            file: disk.append(path, found.bytes)?,
        })
    }

    /// Adds a batch, durable when this returns. After an error nothing is known of it.
    pub(super) fn add(&mut self, batch: &Batch) -> io::Result<()> {
        self.write(&frame(&FrameOut::Batch(batch.range, &batch.records))?)?;
        self.range = SeqRange::new(self.range.first, batch.range.last);
        Ok(())
    }

    /// Says that the files of these names may be renamed; nothing is added any more.
    pub(super) fn prepared(mut self, files: &Prepared) -> io::Result<()> {
        self.write(&frame(&FrameOut::Prepared(files))?)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync()?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

fn frame(content: &FrameOut<'_>) -> io::Result<Vec<u8>> {
    let mut bytes = [&MAGIC[..], &[0; 8]].concat();
    serde_json::to_writer(&mut bytes, content)?;
    let payload = &bytes[12..];
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|length| *length <= FRAME_BYTES_MAX)
        .ok_or(ErrorKind::FileTooLarge)?;
    let crc = crc32fast::hash(payload);
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

/// Looks through the log under `path`. None where there is none, or nothing in it was acknowledged.
pub(super) fn look(disk: &dyn Disk, path: &Path) -> io::Result<Option<Found>> {
    if !disk.is_there(path)? {
        return Ok(None);
    }
    let mut frames = Frames::new(disk.read(path)?);
    let (mut head, mut range, mut prepared) = (None, None::<SeqRange>, None);
    while let Some(frame) = frames.next()? {
        match frame {
            Frame::Head(found) => head = Some(found),
            Frame::Batch(batch, _) => {
                let first = range.map_or(batch.first, |range| range.first);
                range = Some(SeqRange::new(first, batch.last));
            }
            Frame::Prepared(files) => prepared = Some(files),
        }
    }
    match (head, range) {
        (Some(head), _) if head.format != FORMAT => Err(io::Error::new(
            ErrorKind::InvalidData,
            format!(
                "an open segment of format {}, made by another version",
                head.format
            ),
        )),
        (Some(head), Some(range)) => Ok(Some(Found {
            head,
            range,
            bytes: frames.whole,
            prepared,
            damaged: frames.damaged,
        })),
        (None, Some(_)) => Err(io::Error::new(
            ErrorKind::InvalidData,
            "the head of the open segment is damaged",
        )),
        (_, None) => Ok(None),
    }
}

/// Gives every record of the log to `each`, in order.
pub(super) fn records(
    disk: &dyn Disk,
    path: &Path,
    mut each: impl FnMut(&SequencedRecord) -> io::Result<()>,
) -> io::Result<()> {
    let mut frames = Frames::new(disk.read(path)?);
    while let Some(frame) = frames.next()? {
        if let Frame::Batch(_, records) = frame {
            records.iter().try_for_each(&mut each)?;
        }
    }
    Ok(())
}

struct Frames {
    reader: Box<dyn Read>,
    /// How far it has been read.
    at: u64,
    /// The end of the last whole frame.
    whole: u64,
    /// How often something unreadable stood before a whole frame.
    damaged: u32,
}

impl Frames {
    fn new(reader: Box<dyn Read>) -> Self {
        Self {
            reader: Box::new(BufReader::new(reader)),
            at: 0,
            whole: 0,
            damaged: 0,
        }
    }

    /// The next whole frame, whatever stands before it.
    fn next(&mut self) -> io::Result<Option<Frame>> {
        while self.find_magic()? {
            let start = self.at - MAGIC.len() as u64;
            let head = self.take(8)?;
            let Some((length, crc)) = head.split_at_checked(4).filter(|_| head.len() == 8) else {
                return Ok(None);
            };
            let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("4 bytes"));
            let (length, crc) = (number(length), number(crc));
            let payload = self.take(length.min(FRAME_BYTES_MAX))?;
            // Zeros where a power cut left no bytes: the CRC of nothing is zero too.
            let is_whole =
                length > 0 && payload.len() == length as usize && crc32fast::hash(&payload) == crc;
            let content = is_whole.then(|| serde_json::from_slice(&payload));
            if let Some(content) = content {
                self.damaged += u32::from(start != self.whole);
                self.whole = self.at;
                return content.map(Some).map_err(Into::into);
            }
            // The length itself may be damaged: whole frames may lie in what it claimed.
            self.at -= payload.len() as u64;
            let rest = std::mem::replace(&mut self.reader, Box::new(io::empty()));
            self.reader = Box::new(io::Cursor::new(payload).chain(rest));
        }
        Ok(None)
    }

    fn find_magic(&mut self) -> io::Result<bool> {
        let mut last = [0; MAGIC.len()];
        while last != MAGIC {
            let byte = self.take(1)?;
            let [byte] = byte[..] else { return Ok(false) };
            last.rotate_left(1);
            last[MAGIC.len() - 1] = byte;
        }
        Ok(true)
    }

    /// The next bytes, fewer only at the end.
    fn take(&mut self, count: u32) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader
            .by_ref()
            .take(u64::from(count))
            .read_to_end(&mut bytes)?;
        self.at += bytes.len() as u64;
        Ok(bytes)
    }
}
