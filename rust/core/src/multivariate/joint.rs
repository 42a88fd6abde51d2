//! The map from a row to the numbers that know its columns' joint distribution.

use super::comoments::{CoMoments, CorrelationDistance};
use super::fourier::Fourier;
use super::principal;
use crate::profile::Section;
use crate::random::Random;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// Most columns, those of an embedding.
pub const COLUMNS_MAX: usize = 8_192;

/// Most Fourier features, most pairs.
pub const FEATURES_MAX: usize = 512;
pub const PAIRS_MAX: usize = 512;

/// Standardised values beyond count as this.
const FAR: f64 = 8.0;
/// The same in products of pairs.
const FAR_IN_PAIRS: f64 = 3.0;

/// Random Fourier features of an embedding, unless another number is asked for.
const EMBEDDING_FEATURES: usize = 64;

/// What is wanted of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Random Fourier features.
    pub features: usize,
    /// Pairs of columns whose product is watched; of more columns, so many pairs by lot.
    pub pairs: usize,
    /// Whether the reconstruction error is watched.
    pub principal: bool,
    pub seed: u64,
}

/// A fixed map of the columns of one tensor, and their co-moments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Joint {
    stored: Stored,
    fourier: Fourier,
}

/// The maps of a profile, one per tensor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joints {
    pub maps: Vec<Joint>,
}

/// As it travels in the profile; the frequencies follow from the seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    tensor: String,
    /// Median of each column, and what its values are divided by.
    centres: Vec<f64>,
    scales: Vec<f64>,
    seed: u64,
    features: usize,
    pairs: Vec<(u16, u16)>,
    /// Principal axes of the standardised columns; none where the error is not watched.
    axes: Vec<Vec<f64>>,
    /// Of the standardised columns; none where they are too many.
    comoments: Option<CoMoments>,
}

// === impl Joint ===

impl Joint {
    /// A map learned from rows (row-major); `None` when there are none, or columns out of range.
    pub fn learn(tensor: &str, columns: usize, rows: &[f64], wanted: Wanted) -> Option<Joint> {
        let count = rows.len() / columns.max(1);
        if count == 0 || !(1..=COLUMNS_MAX).contains(&columns) {
            return None;
        }
        let (centres, scales) = (0..columns).map(|column| spread(rows, columns, column)).unzip();
        let stored = Stored {
            tensor: tensor.to_owned(),
            centres,
            scales,
            seed: wanted.seed,
            features: wanted.features.min(FEATURES_MAX),
            pairs: pairs(columns, wanted.pairs.min(PAIRS_MAX), wanted.seed),
            axes: Vec::new(),
            comoments: CoMoments::new(columns),
        };
        let mut joint = Joint::try_from(stored).ok()?;
        joint.count(rows);
        if let Some(comoments) = joint.stored.comoments.as_ref().filter(|_| wanted.principal) {
            joint.stored.axes = principal::axes(comoments);
        }
        Some(joint)
    }

    /// Adds rows to the co-moments.
    pub fn count(&mut self, rows: &[f64]) {
        let columns = self.columns();
        let mut standard = vec![0.0; columns];
        for row in rows.chunks_exact(columns) {
            self.standardise(row, &mut standard);
            if let Some(comoments) = &mut self.stored.comoments {
                comoments.add(&standard);
            }
        }
    }

    /// Random Fourier features, the first numbers of a row.
    pub fn features(&self) -> usize {
        self.fourier.features()
    }

    pub fn tensor(&self) -> &str {
        &self.stored.tensor
    }

    pub fn columns(&self) -> usize {
        self.stored.centres.len()
    }

    /// Numbers per row.
    pub fn width(&self) -> usize {
        self.fourier.features() + self.stored.pairs.len() + usize::from(!self.stored.axes.is_empty())
    }

