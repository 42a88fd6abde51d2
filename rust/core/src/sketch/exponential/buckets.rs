//! The counters of an exponential histogram.

use super::index::{SCALE_MAX, Scale, index_of};
use super::recent::Recent;
use super::{BucketRange, ExponentialSnapshot};
use crate::prefetch::prefetch;
use crate::sketch::Sketch;
use crate::sketch::groups::{self, Numbers};
use crate::sketch::permute::PART;
use crate::sketch::real::Real;
use fearless_simd::{Level, dispatch};
use serde::{Deserialize, Serialize};

/// Most buckets per sign: OpenTelemetry's default.
pub const BUCKETS: usize = 160;

/// Fewest values that are worth looking at together.
const TOGETHER_MIN: usize = 4;

/// Cell of zero, behind the positive and the negative buckets.
pub const ZERO: usize = 2 * BUCKETS;

/// Counts by bucket.
///
/// Counting changes the low bytes of what is recent and nothing else, most of the time: with thousands of features it is
/// cache lines that take the time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "Stored", from = "Stored")]
pub struct Buckets {
    count: u64,
    /// How far the scale has fallen from [`SCALE_MAX`].
    shift: u32,
    /// Index of the first bucket, positive and negative.
    base: [i32; 2],
    /// Positive buckets, negative buckets, zero, in [groups] of seven bits: they are added to once in thirty thousand
    /// values. Empty until something was gathered there.
    cells: Vec<u8>,
    recent: Recent,
}

/// The same as a state file has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    count: u64,
    shift: u32,
    base: [i32; 2],
    cells: Vec<u64>,
}

/// Cells that can be added to.
type Cells = [u64; ZERO + 1];

// === impl Stored ===

impl From<Buckets> for Stored {
    fn from(buckets: Buckets) -> Stored {
        let cells = if buckets.count == 0 { Vec::new() } else { buckets.all().to_vec() };
        Stored { count: buckets.count, shift: buckets.shift, base: buckets.base, cells }
    }
}

impl From<Stored> for Buckets {
    fn from(stored: Stored) -> Buckets {
        let Stored { count, shift, base, cells } = stored;
        let mut bytes = Vec::new();
        cells.into_iter().for_each(|cell| groups::write_word(&mut bytes, cell));
        Buckets { count, shift, base, cells: bytes, recent: Recent::default() }
    }
}

// === impl Buckets ===

impl Buckets {
    /// Whether all of it is in its place: what was stored may not have been.
    pub fn is_sound(&self) -> bool {
        const FIRST: i32 = -1_200 << SCALE_MAX;
        (self.cells.is_empty() || groups::holds(&self.cells, ZERO + 1))
            && self.shift <= 16
            && self.base.iter().all(|base| (FIRST..=-FIRST).contains(base))
            && self.all().iter().try_fold(0u64, |sum, &cell| sum.checked_add(cell)) == Some(self.count)
    }

    /// Asks for the cache lines that counting needs, most of the time.
    pub fn prefetch(&self) {
        prefetch(&self.base);
        self.recent.prefetch();
    }

    /// All counts by cell.
    fn all(&self) -> Cells {
        let mut numbers = Numbers::of(&self.cells);
        let mut cells = std::array::from_fn(|_| numbers.take() as u64);
        self.recent.add_to(&mut cells);
        cells
    }

    /// Puts counts in the place of all there were.
    fn put(&mut self, cells: &Cells) {
        /// As many more bytes as the counts may need until later.
        const ROOM: usize = 64;
        let needed = cells.iter().map(|&cell| groups::bytes(cell)).sum::<usize>();
        self.cells.clear();
        if needed > self.cells.capacity() {
            self.cells.reserve_exact(needed + ROOM);
        }
        cells.iter().for_each(|&cell| groups::write_word(&mut self.cells, cell));
        self.recent.clear();
    }

    /// Adds what was counted of late to the cells.
    #[cold]
    #[inline(never)]
    fn gather(&mut self) {
        self.put(&self.all());
    }

