//! Where the bins of a feature lie. Fixed by the reference profile, and never moved by live data.
//!
//! Bins drawn anew from each comparison (as many tools do) make scores incomparable and counts unmergeable. Fixed
//! bins make every count an integer that adds, subtracts and merges; what falls outside them has cells of its own.

use serde::{Deserialize, Serialize};

/// The most bins a feature can have.
pub const BINS_MAX: usize = 64;

/// Cells that are no bins, in front of them: values that have no place on the axis...
pub const MISSING: usize = 0;
pub const NAN: usize = 1;
/// A value between the reference's discrete values, or a category that is none of its bins.
pub const UNSEEN: usize = 2;
/// ...and then, from here on, in ascending order: the cells that form a distribution function.
pub const NEG_INF: usize = 3;
pub const UNDER: usize = 4;
/// The first bin; behind the last one follow the cells "over" and "+infinity".
pub const FIRST: usize = 5;
/// Cells beside the bins.
const BESIDE: usize = FIRST + 2;

/// What the bins of a feature stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    bins: usize,
    /// Lower ends of the bins (discrete: their values), padded with infinity, which no finite value reaches.
    lower: [f64; BINS_MAX],
    /// Upper end of the last bin, which belongs to it.
    high: f64,
    /// Values of the categories, sorted.
    labels: Vec<Box<[u8]>>,
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
            bins: labels.len(),
            lower: [f64::INFINITY; BINS_MAX],
            high: f64::NEG_INFINITY,
            labels,
        })
    }

    fn ranges(kind: Kind, lower: &[f64], high: f64) -> Option<Binning> {
        let mut padded = [f64::INFINITY; BINS_MAX];
        padded.get_mut(..lower.len())?.copy_from_slice(lower);
        Some(Binning { kind, bins: lower.len(), lower: padded, high, labels: Vec::new() })
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How many bins there are.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// How many counters a feature with these bins needs.
    pub fn cells(&self) -> usize {
        self.bins + BESIDE
    }

    /// The cell of values above the last bin.
    pub fn over(&self) -> usize {
        FIRST + self.bins
    }

    /// The cell of +infinity.
    pub fn pos_inf(&self) -> usize {
        FIRST + self.bins + 1
    }

    /// Edges of numeric bins, one more than there are bins; empty for the other kinds.
    pub fn edges(&self) -> Vec<f64> {
        match self.kind {
            Kind::Numeric => self.lower[..self.bins].iter().copied().chain([self.high]).collect(),
            Kind::Discrete | Kind::Category => Vec::new(),
        }
    }

    /// Values of discrete bins; empty for the other kinds.
    pub fn values(&self) -> &[f64] {
        match self.kind {
            Kind::Discrete => &self.lower[..self.bins],
            Kind::Numeric | Kind::Category => &[],
        }
    }

    /// Labels of category bins; empty for the other kinds.
    pub fn labels(&self) -> &[Box<[u8]>] {
        &self.labels
    }

    /// The cell of a category.
    pub fn cell_of_label(&self, label: &[u8]) -> usize {
        self.labels.binary_search_by(|known| known.as_ref().cmp(label)).map_or(UNSEEN, |bin| FIRST + bin)
    }

    /// Counts finite values into `cells`, which has [`Binning::cells`] counters.
    #[inline]
    pub fn count(&self, finite: &[f64], cells: &mut [u64]) {
        match (self.kind, self.bins) {
            (Kind::Category, _) | (_, 0) => cells[UNSEEN] += finite.len() as u64,
            (Kind::Numeric, ..=8) => self.count_by::<3, false>(finite, cells),
            (Kind::Numeric, ..=16) => self.count_by::<4, false>(finite, cells),
            (Kind::Numeric, ..=32) => self.count_by::<5, false>(finite, cells),
            (Kind::Numeric, _) => self.count_by::<6, false>(finite, cells),
            (Kind::Discrete, ..=4) => self.count_by::<2, true>(finite, cells),
            (Kind::Discrete, ..=16) => self.count_by::<4, true>(finite, cells),
            (Kind::Discrete, _) => self.count_by::<6, true>(finite, cells),
        }
    }

    /// Several searches at once, so that the loads of one hide behind those of the others.
    #[inline]
    fn count_by<const STEPS: u32, const EXACT: bool>(&self, finite: &[f64], cells: &mut [u64]) {
        const LANES: usize = 4;
        let (chunks, rest) = finite.as_chunks::<LANES>();
        for chunk in chunks {
            for cell in self.find::<STEPS, EXACT, LANES>(chunk) {
                cells[cell] += 1;
            }
        }
        for value in rest {
            let [cell] = self.find::<STEPS, EXACT, 1>(&[*value]);
            cells[cell] += 1;
        }
    }

    /// Binary search without a branch, over `2^STEPS` lower ends.
    #[inline]
    fn find<const STEPS: u32, const EXACT: bool, const LANES: usize>(
        &self,
        values: &[f64; LANES],
    ) -> [usize; LANES] {
        let mut bins = [0usize; LANES];
        for step in (0..STEPS).rev() {
            for lane in 0..LANES {
                let next = bins[lane] + (1 << step);
                bins[lane] += usize::from(self.lower[next % BINS_MAX] <= values[lane]) << step;
            }
        }
        let mut cells = [0usize; LANES];
        for lane in 0..LANES {
            let (bin, value) = (bins[lane], values[lane]);
            let mut cell = FIRST + bin;
            if EXACT {
                cell = if self.lower[bin % BINS_MAX] == value { cell } else { UNSEEN };
            }
            cell = if value > self.high { self.over() } else { cell };
            cells[lane] = if value < self.lower[0] { UNDER } else { cell };
        }
        cells
    }
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
