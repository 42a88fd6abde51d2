//! The two widths of a number. Most tensors hold the short one: half the memory to move, twice the values in a vector.
//!
//! What is counted of a value is the same in either width, bit for bit.

use super::binning::BINS_MAX;
use super::exact::Addends;
use super::exponential::Bucketed;
use super::permute;
use fearless_simd::{Simd, f32x16, f64x8, prelude::*, u32x16, u64x8};
use std::fmt::Debug;

/// Values looked at together.
pub const CHUNK: usize = 32;

/// Ascending lower bounds, padded with infinity, and the highest one, which still belongs to the last bin.
type Bounds<'a, R> = (&'a [R; BINS_MAX], R);

/// A float.
pub trait Real: Bucketed + Addends + Copy + PartialOrd + Debug + 'static {
    const INFINITY: Self;
    const NEG_INFINITY: Self;
    /// The largest finite one.
    const MOST: Self;

    fn wide(self) -> f64;

    /// The nearest one.
    fn nearest(value: f64) -> Self;

    fn magnitude(self) -> Self;

    fn is_negative(self) -> bool;

    /// The one of two that has this width.
    fn pick<'a>(narrow: Bounds<'a, f32>, wide: Bounds<'a, f64>) -> Bounds<'a, Self>;

    /// How many of the first `bins` bounds each value has reached, and one more if it lies above the highest.
    fn reached<S: Simd>(
        simd: S,
        values: &[Self; CHUNK],
        bounds: Bounds<'_, Self>,
        bins: usize,
    ) -> [u32; CHUNK];
}

macro_rules! real {
    ($real:ident, $vector:ident, $counter:ident, $unsigned:ident, $pick:ident, $search:path) => {
        impl Real for $real {
            const INFINITY: $real = $real::INFINITY;
            const NEG_INFINITY: $real = $real::NEG_INFINITY;
            const MOST: $real = $real::MAX;

            #[inline(always)]
            fn wide(self) -> f64 {
                f64::from(self)
            }

            #[inline(always)]
            fn nearest(value: f64) -> $real {
                value as $real
            }

            #[inline(always)]
            fn magnitude(self) -> $real {
                self.abs()
            }

            #[inline(always)]
            fn is_negative(self) -> bool {
                self.is_sign_negative()
            }

            #[inline(always)]
            fn pick<'a>(narrow: Bounds<'a, f32>, wide: Bounds<'a, f64>) -> Bounds<'a, $real> {
                $pick(narrow, wide)
            }

            #[inline(always)]
            fn reached<S: Simd>(
                simd: S,
                values: &[$real; CHUNK],
                (ends, high): Bounds<'_, $real>,
                bins: usize,
            ) -> [u32; CHUNK] {
                if let Some(found) = $search(simd, values, ends, bins, high) {
                    return found;
                }
                const LANES: usize = 64 / size_of::<$real>();
                let (one, none) = ($counter::splat(simd, 1), $counter::splat(simd, 0));
                let mut found = [0; CHUNK];
                // Two vectors at once, so that they need not wait for each other.
                for (values, found) in values.chunks_exact(2 * LANES).zip(found.chunks_exact_mut(2 * LANES)) {
                    let (a, b) = values.split_at(LANES);
                    let (a, b) = ($vector::from_slice(simd, a), $vector::from_slice(simd, b));
                    let (mut in_a, mut in_b) = (none, none);
                    for &end in ends.iter().take(bins) {
                        let end = $vector::splat(simd, end);
                        in_a += a.simd_ge(end).select(one, none);
                        in_b += b.simd_ge(end).select(one, none);
                    }
                    let high = $vector::splat(simd, high);
                    in_a += a.simd_gt(high).select(one, none);
                    in_b += b.simd_gt(high).select(one, none);
                    let mut counted: [$unsigned; 2 * LANES] = [0; 2 * LANES];
                    let (first, second) = counted.split_at_mut(LANES);
                    in_a.store_slice(first);
                    in_b.store_slice(second);
                    found.iter_mut().zip(counted).for_each(|(found, counted)| *found = counted as u32);
                }
                found
            }
        }
    };
}

real!(f32, f32x16, u32x16, u32, narrow_of, permute::reached);
real!(f64, f64x8, u64x8, u64, wide_of, not_searched);

#[inline(always)]
fn narrow_of<'a>(narrow: Bounds<'a, f32>, _: Bounds<'a, f64>) -> Bounds<'a, f32> {
    narrow
}

#[inline(always)]
fn wide_of<'a>(_: Bounds<'a, f32>, wide: Bounds<'a, f64>) -> Bounds<'a, f64> {
    wide
}

/// Bounds of long floats do not fit into registers.
#[inline(always)]
fn not_searched<S: Simd>(
    _: S,
    _: &[f64; CHUNK],
    _: &[f64; BINS_MAX],
    _: usize,
    _: f64,
) -> Option<[u32; CHUNK]> {
    None
}

/// Shows the values chunk by chunk, and how many of each are meant: the last one is filled up.
#[inline(always)]
pub fn chunks<R: Real>(values: &[R], mut visit: impl FnMut(&[R; CHUNK], usize)) {
    let (whole, rest) = values.as_chunks::<CHUNK>();
    for chunk in whole {
        visit(chunk, CHUNK);
    }
    if let Some(&first) = rest.first() {
        let mut last = [first; CHUNK];
        last.iter_mut().zip(rest).for_each(|(lane, value)| *lane = *value);
        visit(&last, rest.len());
    }
}

/// Shows the values as long floats, a block at a time.
pub fn widened<R: Real>(values: &[R], mut visit: impl FnMut(&[f64])) {
    let mut wide = [0.0; super::BLOCK];
    for block in values.chunks(super::BLOCK) {
        let wide = &mut wide[..block.len()];
        wide.iter_mut().zip(block).for_each(|(wide, value)| *wide = value.wide());
        visit(wide);
    }
}

/// The smallest short float that is not below.
pub fn at_least(value: f64) -> f32 {
    let nearest = value as f32;
    if f64::from(nearest) < value { nearest.next_up() } else { nearest }
}

/// The largest short float that is not above.
pub fn at_most(value: f64) -> f32 {
    let nearest = value as f32;
    if f64::from(nearest) > value { nearest.next_down() } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_beyond_the_short_floats_have_bounds_too() {
        assert_eq!((at_least(1e300), at_least(-1e300)), (f32::INFINITY, -f32::MAX));
        assert_eq!((at_most(1e300), at_most(-1e300)), (f32::MAX, f32::NEG_INFINITY));
        assert_eq!((at_least(1e-300), at_most(1e-300)), (f32::from_bits(1), 0.0));
    }

    #[test]
    fn the_last_chunk_is_filled_up_and_says_how_far() {
        let values: Vec<f32> = (0..70u8).map(f32::from).collect();
        let mut seen = Vec::new();
        chunks(&values, |chunk, taken| seen.extend_from_slice(&chunk[..taken]));
        assert_eq!(seen, values);
    }

    proptest! {
        #[test]
        fn a_short_float_compares_with_a_bound_as_with_what_it_stands_for(
            value in any::<f32>().prop_filter("finite", |value| value.is_finite()),
            edge in prop_oneof![any::<f64>().prop_filter("finite", |edge| edge.is_finite()), -1e3f64..1e3],
            near in any::<bool>(),
        ) {
            let edge = if near { f64::from(value) + edge * 1e-12 } else { edge };
            prop_assert_eq!(value >= at_least(edge), f64::from(value) >= edge);
            prop_assert_eq!(value > at_most(edge), f64::from(value) > edge);
        }
    }
}
