//! What a profile holds, for people: plain data, ready to be serialised.

use super::{Profile, Reference};
use crate::sketch::binning::{self, Kind};
use crate::sketch::bins::Bins;
use crate::tensor::Direction;
use serde::Serialize;
use std::collections::BTreeMap;

/// A profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Description {
    pub model: String,
    pub rows: u64,
    pub hash: String,
    pub features: Vec<FeatureDescription>,
    /// Versions of the sections, by name.
    pub sections: BTreeMap<String, u64>,
}

/// One feature of a [`Description`]. Counts add up to its rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeatureDescription {
    pub name: String,
    pub direction: Direction,
    pub kind: Kind,
    pub rows: u64,
    /// Rows without a value, NaN included.
    pub missing: u64,
    pub bins: usize,
    /// Of the finite values.
    pub mean: Option<f64>,
    pub std: Option<f64>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// How many different values there were, to a few percent; `None` where it is not known.
    pub cardinality: Option<u64>,
    /// Rows that are worth one independent row; `None` where it is not known.
    pub autocorrelation_time: Option<f64>,
    /// Of numbers; `None` when none was finite.
    pub quantiles: Option<Quantiles>,
    pub nan: u64,
    pub neg_inf: u64,
    pub pos_inf: u64,
    /// Below and above all bins.
    pub under: u64,
    pub over: u64,
    /// Between discrete values, and categories that are not known.
    pub unseen: u64,
    /// Categories that are known and have no bin.
    pub others: u64,
    /// Only with detail.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub detail: Option<BinsDescription>,
}

/// Values below which so many percent of the finite values lie, exact to the bin they fall into.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    pub p1: f64,
    pub p5: f64,
    pub p25: f64,
    pub p50: f64,
    pub p75: f64,
    pub p95: f64,
    pub p99: f64,
}

/// The bins of a feature: `edges` of ranges, `values` of discrete bins, or `labels` of categories, and their counts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BinsDescription {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    pub counts: Vec<u64>,
}

// === impl Profile ===

impl Profile {
    /// What the profile holds; with `detail` also the bins of every feature.
    pub fn describe(&self, detail: bool) -> Description {
        Description {
            model: self.model().to_owned(),
            rows: self.rows(),
            hash: self.hash().to_owned(),
            features: self.references().iter().map(|reference| reference.describe(detail)).collect(),
            sections: self.sections().list().map(|(name, version)| (name.to_owned(), version)).collect(),
        }
    }
}

// === impl Reference ===

impl Reference {
    fn describe(&self, detail: bool) -> FeatureDescription {
        let (bins, binning) = (&self.bins, self.bins.binning());
        let specials = bins.specials();
        let valued = bins.total() - specials.total();
        let distinct = self.distinct.as_ref().map(|distinct| distinct.estimate().round() as u64);
        FeatureDescription {
            name: self.name.clone(),
            direction: self.direction,
            kind: binning.kind(),
            rows: bins.total(),
            missing: specials.missing + specials.nan,
            bins: binning.bins(),
            mean: self.moments.mean(),
            std: self.moments.std(),
            min: self.moments.min(),
            max: self.moments.max(),
            cardinality: distinct.map(|distinct| distinct.min(valued)),
            autocorrelation_time: self.autocorrelation_time,
            quantiles: self.quantiles(),
            nan: specials.nan,
            neg_inf: specials.neg_inf,
            pos_inf: specials.pos_inf,
            under: bins.under(),
            over: bins.over(),
            unseen: bins.unseen(),
            others: bins.others(),
            detail: detail.then(|| BinsDescription::of(bins)),
        }
    }

    fn quantiles(&self) -> Option<Quantiles> {
        let of = |percent: f64| self.quantile(percent / 100.0);
        Some(Quantiles {
            p1: of(1.0)?,
            p5: of(5.0)?,
            p25: of(25.0)?,
            p50: of(50.0)?,
            p75: of(75.0)?,
            p95: of(95.0)?,
            p99: of(99.0)?,
        })
    }

