//! The texts of a block, each once: sorted, so that neighbours share their beginnings.

use std::collections::hash_map::Entry;
use std::ops::Range;

use super::FastMap;
use super::bytes::{BadBytes, Reader, Writer, low_byte};

/// Which text, by where it lies: texts are interned, so that most are compared without being read.
type Place = (usize, usize);

fn place(text: &str) -> Place {
    (text.as_ptr() as usize, text.len())
}

/// So many places are looked through one by one, before hashing is quicker.
const FEW: usize = 8;

/// The distinct texts of one kind in one block, and which of them was collected when.
#[derive(Debug, Default)]
pub(super) struct Words<'a> {
    sorted: Vec<&'a str>,
    /// Of each text in the order in which they were collected, its position among the sorted ones.
    positions: std::vec::IntoIter<u64>,
}

/// The places that were met, numbered in their order.
#[derive(Default)]
struct Places {
    first: Vec<Place>,
    later: FastMap<Place, usize>,
}

impl Places {
    /// The number of the place, and whether it is new.
    fn number(&mut self, place: Place) -> (usize, bool) {
        if let Some(known) = self.first.iter().position(|first| *first == place) {
            return (known, false);
        }
        if self.first.len() < FEW {
            self.first.push(place);
            return (self.first.len() - 1, true);
        }
        let next = FEW + self.later.len();
        match self.later.entry(place) {
            Entry::Occupied(known) => (*known.get(), false),
            Entry::Vacant(new) => (*new.insert(next), true),
        }
    }
}

impl<'a> Words<'a> {
    pub(super) fn collect(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut places = Places::default();
        let mut found: Vec<(u64, &str, usize)> = Vec::new();
        let mut positions = Vec::with_capacity(texts.size_hint().0);
        // Runs of one source are the rule.
        let mut last = None;
        for text in texts {
            let place = place(text);
            let number = match last {
                Some((same, number)) if same == place => number,
                _ => {
                    let (number, is_new) = places.number(place);
                    if is_new {
                        found.push((beginning(text), text, number));
                    }
                    number
                }
            };
            last = Some((place, number));
            positions.push(number as u64);
        }
        let mut rank = vec![0; found.len()];
        found.sort_unstable();
        let mut sorted: Vec<&str> = Vec::with_capacity(found.len());
        for (_, text, number) in found {
            // One text may lie in several places.
            if sorted.last() != Some(&text) {
                sorted.push(text);
            }
            rank[number] = sorted.len() as u64 - 1;
        }
        for position in &mut positions {
            *position = rank[usize::try_from(*position).expect("an index of `rank`")];
        }
        let positions = positions.into_iter();
        Self { sorted, positions }
    }

    /// The position of the next text: records are written in the order in which their texts were
    /// collected, so that none is looked up.
    ///
    /// # Panics
    /// Where more texts are asked for than were collected.
    pub(super) fn next(&mut self) -> u64 {
        self.positions.next().expect("every text was collected")
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

/// Texts that are decoded before they are looked up together, and their bytes: the look-ups of many
/// wait for memory at the same time.
const TOGETHER: usize = 64;
const TOGETHER_BYTES: usize = 4096;

/// Reads the texts and turns each into what it stands for.
pub(super) fn read<T>(
    reader: &mut Reader<'_>,
    mut make: impl FnMut(&[u8]) -> Result<T, BadBytes>,
) -> Result<Vec<T>, BadBytes> {
    let count = reader.size()?;
    // Each text takes two bytes at least, which bounds the memory by the block's length.
    if count > reader.remaining() {
        return Err(BadBytes("more texts than bytes"));
    }
    let mut things = Vec::with_capacity(count);
    let mut texts = Texts::default();
    for n in 1..=count {
        texts.read(reader)?;
        if n == count || texts.are_enough() {
            for range in &texts.ranges {
                things.push(make(&texts.bytes[range.clone()])?);
            }
            texts.start_anew();
        }
    }
    Ok(things)
}

/// Decoded texts that lie behind each other; the last one is kept for the next.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    ranges: Vec<Range<usize>>,
    last: Range<usize>,
}

impl Texts {
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), BadBytes> {
        let shared = reader.size()?;
        if shared > self.last.len() {
            return Err(BadBytes("a text shares more than its neighbour has"));
        }
        let start = self.bytes.len();
        let before = self.last.start;
        self.bytes.extend_from_within(before..before + shared);
        let coded = reader.size()?;
        if coded & 1 == 0 {
            self.bytes.extend_from_slice(reader.bytes(coded >> 1)?);
        } else {
            let packed = reader.bytes(coded >> 2)?;
            self.bytes.reserve(2 * packed.len());
            for byte in packed {
                self.bytes.extend_from_slice(&DIGITS[usize::from(*byte)]);
            }
        }
        self.last = start..self.bytes.len();
        self.ranges.push(self.last.clone());
        Ok(())
    }

