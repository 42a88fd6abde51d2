//! The two widths of a number. Most tensors hold the short one: half the memory to move, twice the values in a vector.
//!
//! What is counted of a value is the same in either width, bit for bit.

use super::exact::Addends;
use super::exponential::Bucketed;
use super::extent::Extent;
use super::permute::{self, PART};
use super::{BLOCK, lanes};
use fearless_simd::{Simd, f32x16, f64x8, prelude::*, u32x16, u64x8};
use std::fmt::Debug;

/// Where bins begin.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a, R> {
    /// Lower ends, ascending.
    pub lower: &'a [R],
    /// The highest bound, which still belongs to the last bin.
    pub high: R,
    /// Whether the bounds are the same numbers in either width.
    pub is_short: bool,
    /// The lower ends of short floats as a [tree](permute::tree), and the same as they come, padded with infinity.
    pub tree: &'a [f32],
    pub sorted: &'a [f32],
}

/// A float.
pub trait Real: Bucketed + Addends + Copy + PartialOrd + Debug + 'static {
    const INFINITY: Self;
    const NEG_INFINITY: Self;
    /// The largest finite one.
    const MOST: Self;
    /// How many fit into a vector.
    const LANES: usize;

    fn wide(self) -> f64;

    /// The nearest one.
    fn nearest(value: f64) -> Self;

    fn magnitude(self) -> Self;

    fn is_negative(self) -> bool;

    fn extent<S: Simd>(simd: S, values: &[Self]) -> Extent<Self>;

    /// Turns a square of a table: the first [`Real::LANES`] values of as many rows, `width` apart, become parts of columns,
    /// from `at` on.
    fn turn<S: Simd, const HEIGHT: usize>(
        simd: S,
        rows: &[Self],
        width: usize,
        columns: &mut [[Self; HEIGHT]],
        at: usize,
    );

    /// The one of two that has this width.
    fn pick<'a>(narrow: Bounds<'a, f32>, wide: Bounds<'a, f64>) -> Bounds<'a, Self>;

    /// How many lower ends each of at most [`PART`] values has reached, and one more if it lies above the highest bound.
    fn reached<S: Simd>(simd: S, values: &[Self], bounds: Bounds<'_, Self>, found: &mut [u8; PART]);

    /// Replaces by `mark` how many lower ends a value has reached, if it lies in a bin and is none of them; `false` where
    /// that is not done for many at once.
    fn mark_others<S: Simd>(
        simd: S,
        values: &[Self],
        bounds: Bounds<'_, Self>,
        mark: u8,
        reached: &mut [u8; PART],
    ) -> bool;
}

