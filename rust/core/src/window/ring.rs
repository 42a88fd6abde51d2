//! Counts of slices that are over, oldest first, one after the other in one piece of memory: of each a length, and its bytes.

use crate::prefetch::prefetch;
use crate::sketch::groups::{Numbers, bytes, put};

/// Bytes of a length that room is made for.
const LENGTH: usize = 2;

/// The latest slices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ring {
    bytes: Vec<u8>,
    slices: u32,
}

// === impl Ring ===

impl Ring {
    pub fn len(&self) -> usize {
        self.slices as usize
    }

    /// Asks for the cache lines that it points to.
    pub fn prefetch(&self) {
        prefetch(self.bytes.as_slice());
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.slices = 0;
    }

    /// Slices, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let slice;
            (slice, rest) = first(rest)?;
            Some(slice)
        })
    }

    /// The oldest slice.
    pub fn oldest(&self) -> Option<&[u8]> {
        first(&self.bytes).map(|(slice, _)| slice)
    }

    pub fn forget_oldest(&mut self) {
        if let Some((_, rest)) = first(&self.bytes) {
            let end = self.bytes.len() - rest.len();
            self.bytes.drain(..end);
            self.slices -= 1;
        }
    }

    /// The newest slice, where there is one, cut down to so many bytes of it.
    pub fn cut_newest(&mut self, kept: impl FnOnce(&[u8]) -> usize) {
        let Some(newest) = self.iter().last() else { return };
        let (length, kept) = (newest.len(), kept(newest).min(newest.len()));
        let start = self.bytes.len() - length;
        self.bytes.truncate(start + kept);
        let start = start - bytes(length as u64);
        self.bytes.drain(start..start + bytes(length as u64) - bytes(kept as u64));
        put(&mut self.bytes[start..], 0, kept as u64);
    }

    /// Gives back memory that is not used.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// Puts a slice behind the others: what `write` writes, for which so much room is made. A little at a time, for it is
    /// never given back.
    pub fn push(&mut self, room: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.bytes.len();
        if self.bytes.capacity() - before < LENGTH + room {
            self.bytes.reserve_exact(LENGTH + room);
        }
        self.bytes.push(0);
        write(&mut self.bytes);
        let length = (self.bytes.len() - before - 1) as u64;
        (1..bytes(length)).for_each(|_| self.bytes.insert(before, 0));
        put(&mut self.bytes[before..], 0, length);
        self.slices += 1;
    }
}

/// The slice that bytes begin with, and the bytes behind it.
fn first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut numbers = Numbers::of(bytes);
    let length = (!bytes.is_empty()).then(|| numbers.take())?;
    numbers.rest().split_at_checked(usize::try_from(length).ok()?)
}

impl<S: AsRef<[u8]>> FromIterator<S> for Ring {
    fn from_iter<I: IntoIterator<Item = S>>(slices: I) -> Ring {
        let mut ring = Ring::default();
        let slices = slices.into_iter();
        slices.for_each(|slice| {
            ring.push(slice.as_ref().len(), |bytes| bytes.extend_from_slice(slice.as_ref()))
        });
        ring
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn slices_come_out_as_they_went_in(slices in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20), most in 1usize..6) {
            let (mut ring, mut expected) = (Ring::default(), VecDeque::new());
            for slice in &slices {
                if ring.len() == most {
                    prop_assert_eq!(ring.oldest().map(<[u8]>::to_vec), expected.pop_front());
                    ring.forget_oldest();
                }
                ring.push(slice.len(), |bytes| bytes.extend_from_slice(slice));
                expected.push_back(slice.clone());
                prop_assert_eq!(ring.len(), expected.len());
                prop_assert!(ring.iter().eq(expected.iter().map(Vec::as_slice)));
                ring.cut_newest(|newest| newest.len() / 3);
                expected.iter_mut().next_back().unwrap().truncate(slice.len() / 3);
                prop_assert!(ring.iter().eq(expected.iter().map(Vec::as_slice)));
            }
            prop_assert_eq!(ring.iter().collect::<Ring>(), ring);
        }
    }
}