    /// The same counts where they lie in the middle of the room for them: the same bytes for the same values, whatever their
    /// order and split.
    #[must_use]
    pub fn centred(&self) -> Buckets {
        if self.count == 0 {
            return Buckets::default();
        }
        let mut centred = self.clone();
        let mut cells = self.all();
        for sign in 0..2 {
            let base = centred.used(&cells, sign).map_or(0, |(low, high)| centred_base(low, high));
            centred.rebase(&mut cells, sign, base);
        }
        centred.put(&cells);
        centred
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Buckets per doubling of the value, as a power of two.
    pub fn scale(&self) -> i32 {
        SCALE_MAX - self.shift as i32
    }

    /// The OpenTelemetry data point, with a sum and extremes that the caller keeps; `None` when empty.
    pub fn snapshot(&self, sum: f64, min: f64, max: f64) -> Option<ExponentialSnapshot> {
        let all = (self.count > 0).then(|| self.all())?;
        Some(ExponentialSnapshot {
            scale: self.scale(),
            count: self.count,
            sum,
            min,
            max,
            zero_count: all[ZERO],
            positive: self.range(&all, 0),
            negative: self.range(&all, 1),
        })
    }

    fn range(&self, cells: &Cells, sign: usize) -> BucketRange {
        self.used(cells, sign).map_or_else(BucketRange::default, |(low, high)| BucketRange {
            offset: low,
            counts: side(cells, sign)[(low - self.base[sign]) as usize..=(high - self.base[sign]) as usize]
                .to_vec(),
        })
    }

    /// First and last index that is not empty.
    fn used(&self, cells: &Cells, sign: usize) -> Option<(i32, i32)> {
        let side = side(cells, sign);
        let first = side.iter().position(|&count| count > 0)? as i32;
        let last = side.iter().rposition(|&count| count > 0)? as i32;
        Some((self.base[sign] + first, self.base[sign] + last))
    }

    /// Counts at most [`PART`] values together, unless there is one among them that has no bucket yet, or none that its
    /// bits tell; whether it did.
    fn add_part<R: Real>(&mut self, values: &[R]) -> bool {
        let (scale, mut found) = (Scale { shift: self.shift, base: self.base }, [0; PART]);
        let (are_found, is_full) = dispatch!(Level::new(), simd => {
            (R::cells(simd, values, scale, &mut found), self.recent.is_full(simd))
        });
        if !are_found {
            return false;
        }
        if is_full {
            self.recent.carry();
        }
        self.recent.add_all(found.get(..values.len()).unwrap_or_default());
        true
    }

    /// Counts one value, for which there may be no bucket yet.
    fn add<R: Real>(&mut self, value: R) {
        let magnitude = value.magnitude().wide();
        if magnitude == 0.0 {
            self.recent.add(ZERO);
            return;
        }
        let (sign, finest) = (usize::from(value.is_negative()), index_of(magnitude));
        let bucket = (finest >> self.shift).wrapping_sub(self.base[sign]) as u32 as usize;
        if bucket < BUCKETS {
            self.recent.add(sign * BUCKETS + bucket);
        } else {
            self.add_farther(sign, finest);
        }
    }

    #[cold]
    #[inline(never)]
    fn add_farther(&mut self, sign: usize, finest: i32) {
        let mut cells = self.all();
        self.make_room(&mut cells, sign, finest, 1);
        self.put(&cells);
    }

    /// Adds `times` to a bucket given at the finest scale, making room for it first.
    fn make_room(&mut self, cells: &mut Cells, sign: usize, finest: i32, times: u64) {
        loop {
            let index = finest >> self.shift;
            let (low, high) = self
                .used(cells, sign)
                .map_or((index, index), |(low, high)| (low.min(index), high.max(index)));
            let needed = (high - low) as usize + 1;
            if needed <= BUCKETS {
                self.rebase(cells, sign, centred_base(low, high));
                cells[sign * BUCKETS + (index - self.base[sign]) as usize] += times;
                return;
            }
            self.halve(cells);
        }
    }

    /// Moves the counters of one sign so that the first one has index `base`.
    fn rebase(&mut self, cells: &mut Cells, sign: usize, base: i32) {
        let used = self.used(cells, sign);
        let side = &mut cells[sign * BUCKETS..][..BUCKETS];
        if let Some((low, high)) = used {
            let old = (low - self.base[sign]) as usize..(high - self.base[sign]) as usize + 1;
            let new = (low - base) as usize;
            let length = old.len();
            side.copy_within(old, new);
            side[..new].fill(0);
            side[new + length..].fill(0);
        }
        self.base[sign] = base;
    }

    /// Lowers the scale by one: buckets 2i and 2i+1 become bucket i.
    fn halve(&mut self, cells: &mut Cells) {
        for (sign, base) in self.base.iter_mut().enumerate() {
            let side = &mut cells[sign * BUCKETS..][..BUCKETS];
            let half = *base >> 1;
            // No bucket moves upwards, so those that are still to be moved are where they were.
            for position in 0..BUCKETS {
                let count = std::mem::take(&mut side[position]);
                side[(((*base + position as i32) >> 1) - half) as usize] += count;
            }
            *base = half;
        }
        self.shift += 1;
    }
}

fn side(cells: &Cells, sign: usize) -> &[u64] {
    &cells[sign * BUCKETS..][..BUCKETS]
}

/// Of at most [`BUCKETS`] indices, so that there is as much room below as above.
fn centred_base(low: i32, high: i32) -> i32 {
    low - (BUCKETS as i32 - 1 - (high - low)) / 2
}

impl Sketch for Buckets {
    fn update<R: Real>(&mut self, finite: &[R]) {
        self.count += finite.len() as u64;
        for part in finite.chunks(PART) {
            if !self.recent.has_room(part.len()) {
                self.gather();
            }
            if part.len() < TOGETHER_MIN || !self.add_part(part) {
                part.iter().for_each(|&value| self.add(value));
            }
        }
    }

