//! Pearson's chi-square statistic of the table of counts: two rows (reference, current), one column per cell.
//!
//! X² = Σ (O - E)² / E, E the counts that equal proportions would give (Pearson, 1900; the two-sample form as in Cramér,
//! "Mathematical Methods of Statistics", 1946, §30.6). No continuity correction. For undrifted rows it is chi-square
//! with B - 1 degrees of freedom; its mean given the margins is exactly (B - 1) N / (N - 1), N all counts together. That
//! law needs counts: where some expected one is below 1 (Cochran, "Some methods for strengthening the common χ² tests",
//! 1954), a single rare value decides the statistic, and neither is given.

use super::{Chance, Sizes};

/// The statistic; `None` when the lengths differ or one side counted nothing.
pub fn statistic(reference: &[u64], current: &[u64]) -> Option<f64> {
    let sizes = Sizes::of(reference, current)?;
    let (m, n) = (sizes.reference as f64, sizes.current as f64);
    let cells = reference.iter().zip(current).filter(|&(&p, &q)| p > 0 || q > 0);
    // Both rows' deviations are the same number; (O - E)²/E of the two add up to (p - q)² over the pooled share.
    Some(
        cells
            .map(|(&p, &q)| (p as f64 * n - q as f64 * m).powi(2) / ((p as f64 + q as f64) * m * n))
            .sum::<f64>(),
    )
}

/// Whether every expected count is at least one.
pub fn has_law(reference: &[u64], current: &[u64], sizes: &Sizes) -> bool {
    let rarest = reference.iter().zip(current).map(|(p, q)| p + q).filter(|&pooled| pooled > 0).min();
    let side = sizes.reference.min(sizes.current) as f64;
    rarest.is_some_and(|rarest| rarest as f64 * side >= sizes.pooled())
}

/// What undrifted rows score on average.
pub fn expected(sizes: &Sizes) -> f64 {
    let all = sizes.pooled();
    sizes.freedom() * all / (all - 1.0).max(1.0)
}

/// What undrifted rows exceed with the probability `chance` stands for.
pub fn noise(chance: &Chance, sizes: &Sizes) -> f64 {
    chance.chi_square(sizes.freedom())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_by_hand() {
        // E = (15, 15), (15, 15): 4 · 25 / 15
        assert!((statistic(&[10, 20], &[20, 10]).unwrap() - 100.0 / 15.0).abs() < 1e-12);
    }

    #[test]
    fn a_single_rare_value_leaves_no_law() {
        let (reference, current) = ([1_000, 1_000, 0], [50, 49, 1]);
        let sizes = Sizes::of(&reference, &current).unwrap();
        assert!(!has_law(&reference, &current, &sizes));
        assert!(has_law(&reference[..2], &current[..2], &sizes));
    }

    #[test]
    fn a_proportional_table_has_none() {
        assert_eq!(statistic(&[100, 200, 300], &[1, 2, 3]), Some(0.0));
    }
}