    fn are_enough(&self) -> bool {
        self.ranges.len() >= TOGETHER || self.bytes.len() >= TOGETHER_BYTES
    }

    fn start_anew(&mut self) {
        self.bytes.copy_within(self.last.clone(), 0);
        self.bytes.truncate(self.last.len());
        self.last = 0..self.bytes.len();
        self.ranges.clear();
    }
}

/// Bytes (not characters: the texts are joined again as bytes) that both begin with.
fn shared_prefix(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count()
}

/// The first bytes as one number that sorts as they do, so that few texts are compared whole.
fn beginning(text: &str) -> u64 {
    let mut first = [0; 8];
    let len = text.len().min(8);
    first[..len].copy_from_slice(&text.as_bytes()[..len]);
    u64::from_be_bytes(first)
}

/// The value of each lower-case hexadecimal digit; others have [`NO_DIGIT`].
const NIBBLES: [u8; 256] = {
    let mut nibbles = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        nibbles[digit(value) as usize] = value;
        value += 1;
    }
    nibbles
};
const NO_DIGIT: u8 = 0x80;

fn is_hex(bytes: &[u8]) -> bool {
    let any = bytes.iter().fold(0, |any, byte| any | nibble(*byte));
    any & NO_DIGIT == 0
}

const fn nibble(digit: u8) -> u8 {
    NIBBLES[digit as usize]
}

/// The two digits of each byte.
const DIGITS: [[u8; 2]; 256] = {
    let mut digits = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        let value = low_byte(byte as u64);
        digits[byte] = [digit(value >> 4), digit(value & 0xf)];
        byte += 1;
    }
    digits
};

const fn digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + nibble - 10,
    }
}

#[cfg(test)]
mod tests {
    use super::super::bytes::utf8;
    use super::*;

    fn check(texts: &[&str]) -> usize {
        let mut words = Words::collect(texts.iter().copied());
        let mut writer = Writer::default();
        words.write(&mut writer);
        let back = read(&mut Reader::new(&writer.bytes), |text| {
            utf8(text).map(str::to_owned)
        });
        let back = back.unwrap();
        for &text in texts {
            assert_eq!(back[usize::try_from(words.next()).unwrap()], text);
        }
        writer.bytes.len()
    }

    #[test]
    fn texts_of_any_kind_come_back() {
        check(&["Ä", "Á", "Verfügbar", "verf", "", "abc", "abcd", "0", "00"]);
    }

    #[test]
    fn one_text_in_two_places_is_one_word() {
        let (first, second) = ("Siesta".to_owned(), "Siesta".to_owned());
        let once = check(&[&first]);
        assert_eq!(check(&[&first, "Lunch", &second]), once + 2 + "Lunch".len());
    }

    #[test]
    fn many_texts_are_told_apart() {
        let texts: Vec<String> = (0..40).map(|n| format!("{:x}", n * 7_919 % 23)).collect();
        let texts: Vec<&str> = texts.iter().chain(&texts).map(String::as_str).collect();
        check(&texts);
    }

    #[test]
    fn words_are_sorted_as_their_bytes_are() {
        let words = Words::collect(["b", "", "a\0", "abcdefghi", "a", "abcdefgh"].into_iter());
        let sorted = ["", "a", "a\0", "abcdefgh", "abcdefghi", "b"];
        assert_eq!(words.sorted, sorted);
    }

    #[test]
    fn more_texts_than_are_looked_up_together_come_back() {
        for length in [1, 30, 700] {
            let texts: Vec<String> = (0..3 * TOGETHER)
                .map(|n| format!("{}{n:03}", "x".repeat(length)))
                .collect();
            check(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_text_shares_no_more_than_the_one_before_it_has() {
        let two = |shared: u8| [2, 0, 2, b'a', shared, 2, b'b'];
        let back = |bytes: &[u8]| read(&mut Reader::new(bytes), |text| Ok(text.to_vec()));
        assert_eq!(back(&two(1)).unwrap(), [b"a".to_vec(), b"ab".to_vec()]);
        assert!(back(&two(2)).is_err());
    }

    #[test]
    fn object_ids_take_half_their_length_and_neighbours_share() {
        let one = check(&["65f1c0ffee0123456789abcd"]);
        assert_eq!(one, 1 + 2 + 12);
        let two = check(&["65f1c0ffee0123456789abcd", "65f1c0ffee0123456789abce"]);
        assert_eq!(two - one, 3);
    }
}
