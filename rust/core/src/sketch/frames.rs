//! Whole numbers that are about the same, in fewer bytes than [groups](super::groups) of bits: of sixteen of them the least,
//! and how much more the others are, with as many bits as the largest needs (frame of reference; Goldstein, Ramakrishnan
//! and Shaft, "Compressing relations and indexes", ICDE 1998). For what is hardly ever read.

use super::groups::{Numbers, write_word};

/// Numbers in a frame.
const FRAME: usize = 16;

/// Says that what follows is as it was.
const AS_IT_WAS: u8 = 0;

/// The same numbers, which were in groups of bits, in frames; nothing of nothing.
pub fn framed(groups: &[u8]) -> Vec<u8> {
    let in_frames = in_frames(groups).filter(|frames| frames.len() <= groups.len());
    match in_frames {
        Some(frames) => frames,
        None if groups.is_empty() => Vec::new(),
        None => [&[AS_IT_WAS], groups].concat(),
    }
}

/// What was [framed], as it was.
pub fn unframed(frames: &[u8]) -> Vec<u8> {
    let Some((&count, mut rest)) = frames.split_first() else { return Vec::new() };
    if count == AS_IT_WAS {
        return rest.to_vec();
    }
    let (mut groups, mut left) = (Vec::with_capacity(4 * usize::from(count)), usize::from(count));
    while left > 0 {
        let numbers = left.min(FRAME);
        rest = unframe(rest, numbers, &mut groups);
        left -= numbers;
    }
    groups
}

/// How many there are, and the frames; `None` when there are too many, or one is too large.
fn in_frames(groups: &[u8]) -> Option<Vec<u8>> {
    let (mut numbers, mut all) = (Numbers::of(groups), Vec::new());
    while !numbers.is_empty() {
        all.push(u64::try_from(numbers.take()).ok()?);
    }
    let count = u8::try_from(all.len()).ok().filter(|&count| count != AS_IT_WAS)?;
    let mut frames = vec![count];
    all.chunks(FRAME).for_each(|frame| put(frame, &mut frames));
    Some(frames)
}

fn put(frame: &[u64], frames: &mut Vec<u8>) {
    let least = frame.iter().copied().min().unwrap_or(0);
    let all = frame.iter().fold(0, |all, number| all | (number - least));
    let width = u64::BITS - all.leading_zeros();
    frames.push(width as u8);
    write_word(frames, least);
    let (mut waiting, mut bits) = (0u128, 0);
    for number in frame {
        waiting |= u128::from(number - least) << bits;
        bits += width;
        while bits >= u8::BITS {
            frames.push(waiting as u8);
            waiting >>= u8::BITS;
            bits -= u8::BITS;
        }
    }
    if bits > 0 {
        frames.push(waiting as u8);
    }
}

/// Writes the numbers of a frame in groups; the frames behind it.
fn unframe<'a>(frames: &'a [u8], numbers: usize, groups: &mut Vec<u8>) -> &'a [u8] {
    let Some((&width, rest)) = frames.split_first() else { return &[] };
    let (width, mut head) = (u32::from(width).min(u64::BITS), Numbers::of(rest));
    let least = head.take() as u64;
    let (frame, behind) =
        head.rest().split_at_checked((numbers * width as usize).div_ceil(8)).unwrap_or_default();
    let mut frame = frame.iter();
    let (mut waiting, mut bits) = (0u128, 0);
    for _ in 0..numbers {
        while bits < width {
            waiting |= u128::from(frame.next().copied().unwrap_or(0)) << bits;
            bits += u8::BITS;
        }
        let more = waiting & ((1 << width) - 1);
        waiting >>= width;
        bits -= width;
        write_word(groups, least.wrapping_add(more as u64));
    }
    behind
}

#[cfg(test)]
mod tests {
    use super::super::groups::write;
    use super::*;
    use proptest::prelude::*;

    fn groups(numbers: impl IntoIterator<Item = u128>) -> Vec<u8> {
        let mut bytes = Vec::new();
        numbers.into_iter().for_each(|number| write(&mut bytes, number));
        bytes
    }

    #[test]
    fn numbers_that_are_about_the_same_take_few_bytes() {
        let numbers = groups((0..32).map(|number| 1_000_000 + number));
        assert_eq!((numbers.len(), framed(&numbers).len()), (96, 1 + 2 * (1 + 3 + 8)));
        assert_eq!(framed(&groups([0; 200])).len(), 1 + 13 * 2);
    }

    proptest! {
        #[test]
        fn what_was_framed_comes_back(numbers in prop::collection::vec(prop_oneof![
            9 => 0u128..3, 9 => 900u128..1_100, 9 => 0..=u128::from(u64::MAX), 1 => any::<u128>(),
        ], 0..300)) {
            let numbers = groups(numbers);
            let frames = framed(&numbers);
            prop_assert!(frames.len() <= numbers.len() + 1);
            prop_assert_eq!(unframed(&frames), numbers);
        }

        #[test]
        fn wild_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            unframed(&bytes);
        }
    }
}
