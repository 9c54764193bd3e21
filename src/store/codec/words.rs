//! The texts of a block, each once: sorted, so that neighbours share their beginnings.

use std::collections::hash_map::Entry;
use std::hash::{Hash, Hasher};
use std::ops::Range;

use super::FastMap;
use super::bytes::{BadBytes, Reader, Writer, low_byte};

/// Which text, by where it lies: texts are interned, so that most are compared without being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    at: usize,
    len: usize,
}

impl Place {
    pub(super) fn of(text: &str) -> Self {
        Self {
            at: text.as_ptr() as usize,
            len: text.len(),
        }
    }
}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Texts of two lengths at one place are rare.
        state.write_usize(self.at);
    }
}

/// So many places are looked through one by one, before hashing is quicker.
const FEW: usize = 8;

/// So many texts are sorted without a look at which of them are the same.
const SORTED_AT_ONCE: usize = 500;

/// The distinct texts of one kind in one block, and which of them was collected when.
#[derive(Debug, Default)]
pub(super) struct Words<'a> {
    sorted: Vec<&'a str>,
    /// Of each text in the order in which they were collected, its position among the sorted ones.
    positions: std::vec::IntoIter<u32>,
}

/// The places that were met, numbered in their order.
#[derive(Default)]
struct Places {
    few: Vec<Place>,
    /// All of them, once they are more than a few.
    many: FastMap<Place, u32>,
    /// How many are expected.
    expected: usize,
}

impl Places {
    /// The number of the place, and whether it is new.
    fn number(&mut self, place: Place) -> (u32, bool) {
        if self.many.is_empty() {
            if let Some(known) = (0..).zip(&self.few).find(|(_, known)| **known == place) {
                return (known.0, false);
            }
            self.few.push(place);
            if self.few.len() > FEW {
                self.many.reserve(self.expected);
                self.many.extend(self.few.iter().copied().zip(0..));
            }
            return (count(self.few.len()) - 1, true);
        }
        let next = count(self.many.len());
        match self.many.entry(place) {
            Entry::Occupied(known) => (*known.get(), false),
            Entry::Vacant(new) => (*new.insert(next), true),
        }
    }
}

fn count(len: usize) -> u32 {
    u32::try_from(len).expect("a block has at most 5,000 records")
}

impl<'a> Words<'a> {
    pub(super) fn collect(texts: impl Iterator<Item = &'a str>) -> Self {
        let expected = texts.size_hint().0;
        let mut places = Places {
            expected,
            ..Places::default()
        };
        let mut found: Vec<&str> = Vec::new();
        let mut positions = Vec::with_capacity(expected);
        // Runs of one source are the rule.
        let mut last = None;
        for text in texts {
            let place = Place::of(text);
            let number = match last {
                Some((same, number)) if same == place => number,
                _ => {
                    let (number, is_new) = places.number(place);
                    if is_new {
                        found.push(text);
                    }
                    number
                }
            };
            last = Some((place, number));
            positions.push(number);
        }
        let (sorted, ranks) = rank(&found);
        for position in &mut positions {
            *position = ranks[*position as usize];
        }
        let positions = positions.into_iter();
        Self { sorted, positions }
    }

    /// The same of texts that hardly ever come twice in a block, as agents in a poll do not: to look
    /// each up among the others would cost more than to sort it with them. Many are told apart first.
    pub(super) fn collect_different(texts: impl Iterator<Item = &'a str>) -> Self {
        if texts.size_hint().0 > SORTED_AT_ONCE {
            return Self::collect(texts);
        }
        let (sorted, ranks) = rank(&texts.collect::<Vec<_>>());
        Self {
            sorted,
            positions: ranks.into_iter(),
        }
    }

    /// The position of the next text: records are written in the order in which their texts were
    /// collected, so that none is looked up.
    ///
    /// # Panics
    /// Where more texts are asked for than were collected.
    pub(super) fn next(&mut self) -> u64 {
        let position = self.positions.next();
        u64::from(position.expect("every text was collected"))
    }