    /// What the numbers are called, given the names of the columns.
    pub fn names(&self, columns: &[String]) -> Vec<String> {
        let tensor = &self.stored.tensor;
        let column = |number: u16| {
            columns.get(usize::from(number)).cloned().unwrap_or_else(|| format!("{tensor}[{number}]"))
        };
        let fourier = (0..self.fourier.features()).map(|feature| format!("{tensor}.fourier[{feature}]"));
        let pairs = self.stored.pairs.iter();
        let pairs = pairs.map(|&(a, b)| format!("{tensor}.pair({}, {})", column(a), column(b)));
        let error = (!self.stored.axes.is_empty()).then(|| format!("{tensor}.reconstruction_error"));
        fourier.chain(pairs).chain(error).collect()
    }

    /// The standardised row: missing values count as the median, infinite ones as far away.
    pub fn standardise(&self, row: &[f64], out: &mut [f64]) {
        let spreads = self.stored.centres.iter().zip(&self.stored.scales);
        for ((out, value), (centre, scale)) in out.iter_mut().zip(row).zip(spreads) {
            let standard = ((value - centre) / scale).clamp(-FAR, FAR);
            *out = if standard.is_nan() { 0.0 } else { standard };
        }
    }

    /// Writes the [`Joint::width`] numbers of a standardised row.
    pub fn project(&self, standard: &[f64], out: &mut [f64]) {
        let (fourier, rest) = out.split_at_mut(self.fourier.features().min(out.len()));
        self.fourier.project(standard, fourier);
        let (pairs, error) = rest.split_at_mut(self.stored.pairs.len().min(rest.len()));
        let near = |column: u16| standard[usize::from(column)].clamp(-FAR_IN_PAIRS, FAR_IN_PAIRS);
        for (out, &(a, b)) in pairs.iter_mut().zip(&self.stored.pairs) {
            *out = near(a) * near(b) / (FAR_IN_PAIRS * FAR_IN_PAIRS);
        }
        if let [error, ..] = error {
            *error = principal::reconstruction_error(standard, &self.stored.axes);
        }
    }

    fn merge(&mut self, other: &Joint) -> Result<(), String> {
        if !maps_alike(&self.stored, &other.stored) {
            return Err(format!(
                "the rows of {:?} were standardised differently; build both parts with one map",
                self.tensor()
            ));
        }
        if let (Some(mine), Some(theirs)) = (&mut self.stored.comoments, &other.stored.comoments) {
            let _same_columns = mine.merge(theirs);
        }
        Ok(())
    }

    /// Of the standardised columns.
    pub fn comoments(&self) -> Option<&CoMoments> {
        self.stored.comoments.as_ref()
    }

    /// How far the correlations of live (standardised) rows are from the reference's.
    pub fn correlation_distance(&self, live: &CoMoments) -> Option<CorrelationDistance> {
        self.stored.comoments.as_ref()?.distance(live)
    }
}

/// Whether all but the co-moments is the same.
fn maps_alike(one: &Stored, other: &Stored) -> bool {
    let map = |stored: &Stored| Stored { comoments: None, ..stored.clone() };
    map(one) == map(other)
}

/// Median and interquartile range of a column, as a normal distribution's standard deviation; the standard deviation where
/// half of the values are the same, and 1 where all are. Not the moments: one absurd value would make them useless.
fn spread(rows: &[f64], columns: usize, column: usize) -> (f64, f64) {
    const QUARTILES: f64 = 1.349;
    let mut values: Vec<f64> =
        rows.chunks_exact(columns).map(|row| row[column]).filter(|value| value.is_finite()).collect();
    values.sort_unstable_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return (0.0, 1.0) };
    let quantile = |share: f64| values[(share * last as f64).round() as usize];
    let (centre, quartiles) = (quantile(0.5), quantile(0.75) - quantile(0.25));
    if quartiles > 0.0 && quartiles.is_finite() {
        return (centre, quartiles / QUARTILES);
    }
    let count = values.len() as f64;
    let mean = values.iter().map(|value| value / count).sum::<f64>();
    let std = (values.iter().map(|value| (value - mean).powi(2) / count).sum::<f64>()).sqrt();
    (centre, if std > 0.0 && std.is_finite() { std } else { 1.0 })
}

