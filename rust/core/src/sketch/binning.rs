//! Where the bins of a feature lie. Fixed by the reference profile, and never moved by live data.
//!
//! Bins drawn anew from each comparison (as many tools do) make scores incomparable and counts unmergeable. Fixed
//! bins make every count an integer that adds, subtracts and merges; what falls outside them has cells of its own.

mod others;
mod tally;

pub use others::Others;
pub use tally::Tally;

use super::permute;
use super::real::{at_least, at_most};
use crate::prefetch::prefetch;
use serde::{Deserialize, Serialize};

/// The most bins a feature can have.
pub const BINS_MAX: usize = 64;

/// Cells that are no bins, in front of them: values that have no place on the axis...
pub const MISSING: usize = 0;
pub const NAN: usize = 1;
/// A value between the reference's discrete values, or a category that the reference is not known to have.
pub const UNSEEN: usize = 2;
/// ...and then, from here on, in ascending order: the cells that form a distribution function.
pub const NEG_INF: usize = 3;
pub const UNDER: usize = 4;
/// The first bin; behind the last one follow the cells "over" and "+infinity".
pub const FIRST: usize = 5;
/// Cells beside the bins.
const BESIDE: usize = FIRST + 2;
/// The most cells a feature can have.
pub const CELLS_MAX: usize = BINS_MAX + BESIDE;

/// Quanta in the width of all bins together. The place of a value is measured in whole quanta, which add up exactly, in
/// any order.
const QUANTA: f64 = (1u64 << 36) as f64;

/// Where the distance of a value outside the bins stops growing: a sum that reached it is only known from below.
pub const OUTSIDE_MAX: u64 = 1 << 60;

/// 2^52: adding it leaves the nearest whole number in the lowest bits of a float, of which a place has these.
const WHOLE: f64 = (1u64 << 52) as f64;
const PLACE_BITS: u64 = (1 << 37) - 1;

/// What the bins of a feature stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Ranges of numbers between quantiles of the reference.
    Numeric,
    /// One number each.
    Discrete,
    /// One string of bytes each.
    Category,
}

/// The bins of one feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Binning {
    kind: Kind,
    /// Lower ends of the bins (discrete: their values).
    lower: Box<[f64]>,
    /// The first of them, and the upper end of the last bin, which belongs to it.
    low: f64,
    high: f64,
    /// The same bounds for short floats, which fall on the same side of them.
    short: Short,
    /// Quanta per unit of distance; 0 where places cannot be measured.
    scale: f64,
    /// Values of the categories, sorted.
    labels: Vec<Box<[u8]>>,
    /// Categories without a bin; they are counted where numbers above the last bin are.
    others: Option<Box<Others>>,
}

/// Bounds as short floats.
#[derive(Clone, Debug, PartialEq)]
struct Short {
    /// The lower ends as a [tree](permute::tree), and behind it as they come, both padded with infinity, which no finite
    /// value reaches.
    ends: Box<[f32]>,
    high: f32,
    /// Whether they are the same numbers.
    is_exact: bool,
}

// === impl Kind ===

impl Kind {
    /// As files and snapshots have it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Numeric => "numeric",
            Kind::Discrete => "discrete",
            Kind::Category => "category",
        }
    }
}

// === impl Binning ===

impl Binning {
    /// Bins between ascending finite edges: `[e0, e1), [e1, e2), … [e(b-1), e(b)]`. The last two edges may be equal:
    /// the last bin is then that single value.
    ///
    /// `None` unless there are 2 to 65 edges in that order.
    pub fn numeric(edges: &[f64]) -> Option<Binning> {
        let (&high, lower) = edges.split_last()?;
        let ordered = lower.is_sorted_by(|a, b| a < b) && lower.last().is_some_and(|&last| last <= high);
        (ordered && edges.iter().all(|edge| edge.is_finite()))
            .then(|| Binning::ranges(Kind::Numeric, lower, high))?
    }

    /// One bin for each of ascending finite values. `None` unless there are at most 64, in that order. Without any
    /// (a feature that was always missing) every value is unseen.
    pub fn discrete(values: &[f64]) -> Option<Binning> {
        let high = values.last().copied().unwrap_or(f64::NEG_INFINITY);
        let ordered = values.is_sorted_by(|a, b| a < b) && values.iter().all(|value| value.is_finite());
        ordered.then(|| Binning::ranges(Kind::Discrete, values, high))?
    }