    fn merge(&mut self, other: &Buckets) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = other.clone();
            return;
        }
        let (mut cells, theirs) = (self.all(), other.all());
        while self.shift < other.shift {
            self.halve(&mut cells);
        }
        self.count += other.count;
        cells[ZERO] += theirs[ZERO];
        for sign in 0..2 {
            for (position, &times) in side(&theirs, sign).iter().enumerate().filter(|(_, times)| **times > 0)
            {
                let finest = (other.base[sign] + position as i32) << other.shift;
                self.make_room(&mut cells, sign, finest, times);
            }
        }
        self.put(&cells);
    }
}

#[cfg(test)]
mod tests {
    use super::super::boundaries::FLOORS;
    use super::super::index::MANTISSA_BITS;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn more_values_than_a_short_counter_holds_are_all_counted() {
        let mut many = Buckets::default();
        for _ in 0..600 {
            many.update(&[1.5; 250]);
            many.update(&[0.0, -2.0]);
        }
        let snapshot = seen(&many).unwrap();
        assert_eq!((snapshot.count, snapshot.zero_count), (151_200, 600));
        assert_eq!((snapshot.positive.counts, snapshot.negative.counts), (vec![150_000], vec![600]));
        assert!(many.centred().is_sound());
    }

    fn buckets(values: &[f64]) -> Buckets {
        let mut result = Buckets::default();
        for block in values.chunks(64) {
            result.update(block);
        }
        result
    }

    fn seen(buckets: &Buckets) -> Option<ExponentialSnapshot> {
        buckets.snapshot(0.0, 0.0, 0.0)
    }

    /// The definition, in logarithms: exact enough away from the boundaries.
    fn by_logarithm(value: f64, scale: i32) -> i32 {
        (value.abs().log2() * f64::from(scale).exp2()).ceil() as i32 - 1
    }

    #[test]
    fn a_power_of_two_closes_the_bucket_below_it() {
        for exponent in [-1022, -300, -1, 0, 1, 10, 1023] {
            let power = 2f64.powi(exponent);
            assert_eq!(index_of(power), exponent * 256 - 1, "2^{exponent}");
            assert_eq!(index_of(power.next_up()), exponent * 256, "just above 2^{exponent}");
        }
    }

    #[test]
    fn an_irrational_boundary_parts_two_neighbouring_floats() {
        for (bucket, &floor) in FLOORS.iter().enumerate().skip(1) {
            let below = f64::from_bits(floor | 1023 << MANTISSA_BITS);
            assert_eq!(index_of(below), bucket as i32 - 1);
            assert_eq!(index_of(below.next_up()), bucket as i32);
        }
    }

