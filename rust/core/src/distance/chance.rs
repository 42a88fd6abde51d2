//! How far chance alone carries a distance: quantiles of the normal and the chi-square distribution.

/// A small probability, and the normal quantile that goes with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chance {
    probability: f64,
    /// What a standard normal exceeds with that probability.
    normal: f64,
}

/// What the noise of a distance depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Values counted in the reference ("m").
    pub reference: u64,
    /// Values counted now ("n").
    pub current: u64,
    /// Cells that are not empty on both sides ("B").
    pub cells: usize,
}

// === impl Chance ===

impl Chance {
    /// `probability` is clamped to 1e-15 ... 0.5.
    pub fn of(probability: f64) -> Chance {
        let probability = probability.clamp(1e-15, 0.5);
        Chance { probability, normal: normal_quantile(probability) }
    }

    pub fn probability(&self) -> f64 {
        self.probability
    }

    /// What a standard normal variable exceeds with this probability.
    pub fn normal(&self) -> f64 {
        self.normal
    }

    /// So many times less probable.
    pub fn shared(&self, times: f64) -> Chance {
        Chance::of(self.probability / times)
    }

    /// What a chi-square variable with `freedom` degrees of freedom exceeds with this probability: exact up to two
    /// degrees, from there to 2 % (Wilson and Hilferty, "The distribution of chi-square", 1931).
    pub fn chi_square(&self, freedom: f64) -> f64 {
        if freedom <= 0.0 {
            return 0.0;
        } else if freedom <= 1.0 {
            return self.shared(2.0).normal.powi(2);
        } else if freedom <= 2.0 {
            return -2.0 * self.probability.ln();
        }
        let variance = 2.0 / (9.0 * freedom);
        freedom * (1.0 - variance + self.normal * variance.sqrt()).powi(3)
    }
}

/// Upper quantile of the standard normal, to 4.5e-4 (Abramowitz and Stegun, "Handbook of Mathematical Functions",
/// 26.2.23).
fn normal_quantile(probability: f64) -> f64 {
    let t = (-2.0 * probability.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - above / below
}

// === impl Sizes ===

impl Sizes {
    /// `None` when the lengths differ or one side counted nothing.
    pub fn of(reference: &[u64], current: &[u64]) -> Option<Sizes> {
        let sizes = Sizes {
            reference: reference.iter().sum(),
            current: current.iter().sum(),
            cells: reference.iter().zip(current).filter(|&(&p, &q)| p > 0 || q > 0).count(),
        };
        (reference.len() == current.len() && sizes.reference > 0 && sizes.current > 0).then_some(sizes)
    }

    /// Degrees of freedom: the cells, less one because proportions add up to one.
    pub fn freedom(&self) -> f64 {
        self.cells.saturating_sub(1) as f64
    }

    /// Mean of the root of a chi-square variable with these degrees of freedom, to 1 %.
    pub fn mean_chi(&self) -> f64 {
        let freedom = self.freedom();
        if freedom > 0.0 { (freedom - 0.5 + 0.125 / freedom).sqrt() } else { 0.0 }
    }

    /// Values counted on both sides together ("N").
    pub fn pooled(&self) -> f64 {
        self.reference as f64 + self.current as f64
    }

    /// Variance of the difference of two proportions, in units of p(1 - p): 1/n + 1/m.
    pub fn variance(&self) -> f64 {
        1.0 / self.current as f64 + 1.0 / self.reference as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_quantiles_are_those_of_the_tables() {
        for (probability, quantile) in
            [(0.5, 0.0), (0.05, 1.644_854), (0.001, 3.090_232), (1e-6, 4.753_424), (1e-9, 5.997_807)]
        {
            assert!((Chance::of(probability).normal - quantile).abs() < 5e-4, "{probability}");
        }
    }

    #[test]
    fn chi_square_quantiles_are_those_of_the_tables() {
        let chance = Chance::of(0.001);
        for (freedom, quantile) in [(3.0, 16.266), (9.0, 27.877), (31.0, 61.098), (63.0, 103.442)] {
            assert!((chance.chi_square(freedom) / quantile - 1.0).abs() < 0.02, "{freedom}");
        }
        for (freedom, quantile) in [(1.0, 10.828), (2.0, 13.816)] {
            assert!((chance.chi_square(freedom) - quantile).abs() < 5e-3, "{freedom}");
        }
        assert_eq!(chance.chi_square(0.0), 0.0);
    }
}