    /// One bin for each label, in the order of their bytes. `None` when there are more than 64, or two are equal.
    pub fn category(mut labels: Vec<Box<[u8]>>) -> Option<Binning> {
        labels.sort_unstable();
        (labels.len() <= BINS_MAX && labels.is_sorted_by(|a, b| a < b)).then_some(Binning {
            kind: Kind::Category,
            lower: Box::default(),
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
            short: Short { ends: Box::default(), high: f32::NEG_INFINITY, is_exact: true },
            scale: 0.0,
            labels,
            others: None,
        })
    }

    /// The same, with categories that are known though they have no bin.
    #[must_use]
    pub fn with_others(self, others: Others) -> Binning {
        Binning { others: (!others.is_empty()).then(|| Box::new(others)), ..self }
    }

    fn ranges(kind: Kind, lower: &[f64], high: f64) -> Option<Binning> {
        if lower.len() > BINS_MAX {
            return None;
        }
        let range = lower.first().map_or(0.0, |first| high - first);
        let scale = [range, high.abs(), 1.0].map(per_unit).into_iter().find(|&scale| scale > 0.0);
        Some(Binning {
            kind,
            lower: lower.into(),
            low: lower.first().copied().unwrap_or(f64::INFINITY),
            high,
            short: Short::of(lower, high),
            scale: scale.filter(|_| range.is_finite()).unwrap_or(0.0),
            labels: Vec::new(),
            others: None,
        })
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How many bins there are.
    pub fn bins(&self) -> usize {
        if self.kind == Kind::Category { self.labels.len() } else { self.lower.len() }
    }

    /// How many counters a feature with these bins needs.
    pub fn cells(&self) -> usize {
        self.bins() + BESIDE
    }

    /// The cell of values above the last bin.
    pub fn over(&self) -> usize {
        FIRST + self.bins()
    }

    /// The cell of +infinity.
    pub fn pos_inf(&self) -> usize {
        self.over() + 1
    }

    /// Edges of numeric bins, one more than there are bins; empty for the other kinds.
    pub fn edges(&self) -> Vec<f64> {
        match self.kind {
            Kind::Numeric => self.lower.iter().copied().chain([self.high]).collect(),
            Kind::Discrete | Kind::Category => Vec::new(),
        }
    }

    /// Values of discrete bins; empty for the other kinds.
    pub fn values(&self) -> &[f64] {
        match self.kind {
            Kind::Discrete => &self.lower,
            Kind::Numeric | Kind::Category => &[],
        }
    }

    /// Labels of category bins; empty for the other kinds.
    pub fn labels(&self) -> &[Box<[u8]>] {
        &self.labels
    }

    /// Categories that are known though they have no bin, if there are any.
    pub fn others(&self) -> Option<&Others> {
        self.others.as_deref()
    }

    /// The cell of a category.
    pub fn cell_of_label(&self, label: &[u8]) -> usize {
        match self.labels.binary_search_by(|known| known.as_ref().cmp(label)) {
            Ok(bin) => FIRST + bin,
            Err(_) if self.others().is_some_and(|others| others.contains(label)) => self.over(),
            Err(_) => UNSEEN,
        }
    }

    /// Lower and upper end of a bin of numbers; the same one twice for a bin that holds a single value. Only the last
    /// bin includes its upper end.
    pub fn range(&self, bin: usize) -> Option<(f64, f64)> {
        let low = *self.lower.get(bin)?;
        let next = self.next_edge(bin);
        let single = self.kind == Kind::Discrete || (bin + 1 < self.lower.len() && next == low.next_up());
        Some((low, if single { low } else { next }))
    }

    /// Where the next bin begins; behind the last one, its upper end.
    pub fn next_edge(&self, bin: usize) -> f64 {
        self.lower.get(bin + 1).copied().unwrap_or(self.high)
    }

    /// Asks for the cache lines that it points to and counting short floats needs.
    pub fn prefetch(&self) {
        prefetch(self.short.tree());
    }

    /// The point, of those that 32 bits do not hold, that the value is in 32 bits: a table has 0.1, a model is sent what
    /// is nearest to it. Whole numbers are codes and counts, and stay apart.
    #[inline]
    pub fn rounded_point(&self, value: f64) -> Option<usize> {
        if self.short.is_exact || f64::from(value as f32) != value {
            return None;
        }
        let points = self.values();
        let next = points.partition_point(|&point| point < value);
        let is_it = |&at: &usize| {
            points.get(at).is_some_and(|&point| point.fract() != 0.0 && f64::from(point as f32) == value)
        };
        [next.wrapping_sub(1), next].into_iter().find(is_it)
    }

    /// Quanta per unit of distance; 0 where places cannot be measured.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The place of a value between the lowest and the highest edge, in quanta from the lowest one: monotonic.
    #[inline]
    pub fn place(&self, value: f64) -> u64 {
        ((value - self.low) * self.scale + WHOLE).to_bits() & PLACE_BITS
    }
}

// === impl Short ===

impl Short {
    /// Of ascending lower ends and the highest bound.
    fn of(lower: &[f64], high: f64) -> Short {
        let sizes = permute::SIZES.into_iter();
        let size = sizes.filter(|&size| size >= lower.len()).min().unwrap_or(BINS_MAX);
        let padded = lower.iter().copied().map(at_least).chain(std::iter::repeat(f32::INFINITY));
        let sorted: Vec<f32> = padded.take(size).collect();
        let is_exact = sorted.iter().zip(lower).all(|(&short, &bound)| f64::from(short) == bound);
        let ends = [permute::tree(&sorted), sorted].concat().into();
        Short { ends, high: at_most(high), is_exact }
    }