/// All pairs of columns, or so many different ones by lot.
fn pairs(columns: usize, most: usize, seed: u64) -> Vec<(u16, u16)> {
    let all = columns * (columns - 1) / 2;
    let every = || (0..columns as u16).flat_map(|b| (0..b).map(move |a| (a, b)));
    if all <= most {
        return every().collect();
    }
    let mut random = Random(seed ^ 0x7061_6972);
    let mut chosen = std::collections::BTreeSet::new();
    while chosen.len() < most {
        let mut draw = || (random.bits() % columns as u64) as u16;
        let (a, b) = (draw(), draw());
        if a != b {
            chosen.insert((a.min(b), a.max(b)));
        }
    }
    chosen.into_iter().collect()
}

impl TryFrom<Stored> for Joint {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Joint, String> {
        let columns = stored.centres.len();
        let is_column = |&(a, b): &(u16, u16)| usize::from(a) < columns && usize::from(b) < columns;
        let finite = |values: &[f64]| values.len() == columns && values.iter().all(|value| value.is_finite());
        let sane = (1..=COLUMNS_MAX).contains(&columns)
            && stored.features <= FEATURES_MAX
            && stored.pairs.len() <= PAIRS_MAX
            && stored.pairs.iter().all(is_column)
            && finite(&stored.centres)
            && finite(&stored.scales)
            && stored.scales.iter().all(|&scale| scale > 0.0)
            && stored.axes.len() <= columns.min(principal::COLUMNS_MAX)
            && stored.axes.iter().all(|axis| finite(axis))
            && stored.comoments.as_ref().is_none_or(|comoments| comoments.columns() == columns);
        if !sane {
            return Err(format!("a joint map of {columns} columns whose parts do not agree"));
        }
        let fourier = Fourier::new(stored.seed, columns, stored.features);
        Ok(Joint { stored, fourier })
    }
}

impl From<Joint> for Stored {
    fn from(joint: Joint) -> Stored {
        joint.stored
    }
}

// === impl Joints ===

impl Joints {
    /// That of a tensor.
    pub fn of(&self, tensor: &str) -> Option<&Joint> {
        self.maps.iter().find(|joint| joint.tensor() == tensor)
    }
}

impl Section for Joints {
    const NAME: &'static str = "joint";
    const VERSION: u64 = 1;

    fn check(&self) -> Result<(), String> {
        let mut tensors: Vec<&str> = self.maps.iter().map(Joint::tensor).collect();
        tensors.sort_unstable();
        if tensors.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("a tensor has two joint maps".into());
        }
        Ok(())
    }

    /// Rows that were mapped in different ways do not add up.
    fn merge(&mut self, other: &Joints) -> Result<(), String> {
        for theirs in &other.maps {
            match self.maps.iter_mut().find(|mine| mine.tensor() == theirs.tensor()) {
                Some(mine) => mine.merge(theirs)?,
                None => self.maps.push(theirs.clone()),
            }
        }
        self.maps.sort_by(|a, b| a.tensor().cmp(b.tensor()));
        Ok(())
    }
}

// === impl Wanted ===

impl Default for Wanted {
    fn default() -> Wanted {
        Wanted { features: 32, pairs: 64, principal: true, seed: 0 }
    }
}

impl Wanted {
    /// For an embedding: its columns mean nothing alone, nor in pairs.
    pub fn of_embedding(features: usize, seed: u64) -> Wanted {
        Wanted { features, pairs: 0, principal: false, seed }
    }

    /// For a tensor. The seed is its name, so that whoever learns its map draws the same features.
    pub fn of_tensor(name: &str, is_embedding: bool) -> Wanted {
        let mut hasher = SipHasher13::new();
        hasher.write(name.as_bytes());
        let seed = hasher.finish();
        if is_embedding {
            return Wanted::of_embedding(EMBEDDING_FEATURES, seed);
        }
        Wanted { seed, ..Wanted::default() }
    }
}
