//! How far a mean may lie from the reference's without any change: the reference's own error, and the tolerance.
//!
//! Three exact tools, all by the binary relative entropy kl(x, y) = x ln(x/y) + (1-x) ln((1-x)/(1-y)).
//!
//! * **A share** c/m: Chernoff's bound. P(m kl(c/m, p) > L, on one side) ≤ exp(-L), so the interval
//!   {p : m kl(c/m, p) ≤ L} holds the true share with probability 1 - exp(-L) on either side.
//! * **A mean** of values in [low, high]: the better of Hoeffding's form of the same bound (Hoeffding, JASA 1963) and
//!   the empirical Bernstein bound (Maurer and Pontil, COLT 2009, theorems 4 and 10), which also bounds the variance.
//! * **A tolerance**: the largest mean of f over all q with KL(q ‖ p) ≤ ε is, by Donsker and Varadhan's dual,
//!   inf over η > 0 of (ln E_p exp(ηf) + ε) / η. Of p only the mean, the variance V and the gap b between the mean
//!   and the largest f are known; among such p the dual is greatest for Bennett's two points, b with mass
//!   π = V/(V + b²) and -V/b (Bennett, JASA 1962). For two points KL(q ‖ p) is kl(x, π), so the bound has the closed
//!   form (x - π)(b + V/b) with x = max {x : kl(x, π) ≤ ε}: attained, hence not improvable on what is known.

/// A mean that is known up to an error, on both sides, and the variance around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    pub low: f64,
    pub high: f64,
    /// Upper bound.
    pub variance: f64,
}

/// What was counted of a function with values in [least, most].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Independent rows: the rows divided by their autocorrelation time.
    pub size: f64,
    pub mean: f64,
    /// With divisor `size`.
    pub variance: f64,
    pub least: f64,
    pub most: f64,
}

// === shares ===

/// Relative entropy of two coins.
pub fn binary_entropy(x: f64, y: f64) -> f64 {
    let term = |x: f64, y: f64| if x <= 0.0 { 0.0 } else { x * (x / y).ln() };
    term(x, y) + term(1.0 - x, 1.0 - y)
}

/// The largest true share that `share` of `size` rows leaves possible; wrong with probability exp(-`log_odds`).
pub fn share_above(share: f64, size: f64, log_odds: f64) -> f64 {
    let radius = log_odds / size.max(1.0);
    outermost(share, 1.0, |p| binary_entropy(share, p) <= radius)
}

/// The smallest one.
pub fn share_below(share: f64, size: f64, log_odds: f64) -> f64 {
    1.0 - share_above(1.0 - share, size, log_odds)
}

/// The largest share within `tolerance` (relative entropy, nats) of `share`.
pub fn tolerated_above(share: f64, tolerance: f64) -> f64 {
    outermost(share, 1.0, |x| binary_entropy(x, share) <= tolerance)
}

/// The smallest one.
pub fn tolerated_below(share: f64, tolerance: f64) -> f64 {
    1.0 - tolerated_above(1.0 - share, tolerance)
}

/// The far end of the interval from `inside` towards `end` on which `holds`; rounded outwards.
fn outermost(inside: f64, end: f64, holds: impl Fn(f64) -> bool) -> f64 {
    const HALVINGS: usize = 60;
    let (mut inside, mut outside) = (inside, end);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (inside + outside);
        if holds(middle) {
            inside = middle;
        } else {
            outside = middle;
        }
    }
    outside
}

// === means ===

/// The mean and the variance that a sample leaves possible; each of the two sides is wrong with probability at most
/// exp(-`log_odds`).
pub fn mean_of(sample: &Sample, log_odds: f64) -> Mean {
    // A side is the better of two bounds, of which Bernstein's in turn is two: four, two, and four parts of it.
    let (hoeffding, bernstein) = (log_odds + 2f64.ln(), log_odds + 4f64.ln());
    let Sample { size, mean, variance, least, most } = *sample;
    let range = most - least;
    let scaled = ((mean - least) / range).clamp(0.0, 1.0);
    let width = bernstein_width(sample, bernstein);
    let high = (least + range * share_above(scaled, size, hoeffding)).min(mean + width).min(most);
    let low = (least + range * share_below(scaled, size, hoeffding)).max(mean - width).max(least);
    let rest = (size - 1.0).max(1.0);
    let deviation = (variance * size / rest).sqrt() + range * (2.0 * bernstein / rest).sqrt();
    // No variance is larger for a mean in that range (Bhatia and Davis, 2000).
    let variance = deviation.powi(2).min((most - low) * (high - least)).min(0.25 * range * range);
    Mean { low, high, variance }
}