    fn tree(&self) -> &[f32] {
        &self.ends[..self.ends.len() / 2]
    }

    fn sorted(&self) -> &[f32] {
        &self.ends[self.ends.len() / 2..]
    }
}

/// How many quanta a unit of distance is, where `width` is [`QUANTA`] of them; 0 when that cannot be expressed.
fn per_unit(width: f64) -> f64 {
    let scale = QUANTA / width;
    if width > 0.0 && scale.is_normal() { scale } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cell_of(binning: &Binning, value: f64) -> usize {
        let mut cells = vec![0; binning.cells()];
        binning.count(&[value], &mut cells);
        cells.iter().position(|&count| count == 1).unwrap()
    }

    #[test]
    fn a_bin_holds_its_lower_edge_and_the_last_one_both() {
        let binning = Binning::numeric(&[0.0, 1.0, 2.0]).unwrap();
        let cells = [-0.1, 0.0, 0.9, 1.0, 2.0, 2.1].map(|value| cell_of(&binning, value));
        assert_eq!(cells, [UNDER, FIRST, FIRST, FIRST + 1, FIRST + 1, binning.over()]);
    }

    #[test]
    fn discrete_bins_hold_one_value_and_anything_between_is_unseen() {
        let binning = Binning::discrete(&[0.0, 1.0, 4.0]).unwrap();
        let cells = [-1.0, -0.0, 0.5, 1.0, 3.0, 4.0, 5.0].map(|value| cell_of(&binning, value));
        assert_eq!(cells, [UNDER, FIRST, UNSEEN, FIRST + 1, UNSEEN, FIRST + 2, binning.over()]);
    }

    #[test]
    fn a_point_is_found_by_what_becomes_of_it_in_32_bits() {
        let points = [-0.7, 0.1, 0.3, 5.0, 16_777_217.0, 16_777_218.9];
        let binning = Binning::discrete(&points).unwrap();
        for (bin, point) in points.into_iter().enumerate().filter(|(_, point)| point.fract() != 0.0) {
            let short = point as f32;
            assert_ne!(f64::from(short), point);
            assert_eq!(cell_of(&binning, f64::from(short)), FIRST + bin);
            let (mut counts, mut sums, mut tails) = (vec![0; 13], vec![0; 13], [0; 2]);
            binning
                .tally(&[short; 40], &mut Tally { counts: &mut counts, sums: &mut sums, tails: &mut tails });
            assert_eq!((counts[FIRST + bin], tails), (40, [0; 2]));
        }
        let others = [0.1f64.next_up(), 0.100_000_1, f64::from(0.1f32.next_up()), 16_777_216.0];
        assert_eq!(others.map(|value| cell_of(&binning, value)), [UNSEEN; 4]);
        assert_eq!(cell_of(&binning, f64::from((-0.7f32).next_down())), UNDER);
    }

    #[test]
    fn the_place_of_a_value_is_measured_from_the_lowest_edge() {
        let binning = Binning::numeric(&[-2.0, 0.0, 2.0, 2.0]).unwrap();
        let (mut counts, mut sums, mut tails) = (vec![0; 10], vec![0; 10], [0; 2]);
        let mut tally = Tally { counts: &mut counts, sums: &mut sums, tails: &mut tails };
        binning.tally(&[-2.0, -1.0, 0.5, 1.0, 2.0, -3.0, 4.0, 1e300], &mut tally);
        let unit = 1u64 << 34; // a quarter of the width of all bins
        assert_eq!(sums[FIRST..][..3], [unit, 2 * unit + unit / 2 + 3 * unit, 4 * unit]);
        assert_eq!((sums[..FIRST].iter().sum::<u64>(), sums[binning.over()]), (0, 0));
        assert_eq!(tails, [u128::from(unit), u128::from(2 * unit) + u128::from(OUTSIDE_MAX)]);
    }

    #[test]
    fn bins_of_extreme_widths_measure_no_places() {
        assert_eq!(Binning::numeric(&[-f64::MAX, f64::MAX]).unwrap().scale(), 0.0);
        assert_eq!(Binning::numeric(&[0.0, f64::from_bits(1)]).unwrap().scale(), QUANTA);
        assert_eq!(Binning::discrete(&[8.0]).unwrap().scale(), QUANTA / 8.0);
    }

    #[test]
    fn a_bin_of_a_single_value_has_no_width() {
        let binning = Binning::numeric(&[0.0, 1.0, 1.0f64.next_up(), 3.0]).unwrap();
        let ranges: Vec<_> = (0..4).map(|bin| binning.range(bin)).collect();
        assert_eq!(ranges, [Some((0.0, 1.0)), Some((1.0, 1.0)), Some((1.0f64.next_up(), 3.0)), None]);
        assert_eq!(Binning::discrete(&[4.0, 5.0]).unwrap().range(0), Some((4.0, 4.0)));
    }

    #[test]
    fn without_bins_every_value_is_unseen() {
        let binning = Binning::discrete(&[]).unwrap();
        assert_eq!([-1.0, 0.0, 1.0].map(|value| cell_of(&binning, value)), [UNSEEN; 3]);
    }

    #[test]
    fn the_last_bin_may_be_a_single_value() {
        let binning = Binning::numeric(&[0.0, 1.0, 1.0]).unwrap();
        assert_eq!([0.5, 1.0, 1.5].map(|value| cell_of(&binning, value)), [FIRST, FIRST + 1, binning.over()]);
    }

    #[test]
    fn unordered_or_too_many_edges_are_refused() {
        assert!(Binning::numeric(&[1.0]).is_none());
        assert!(Binning::numeric(&[1.0, 1.0, 2.0]).is_none());
        assert!(Binning::numeric(&[0.0, f64::NAN]).is_none());
        assert!(Binning::numeric(&(0..66).map(f64::from).collect::<Vec<_>>()).is_none());
        assert!(Binning::discrete(&[2.0, 1.0]).is_none());
        assert!(Binning::category(vec![b"a"[..].into(), b"a"[..].into()]).is_none());
    }

    #[test]
    fn a_category_finds_its_own_bin() {
        let binning = Binning::category([&b"pear"[..], b"apple"].map(Into::into).to_vec()).unwrap();
        assert_eq!(binning.cell_of_label(b"apple"), FIRST);
        assert_eq!(binning.cell_of_label(b"pear"), FIRST + 1);
        assert_eq!(binning.cell_of_label(b"plum"), UNSEEN);
    }

    #[test]
    fn a_category_without_a_bin_is_known_and_a_new_one_is_not() {
        let others = Others::of([&b"plum"[..], b"quince"], 2, 0);
        let binning = Binning::category([&b"pear"[..]].map(Into::into).to_vec()).unwrap().with_others(others);
        let cells = [&b"pear"[..], b"plum", b"quince", b"mango"].map(|label| binning.cell_of_label(label));
        assert_eq!(cells, [FIRST, binning.over(), binning.over(), UNSEEN]);
    }

    proptest! {
        #[test]
        fn the_search_agrees_with_looking_at_every_edge(
            mut edges in prop::collection::vec(-100i32..100, 2..65),
            values in prop::collection::vec(-120i32..120, 1..50),
        ) {
            edges.sort_unstable();
            edges.dedup();
            prop_assume!(edges.len() > 1);
            let edges: Vec<f64> = edges.into_iter().map(f64::from).collect();
            let ranges = Binning::numeric(&edges).unwrap();
            let points = Binning::discrete(&edges[..edges.len().min(64)]).unwrap();
            for value in values.into_iter().map(f64::from) {
                let last = edges.len() - 1;
                let range = match edges.iter().rposition(|&edge| edge <= value) {
                    None => UNDER,
                    Some(bin) if bin < last => FIRST + bin,
                    Some(_) if value == edges[last] => FIRST + last - 1,
                    Some(_) => ranges.over(),
                };
                prop_assert_eq!(cell_of(&ranges, value), range);
                let point = points.values().iter().position(|&known| known == value);
                prop_assert_eq!(cell_of(&points, value).checked_sub(FIRST).filter(|&bin| bin < points.bins()), point);
            }
        }
    }
}