    /// The value below which a share of the finite values lies, as if they were spread evenly over each bin: the rank is
    /// off by at most the share of the bin it falls into. `None` for categories, and when there was no finite value.
    ///
    /// Discrete values that have no bin count with the bin below them.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let (bins, binning) = (&self.bins, self.bins.binning());
        let (min, max) = (self.moments.min()?, self.moments.max()?);
        if binning.kind() == Kind::Category || binning.bins() == 0 {
            return None;
        }
        let (lowest, highest) = (binning.range(0)?.0, binning.range(binning.bins() - 1)?.1);
        let inside = bins.bins().iter().enumerate().filter_map(|(bin, &count)| {
            let (low, high) = binning.range(bin)?;
            Some((low.clamp(min, max), high.clamp(min, max), count))
        });
        let cells = [(min, lowest.clamp(min, max), bins.under())].into_iter().chain(inside).chain([(
            highest.clamp(min, max),
            max,
            bins.over(),
        )]);
        let total = bins.under() + bins.over() + bins.bins().iter().sum::<u64>();
        let mut left = share.clamp(0.0, 1.0) * total as f64;
        let mut last = None;
        for (low, high, count) in cells.filter(|&(.., count)| count > 0) {
            if left <= count as f64 {
                let place = left / count as f64;
                return Some((low * (1.0 - place) + high * place).clamp(low, high));
            }
            left -= count as f64;
            last = Some(high);
        }
        last
    }
}

// === impl BinsDescription ===

impl BinsDescription {
    fn of(bins: &Bins) -> BinsDescription {
        let binning = bins.binning();
        let text = |label: &[u8]| String::from_utf8_lossy(label).into_owned();
        BinsDescription {
            edges: binning.edges(),
            values: binning.values().to_vec(),
            labels: binning.labels().iter().map(|label| text(label)).collect(),
            counts: bins.cells()[binning::FIRST..binning.over()].to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ProfileBuilder;
    use super::*;

    fn reference(values: &[f64]) -> Reference {
        let mut builder = ProfileBuilder::new("m", 64);
        builder.add_column_f64("x", Direction::Input, values).unwrap();
        let profile = builder.finish().unwrap();
        (*profile.references()[0]).clone()
    }

    #[test]
    fn quantiles_are_those_of_the_values_to_a_bin() {
        let values: Vec<f64> = (0..10_000).map(|i| f64::from(i * 7_919 % 10_000)).collect();
        let found = reference(&values);
        for share in [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99] {
            let exact = share * 10_000.0;
            assert!((found.quantile(share).unwrap() - exact).abs() < 10_000.0 / 64.0, "{share}");
        }
        assert_eq!((found.quantile(0.0), found.quantile(1.0)), (Some(0.0), Some(9_999.0)));
    }

    #[test]
    fn quantiles_of_discrete_values_are_values() {
        let found = reference(&[0.0, 1.0, 1.0, 1.0, 5.0].repeat(100));
        let quantiles = found.quantiles().unwrap();
        assert_eq!((quantiles.p5, quantiles.p50, quantiles.p95), (0.0, 1.0, 5.0));
    }

    #[test]
    fn values_behind_the_edges_have_quantiles_too() {
        let mut builder = ProfileBuilder::on(&{
            let mut edges = ProfileBuilder::new("m", 4);
            edges
                .add_column_f64("x", Direction::Input, &(0..100).map(f64::from).collect::<Vec<_>>())
                .unwrap();
            edges.finish().unwrap()
        });
        builder.add_column_f64("x", Direction::Input, &[-1000.0, 50.0, 50.0, 2000.0]).unwrap();
        let profile = builder.finish().unwrap();
        let found = &profile.references()[0];
        assert_eq!((found.quantile(0.0), found.quantile(1.0)), (Some(-1000.0), Some(2000.0)));
        assert!((0.0..99.0).contains(&found.quantile(0.5).unwrap()));
    }

    #[test]
    fn nothing_finite_has_no_quantile() {
        let found = reference(&[f64::NAN, f64::INFINITY]);
        assert_eq!((found.quantiles(), found.describe(true).mean), (None, None));
        assert_eq!(found.describe(false).cardinality, Some(0));
    }

    #[test]
    fn the_counts_of_a_description_add_up_to_its_rows() {
        let values = [1.0, 2.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 2.0];
        let described = reference(&values).describe(true);
        let binned = described.detail.as_ref().unwrap().counts.iter().sum::<u64>();
        let beside =
            described.missing + described.neg_inf + described.pos_inf + described.under + described.over;
        assert_eq!((binned + beside + described.unseen, described.rows), (6, 6));
        assert_eq!(described.cardinality, Some(2));
    }
}
