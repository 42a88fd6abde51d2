//! Which texts occur most often: frequent items, in the binary format of Apache DataSketches.
//!
//! Anderson et al., "A High-Performance Algorithm for Identifying Frequent Items in Data Streams" (arXiv 1705.07001),
//! after Misra and Gries (1982). A count is off by at most 3.5/128 of all texts, and exact as long as there were fewer
//! than 96 different ones. Its bytes are read and merged by that project's libraries.
//!
//! ```
//! use pilotfish_core::sketch::frequent::Frequent;
//!
//! let mut plans = Frequent::default();
//! ["gold", "basic", "gold"].iter().for_each(|plan| plans.add(plan.as_bytes(), 1));
//! let top = plans.top(1);
//! assert_eq!((top[0].label.as_str(), top[0].low, top[0].high), ("gold", 2, 2));
//! ```

use super::distinct::NotASketch;
use datasketches::frequencies::{ErrorType, FrequentItemsSketch};
use serde::Serialize;

/// Counters, of which three quarters are used.
const COUNTERS: usize = 128;

/// Bytes before the counts.
const HEAD: usize = 32;

/// Longest text that is kept, in bytes; longer ones are cut, and counted by their beginning.
const BYTES_MAX: usize = 64;

/// Counts of the most frequent texts.
#[derive(Clone, Debug)]
pub struct Frequent(FrequentItemsSketch<String>);

/// A frequent text, and between which bounds its count lies for certain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Frequency {
    pub label: String,
    pub low: u64,
    pub high: u64,
}

// === impl Frequent ===

impl Default for Frequent {
    fn default() -> Frequent {
        Frequent(FrequentItemsSketch::new(COUNTERS).expect("128 is a power of two"))
    }
}

impl Frequent {
    /// Counts a text `times` times. What is not UTF-8 in it is replaced by U+FFFD.
    pub fn add(&mut self, text: &[u8], times: u64) {
        if self.0.total_weight().checked_add(times).is_none() {
            return; // 2^64 texts: nothing is known of further ones
        }
        match std::str::from_utf8(text) {
            Ok(text) if text.len() <= BYTES_MAX => self.0.update_with_count_ref(text, times),
            _ => self.0.update_with_count(beginning(text), times),
        }
    }

    /// Adds all that `other` has counted.
    pub fn merge(&mut self, other: &Frequent) {
        if self.0.total_weight().checked_add(other.0.total_weight()).is_some() {
            self.0.merge(&other.0);
        }
    }

    /// Up to `most` texts, the most frequent first: every one whose count is known to be above the error, and no other.
    pub fn top(&self, most: usize) -> Vec<Frequency> {
        let rows = self.0.frequent_items(ErrorType::NoFalsePositives);
        let mut found: Vec<Frequency> = rows
            .into_iter()
            .map(|row| Frequency {
                label: row.item().clone(),
                low: row.lower_bound(),
                high: row.upper_bound(),
            })
            .collect();
        found.sort_by(|a, b| b.low.cmp(&a.low).then_with(|| a.label.cmp(&b.label)));
        found.truncate(most);
        found
    }

    /// Texts counted.
    pub fn total(&self) -> u64 {
        self.0.total_weight()
    }

    /// The sketch in its portable format (strings). The same bytes for the same texts, whatever their order and split, as
    /// long as none had to be forgotten: those of 96 different ones.
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = self.0.serialize();
        in_order(&bytes).unwrap_or(bytes)
    }

    /// Reads what [`Frequent::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`NotASketch`] for anything else, other sizes included.
    pub fn from_bytes(bytes: &[u8]) -> Result<Frequent, NotASketch> {
        let sketch = FrequentItemsSketch::deserialize(bytes).map_err(|_| NotASketch)?;
        if sketch.max_map_size() == COUNTERS { Ok(Frequent(sketch)) } else { Err(NotASketch) }
    }
}

/// The same with the texts in order. They are stored as they lie in a hash table, which tells in what order they came:
/// a head, of which the second word begins with their number, then their counts, then each with its length before it.
fn in_order(bytes: &[u8]) -> Option<Vec<u8>> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let texts = u32::from_le_bytes(*head.get(8..)?.first_chunk()?);
    let (counts, mut rest) = rest.split_at_checked(texts as usize * 8)?;
    let mut pairs = Vec::new();
    for count in counts.chunks_exact(8) {
        let length = u32::from_le_bytes(*rest.first_chunk()?);
        let (text, after) = rest.split_at_checked(4 + length as usize)?;
        pairs.push((text, count));
        rest = after;
    }
    pairs.sort_unstable();
    let (texts, counts): (Vec<&[u8]>, Vec<&[u8]>) = pairs.into_iter().unzip();
    Some([head, &counts.concat(), &texts.concat()].concat())
}

