//! Learns the reference of one feature from its values, in one pass and bounded memory.

use super::Reference;
use super::autocorrelation::{Holes, Ranked, Signs};
use super::edges;
use super::kept::{Kept, Limits};
use crate::sketch::Sketch;
use crate::sketch::binning::{BINS_MAX, Binning, Others};
use crate::sketch::bins::Bins;
use crate::sketch::distinct::Distinct;
use crate::sketch::exact::Exact;
use crate::sketch::moments::Moments;
use crate::sketch::screen::Specials;
use crate::tensor::Direction;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most different categories that are told apart while learning; further ones are counted together.
const LABELS_MAX: usize = 4_096;

/// Longest category, in bytes. Longer strings are texts or images rather than categories, and are counted together.
pub const LABEL_BYTES_MAX: usize = 64;

/// How a numeric feature is to be binned.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Ranges wanted.
    pub bins: usize,
    /// Whether the values are classes or counts.
    pub integral: bool,
    /// Values that are kept until the bins are drawn from them; further ones are only counted.
    pub buffer: Limits,
    /// Only every so many values are looked at: more than one where a single row holds thousands of them.
    pub every: usize,
}

/// A feature being learned.
#[derive(Clone, Debug)]
pub enum Column {
    Numbers(Numbers),
    Labels(Labels),
}

/// A numeric feature being learned.
#[derive(Clone, Debug)]
pub struct Numbers {
    plan: Plan,
    /// Bins that are used instead of drawing some.
    given: Option<Arc<Binning>>,
    stage: Stage,
    /// Values to pass over before the next one is looked at.
    skip: usize,
    specials: Specials,
    /// Missing ones among them since finite values came last, and how they come.
    missing: u64,
    holes: Holes,
    sums: Exact,
    distinct: Distinct,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Values are kept; their bins are not drawn yet.
    Buffer(Kept),
    /// Bins are drawn; values are counted, and looked at how they follow each other.
    Bins(Box<Bins>, Box<Ranked>),
}

/// A categorical feature being learned.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    counts: BTreeMap<Box<[u8]>, u64>,
    /// Bins that are used instead of choosing the most frequent categories: then these count.
    given: Option<Bins>,
    /// Categories too long or too many to be told apart.
    others: u64,
    missing: u64,
    distinct: Distinct,
    signs: Signs,
}

// === impl Numbers ===

impl Numbers {
    pub fn new(plan: Plan) -> Numbers {
        Numbers {
            plan,
            given: None,
            stage: Stage::Buffer(Kept::default()),
            skip: 0,
            specials: Specials::default(),
            missing: 0,
            holes: Holes::default(),
            sums: Exact::default(),
            distinct: Distinct::default(),
        }
    }

    /// Counts on these bins, so that parts can be added up.
    pub fn on(plan: Plan, given: Arc<Binning>) -> Numbers {
        Numbers { given: Some(given), ..Numbers::new(plan) }
    }

    /// Adds finite values.
    pub fn update(&mut self, finite: &[f64]) {
        self.sums.update(finite);
        let missing = std::mem::take(&mut self.missing);
        self.holes.push(missing, missing + finite.len() as u64);
        if self.plan.every <= 1 {
            self.count(finite);
            return;
        }
        let thinned: Vec<f64> = finite.iter().skip(self.skip).step_by(self.plan.every).copied().collect();
        self.skip = (self.skip + thinned.len() * self.plan.every).saturating_sub(finite.len());
        self.count(&thinned);
    }

    fn count(&mut self, finite: &[f64]) {
        finite.iter().for_each(|&value| self.distinct.add_number(value));
        let mut rest = finite;
        if let Stage::Buffer(kept) = &mut self.stage {
            rest = kept.add(finite, self.plan.buffer);
            if !kept.is_full(self.plan.buffer) {
                return;
            }
            let (bins, ranked) = self.draw();
            self.stage = Stage::Bins(Box::new(bins), Box::new(ranked));
        }
        if let Stage::Bins(bins, ranked) = &mut self.stage {
            bins.update(rest);
            ranked.update(rest);
        }
    }

    pub fn add_specials(&mut self, specials: &Specials) {
        self.specials.merge(specials);
        self.missing += specials.missing + specials.nan;
    }

