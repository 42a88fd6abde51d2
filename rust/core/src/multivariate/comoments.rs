//! Means, variances and correlations of many columns in one pass.
//!
//! Rows come in blocks, and blocks are combined by the pairwise update of Chan, Golub and LeVeque ("Updating formulae and
//! a pairwise algorithm for computing sample variances", 1979), which holds for products of two columns as it does for
//! squares: C ← C + C' + (m - m')(m - m')ᵀ n n'/(n + n').

use serde::{Deserialize, Serialize};

/// Most columns: 32,896 products.
pub const COLUMNS_MAX: usize = 256;

/// Co-moments of rows without missing values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct CoMoments {
    count: u64,
    means: Vec<f64>,
    /// Products of deviations from the means, added up: the lower triangle, row by row, with the diagonal.
    products: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    count: u64,
    means: Vec<f64>,
    products: Vec<f64>,
}

/// How far two correlation matrices are apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CorrelationDistance {
    /// Frobenius norm of their difference.
    pub value: f64,
    /// What it is about if nothing has changed, because both are measured on so many rows only.
    pub expected: f64,
}

// === impl CoMoments ===

impl CoMoments {
    /// Of so many columns, up to [`COLUMNS_MAX`]; none for more.
    pub fn new(columns: usize) -> Option<CoMoments> {
        let products = vec![0.0; columns * (columns + 1) / 2];
        (columns <= COLUMNS_MAX).then_some(CoMoments { count: 0, means: vec![0.0; columns], products })
    }

    pub fn columns(&self) -> usize {
        self.means.len()
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// Adds one row of finite numbers, one per column.
    pub fn add(&mut self, row: &[f64]) {
        if row.len() != self.columns() {
            return;
        }
        self.count += 1;
        let weight = (self.count - 1) as f64 / self.count as f64;
        let mut place = 0;
        for (i, value) in row.iter().enumerate() {
            let off = weight * (value - self.means[i]);
            for (other, mean) in row.iter().zip(&self.means).take(i + 1) {
                self.products[place] += off * (other - mean);
                place += 1;
            }
        }
        let count = self.count as f64;
        self.means.iter_mut().zip(row).for_each(|(mean, value)| *mean += (value - *mean) / count);
    }

    /// Adds what was seen elsewhere; `false`, and nothing, for another number of columns.
    #[must_use]
    pub fn merge(&mut self, other: &CoMoments) -> bool {
        if self.columns() != other.columns() {
            return false;
        }
        let (mine, theirs) = (self.count as f64, other.count as f64);
        let all = mine + theirs;
        if all == 0.0 {
            return true;
        }
        let off: Vec<f64> = other.means.iter().zip(&self.means).map(|(b, a)| b - a).collect();
        let mut place = 0;
        for i in 0..off.len() {
            for j in 0..=i {
                self.products[place] += other.products[place] + off[i] * off[j] * mine * theirs / all;
                place += 1;
            }
        }
        self.means.iter_mut().zip(&off).for_each(|(mean, off)| *mean += off * theirs / all);
        self.count += other.count;
        true
    }

    fn product(&self, i: usize, j: usize) -> f64 {
        let (high, low) = (i.max(j), i.min(j));
        self.products[high * (high + 1) / 2 + low]
    }

    /// Variance of a column, as a population.
    pub fn variance(&self, column: usize) -> f64 {
        self.product(column, column) / self.count.max(1) as f64
    }

    /// Correlation of two columns; 0 where one of them does not vary.
    pub fn correlation(&self, i: usize, j: usize) -> f64 {
        let scale = (self.product(i, i) * self.product(j, j)).sqrt();
        if scale > 0.0 { (self.product(i, j) / scale).clamp(-1.0, 1.0) } else { 0.0 }
    }

    /// The correlation matrix, row by row, with ones on the diagonal where a column varies.
    pub fn correlations(&self) -> Vec<Vec<f64>> {
        let columns = 0..self.columns();
        columns.clone().map(|i| columns.clone().map(|j| self.correlation(i, j)).collect()).collect()
    }

    /// The Frobenius norm of the difference of the correlation matrices, and what to expect of it if nothing has changed:
    /// the variance of a correlation is (1 - ρ²)²/n. None for other columns, and without two rows on either side.
    pub fn distance(&self, live: &CoMoments) -> Option<CorrelationDistance> {
        if self.columns() != live.columns() || self.count < 2 || live.count < 2 {
            return None;
        }
        let noise = 1.0 / self.count as f64 + 1.0 / live.count as f64;
        let (mut squares, mut expected) = (0.0, 0.0);
        for i in 0..self.columns() {
            for j in 0..i {
                let before = self.correlation(i, j);
                squares += 2.0 * (live.correlation(i, j) - before).powi(2);
                expected += 2.0 * (1.0 - before * before).powi(2) * noise;
            }
        }
        Some(CorrelationDistance { value: squares.sqrt(), expected: expected.sqrt() })
    }
}

impl TryFrom<Stored> for CoMoments {
    type Error = String;