/// The first bytes of a text, up to a whole character.
fn beginning(text: &[u8]) -> String {
    let mut readable = String::from_utf8_lossy(&text[..text.len().min(BYTES_MAX)]).into_owned();
    while readable.len() > BYTES_MAX {
        readable.pop(); // replaced bytes are longer
    }
    readable
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(frequent: &Frequent, most: usize) -> Vec<(String, u64, u64)> {
        frequent.top(most).into_iter().map(|found| (found.label, found.low, found.high)).collect()
    }

    #[test]
    fn few_texts_are_counted_exactly_the_most_frequent_first() {
        let mut frequent = Frequent::default();
        for (text, times) in [("b", 5), ("a", 5), ("c", 9), ("d", 1)] {
            frequent.add(text.as_bytes(), times);
        }
        let expected = [("c", 9), ("a", 5), ("b", 5)].map(|(text, count)| (text.to_owned(), count, count));
        assert_eq!(labels(&frequent, 3), expected);
        assert_eq!(frequent.total(), 20);
    }

    #[test]
    fn in_a_flood_of_texts_the_frequent_ones_are_found_and_bounded() {
        let mut frequent = Frequent::default();
        for i in 0..200_000u32 {
            frequent.add(format!("text {i}").as_bytes(), 1);
            frequent.add(if i % 4 == 0 { b"quarter" } else { b"rest" }, 1);
        }
        let found = labels(&frequent, 10);
        assert_eq!(
            found.iter().map(|(label, ..)| label.as_str()).take(2).collect::<Vec<_>>(),
            ["rest", "quarter"]
        );
        for ((_, low, high), count) in found.iter().zip([150_000, 50_000]) {
            assert!(*low <= count && count <= *high && high - low <= 400_000 * 35 / 1_280, "{low} {high}");
        }
        assert!(frequent.to_bytes().len() < 128 * 80);
    }

    #[test]
    fn parts_add_up() {
        let (mut left, mut right) = (Frequent::default(), Frequent::default());
        left.add(b"x", 2);
        right.add(b"x", 3);
        right.add(b"y", 1);
        left.merge(&right);
        assert_eq!(labels(&left, 2), [("x".to_owned(), 5, 5), ("y".to_owned(), 1, 1)]);
    }

    #[test]
    fn up_to_the_number_of_counters_the_bytes_are_the_same_in_any_order_and_grouping() {
        let texts: Vec<String> = (0..90).map(|i| format!("text {}", i * 7_919 % 1_000)).collect();
        let of = |texts: &[String]| {
            let mut frequent = Frequent::default();
            texts.iter().for_each(|text| frequent.add(text.as_bytes(), text.len() as u64));
            frequent
        };
        let whole = of(&texts);
        let mut reversed = texts.clone();
        reversed.reverse();
        let mut merged = of(&reversed[40..]);
        merged.merge(&of(&reversed[..40]));
        assert!(merged.to_bytes() == whole.to_bytes());
        assert!(Frequent::from_bytes(&merged.to_bytes()).unwrap().to_bytes() == whole.to_bytes());
    }

    #[test]
    fn bytes_are_read_again_and_other_ones_refused() {
        let mut frequent = Frequent::default();
        (0..1_000u32).for_each(|i| frequent.add((i % 150).to_string().as_bytes(), 1));
        let read = Frequent::from_bytes(&frequent.to_bytes()).unwrap();
        assert_eq!((read.top(100), read.total()), (frequent.top(100), frequent.total()));
        for bytes in [&b""[..], &[7; 40], &frequent.to_bytes()[..50]] {
            assert_eq!(Frequent::from_bytes(bytes).err(), Some(NotASketch));
        }
    }

    #[test]
    fn long_and_unreadable_texts_are_cut() {
        let mut frequent = Frequent::default();
        frequent.add(&[b'x'; 100], 1);
        frequent.add(&[0xff; 100], 2);
        frequent.add("é".repeat(40).as_bytes(), 3);
        for found in frequent.top(3) {
            assert!(found.label.len() <= BYTES_MAX && !found.label.is_empty(), "{found:?}");
        }
    }

    #[test]
    fn counts_beyond_a_whole_number_are_given_up_rather_than_wrong() {
        let mut frequent = Frequent::default();
        frequent.add(b"x", u64::MAX);
        frequent.add(b"y", 1);
        let other = frequent.clone();
        frequent.merge(&other);
        assert_eq!(frequent.total(), u64::MAX);
    }
}