    #[test]
    fn the_smallest_and_the_largest_floats_have_buckets() {
        assert_eq!(index_of(f64::from_bits(1)), -1074 * 256 - 1);
        assert_eq!(index_of(f64::from_bits(3)), by_logarithm(3.0, 8) - 1074 * 256);
        let extremes = buckets(&[f64::from_bits(1), f64::MAX, -1.0, 0.0]);
        let snapshot = seen(&extremes).unwrap();
        assert_eq!((snapshot.count, snapshot.zero_count), (4, 1));
        assert_eq!(snapshot.positive.counts.iter().sum::<u64>(), 2);
        assert!(snapshot.positive.counts.len() <= BUCKETS);
        assert!(snapshot.scale >= -4);
    }

    #[test]
    fn the_scale_stays_as_fine_as_the_values_allow() {
        assert_eq!(buckets(&[1.0, 1.5]).scale(), 8);
        // 10 doublings in 160 buckets: 16 of each.
        assert_eq!(buckets(&[1.01, 1000.0]).scale(), 4);
    }

    fn any_value() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => -100.0f64..100.0,
            2 => (-1070i32..1023).prop_map(|exponent| 2f64.powi(exponent)),
            1 => Just(0.0),
            1 => Just(-0.0),
            2 => any::<f64>().prop_filter("finite", |value| value.is_finite()),
        ]
    }

    fn short_value() -> impl Strategy<Value = f32> {
        prop_oneof![
            4 => -100.0f32..100.0,
            2 => (-148i32..128).prop_map(|exponent| 2f32.powi(exponent)),
            1 => Just(0.0),
            1 => Just(-0.0),
            2 => any::<f32>().prop_filter("finite", |value| value.is_finite()),
        ]
    }

    proptest! {
        #[test]
        fn every_value_lies_in_its_bucket(values in prop::collection::vec(any_value(), 1..200)) {
            let snapshot = seen(&buckets(&values)).unwrap();
            let mut expected = std::collections::BTreeMap::new();
            let shift = 8 - snapshot.scale;
            for &value in values.iter().filter(|value| **value != 0.0) {
                *expected.entry((value < 0.0, index_of(value.abs()) >> shift)).or_insert(0u64) += 1;
            }
            for (negative, range) in [(false, &snapshot.positive), (true, &snapshot.negative)] {
                for (position, &count) in range.counts.iter().enumerate() {
                    let key = (negative, range.offset + position as i32);
                    prop_assert_eq!(count, expected.remove(&key).unwrap_or(0));
                }
            }
            prop_assert!(expected.is_empty());
        }

        #[test]
        fn the_bits_agree_with_the_logarithm(value in 1e-300f64..1e300, scale in 0i32..8) {
            let exact = value.log2() * f64::from(scale).exp2();
            prop_assume!((exact - exact.round()).abs() > 1e-9);
            prop_assert_eq!(index_of(value) >> (8 - scale), by_logarithm(value, scale));
        }

        #[test]
        fn short_floats_lie_in_the_buckets_of_long_ones(values in prop::collection::vec(short_value(), 1..200)) {
            let wide: Vec<f64> = values.iter().copied().map(f64::from).collect();
            let mut narrow = Buckets::default();
            narrow.update(&values);
            prop_assert_eq!(seen(&narrow), seen(&buckets(&wide)));
            let mut one_by_one = Buckets::default();
            values.iter().for_each(|value| one_by_one.update(&[*value]));
            prop_assert_eq!(seen(&one_by_one), seen(&narrow));
        }

        #[test]
        fn any_split_in_any_order_gives_the_same_histogram(
            values in prop::collection::vec(any_value(), 1..200), cut in 0usize..200,
        ) {
            let (a, b) = values.split_at(cut.min(values.len()));
            let whole = seen(&buckets(&values));
            let (mut left, mut right) = (buckets(a), buckets(b));
            let first = left.clone();
            left.merge(&right);
            right.merge(&first);
            prop_assert_eq!(seen(&left), whole.clone());
            prop_assert_eq!(seen(&right), whole);
            prop_assert_eq!(left.centred(), buckets(&values).centred());
            prop_assert_eq!(right.centred(), buckets(&values).centred());
        }
    }
}
