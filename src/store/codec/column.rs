//! One field of many records, coded together: constant, runs, or one varint each.

use super::bytes::{BadBytes, Reader, Writer, varint_len};

/// All values are the same: the value once.
const CONSTANT: u8 = 0;
/// A varint a value.
const PLAIN: u8 = 1;
/// The number of runs, then value and length of each.
const RUNS: u8 = 2;

/// Writes the values in the shortest of the three ways. Nothing is written for no values.
pub(super) fn write(writer: &mut Writer, values: &[u64]) {
    let Some(&first) = values.first() else {
        return;
    };
    let (mut runs, mut run_bytes, mut plain) = (0u64, 0, 0);
    for (value, len) in runs_of(values) {
        let bytes = varint_len(value);
        runs += 1;
        run_bytes += bytes + varint_len(len);
        plain += bytes * usize::try_from(len).expect("a run of a slice");
    }
    if runs == 1 {
        writer.u8(CONSTANT);
        writer.varint(first);
    } else if run_bytes + varint_len(runs) < plain {
        writer.u8(RUNS);
        writer.varint(runs);
        for (value, len) in runs_of(values) {
            writer.varint(value);
            writer.varint(len);
        }
    } else {
        writer.u8(PLAIN);
        writer.bytes.reserve(plain);
        for &value in values {
            writer.varint(value);
        }
    }
}

/// Reads `count` values.
pub(super) fn read(reader: &mut Reader<'_>, count: usize) -> Result<Vec<u64>, BadBytes> {
    let mut values = Vec::with_capacity(count);
    for_each(reader, count, |value| {
        values.push(value);
        Ok(())
    })?;
    Ok(values)
}

/// Reads as many values as there are targets, and lets `put` make of each what belongs there.
#[inline]
pub(super) fn read_into<T>(
    reader: &mut Reader<'_>,
    targets: &mut [T],
    mut put: impl FnMut(&mut T, u64) -> Result<(), BadBytes>,
) -> Result<(), BadBytes> {
    let count = targets.len();
    let mut targets = targets.iter_mut();
    for_each(reader, count, |value| {
        // As many as were asked for are read, and no more.
        targets.next().map_or(Ok(()), |target| put(target, value))
    })
}

/// Reads `count` values and hands each to `each`.
#[inline]
pub(super) fn for_each(
    reader: &mut Reader<'_>,
    count: usize,
    mut each: impl FnMut(u64) -> Result<(), BadBytes>,
) -> Result<(), BadBytes> {
    if count == 0 {
        return Ok(());
    }
    match reader.u8()? {
        CONSTANT => {
            let value = reader.varint()?;
            (0..count).try_for_each(|_| each(value))
        }
        PLAIN => (0..count).try_for_each(|_| each(reader.varint()?)),
        RUNS => {
            let mut left = count;
            for _ in 0..reader.size()? {
                let value = reader.varint()?;
                let len = reader.size()?;
                left = left
                    .checked_sub(len)
                    .ok_or(BadBytes("runs beyond the column's end"))?;
                (0..len).try_for_each(|_| each(value))?;
            }
            if left > 0 {
                return Err(BadBytes("runs short of the column's end"));
            }
            Ok(())
        }
        _ => Err(BadBytes("unknown coding of a column")),
    }
}

fn runs_of(values: &[u64]) -> impl Iterator<Item = (u64, u64)> {
    values
        .chunk_by(|a, b| a == b)
        .map(|run| (run[0], run.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[u64], bytes: usize) {
        let mut writer = Writer::default();
        write(&mut writer, values);
        assert_eq!(writer.bytes.len(), bytes, "{values:?}");
        let mut reader = Reader::new(&writer.bytes);
        assert_eq!(read(&mut reader, values.len()).unwrap(), values);
        assert!(reader.is_empty());
    }

    #[test]
    fn a_column_takes_the_shortest_coding() {
        check(&[], 0);
        check(&[7; 1000], 2);
        check(&[1, 2, 3], 4);
        check(&[&[300; 50][..], &[5; 50]].concat(), 7);
    }

    #[test]
    fn runs_never_reach_beyond_their_column() {
        let mut writer = Writer::default();
        write(&mut writer, &[&[300; 50][..], &[5; 50]].concat());
        for count in [1, 49, 99, 101] {
            assert!(read(&mut Reader::new(&writer.bytes), count).is_err());
        }
    }
}