    /// The bins of the values that were kept, with those values counted; and how they follow each other.
    fn draw(&self) -> (Bins, Ranked) {
        let values = match &self.stage {
            Stage::Buffer(kept) => kept.values(),
            Stage::Bins(..) => Vec::new(),
        };
        let mut sorted = values.clone();
        let drawn = edges::choose(&mut sorted, self.plan.bins, self.plan.integral);
        let mut bins = Bins::new(self.given.clone().unwrap_or_else(|| Arc::new(drawn)));
        bins.update(&values);
        let mut ranked = Ranked::among(&sorted);
        ranked.update(&values);
        (bins, ranked)
    }

    fn finish(self) -> Learned {
        let (mut bins, ranked) = match self.stage {
            Stage::Buffer(_) => self.draw(),
            Stage::Bins(bins, ranked) => (*bins, *ranked),
        };
        bins.add_specials(&self.specials);
        Learned {
            bins,
            moments: self.sums.moments(),
            sums: self.sums,
            distinct: self.distinct,
            autocorrelation_time: ranked.time().map(|time| time.max(self.holes.time())),
        }
    }
}

/// What was learned of a feature.
struct Learned {
    bins: Bins,
    moments: Moments,
    sums: Exact,
    distinct: Distinct,
    autocorrelation_time: Option<f64>,
}

// === impl Labels ===

impl Labels {
    /// Counts on these bins, so that parts can be added up.
    pub fn on(given: Arc<Binning>) -> Labels {
        Labels { given: Some(Bins::new(given)), ..Labels::default() }
    }

    /// Adds one category; none is a missing value.
    pub fn add(&mut self, label: Option<&[u8]>) {
        let Some(label) = label else {
            self.missing += 1;
            return;
        };
        self.signs.push(label);
        self.distinct.add_bytes(label);
        if let Some(bins) = &mut self.given {
            bins.add_label(label, 1);
        } else if let Some(count) = self.counts.get_mut(label) {
            *count += 1;
        } else if label.len() <= LABEL_BYTES_MAX && self.counts.len() < LABELS_MAX {
            self.counts.insert(label.into(), 1);
        } else {
            self.others += 1;
        }
    }

    fn finish(mut self) -> Learned {
        let mut bins = self.given.take().unwrap_or_else(|| self.choose());
        bins.add_specials(&Specials { missing: self.missing, ..Specials::default() });
        Learned {
            bins,
            moments: Moments::default(),
            sums: Exact::default(),
            distinct: self.distinct,
            autocorrelation_time: Some(self.signs.time()),
        }
    }

    /// The most frequent ones get a bin each, the rest is known; where it cannot be told apart, all of the rest is "unseen", as
    /// an unknown category will be.
    fn choose(&mut self) -> Bins {
        let mut by_count: Vec<(Box<[u8]>, u64)> = std::mem::take(&mut self.counts).into_iter().collect();
        by_count.sort_by_key(|(_, count)| std::cmp::Reverse(*count)); // stable: equal counts stay in order of bytes
        let (binned, rest) = by_count.split_at(by_count.len().min(BINS_MAX - 1));
        let labels = binned.iter().map(|(label, _)| label.clone()).collect();
        let mut binning = Binning::category(labels).expect("at most 63 different labels");
        if self.others == 0 {
            let came = |times| by_count.iter().filter(|(_, count)| *count == times).count() as u64;
            binning =
                binning.with_others(Others::of(rest.iter().map(|(label, _)| &**label), came(1), came(2)));
        }
        let mut bins = Bins::new(Arc::new(binning));
        for (label, count) in &by_count {
            bins.add_label(label, *count);
        }
        bins.add_unseen(self.others);
        bins
    }
}

// === impl Column ===

impl Column {
    /// Counts values that are not finite numbers; of strings, only those that are missing.
    pub fn add_specials(&mut self, specials: &Specials) {
        match self {
            Column::Numbers(numbers) => numbers.add_specials(specials),
            Column::Labels(labels) => labels.missing += specials.missing,
        }
    }

