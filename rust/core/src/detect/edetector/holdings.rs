//! What all bets hold, put away: hundreds of numbers per feature that are looked at every few thousand rows.
//!
//! As long as nothing has happened bets hold about the same, most of it what was paid since rows were weighed last. So of
//! each block only the smallest capital is kept whole, and how much more the others hold, in units of the last digit, with
//! as many half bytes as the largest of them needs: nothing is rounded.

use super::growth::{Capital, LANES};
use fearless_simd::{Level, dispatch};
use serde::{Deserialize, Serialize};

/// Bets in a block, and in half of one.
const BLOCK: usize = 4 * LANES;
const HALF: usize = BLOCK / 2;

/// Bytes of a block before its differences.
const HEAD: usize = 1 + size_of::<u32>();

/// Bets that are worked with without asking for memory: those of 32 bins, twice.
const FEW: usize = 16 * BLOCK;

/// In a block bets are in the order of the plan; the last one repeats the last bet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<Capital>", into = "Vec<Capital>")]
pub struct Holdings {
    bets: usize,
    /// Of each block the half bytes of a difference, the smallest capital, and the differences: the lowest bytes of all,
    /// then the next ones, and half bytes at last.
    bytes: Vec<u8>,
}

// === impl Holdings ===

impl Holdings {
    /// Of so many bets that hold nothing.
    pub fn nothing(bets: usize) -> Holdings {
        Holdings::from(vec![Capital::default(); bets])
    }

    /// How many bets there are.
    pub fn len(&self) -> usize {
        self.bets
    }

    /// Of every bet, in order.
    pub fn each(&self) -> Vec<Capital> {
        let mut capital = vec![Capital::default(); self.bets.next_multiple_of(BLOCK)];
        self.take(&mut capital);
        capital.truncate(self.bets);
        capital
    }

    /// Shows what every bet holds, in order, to be changed.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut [Capital]) -> T) -> T {
        let (mut few, mut many) = ([Capital::default(); FEW], Vec::new());
        let room = self.bets.next_multiple_of(BLOCK);
        let capital = few.get_mut(..room).unwrap_or_else(|| {
            many.resize(room, Capital::default());
            &mut many
        });
        self.take(capital);
        let capital = &mut capital[..self.bets];
        let changed = change(capital);
        self.put(capital);
        changed
    }

    fn take(&self, capital: &mut [Capital]) {
        let mut rest = self.bytes.as_slice();
        dispatch!(Level::new(), _simd => {
            for block in capital.as_chunks_mut().0 {
                let Some(behind) = take(rest, block) else { return };
                rest = behind;
            }
        });
    }

    fn put(&mut self, capital: &[Capital]) {
        self.bytes.clear();
        let bytes = &mut self.bytes;
        dispatch!(Level::new(), _simd => {
            for block in capital.chunks(BLOCK) {
                put(block, bytes);
            }
        });
        // What was needed once is kept no longer than it is worth moving the rest.
        if self.bytes.len() < self.bytes.capacity() / 16 * 15 {
            self.bytes.shrink_to_fit();
        }
    }
}

/// Puts a block, of at least one bet and at most [`BLOCK`], behind others.
#[inline(always)]
fn put(block: &[Capital], bytes: &mut Vec<u8>) {
    let mut digits = [block.last().map_or(0, |capital| capital.digits()); BLOCK];
    digits.iter_mut().zip(block).for_each(|(digits, capital)| *digits = capital.digits());
    let least = digits.iter().fold(u32::MAX, |least, &digits| least.min(digits));
    let more = digits.map(|digits| digits - least);
    let halves = (u32::BITS - more.iter().fold(0, |all, &more| all | more).leading_zeros()).div_ceil(4);
    let length = HEAD + HALF * halves as usize;
    if bytes.capacity() - bytes.len() < length {
        bytes.reserve_exact(length);
    }
    bytes.push(halves as u8);
    bytes.extend_from_slice(&least.to_le_bytes());
    for byte in 0..halves / 2 {
        bytes.extend_from_slice(&more.map(|more| (more >> (8 * byte)) as u8));
    }
    if halves % 2 == 1 {
        let half = more.map(|more| (more >> (4 * (halves - 1))) as u8);
        bytes.extend_from_slice(&std::array::from_fn::<u8, HALF, _>(|lane| {
            half[lane] | half[HALF + lane] << 4
        }));
    }
}

/// Takes a block off bytes; those behind it.
#[inline(always)]
fn take<'a>(bytes: &'a [u8], block: &mut [Capital; BLOCK]) -> Option<&'a [u8]> {
    let ([halves, least @ ..], mut rest) = bytes.split_first_chunk::<HEAD>()?;
    let (halves, mut digits) = (u32::from(*halves), [u32::from_le_bytes(*least); BLOCK]);
    for byte in 0..halves / 2 {
        let more: &[u8; BLOCK];
        (more, rest) = rest.split_first_chunk()?;
        digits.iter_mut().zip(more).for_each(|(digits, &more)| *digits += u32::from(more) << (8 * byte));
    }
    if halves % 2 == 1 {
        let more: &[u8; HALF];
        (more, rest) = rest.split_first_chunk()?;
        let (low, high) = digits.split_at_mut(HALF);
        let place = 4 * (halves - 1);
        low.iter_mut().zip(more).for_each(|(digits, more)| *digits += u32::from(more & 0xf) << place);
        high.iter_mut().zip(more).for_each(|(digits, more)| *digits += u32::from(more >> 4) << place);
    }
    *block = digits.map(Capital::of_digits);
    Some(rest)
}

impl From<Vec<Capital>> for Holdings {
    fn from(capital: Vec<Capital>) -> Holdings {
        let mut holdings = Holdings { bets: capital.len(), bytes: Vec::new() };
        holdings.put(&capital);
        holdings
    }
}

impl From<Holdings> for Vec<Capital> {
    fn from(holdings: Holdings) -> Vec<Capital> {
        holdings.each()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_alike_takes_little_memory() {
        let held = |capital: f64| Holdings::from(vec![Capital::of(capital); 100]).bytes.len();
        assert_eq!([0.0, 7_880.0, 1e280].map(held), [10; 3]);
        assert_eq!(Holdings::nothing(33).each(), [Capital::default(); 33]);
    }

    proptest! {
        #[test]
        fn nothing_is_rounded(capital in prop::collection::vec(prop_oneof![
            Just(0.0), 7_879.0f64..7_881.0, 1f64..1e6, prop::num::f64::POSITIVE | prop::num::f64::SUBNORMAL,
        ], 0..1_200)) {
            let capital: Vec<Capital> = capital.into_iter().map(|held| Capital::of(held.abs())).collect();
            let mut holdings = Holdings::from(capital.clone());
            prop_assert_eq!(holdings.len(), capital.len());
            prop_assert_eq!(holdings.each(), capital.clone());
            prop_assert!(holdings.change(|held| held.iter().eq(&capital)));
            prop_assert_eq!(&holdings, &Holdings::from(capital.clone()));
            holdings.change(|held| held.fill(Capital::of(2.0)));
            prop_assert_eq!(holdings.each(), vec![Capital::of(2.0); capital.len()]);
        }
    }
}
