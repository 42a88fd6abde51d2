//! Small tables in registers, where the processor has vectors of sixteen numbers of 32 bits: a permutation looks up an entry
//! per lane.
//!
//! Up to 64 bounds fit into four registers, and a value finds its bin in three steps, which compare with eight of them.

use super::binning::BINS_MAX;
use super::real::CHUNK;
use fearless_simd::Simd;

/// Entries of a table that is looked up.
pub const ENTRIES: usize = 32;

/// How many of the first `bins` of ascending `ends`, which are padded with infinity, each value has reached, and one more
/// if it lies above `high`; `None` where the processor has no such vectors.
#[inline(always)]
pub fn reached<S: Simd>(
    simd: S,
    values: &[f32; CHUNK],
    ends: &[f32; BINS_MAX],
    bins: usize,
    high: f32,
) -> Option<[u32; CHUNK]> {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx512) = simd.level().as_avx512() {
        return Some(vectors::reached(avx512, values, ends, bins, high));
    }
    let _ = (simd, values, ends, bins, high);
    None
}

/// The entries of a table, by the lowest bits of the places.
#[inline(always)]
pub fn look_up<S: Simd>(simd: S, table: &[u32; ENTRIES], places: &[u32; CHUNK]) -> [u32; CHUNK] {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx512) = simd.level().as_avx512() {
        return vectors::look_up(avx512, table, places);
    }
    let _ = simd;
    places.map(|place| table[place as usize % ENTRIES])
}

#[cfg(target_arch = "x86_64")]
mod vectors {
    use super::{BINS_MAX, CHUNK, ENTRIES};
    use fearless_simd::{f32x16, prelude::*, u32x16};
    use std::arch::x86_64::{
        __m512, __m512i, _CMP_GE_OQ, _CMP_GT_OQ, _mm512_add_epi32, _mm512_cmp_ps_mask, _mm512_mask_add_epi32,
        _mm512_mask_blend_ps, _mm512_permutex2var_epi32, _mm512_permutex2var_ps, _mm512_set1_epi32,
        _mm512_set1_ps, _mm512_setzero_si512,
    };

    const LANES: usize = 16;

    /// Bounds in the first half of the registers.
    const HALF: usize = 2 * LANES;

    fearless_simd::kernel!(
        #[inline]
        pub fn reached(
            avx512: Avx512,
            values: &[f32; CHUNK],
            ends: &[f32; BINS_MAX],
            bins: usize,
            high: f32,
        ) -> [u32; CHUNK] {
            let part =
                |part: usize| -> __m512 { f32x16::from_slice(avx512, &ends[part * LANES..][..LANES]).into() };
            let (a, b, c, d) = (part(0), part(1), part(2), part(3));
            let (is_wide, high) = (bins > HALF, _mm512_set1_ps(high));
            let one = _mm512_set1_epi32(1);
            let mut found = [0; CHUNK];
            for (values, found) in values.chunks_exact(LANES).zip(found.chunks_exact_mut(LANES)) {
                let values: __m512 = f32x16::from_slice(avx512, values).into();
                let mut reached = _mm512_setzero_si512();
                // Whether a lane's bin is in the second half, and the bounds of its own half.
                let upper = if is_wide {
                    _mm512_cmp_ps_mask::<_CMP_GE_OQ>(values, _mm512_set1_ps(ends[HALF - 1]))
                } else {
                    0
                };
                let bound = |at| {
                    let lower_half = _mm512_permutex2var_ps(a, at, b);
                    if is_wide {
                        _mm512_mask_blend_ps(upper, lower_half, _mm512_permutex2var_ps(c, at, d))
                    } else {
                        lower_half
                    }
                };
                // Blocks of eight, then of two, then one by one: what is compared in a step need not wait for each other.
                for (bounds, size) in [(&[7, 15, 23][..], 8), (&[1, 3, 5], 2), (&[0, 1], 1)] {
                    let from = reached;
                    for &at in bounds {
                        let at = _mm512_add_epi32(from, _mm512_set1_epi32(at));
                        let is_reached = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(values, bound(at));
                        reached =
                            _mm512_mask_add_epi32(reached, is_reached, reached, _mm512_set1_epi32(size));
                    }
                }
                reached = _mm512_mask_add_epi32(reached, upper, reached, _mm512_set1_epi32(HALF as i32));
                let is_above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(values, high);
                reached = _mm512_mask_add_epi32(reached, is_above, reached, one);
                u32x16::simd_from(avx512, reached).store_slice(found);
            }
            found
        }
    );

    fearless_simd::kernel!(
        #[inline]
        pub fn look_up(avx512: Avx512, table: &[u32; ENTRIES], places: &[u32; CHUNK]) -> [u32; CHUNK] {
            let load = |part: &[u32]| -> __m512i { u32x16::from_slice(avx512, part).into() };
            let (low, high) = table.split_at(LANES);
            let (low, high) = (load(low), load(high));
            let mut found = [0; CHUNK];
            for (places, found) in places.chunks_exact(LANES).zip(found.chunks_exact_mut(LANES)) {
                let entries = _mm512_permutex2var_epi32(low, load(places), high);
                u32x16::simd_from(avx512, entries).store_slice(found);
            }
            found
        }
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use fearless_simd::{Level, dispatch};
    use proptest::prelude::*;

    #[test]
    fn places_look_up_entries_by_their_lowest_bits() {
        let table = std::array::from_fn(|entry| 3 * entry as u32);
        let places = std::array::from_fn(|lane| (7 * lane + (lane << 8)) as u32);
        let found = dispatch!(Level::new(), simd => look_up(simd, &table, &places));
        assert_eq!(found, places.map(|place| 3 * (place % ENTRIES as u32)));
    }

    proptest! {
        #[test]
        fn three_steps_find_what_comparing_with_every_bound_finds(
            mut bounds in prop::collection::vec(-50i16..50, 1..=BINS_MAX), values in prop::array::uniform32(-60i16..60),
        ) {
            bounds.sort_unstable();
            bounds.dedup();
            let (bins, high) = (bounds.len(), f32::from(bounds[bounds.len() - 1]) + 1.5);
            let mut ends = [f32::INFINITY; BINS_MAX];
            ends.iter_mut().zip(&bounds).for_each(|(end, &bound)| *end = f32::from(bound));
            let values = values.map(f32::from);
            let found = dispatch!(Level::new(), simd => reached(simd, &values, &ends, bins, high));
            let expected = values.map(|value| {
                let below = ends[..bins].iter().filter(|&&end| value >= end).count() as u32;
                below + u32::from(value > high)
            });
            prop_assert!(found.is_none_or(|found| found == expected));
        }
    }
}