    fn try_from(Stored { count, means, products }: Stored) -> Result<CoMoments, String> {
        let empty = CoMoments::new(means.len()).ok_or(format!("{} columns are too many", means.len()))?;
        let numbers = means.iter().chain(&products).all(|value| value.is_finite());
        if products.len() != empty.products.len() || !numbers {
            return Err(format!("co-moments of {} columns: {} products", means.len(), products.len()));
        }
        Ok(CoMoments { count, means, products })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(rows: &[[f64; 3]]) -> CoMoments {
        let mut comoments = CoMoments::new(3).unwrap();
        rows.iter().for_each(|row| comoments.add(row));
        comoments
    }

    #[test]
    fn known_rows_give_known_correlations() {
        let found =
            of(&[[1.0, 2.0, 1e9], [2.0, 4.0, 1e9 - 1.0], [3.0, 6.0, 1e9 - 2.0], [4.0, 8.0, 1e9 - 3.0]]);
        assert!((found.correlation(0, 1) - 1.0).abs() < 1e-12);
        assert!((found.correlation(2, 0) + 1.0).abs() < 1e-9, "a large mean does not swallow it");
        assert_eq!((found.variance(0), found.means()[1], found.count()), (1.25, 5.0, 4));
        let constant = of(&[[1.0, 2.0, 3.0], [1.0, 3.0, 3.0]]);
        assert_eq!((constant.correlation(0, 1), constant.correlation(1, 1)), (0.0, 1.0));
    }

    #[test]
    fn a_sign_that_flips_is_twice_the_correlation_off() {
        let rows: Vec<[f64; 3]> = (0..1_000u32)
            .map(|i| [f64::from(i % 7), f64::from(i % 7) + f64::from(i % 5), f64::from(i % 11)])
            .collect();
        let flipped: Vec<[f64; 3]> = rows.iter().map(|&[a, b, c]| [-a, b, c]).collect();
        let (before, after) = (of(&rows), of(&flipped));
        let found = before.distance(&after).unwrap();
        let r = before.correlation(0, 1);
        let s = before.correlation(0, 2);
        assert!((found.value - (8.0 * (r * r + s * s)).sqrt()).abs() < 1e-9 && found.expected < 0.1);
        assert_eq!(before.distance(&CoMoments::new(3).unwrap()), None);
        assert_eq!(before.distance(&before).unwrap().value, 0.0);
    }

    #[test]
    fn too_many_columns_and_broken_files_are_refused() {
        assert!(CoMoments::new(257).is_none());
        let mut three = of(&[[1.0, 2.0, 3.0]]);
        assert!(!three.merge(&CoMoments::new(2).unwrap()));
        three.add(&[1.0]);
        assert_eq!(three.count(), 1);
        for text in
            [r#"{"count":1,"means":[0.0],"products":[]}"#, r#"{"count":1,"means":[null],"products":[1.0]}"#]
        {
            assert!(serde_json::from_str::<CoMoments>(text).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_split_merges_to_the_co_moments_of_the_whole(
            rows in prop::collection::vec(prop::array::uniform3(-1e3f64..1e3), 1..60), cut in 0usize..60,
        ) {
            let (a, b) = rows.split_at(cut.min(rows.len()));
            let mut merged = of(b);
            prop_assert!(merged.merge(&of(a)));
            let whole = of(&rows);
            prop_assert_eq!(merged.count(), whole.count());
            for i in 0..3 {
                prop_assert!((merged.means[i] - whole.means[i]).abs() < 1e-9);
                for j in 0..3 {
                    let scale = whole.variance(i).max(whole.variance(j)).max(1.0) * rows.len() as f64;
                    prop_assert!((merged.product(i, j) - whole.product(i, j)).abs() < 1e-9 * scale);
                }
            }
        }
    }
}