    /// Count, then for each text: bytes shared with the one before, bytes that follow times two
    /// (plus one where they are lower-case hexadecimal and stored two digits a byte), the bytes.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.varint(self.sorted.len() as u64);
        let mut before = "";
        for text in &self.sorted {
            let mut shared = shared_prefix(before, text);
            // Two digits make a byte: where one is over, it is written although it is shared.
            if (text.len() - shared) % 2 == 1 && shared > 0 && is_digit(text.as_bytes()[shared - 1])
            {
                shared -= 1;
            }
            let mut rest = &text.as_bytes()[shared..];
            let start = writer.bytes.len();
            writer.varint(shared as u64);
            writer.varint((rest.len() as u64) << 1 | 1);
            if !pack(rest, &mut writer.bytes) {
                writer.bytes.truncate(start);
                shared = shared_prefix(before, text);
                rest = &text.as_bytes()[shared..];
                writer.varint(shared as u64);
                writer.varint((rest.len() as u64) << 1);
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
            let at = self.bytes.len();
            self.bytes.resize(at + 2 * packed.len(), 0);
            let (pairs, _) = self.bytes[at..].as_chunks_mut();
            for (pair, byte) in pairs.iter_mut().zip(packed) {
                *pair = DIGITS[usize::from(*byte)];
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

/// The distinct texts in their order, and the position of each that was found among them.
fn rank<'a>(found: &[&'a str]) -> (Vec<&'a str>, Vec<u32>) {
    let beginnings = found.iter().map(|text| beginning(text));
    let mut order: Vec<(u64, u32)> = beginnings.zip(0..).collect();
    order.sort_unstable();
    for alike in order.chunk_by_mut(|a, b| a.0 == b.0) {
        if alike.len() > 1 {
            alike.sort_unstable_by_key(|(_, number)| found[*number as usize]);
        }
    }
    let mut sorted: Vec<&str> = Vec::with_capacity(found.len());
    let mut ranks = vec![0; found.len()];
    let mut last = None;
    for (beginning, number) in order {
        let text = found[number as usize];
        // One text may lie in several places.
        if last != Some(beginning) || sorted.last() != Some(&text) {
            sorted.push(text);
        }
        last = Some(beginning);
        ranks[number as usize] = count(sorted.len()) - 1;
    }
    (sorted, ranks)
}

/// The first bytes as one number that sorts as they do, so that few texts are compared whole.
fn beginning(text: &str) -> u64 {
    let mut first = [0; 8];
    let len = text.len().min(8);
    first[..len].copy_from_slice(&text.as_bytes()[..len]);
    u64::from_be_bytes(first)
}

/// Lower-case hexadecimal digits, two a byte; false where there are none, an odd number, or others,
/// and then what was appended means nothing.
fn pack(digits: &[u8], bytes: &mut Vec<u8>) -> bool {
    if digits.is_empty() || digits.len() % 2 == 1 {
        return false;
    }
    let (eights, rest) = digits.as_chunks::<8>();
    // Once for all of them, the last four bytes included that are cut off again.
    bytes.reserve(digits.len() / 2 + 4);
    let mut all_digits = true;
    for eight in eights {
        let (four, are_digits) = pack_eight(u64::from_le_bytes(*eight));
        all_digits &= are_digits;
        bytes.extend_from_slice(&four.to_le_bytes());
    }
    if !rest.is_empty() {
        let (four, are_digits) = pack_eight(filled_up(digits, rest));
        all_digits &= are_digits;
        bytes.extend_from_slice(&four.to_le_bytes());
        bytes.truncate(bytes.len() - (4 - rest.len() / 2));
    }
    all_digits
}

/// The last digits, fewer than eight, and zeros behind them.
fn filled_up(digits: &[u8], rest: &[u8]) -> u64 {
    const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);
    if let Some(eight) = digits.last_chunk::<8>() {
        // Those of the eight that stand before the rest fall out.
        let bits = 8 * rest.len();
        return u64::from_le_bytes(*eight) >> (64 - bits) | ZEROS << bits;
    }
    let mut eight = [b'0'; 8];
    eight[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(eight)
}

/// Eight digits at once, the first in the lowest byte; whether they are lower-case hexadecimal.
fn pack_eight(text: u64) -> (u32, bool) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // '0' is 0x30, 'a' 0x61: the sixth bit tells letters.
    let value = (text & (0xf * ONES)) + ((text >> 6) & ONES) * 9;
    let is_letter = ((value + 6 * ONES) >> 4) & ONES;
    let written_again = value + 0x30 * ONES + is_letter * 0x27;
    let are_digits = written_again == text && value & (0xf0 * ONES) == 0;
    let pairs = (value << 4 | value >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    let eight = (fours | fours >> 16) & 0xffff_ffff;
    (u32::try_from(eight).expect("32 bits"), are_digits)
}

const fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
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
    fn texts_that_are_sorted_at_once_are_told_apart_too() {
        for count in [3, 40, SORTED_AT_ONCE, SORTED_AT_ONCE + 1] {
            let texts: Vec<String> = (0..count)
                .map(|n| format!("{:09x}", n * 7_919 % 23))
                .collect();
            let texts = || texts.iter().map(String::as_str);
            let (mut once, mut each) = (Words::collect_different(texts()), Words::collect(texts()));
            assert_eq!(once.sorted, each.sorted);
            assert!(texts().all(|_| once.next() == each.next()));
        }
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
    fn digits_are_told_from_every_other_byte_in_every_place() {
        for byte in 0..=u8::MAX {
            for at in 0..22 {
                let mut digits = *b"0123456789abcdef012345";
                digits[at] = byte;
                let mut packed = vec![7];
                let all = pack(&digits, &mut packed);
                assert_eq!(all, is_digit(byte), "{byte} at {at}");
                if all {
                    let back = packed[1..]
                        .iter()
                        .flat_map(|b| [digit(b >> 4), digit(b & 0xf)]);
                    assert_eq!(back.collect::<Vec<u8>>(), digits);
                }
            }
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