/// Half the width of the empirical Bernstein interval.
fn bernstein_width(sample: &Sample, log_odds: f64) -> f64 {
    let rest = (sample.size - 1.0).max(1.0);
    let variance = sample.variance * sample.size / rest;
    (2.0 * variance * log_odds / sample.size.max(1.0)).sqrt()
        + 7.0 * (sample.most - sample.least) * log_odds / (3.0 * rest)
}

/// How far the mean of a function can rise within `tolerance` (relative entropy, nats): `variance` is its variance,
/// `gap` that between its largest value and its mean.
pub fn transport(variance: f64, gap: f64, tolerance: f64) -> f64 {
    if variance <= 0.0 || gap <= 0.0 || tolerance <= 0.0 {
        return 0.0;
    }
    let mass = variance / (variance + gap * gap);
    let shifted = tolerated_above(mass, tolerance);
    ((shifted - mass) * (gap + variance / gap)).min(gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_never_seen_may_still_be_as_large_as_its_silence_allows() {
        // (1 - p)^m = exp(-L).
        let bound = share_above(0.0, 1_000.0, 5.0);
        assert!((bound - (1.0 - (-0.005f64).exp())).abs() < 1e-12);
        assert!((share_below(1.0, 1_000.0, 5.0) - (1.0 - bound)).abs() < 1e-12);
        assert!(share_above(1.0, 10.0, 5.0) >= 1.0 && share_below(0.0, 10.0, 5.0) <= 0.0);
    }

    #[test]
    fn shares_of_binomial_samples_stay_within_their_bounds() {
        // Exact tail of Binomial(50, p) below 5, at the bound for 5 of 50.
        let p = share_above(0.1, 50.0, 3.0);
        let mut term = (1.0 - p).powi(50);
        let mut tail = 0.0;
        for k in 0..=5 {
            tail += term;
            term *= f64::from(50 - k) / f64::from(k + 1) * p / (1.0 - p);
        }
        assert!(tail <= (-3.0f64).exp() && tail > 0.2 * (-3.0f64).exp(), "{tail}");
    }

    #[test]
    fn the_tolerated_mean_of_two_points_is_attained() {
        let (mass, tolerance) = (0.2, 0.01);
        let x = tolerated_above(mass, tolerance);
        assert!((binary_entropy(x, mass) - tolerance).abs() < 1e-9);
        // A coin with faces 1 and 0: variance p(1-p), gap 1-p.
        let rise = transport(mass * (1.0 - mass), 1.0 - mass, tolerance);
        assert!((rise - (x - mass)).abs() < 1e-9);
    }

    #[test]
    fn small_tolerances_move_a_mean_by_the_root_of_twice_the_variance() {
        let rise = transport(1.0 / 3.0, 1.0, 0.000_2);
        assert!((rise / (2.0 * 0.000_2 / 3.0f64).sqrt() - 1.0).abs() < 0.02, "{rise}");
        assert_eq!((transport(0.3, 1.0, 0.0), transport(0.0, 1.0, 0.1)), (0.0, 0.0));
    }

    #[test]
    fn a_large_sample_leaves_little_doubt_and_a_small_one_much() {
        let of = |size| {
            let sample = Sample { size, mean: 0.1, variance: 1.0 / 3.0, least: -1.0, most: 1.0 };
            mean_of(&sample, 9.0)
        };
        let (large, small) = (of(1e5), of(50.0));
        assert!(large.high - 0.1 < 0.011 && 0.1 - large.low < 0.011 && large.variance < 0.37);
        assert!(small.high > 0.5 && small.low < -0.3 && small.high <= 1.0);
    }
}
