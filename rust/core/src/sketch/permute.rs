//! Small tables in registers, where the processor has vectors of sixteen numbers of 32 bits: a permutation looks up an entry
//! per lane.
//!
//! The bounds of 64 bins fit into four registers, and so do the ends of the buckets of a doubling into two.

use super::BLOCK;
use super::binning::BINS_MAX;
use super::exponential::Places;
use fearless_simd::Simd;

/// Entries of a table of the ends of buckets.
pub const ENTRIES: usize = 32;

/// The bounds of bins as a search tree: node i has the nodes 2i and 2i + 1 below it (Khuong and Morin, "Array layouts for
/// comparison-based searching", 2017). In front of the root the lowest bound, which is not in the tree.
pub fn tree(ends: &[f32; BINS_MAX]) -> [f32; BINS_MAX] {
    let mut tree = [ends[0]; BINS_MAX];
    for (node, bound) in tree.iter_mut().enumerate().skip(1) {
        let width = BINS_MAX >> node.ilog2();
        *bound = ends[(node * width + width / 2) % BINS_MAX];
    }
    tree
}

/// How many bounds of a [`tree`], which are padded with infinity, each of at most [`BLOCK`] values has reached, and one
/// more if it lies above `high`; `false` where the processor has no such vectors.
#[inline(always)]
pub fn reached<S: Simd>(
    simd: S,
    values: &[f32],
    tree: &[f32; BINS_MAX],
    high: f32,
    found: &mut [u8; BLOCK],
) -> bool {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx512) = simd.level().as_avx512() {
        vectors::reached(avx512, values, tree, high, found);
        return true;
    }
    let _ = (simd, values, tree, high, found);
    false
}

/// The cells of values in an exponential histogram, and whether all have one, at a scale for which `entries` are fine
/// enough; `None` where the processor has no such vectors.
#[inline(always)]
pub fn places<S: Simd>(
    simd: S,
    values: &[f32],
    scale: Places,
    entries: &[u32; ENTRIES],
    found: &mut [u16; BLOCK],
) -> Option<bool> {
    #[cfg(target_arch = "x86_64")]
    if let (Some(avx512), Some(shift)) = (simd.level().as_avx512(), scale.beyond_coarse()) {
        return Some(vectors::places(avx512, values, shift, scale.base, entries, found));
    }
    let _ = (simd, values, scale, entries, found);
    None
}

#[cfg(target_arch = "x86_64")]
mod vectors {
    use super::{BINS_MAX, BLOCK, ENTRIES};
    use crate::sketch::exponential::{BUCKETS, ZERO};
    use crate::sketch::lanes::each;
    use fearless_simd::{f32x16, prelude::*, u8x16, u16x16, u32x16};
    use std::arch::x86_64::{
        __m512, __m512i, _CMP_GE_OQ, _CMP_GT_OQ, _mm_cvtsi32_si128, _mm512_add_epi32, _mm512_and_si512,
        _mm512_castps_si512, _mm512_cmp_ps_mask, _mm512_cmpeq_epi32_mask, _mm512_cmplt_epu32_mask,
        _mm512_cvtepi32_epi8, _mm512_cvtepi32_epi16, _mm512_mask_add_epi32, _mm512_mask_blend_epi32,
        _mm512_mask_max_epu32, _mm512_movepi32_mask, _mm512_permutex2var_epi32, _mm512_permutex2var_ps,
        _mm512_permutexvar_ps, _mm512_reduce_max_epu32, _mm512_set1_epi32, _mm512_set1_ps,
        _mm512_setzero_si512, _mm512_slli_epi32, _mm512_sra_epi32, _mm512_srli_epi32, _mm512_sub_epi32,
    };

    const LANES: usize = 16;

    /// Vectors searched together: each step of a search waits for the one before it, but not for those of the others.
    const TOGETHER: usize = 4;

