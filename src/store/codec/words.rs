//! The texts of a block, each once: sorted, so that neighbours share their beginnings.

use std::cell::Cell;

use super::FastMap;
use super::bytes::{BadBytes, Reader, Writer};

/// The distinct texts of one kind in one block, with their positions.
#[derive(Debug, Default)]
pub(super) struct Words<'a> {
    sorted: Vec<&'a str>,
    position: FastMap<&'a str, u64>,
    /// The text that was asked for last: runs of one source are the rule.
    last: Cell<Option<(&'a str, u64)>>,
}

impl<'a> Words<'a> {
    pub(super) fn collect(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut position: FastMap<&str, u64> = FastMap::default();
        let mut last: Option<&str> = None;
        for text in texts {
            if !last.is_some_and(|last| std::ptr::eq(last, text)) {
                position.insert(text, 0);
                last = Some(text);
            }
        }
        let mut sorted: Vec<&str> = position.keys().copied().collect();
        sorted.sort_unstable();
        for (text, n) in sorted.iter().zip(0..) {
            position.insert(text, n);
        }
        Self {
            sorted,
            position,
            last: Cell::default(),
        }
    }

    /// The position of a text that was among those collected.
    pub(super) fn of(&self, text: &'a str) -> u64 {
        if let Some((last, known)) = self.last.get()
            && std::ptr::eq(last, text)
        {
            return known;
        }
        let position = *self.position.get(text).expect("every text was collected");
        self.last.set(Some((text, position)));
        position
    }

    /// Count, then for each text: bytes shared with the one before, bytes that follow times two
    /// (plus one where they are lower-case hexadecimal and stored two digits a byte), the bytes.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.varint(self.sorted.len() as u64);
        let mut before = "";
        for text in &self.sorted {
            let mut shared = shared_prefix(before, text);
            let mut rest = &text.as_bytes()[shared..];
            if is_hex(rest) && rest.len() % 2 == 1 && shared > 0 {
                let longer = &text.as_bytes()[shared - 1..];
                if is_hex(longer) {
                    (shared, rest) = (shared - 1, longer);
                }
            }
            let hex = rest.len().is_multiple_of(2) && !rest.is_empty() && is_hex(rest);
            writer.varint(shared as u64);
            writer.varint((rest.len() as u64) << 1 | u64::from(hex));
            if hex {
                let packed = rest
                    .chunks_exact(2)
                    .map(|two| nibble(two[0]) << 4 | nibble(two[1]));
                writer.bytes.extend(packed);
            } else {
                writer.bytes.extend_from_slice(rest);
            }
            before = text;
        }
    }
}

/// Reads the texts and turns each into what it stands for.
pub(super) fn read<T>(
    reader: &mut Reader<'_>,
    mut make: impl FnMut(&str) -> Result<T, BadBytes>,
) -> Result<Vec<T>, BadBytes> {
    let count = reader.size()?;
    // Each text takes two bytes at least, which bounds the memory by the block's length.
    if count > reader.remaining() {
        return Err(BadBytes("more texts than bytes"));
    }
    let mut things = Vec::with_capacity(count);
    let mut text: Vec<u8> = Vec::new();
    for _ in 0..count {
        let shared = reader.size()?;
        if shared > text.len() {
            return Err(BadBytes("a text shares more than its neighbour has"));
        }
        text.truncate(shared);
        let coded = reader.size()?;
        if coded & 1 == 0 {
            text.extend_from_slice(reader.bytes(coded >> 1)?);
        } else {
            for byte in reader.bytes(coded >> 2)? {
                text.extend([digit(byte >> 4), digit(byte & 0xf)]);
            }
        }
        let whole = std::str::from_utf8(&text).map_err(|_| BadBytes("a text is not UTF-8"))?;
        things.push(make(whole)?);
    }
    Ok(things)
}

/// Bytes (not characters: the texts are joined again as bytes) that both begin with.
fn shared_prefix(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count()
}

fn is_hex(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit - b'a' + 10,
    }
}

const fn digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + nibble - 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(texts: &[&str]) -> usize {
        let words = Words::collect(texts.iter().copied());
        let mut writer = Writer::default();
        words.write(&mut writer);
        let back = read(&mut Reader::new(&writer.bytes), |text| Ok(text.to_owned())).unwrap();
        for &text in texts {
            assert_eq!(back[usize::try_from(words.of(text)).unwrap()], text);
        }
        writer.bytes.len()
    }

    #[test]
    fn texts_of_any_kind_come_back() {
        check(&["Ä", "Á", "Verfügbar", "verf", "", "abc", "abcd", "0", "00"]);
    }

    #[test]
    fn object_ids_take_half_their_length_and_neighbours_share() {
        let one = check(&["65f1c0ffee0123456789abcd"]);
        assert_eq!(one, 1 + 2 + 12);
        let two = check(&["65f1c0ffee0123456789abcd", "65f1c0ffee0123456789abce"]);
        assert_eq!(two - one, 3);
    }
}
