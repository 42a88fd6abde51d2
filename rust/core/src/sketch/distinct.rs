//! How many different values there were: HyperLogLog, in the binary format of Apache DataSketches.
//!
//! Flajolet, Fusy, Gandouet and Meunier, "HyperLogLog" (2007), with the estimators of
//! [Apache DataSketches](https://datasketches.apache.org/docs/HLL/HLL.html). Its bytes are read and merged by that
//! project's libraries, and so by Druid, Spark, ClickHouse and Postgres extensions.
//!
//! ```
//! use pilotfish_core::sketch::distinct::Distinct;
//!
//! let (mut left, mut right) = (Distinct::default(), Distinct::default());
//! ["basic", "gold"].iter().for_each(|plan| left.add_bytes(plan.as_bytes()));
//! ["gold", "trial"].iter().for_each(|plan| right.add_bytes(plan.as_bytes()));
//! left.merge(&right);
//! assert_eq!(left.estimate().round(), 3.0);
//! ```

use datasketches::hash::value::{canonical_float, raw_bytes};
use datasketches::hll::{HllSketch, HllType, HllUnion};
use std::fmt;

/// 2^11 registers: a standard error of 1.04/sqrt(2^11) = 2.3 % in at most 1,577 bytes; exact in practice up to 192 values.
const LG_REGISTERS: u8 = 11;

/// Of six bits: no exceptions beside them whose order would show in the bytes.
const REGISTERS: HllType = HllType::Hll6;

/// Fields of the binary format ("HLL Sketch Memory Layout").
mod layout {
    pub const FLAGS: usize = 5;
    pub const MODE: usize = 7;
    pub const MODE_MASK: u8 = 3;
    /// Hashes one by one, in a list or a set of them, behind the preamble.
    pub const LIST: u8 = 0;
    pub const SET: u8 = 1;
    pub const LIST_START: usize = 8;
    pub const SET_START: usize = 12;
    pub const HASH_BYTES: usize = 4;
    /// An estimate that depends on the order the values came in, and the flag that says there is none.
    pub const IN_ORDER: std::ops::Range<usize> = 8..16;
    pub const OUT_OF_ORDER_FLAG: u8 = 16;
}

/// A count of different values.
#[derive(Clone)]
pub struct Distinct(HllSketch);

/// Bytes that are no such sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotASketch;

// === impl Distinct ===

impl Default for Distinct {
    fn default() -> Distinct {
        Distinct(HllSketch::new(LG_REGISTERS, REGISTERS).expect("11 is between 4 and 21"))
    }
}

impl Distinct {
    /// Takes in a number; -0.0 is 0.0.
    #[inline]
    pub fn add_number(&mut self, value: f64) {
        self.0.update(canonical_float::from_f64(value));
    }

    /// Takes in a text; an empty one is none, as in the other libraries.
    pub fn add_bytes(&mut self, value: &[u8]) {
        if !value.is_empty() {
            self.0.update(raw_bytes::from_slice(value));
        }
    }

    /// Takes in all that `other` has seen, in any order to the same result.
    pub fn merge(&mut self, other: &Distinct) {
        let mut union = HllUnion::new(LG_REGISTERS).expect("11 is between 4 and 21");
        union.update(&self.0);
        union.update(&other.0);
        self.0 = union.to_sketch(REGISTERS);
    }

    /// How many different values there were. Does not depend on their order.
    pub fn estimate(&self) -> f64 {
        self.0.composite_estimate()
    }

    /// The sketch in its portable format: the same bytes for the same values, whatever their order and split.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.0.serialize();
        match bytes[layout::MODE] & layout::MODE_MASK {
            layout::LIST => sort_hashes(&mut bytes[layout::LIST_START..]),
            layout::SET => sort_hashes(&mut bytes[layout::SET_START..]),
            _ => {
                bytes[layout::FLAGS] |= layout::OUT_OF_ORDER_FLAG;
                bytes[layout::IN_ORDER].fill(0);
            }
        }
        bytes
    }

    /// Reads what [`Distinct::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`NotASketch`] for anything else, other sizes included.
    pub fn from_bytes(bytes: &[u8]) -> Result<Distinct, NotASketch> {
        let sketch = HllSketch::deserialize(bytes).map_err(|_| NotASketch)?;
        let read = Distinct(sketch);
        let alike = read.0.lg_config_k() == LG_REGISTERS && read.0.target_type() == REGISTERS;
        if alike && read.to_bytes() == bytes { Ok(read) } else { Err(NotASketch) }
    }
}

impl PartialEq for Distinct {
    fn eq(&self, other: &Distinct) -> bool {
        self.to_bytes() == other.to_bytes()
    }
}

impl fmt::Debug for Distinct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Distinct").field(&self.estimate()).finish()
    }
}

fn sort_hashes(hashes: &mut [u8]) {
    let (hashes, _) = hashes.as_chunks_mut::<{ layout::HASH_BYTES }>();
    hashes.sort_unstable();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: impl IntoIterator<Item = f64>) -> Distinct {
        let mut distinct = Distinct::default();
        values.into_iter().for_each(|value| distinct.add_number(value));
        distinct
    }

    fn numbers(range: std::ops::Range<u32>) -> Distinct {
        of(range.map(f64::from))
    }

    #[test]
    fn few_values_are_counted_exactly_and_many_to_a_few_percent() {
        for count in [0u32, 1, 7, 8, 100, 192] {
            assert_eq!(numbers(0..count).estimate().round(), f64::from(count));
        }
        for count in [1_000u32, 10_000, 300_000] {
            let error = numbers(0..count).estimate() / f64::from(count) - 1.0;
            assert!(error.abs() < 0.07, "{count}: {error}"); // three standard errors
        }
    }

    #[test]
    fn repeated_values_and_signs_of_zero_count_once() {
        assert_eq!(of([0.0, -0.0, 0.0]), of([0.0]));
        let mut text = Distinct::default();
        [&b"a"[..], b"", b"a"].into_iter().for_each(|label| text.add_bytes(label));
        assert_eq!(text.estimate().round(), 1.0);
    }

    #[test]
    fn the_sketch_is_bounded() {
        assert!(numbers(0..100_000).to_bytes().len() <= 1_577);
    }

    #[test]
    fn other_bytes_are_refused() {
        assert_eq!(Distinct::from_bytes(b"").err(), Some(NotASketch));
        assert_eq!(Distinct::from_bytes(&[7; 100]).err(), Some(NotASketch));
        let other_size = HllSketch::new(12, REGISTERS).unwrap().serialize();
        assert_eq!(Distinct::from_bytes(&other_size).err(), Some(NotASketch));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_order_and_split_gives_the_same_bytes(count in 0u32..3_000, cut in 0u32..3_000, step in 1u32..50) {
            let whole = numbers(0..count);
            let cut = cut.min(count);
            let mut reverse = of((cut..count).rev().map(f64::from));
            reverse.merge(&of((0..cut).step_by(step as usize).map(f64::from)));
            reverse.merge(&of((0..cut).rev().map(f64::from)));
            prop_assert_eq!(reverse.to_bytes(), whole.to_bytes());
            prop_assert_eq!(reverse.estimate(), whole.estimate());
            let read = Distinct::from_bytes(&whole.to_bytes()).unwrap();
            prop_assert_eq!(read.to_bytes(), whole.to_bytes());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), position in 0usize..60, byte: u8) {
            let _ = Distinct::from_bytes(&bytes);
            let mut near = numbers(0..40).to_bytes();
            let position = position % near.len();
            near[position] = byte;
            let _ = Distinct::from_bytes(&near);
        }
    }
}
