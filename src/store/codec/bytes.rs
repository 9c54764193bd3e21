//! The smallest pieces of the coding: fixed little-endian numbers, varints, zigzag and texts.

use crate::domain::timestamp::WallTime;

/// Bytes that are not what an intact value holds, with what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadBytes(pub(crate) &'static str);

/// The longest varint: 64 bits in groups of 7.
const VARINT_BYTES_MAX: usize = 10;

/// Appends coded values to a buffer.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    /// What was written so far.
    pub(crate) bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(crate) fn u32_fixed(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64_fixed(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u128_fixed(&mut self, value: u128) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Seven bits a byte, lowest first, the top bit set on all but the last.
    pub(crate) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(low_byte(value) | 0x80);
            value >>= 7;
        }
        self.bytes.push(low_byte(value));
    }

    pub(crate) fn signed(&mut self, value: i64) {
        self.varint(zigzag(value));
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.varint(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Zero for none, else the length plus one and the bytes.
    pub(crate) fn text_option(&mut self, text: Option<&str>) {
        match text {
            None => self.varint(0),
            Some(text) => {
                self.varint(text.len() as u64 + 1);
                self.bytes.extend_from_slice(text.as_bytes());
            }
        }
    }

    /// Zero for none, else the value plus one.
    pub(crate) fn option(&mut self, value: Option<u64>) {
        match value {
            None => self.varint(0),
            // The one value that has no successor is stored one lower: no figure of a quarter
            // hour comes within nineteen digits of it.
            Some(value) => self.varint(value.saturating_add(1)),
        }
    }

    pub(crate) fn time(&mut self, time: WallTime) {
        self.signed(time.ms());
    }

    /// A byte 0, or a byte 1 and the time.
    pub(crate) fn time_option(&mut self, time: Option<WallTime>) {
        match time {
            None => self.u8(0),
            Some(time) => {
                self.u8(1);
                self.time(time);
            }
        }
    }
}

/// Takes coded values off the front of a slice; whatever is missing is [`BadBytes`], never a panic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) const fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], BadBytes> {
        if count > self.rest.len() {
            return Err(BadBytes("ends too early"));
        }
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, BadBytes> {
        Ok(self.bytes(1)?[0])
    }

    pub(crate) fn u32_fixed(&mut self) -> Result<u32, BadBytes> {
        let bytes = self.bytes(4)?;
        Ok(u32::from_le_bytes(
            bytes.try_into().expect("four were taken"),
        ))
    }

    pub(crate) fn u64_fixed(&mut self) -> Result<u64, BadBytes> {
        let bytes = self.bytes(8)?;
        Ok(u64::from_le_bytes(
            bytes.try_into().expect("eight were taken"),
        ))
    }

    pub(crate) fn u128_fixed(&mut self) -> Result<u128, BadBytes> {
        let bytes = self.bytes(16)?;
        Ok(u128::from_le_bytes(
            bytes.try_into().expect("sixteen were taken"),
        ))
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, BadBytes> {
        match self.rest {
            // Most are one byte long.
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, BadBytes> {
        let mut value = 0u64;
        for (n, byte) in self.rest.iter().take(VARINT_BYTES_MAX).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * n);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[n + 1..];
                return Ok(value);
            }
        }
        Err(BadBytes("a varint has no end"))
    }

    /// A varint that counts or indexes something in memory.
    pub(crate) fn size(&mut self) -> Result<usize, BadBytes> {
        usize::try_from(self.varint()?).map_err(|_| BadBytes("a size beyond memory"))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, BadBytes> {
        u32::try_from(self.varint()?).map_err(|_| BadBytes("a number beyond 32 bits"))
    }

    pub(crate) fn signed(&mut self) -> Result<i64, BadBytes> {
        Ok(unzigzag(self.varint()?))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, BadBytes> {
        let len = self.size()?;
        utf8(self.bytes(len)?)
    }

    pub(crate) fn text_option(&mut self) -> Result<Option<&'a str>, BadBytes> {
        match self.size()? {
            0 => Ok(None),
            len => utf8(self.bytes(len - 1)?).map(Some),
        }
    }

    pub(crate) fn option(&mut self) -> Result<Option<u64>, BadBytes> {
        Ok(self.varint()?.checked_sub(1))
    }

    pub(crate) fn option_u32(&mut self) -> Result<Option<u32>, BadBytes> {
        self.option()?
            .map(|value| u32::try_from(value).map_err(|_| BadBytes("a number beyond 32 bits")))
            .transpose()
    }

    pub(crate) fn time(&mut self) -> Result<WallTime, BadBytes> {
        self.signed().map(WallTime::from_ms)
    }

    pub(crate) fn time_option(&mut self) -> Result<Option<WallTime>, BadBytes> {
        match self.u8()? {
            0 => Ok(None),
            1 => self.time().map(Some),
            _ => Err(BadBytes("neither a time nor none")),
        }
    }
}

/// The bytes as a text.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, BadBytes> {
    std::str::from_utf8(bytes).map_err(|_| BadBytes("a text is not UTF-8"))
}

/// The low byte of a number.
pub(crate) const fn low_byte(value: u64) -> u8 {
    value.to_le_bytes()[0]
}

/// Signed to unsigned so that small magnitudes stay small: 0, -1, 1, -2 become 0, 1, 2, 3.
pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The inverse of [`zigzag`].
pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// How many bytes the varint of a value takes.
pub(crate) const fn varint_len(value: u64) -> usize {
    match value {
        0 => 1,
        _ => (63 - value.leading_zeros() as usize) / 7 + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_at_every_length() {
        let mut writer = Writer::default();
        let values: Vec<u64> = (0..64).map(|n| 1 << n).chain([0, u64::MAX]).collect();
        for &value in &values {
            let before = writer.bytes.len();
            writer.varint(value);
            assert_eq!(writer.bytes.len() - before, varint_len(value), "{value}");
        }
        let mut reader = Reader::new(&writer.bytes);
        for value in values {
            assert_eq!(reader.varint(), Ok(value));
        }
        assert!(reader.is_empty());
    }

    #[test]
    fn signed_numbers_come_back_at_both_ends() {
        for value in [0, -1, 1, i64::MIN, i64::MAX, -12_345] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
        assert_eq!([0, -1, 1, -2].map(zigzag), [0, 1, 2, 3]);
    }

    #[test]
    fn a_cut_value_is_an_error_and_no_panic() {
        let mut writer = Writer::default();
        writer.text("Wrapup");
        writer.time_option(Some(WallTime::from_s(5)));
        for cut in 0..writer.bytes.len() {
            let mut reader = Reader::new(&writer.bytes[..cut]);
            assert!(reader.text().and_then(|_| reader.time_option()).is_err());
        }
    }
}
