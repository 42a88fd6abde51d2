//! Values looked at together, in the lanes of vectors.

use std::ops::Range;

/// Shows all values, `LANES` at a time: where they begin, and which lanes were not shown before.
///
/// The last ones are shown with some of those before them, so that they need not be copied and no lane is empty; fewer
/// than there are lanes are filled up with the first of them.
#[inline(always)]
pub fn chunks<T: Copy, const LANES: usize>(
    values: &[T],
    mut visit: impl FnMut(usize, &[T; LANES], Range<usize>),
) {
    let (whole, rest) = values.as_chunks::<LANES>();
    for (position, chunk) in whole.iter().enumerate() {
        visit(position * LANES, chunk, 0..LANES);
    }
    if rest.is_empty() {
        return;
    }
    if let Some(last) = values.last_chunk::<LANES>() {
        visit(values.len() - LANES, last, LANES - rest.len()..LANES);
    } else {
        let mut filled = [rest[0]; LANES];
        filled.iter_mut().zip(rest).for_each(|(lane, value)| *lane = *value);
        visit(0, &filled, 0..rest.len());
    }
}

/// What is found of each of at most `COUNT` values, `LANES` of them at a time.
#[inline(always)]
pub fn each<T: Copy, U: Copy, const LANES: usize, const COUNT: usize>(
    values: &[T],
    found: &mut [U; COUNT],
    mut find: impl FnMut(&[T; LANES]) -> [U; LANES],
) {
    chunks(
        values,
        #[inline(always)]
        |start, chunk, _| {
            if let Some(found) = found.get_mut(start..).and_then(|rest| rest.first_chunk_mut()) {
                *found = find(chunk);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::BLOCK;

    #[test]
    fn every_value_is_new_once_and_in_order() {
        for count in 0..100 {
            let values: Vec<usize> = (0..count).collect();
            let mut shown = Vec::new();
            chunks::<_, 16>(&values, |start, chunk, new| {
                assert!(chunk.iter().all(|value| values.contains(value)));
                assert!(new.clone().all(|lane| chunk[lane] == start + lane));
                shown.extend_from_slice(&chunk[new]);
            });
            assert_eq!(shown, values);
        }
    }

    #[test]
    fn what_is_found_stands_where_its_value_stood() {
        for count in [0, 1, 15, 16, 17, 200, BLOCK] {
            let values: Vec<usize> = (0..count).collect();
            let mut found = [0; BLOCK];
            each::<_, _, 16, _>(&values, &mut found, |chunk| chunk.map(|value| value + 1));
            assert!(values.iter().zip(found).all(|(value, found)| found == value + 1));
        }
    }
}