    /// What was learned; `None` when nothing was added.
    pub fn finish(self, name: &str, direction: Direction) -> Option<Reference> {
        let learned = match self {
            Column::Numbers(numbers) => numbers.finish(),
            Column::Labels(labels) => labels.finish(),
        };
        let Learned { bins, moments, sums, distinct, autocorrelation_time } = learned;
        (bins.total() > 0).then(|| Reference {
            name: name.to_owned(),
            direction,
            bins,
            moments,
            sums: Some(Box::new(sums.packed())),
            distinct: Some(Box::new(distinct)),
            autocorrelation_time,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn learned(column: Column) -> Bins {
        column.finish("x", Direction::Input).unwrap().bins
    }

    #[test]
    fn values_behind_the_buffer_are_counted_exactly() {
        let mut numbers =
            Numbers::new(Plan { bins: 4, integral: false, buffer: Limits::of(1_000), every: 1 });
        let values: Vec<f64> = (0..5_000).map(|i| f64::from(i % 1_000) + 0.5).collect();
        for chunk in values.chunks(37) {
            numbers.update(chunk);
        }
        let bins = learned(Column::Numbers(numbers));
        assert_eq!((bins.total(), bins.bins()), (5_000, &[1_250u64; 4][..]));
    }

    #[test]
    fn waves_longer_than_what_is_kept_are_noticed() {
        let mut random = Random(7);
        let values: Vec<f64> =
            (0..200_000).map(|row| f64::from(row / 2_000 * 7_919 % 101) / 101.0 + random.uniform()).collect();
        let mut numbers =
            Numbers::new(Plan { bins: 4, integral: false, buffer: Limits::of(4_096), every: 1 });
        values.chunks(512).for_each(|chunk| numbers.update(chunk));
        let time = Column::Numbers(numbers).finish("x", Direction::Input).unwrap().autocorrelation_time;
        assert!(time.is_some_and(|time| time > 500.0), "{time:?} instead of about 1,000");
    }

    #[test]
    fn thinning_takes_every_nth_value_however_they_are_chunked() {
        let values: Vec<f64> = (0..1_000).map(f64::from).collect();
        for chunk in [1, 5, 7, 64, 1_000] {
            let mut numbers =
                Numbers::new(Plan { bins: 4, integral: false, buffer: Limits::of(1_000), every: 7 });
            values.chunks(chunk).for_each(|chunk| numbers.update(chunk));
            let Stage::Buffer(kept) = &numbers.stage else { unreachable!("143 values fit into the buffer") };
            assert!(
                kept.values().iter().enumerate().all(|(i, &value)| value == f64::from(i as u32 * 7)),
                "{chunk}"
            );
            assert_eq!((kept.len(), numbers.sums.moments().count()), (143, 1_000));
        }
    }

    #[test]
    fn categories_without_a_bin_are_known_where_all_can_be_told_apart() {
        let mut labels = Labels::default();
        for i in 0..100u8 {
            (0..=i).for_each(|_| labels.add(Some(&[i])));
        }
        let mut bins = learned(Column::Labels(labels));
        assert_eq!((bins.others(), bins.unseen()), ((1..=37).sum(), 0));
        let others = bins.binning().others().unwrap();
        assert_eq!((others.once(), others.doubt()), (1, 3.0));
        [&[0][..], &[99], &[100]].iter().for_each(|label| bins.add_label(label, 1));
        assert_eq!((bins.others(), bins.unseen(), bins.bins()[62]), ((1..=37).sum::<u64>() + 1, 1, 101));
    }

    #[test]
    fn the_most_frequent_categories_get_bins_and_the_rest_is_unseen_where_one_cannot_be_told_apart() {
        let mut labels = Labels::default();
        for i in 0..100u32 {
            for _ in 0..=i {
                labels.add(Some(format!("label {i:03}").as_bytes()));
            }
        }
        labels.add(None);
        labels.add(Some(&[b'x'; LABEL_BYTES_MAX + 1]));
        let bins = learned(Column::Labels(labels));
        assert_eq!(bins.binning().bins(), 63);
        assert_eq!(bins.binning().labels()[0].as_ref(), b"label 037");
        assert_eq!((bins.unseen(), bins.specials().missing), ((1..=37).sum::<u64>() + 1, 1));
        assert_eq!(bins.total(), 5_052);
    }

    #[test]
    fn a_flood_of_categories_stays_in_bounds() {
        let mut labels = Labels::default();
        (0..10_000u32).for_each(|i| labels.add(Some(&i.to_le_bytes())));
        assert_eq!(labels.counts.len(), LABELS_MAX);
        assert_eq!(learned(Column::Labels(labels)).total(), 10_000);
    }

    #[test]
    fn a_column_without_values_is_no_reference() {
        let plan = Plan { bins: 4, integral: false, buffer: Limits::of(10), every: 1 };
        assert!(Column::Numbers(Numbers::new(plan)).finish("x", Direction::Input).is_none());
    }
}
