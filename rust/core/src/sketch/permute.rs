//! Small tables in registers, where the processor has vectors of sixteen numbers of 32 bits: a permutation looks up an entry
//! per lane.
//!
//! The bounds of 64 bins fit into four registers, and so do the ends of the buckets of a doubling into two.

use super::exponential::Scale;
use fearless_simd::Simd;

/// Entries of a table of the ends of buckets.
pub const ENTRIES: usize = 32;

/// Values searched for at a time.
pub const PART: usize = 128;

/// How many bounds a search tree may have.
pub const SIZES: [usize; 3] = [16, 32, 64];

/// The bounds of bins, of which there are one of these [`SIZES`], as a search tree: node i has node 2i above it and node
/// 2i + 1 below (Khuong and Morin, "Array layouts for comparison-based searching", 2017, in descending order). In front
/// of the root the lowest bound, which is not in the tree.
pub fn tree(ends: &[f32]) -> Vec<f32> {
    let end_of = |node: usize| {
        let level = node.checked_ilog2()?;
        let (nodes, width) = (1 << level, ends.len() >> level);
        let from_below = 2 * nodes - 1 - node;
        ends.get(from_below * width + width / 2)
    };
    let first = ends.first().into_iter();
    first.chain((1..ends.len()).filter_map(end_of)).copied().collect()
}

/// How many bounds of a [`tree`], which are padded with infinity, each of at most [`PART`] values has reached, and one
/// more if it lies above `high`; `false` where the processor has no such vectors.
#[inline(always)]
pub fn reached<S: Simd>(simd: S, values: &[f32], tree: &[f32], high: f32, found: &mut [u8; PART]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx512) = simd.level().as_avx512() {
        vectors::reached(avx512, values, tree, high, found);
        return true;
    }
    let _ = (simd, values, tree, high, found);
    false
}

/// Replaces by `mark` how many bounds a value has reached, where that is some of the first `bins` but none equals the value.
/// `false` where the processor has no such vectors.
#[inline(always)]
pub fn mark_others<S: Simd>(
    simd: S,
    values: &[f32],
    ends: &[f32],
    bins: usize,
    mark: u8,
    reached: &mut [u8; PART],
) -> bool {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx512) = simd.level().as_avx512() {
        vectors::mark_others(avx512, values, ends, bins, mark, reached);
        return true;
    }
    let _ = (simd, values, ends, bins, mark, reached);
    false
}

/// The cells of values in an exponential histogram, and whether all have one, at a scale for which `entries` are fine
/// enough; `None` where the processor has no such vectors.
#[inline(always)]
pub fn cells<S: Simd>(
    simd: S,
    values: &[f32],
    scale: Scale,
    entries: &[u32; ENTRIES],
    found: &mut [u16; PART],
) -> Option<bool> {
    #[cfg(target_arch = "x86_64")]
    if let (Some(avx512), Some(shift)) = (simd.level().as_avx512(), scale.beyond_coarse()) {
        return Some(vectors::cells(avx512, values, shift, scale.base, entries, found));
    }
    let _ = (simd, values, scale, entries, found);
    None
}

#[cfg(target_arch = "x86_64")]
mod vectors {
    use super::{ENTRIES, PART};
    use crate::sketch::exponential::{BUCKETS, ZERO};
    use crate::sketch::lanes::{chunks, each};
    use fearless_simd::{f32x16, prelude::*, u8x16, u16x16, u32x16};
    use std::arch::x86_64::{
        __m512, __m512i, _CMP_GE_OQ, _CMP_GT_OQ, _CMP_NEQ_UQ, _mm_cvtsi32_si128, _mm512_add_epi32,
        _mm512_add_ps, _mm512_and_si512, _mm512_castps_si512, _mm512_cmp_ps_mask, _mm512_cmpeq_epi32_mask,
        _mm512_cmplt_epu32_mask, _mm512_cvtepi32_epi8, _mm512_cvtepi32_epi16, _mm512_cvtepu8_epi32,
        _mm512_mask_add_epi32, _mm512_mask_blend_epi32, _mm512_mask_blend_ps, _mm512_mask_cmp_ps_mask,
        _mm512_mask_max_epu32, _mm512_movepi32_mask, _mm512_permutex2var_epi32, _mm512_permutex2var_ps,
        _mm512_permutexvar_ps, _mm512_reduce_max_epu32, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
        _mm512_setzero_si512, _mm512_shldi_epi32, _mm512_slli_epi32, _mm512_sra_epi32, _mm512_srli_epi32,
        _mm512_sub_epi32, _mm512_sub_ps, _mm512_test_epi32_mask,
    };