macro_rules! real {
    ($real:ident, $vector:ident, $counter:ident, $unsigned:ident, $pick:ident, $search:path, $mark:path) => {
        impl Real for $real {
            const INFINITY: $real = $real::INFINITY;
            const NEG_INFINITY: $real = $real::NEG_INFINITY;
            const MOST: $real = $real::MAX;
            const LANES: usize = 64 / size_of::<$real>();

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
            fn extent<S: Simd>(simd: S, values: &[$real]) -> Extent<$real> {
                let splat = |value| $vector::splat(simd, value);
                let (zero, infinity, largest) = (splat(0.0), splat($real::INFINITY), splat($real::MAX));
                let (mut min, mut max, mut least) = (infinity, -infinity, infinity);
                let mut is_finite = zero.simd_eq(zero);
                lanes::chunks(
                    values,
                    #[inline(always)]
                    |_, chunk, _| {
                        let values = $vector::load_array_ref(simd, chunk);
                        let sizes = values.abs();
                        (min, max) = (min.min(values), max.max(values));
                        least = least.min(sizes.simd_eq(zero).select(infinity, sizes));
                        is_finite &= sizes.simd_le(largest);
                    },
                );
                let (min, max, least) = (min.reduce_min(), max.reduce_max(), least.reduce_min());
                Extent { min, max, least, is_finite: is_finite.all_true() }
            }

            #[inline(always)]
            fn turn<S: Simd, const HEIGHT: usize>(
                simd: S,
                rows: &[$real],
                width: usize,
                columns: &mut [[$real; HEIGHT]],
                at: usize,
            ) {
                const LANES: usize = <$real as Real>::LANES;
                let mut square = [$vector::splat(simd, 0.0); LANES];
                for (vector, row) in square.iter_mut().zip(rows.chunks(width)) {
                    if let Some(row) = row.first_chunk() {
                        *vector = $vector::load_array_ref(simd, row);
                    }
                }
                // Every round interleaves the first half of the vectors with the second.
                for _ in 0..LANES.ilog2() {
                    let before = square;
                    for pair in 0..LANES / 2 {
                        square[2 * pair] = before[pair].zip_low(before[pair + LANES / 2]);
                        square[2 * pair + 1] = before[pair].zip_high(before[pair + LANES / 2]);
                    }
                }
                for (vector, column) in square.into_iter().zip(columns) {
                    if let Some(part) = column.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
                        vector.store_array(part);
                    }
                }
            }

            #[inline(always)]
            fn pick<'a>(narrow: Bounds<'a, f32>, wide: Bounds<'a, f64>) -> Bounds<'a, $real> {
                $pick(narrow, wide)
            }

            #[inline(always)]
            fn mark_others<S: Simd>(
                simd: S,
                values: &[$real],
                bounds: Bounds<'_, $real>,
                mark: u8,
                reached: &mut [u8; PART],
            ) -> bool {
                $mark(simd, values, bounds, mark, reached)
            }

            #[inline(always)]
            fn reached<S: Simd>(
                simd: S,
                values: &[$real],
                bounds: Bounds<'_, $real>,
                found: &mut [u8; PART],
            ) {
                if $search(simd, values, bounds, found) {
                    return;
                }
                const LANES: usize = <$real as Real>::LANES;
                let (one, none) = ($counter::splat(simd, 1), $counter::splat(simd, 0));
                let high = $vector::splat(simd, bounds.high);
                // Two vectors at once, so that they need not wait for each other.
                lanes::each::<_, _, { 2 * LANES }, PART>(
                    values,
                    found,
                    #[inline(always)]
                    |values| {
                        let (a, b) = values.split_at(LANES);
                        let (a, b) = ($vector::from_slice(simd, a), $vector::from_slice(simd, b));
                        let (mut in_a, mut in_b) = (none, none);
                        for &end in bounds.lower {
                            let end = $vector::splat(simd, end);
                            in_a += a.simd_ge(end).select(one, none);
                            in_b += b.simd_ge(end).select(one, none);
                        }
                        in_a += a.simd_gt(high).select(one, none);
                        in_b += b.simd_gt(high).select(one, none);
                        let mut counted: [$unsigned; 2 * LANES] = [0; 2 * LANES];
                        let (first, second) = counted.split_at_mut(LANES);
                        in_a.store_slice(first);
                        in_b.store_slice(second);
                        counted.map(|counted| counted as u8)
                    },
                );
            }
        }
    };
}

real!(f32, f32x16, u32x16, u32, narrow_of, in_tree, mark_short);
real!(f64, f64x8, u64x8, u64, wide_of, not_searched, not_marked);

#[inline(always)]
fn narrow_of<'a>(narrow: Bounds<'a, f32>, _: Bounds<'a, f64>) -> Bounds<'a, f32> {
    narrow
}

#[inline(always)]
fn wide_of<'a>(_: Bounds<'a, f32>, wide: Bounds<'a, f64>) -> Bounds<'a, f64> {
    wide
}

#[inline(always)]
fn in_tree<S: Simd>(simd: S, values: &[f32], bounds: Bounds<'_, f32>, found: &mut [u8; PART]) -> bool {
    permute::reached(simd, values, bounds.tree, bounds.high, found)
}

/// Bounds of long floats do not fit into registers.
#[inline(always)]
fn not_searched<S: Simd>(_: S, _: &[f64], _: Bounds<'_, f64>, _: &mut [u8; PART]) -> bool {
    false
}

#[inline(always)]
fn mark_short<S: Simd>(
    simd: S,
    values: &[f32],
    bounds: Bounds<'_, f32>,
    mark: u8,
    reached: &mut [u8; PART],
) -> bool {
    bounds.is_short && permute::mark_others(simd, values, bounds.sorted, bounds.lower.len(), mark, reached)
}

#[inline(always)]
fn not_marked<S: Simd>(_: S, _: &[f64], _: Bounds<'_, f64>, _: u8, _: &mut [u8; PART]) -> bool {
    false
}

/// Shows the values as long floats, a block at a time.
pub fn widened<R: Real>(values: &[R], mut visit: impl FnMut(&[f64])) {
    let mut wide = [0.0; BLOCK];
    for block in values.chunks(BLOCK) {
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