    fearless_simd::kernel!(
        #[inline]
        pub fn reached(
            avx512: Avx512,
            values: &[f32],
            tree: &[f32; BINS_MAX],
            high: f32,
            found: &mut [u8; BLOCK],
        ) {
            let load = |part: &[f32]| -> __m512 { f32x16::from_slice(avx512, part).into() };
            let part = |part: usize| load(&tree[part * LANES..][..LANES]);
            let (upper, middle, low, right) = (part(0), part(1), part(2), part(3));
            let (first, high) = (_mm512_set1_ps(tree[0]), _mm512_set1_ps(high));
            let one = _mm512_set1_epi32(1);
            let below = |node: __m512i, values: __m512, bound: __m512| {
                let is_reached = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(values, bound);
                let next = _mm512_add_epi32(node, node);
                _mm512_mask_add_epi32(next, is_reached, next, one)
            };
            each::<_, _, { TOGETHER * LANES }>(values, found, |values| {
                let mut vectors = [_mm512_set1_ps(0.0); TOGETHER];
                for (vector, values) in vectors.iter_mut().zip(values.chunks_exact(LANES)) {
                    *vector = load(values);
                }
                let mut nodes = [one; TOGETHER];
                for level in 0..6 {
                    for (node, &values) in nodes.iter_mut().zip(&vectors) {
                        let bound = match level {
                            0..4 => _mm512_permutexvar_ps(*node, upper),
                            4 => _mm512_permutexvar_ps(*node, middle),
                            _ => _mm512_permutex2var_ps(low, *node, right),
                        };
                        *node = below(*node, values, bound);
                    }
                }
                let mut found = [0; TOGETHER * LANES];
                for ((node, values), found) in
                    nodes.into_iter().zip(vectors).zip(found.chunks_exact_mut(LANES))
                {
                    // The leaves are numbered from 64 on.
                    let reached = _mm512_sub_epi32(node, _mm512_set1_epi32(BINS_MAX as i32));
                    let is_inside = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(values, first);
                    let reached = _mm512_mask_add_epi32(reached, is_inside, reached, one);
                    let is_above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(values, high);
                    let reached = _mm512_mask_add_epi32(reached, is_above, reached, one);
                    u8x16::simd_from(avx512, _mm512_cvtepi32_epi8(reached)).store_slice(found);
                }
                found
            });
        }
    );

    fearless_simd::kernel!(
        #[inline]
        pub fn places(
            avx512: Avx512,
            values: &[f32],
            shift: u32,
            bases: [i32; 2],
            entries: &[u32; ENTRIES],
            found: &mut [u16; BLOCK],
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
            each::<_, _, LANES>(values, found, |values| {
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
                let place = _mm512_mask_add_epi32(bucket, is_negative, bucket, splat(BUCKETS as i32));
                let place = _mm512_mask_blend_epi32(is_zero, place, splat(ZERO as i32));
                u16x16::simd_from(avx512, _mm512_cvtepi32_epi16(place)).to_array()
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

    proptest! {
        #[test]
        fn the_tree_finds_what_comparing_with_every_bound_finds(
            mut bounds in prop::collection::vec(-50i16..50, 1..=BINS_MAX), values in prop::collection::vec(-60i16..60, 0..BLOCK),
        ) {
            bounds.sort_unstable();
            bounds.dedup();
            let high = f32::from(bounds[bounds.len() - 1]) + 1.5;
            let mut ends = [f32::INFINITY; BINS_MAX];
            ends.iter_mut().zip(&bounds).for_each(|(end, &bound)| *end = f32::from(bound));
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let mut found = [0; BLOCK];
            let can = dispatch!(Level::new(), simd => reached(simd, &values, &tree(&ends), high, &mut found));
            for (value, found) in values.into_iter().zip(found).filter(|_| can) {
                let below = ends.iter().filter(|&&end| value >= end).count();
                prop_assert_eq!(usize::from(found), below + usize::from(value > high));
            }
        }
    }
}