    const LANES: usize = 16;

    fearless_simd::kernel!(
        #[inline]
        pub fn reached(avx512: Avx512, values: &[f32], tree: &[f32], high: f32, found: &mut [u8; PART]) {
            let (parts, _) = tree.as_chunks::<LANES>();
            let Some([first, ..]) = parts.first() else { return };
            let part = |part: usize| -> __m512 {
                f32x16::load_array_ref(avx512, parts.get(part).unwrap_or(&[f32::INFINITY; LANES])).into()
            };
            let (upper, middle, low, right) = (part(0), part(1), part(2), part(3));
            let (first, high) = (_mm512_set1_ps(*first), _mm512_set1_ps(high));
            // Leaves are numbered from above, behind all nodes.
            let lowest = _mm512_set1_epi32(2 * (LANES * parts.len()) as i32 - 1);
            let (zero, one) = (_mm512_setzero_ps(), _mm512_set1_epi32(1));
            // The sign of a difference tells which way to go, and is shifted into the number of the node. It is right for
            // all finite values: a difference of two floats is never rounded to zero. (-0.0 becomes 0.0 before.)
            let next = |node: __m512i, values: __m512, bound: __m512| {
                _mm512_shldi_epi32::<1>(node, _mm512_castps_si512(_mm512_sub_ps(values, bound)))
            };
            each::<_, _, LANES, PART>(values, found, |values| {
                let values = _mm512_add_ps(f32x16::load_array_ref(avx512, values).into(), zero);
                let mut node = one;
                for _ in 0..4 {
                    node = next(node, values, _mm512_permutexvar_ps(node, upper));
                }
                if parts.len() > 1 {
                    node = next(node, values, _mm512_permutexvar_ps(node, middle));
                }
                if parts.len() > 2 {
                    node = next(node, values, _mm512_permutex2var_ps(low, node, right));
                }
                let reached = _mm512_sub_epi32(lowest, node);
                let is_inside = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(values, first);
                let reached = _mm512_mask_add_epi32(reached, is_inside, reached, one);
                let is_above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(values, high);
                let reached = _mm512_mask_add_epi32(reached, is_above, reached, one);
                u8x16::simd_from(avx512, _mm512_cvtepi32_epi8(reached)).to_array()
            });
        }
    );

    fearless_simd::kernel!(
        #[inline]
        pub fn mark_others(
            avx512: Avx512,
            values: &[f32],
            ends: &[f32],
            bins: usize,
            mark: u8,
            reached: &mut [u8; PART],
        ) {
            let (parts, _) = ends.as_chunks::<LANES>();
            let part = |part: usize| -> __m512 {
                f32x16::load_array_ref(avx512, parts.get(part).unwrap_or(&[f32::INFINITY; LANES])).into()
            };
            let (a, b, c, d) = (part(0), part(1), part(2), part(3));
            let (bins, mark) = (_mm512_set1_epi32(bins as i32), _mm512_set1_epi32(mark.into()));
            let (one, half) = (_mm512_set1_epi32(1), _mm512_set1_epi32(2 * LANES as i32));
            chunks::<_, LANES>(values, |start, values, _| {
                let Some(reached) = reached.get_mut(start..).and_then(|rest| rest.first_chunk_mut()) else {
                    return;
                };
                let values = f32x16::load_array_ref(avx512, values).into();
                let found = _mm512_cvtepu8_epi32(u8x16::load_array_ref(avx512, reached).into());
                let last = _mm512_sub_epi32(found, one);
                let (lower, upper) = (_mm512_permutex2var_ps(a, last, b), _mm512_permutex2var_ps(c, last, d));
                let bound = _mm512_mask_blend_ps(_mm512_test_epi32_mask(last, half), lower, upper);
                let is_inside = _mm512_cmplt_epu32_mask(last, bins);
                let is_other = _mm512_mask_cmp_ps_mask::<_CMP_NEQ_UQ>(is_inside, values, bound);
                let found = _mm512_mask_blend_epi32(is_other, found, mark);
                u8x16::simd_from(avx512, _mm512_cvtepi32_epi8(found)).store_array(reached);
            });
        }
    );

    fearless_simd::kernel!(
        #[inline]
        pub fn cells(
            avx512: Avx512,
            values: &[f32],
            shift: u32,
            bases: [i32; 2],
            entries: &[u32; ENTRIES],
            found: &mut [u16; PART],
        ) -> bool {
            /// As many buckets to a doubling as half the entries.
            const OCTAVE: u32 = ENTRIES.ilog2() - 1;
            const BITS: u32 = f32::MANTISSA_DIGITS - 1;
            const SLOT_BITS: u32 = ENTRIES.ilog2();
            let load = |part: &[u32]| -> __m512i { u32x16::from_slice(avx512, part).into() };
            let splat = |value: i32| _mm512_set1_epi32(value);
            let (lower, upper) = entries.split_at(LANES);
            let (lower, upper) = (load(lower), load(upper));
            let shift = _mm_cvtsi32_si128(shift as i32);
            let [positive, negative] = bases.map(splat);
            let mut farthest = _mm512_setzero_si512();
            let mut has_tiny = 0;
            each::<_, _, LANES, PART>(values, found, |values| {
                let values: __m512 = f32x16::load_array_ref(avx512, values).into();
                let bits = _mm512_castps_si512(values);
                let magnitude = _mm512_and_si512(bits, splat(i32::MAX));
                let before = _mm512_sub_epi32(magnitude, splat(1));
                let entry = _mm512_permutex2var_epi32(
                    lower,
                    _mm512_srli_epi32::<{ BITS - SLOT_BITS }>(before),
                    upper,
                );
                let mantissa = _mm512_and_si512(before, splat((1 << BITS) - 1));
                let bucket = _mm512_srli_epi32::<BITS>(_mm512_add_epi32(entry, mantissa));
                let octave = _mm512_sub_epi32(_mm512_srli_epi32::<BITS>(before), splat(f32::MAX_EXP - 1));
                let index = _mm512_add_epi32(_mm512_slli_epi32::<OCTAVE>(octave), bucket);
                let is_negative = _mm512_movepi32_mask(bits);
                let base = _mm512_mask_blend_epi32(is_negative, positive, negative);
                let bucket = _mm512_sub_epi32(_mm512_sra_epi32(index, shift), base);
                let is_zero = _mm512_cmpeq_epi32_mask(magnitude, _mm512_setzero_si512());
                has_tiny |= _mm512_cmplt_epu32_mask(before, splat(f32::MIN_POSITIVE.to_bits() as i32));
                farthest = _mm512_mask_max_epu32(farthest, !is_zero, farthest, bucket);
                let cell = _mm512_mask_add_epi32(bucket, is_negative, bucket, splat(BUCKETS as i32));
                let cell = _mm512_mask_blend_epi32(is_zero, cell, splat(ZERO as i32));
                u16x16::simd_from(avx512, _mm512_cvtepi32_epi16(cell)).to_array()
            });
            has_tiny == 0 && _mm512_reduce_max_epu32(farthest) < BUCKETS as u32
        }
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use fearless_simd::{Level, dispatch};
    use proptest::prelude::*;

    #[test]
    fn the_smallest_differences_are_told_apart() {
        for size in SIZES {
            let ends: Vec<f32> = (0..size as u32).map(f32::from_bits).collect();
            for bits in 0..100 {
                for value in [f32::from_bits(bits), -f32::from_bits(bits), f32::MAX, -f32::MAX] {
                    let mut found = [0; PART];
                    let can = dispatch!(
                        Level::new(),
                        simd => reached(simd, &[value], &tree(&ends), 1.0, &mut found)
                    );
                    let below = ends.iter().filter(|&&end| value >= end).count();
                    let expected = below + usize::from(value > 1.0);
                    assert!(!can || usize::from(found[0]) == expected, "{value}: {}", found[0]);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_tree_finds_what_comparing_with_every_bound_finds(
            mut bounds in prop::collection::vec(-50i16..50, 1..=SIZES[2]), values in prop::collection::vec(-60i16..60, 0..PART),
        ) {
            bounds.sort_unstable();
            bounds.dedup();
            let high = f32::from(bounds[bounds.len() - 1]) + 1.5;
            let size = SIZES.into_iter().find(|&size| size >= bounds.len()).unwrap();
            let mut ends = vec![f32::INFINITY; size];
            ends.iter_mut().zip(&bounds).for_each(|(end, &bound)| *end = f32::from(bound));
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let mut found = [0; PART];
            let can = dispatch!(Level::new(), simd => reached(simd, &values, &tree(&ends), high, &mut found));
            for (value, found) in values.into_iter().zip(found).filter(|_| can) {
                let below = ends.iter().filter(|&&end| value >= end).count();
                prop_assert_eq!(usize::from(found), below + usize::from(value > high));
            }
        }
    }
}
