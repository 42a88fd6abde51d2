//! How far a mean may lie from the reference's without any change: the reference's own error, and the tolerance.
//!
//! Three exact tools, all by the binary relative entropy kl(x, y) = x ln(x/y) + (1-x) ln((1-x)/(1-y)).
//!
//! * **A share** c/m: Chernoff's bound. P(m kl(c/m, p) > L, on one side) ≤ exp(-L), so the interval
//!   {p : m kl(c/m, p) ≤ L} holds the true share with probability 1 - exp(-L) on either side.
//! * **A mean** of values in [low, high]: the better of Hoeffding's form of the same bound (Hoeffding, JASA 1963) and
//!   the empirical Bernstein bound (Maurer and Pontil, COLT 2009, theorems 4 and 10), which also bounds the variance.
//! * **A tolerance**: the largest mean of f over all q with KL(q ‖ p) ≤ ε, p being the reference's own shares, is by
//!   Donsker and Varadhan's dual the least of (ln E_p exp(ηf) + ε) / η over η > 0. It is attained by p tilted by exp(ηf),
//!   hence not improvable; and valid for any η, so the search for the best one need not be exact.

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
    let excess = |p: f64| binary_entropy(share, p) - radius;
    outermost(share, radius, excess, |p| (p - share) / (p * (1.0 - p)))
}

/// The smallest one.
pub fn share_below(share: f64, size: f64, log_odds: f64) -> f64 {
    1.0 - share_above(1.0 - share, size, log_odds)
}

/// The largest share within `tolerance` (relative entropy, nats) of `share`.
pub fn tolerated_above(share: f64, tolerance: f64) -> f64 {
    let excess = |x: f64| binary_entropy(x, share) - tolerance;
    outermost(share, tolerance, excess, |x| (x * (1.0 - share) / ((1.0 - x) * share)).ln())
}

/// The smallest one.
pub fn tolerated_below(share: f64, tolerance: f64) -> f64 {
    1.0 - tolerated_above(1.0 - share, tolerance)
}

/// The share above `share` at which its relative entropy exceeds what it may by nothing; rounded outwards.
///
/// `excess` is convex and rises to there, so Newton's steps from the outside stay outside, and a few are enough. The start
/// follows from kl(x, y) ≥ (x - y)² / 2v, v being the largest variance of a coin between x and y: at most 1/4, at most the
/// larger share, at most one minus the smaller.
fn outermost(share: f64, radius: f64, excess: impl Fn(f64) -> f64, slope: impl Fn(f64) -> f64) -> f64 {
    const STEPS: usize = 40;
    let (quarter, small) = ((0.5 * radius).sqrt(), radius + (radius * (radius + 2.0 * share)).sqrt());
    let start = share + quarter.min(small).min((2.0 * radius * (1.0 - share)).sqrt());
    if radius <= 0.0 || start >= 1.0 || start <= share || !excess(start).is_finite() {
        return halved(share, excess);
    }
    let mut outside = start;
    for _ in 0..STEPS {
        let step = excess(outside) / slope(outside);
        // Less than rounding; or so near that rounding has carried it inside.
        if step.is_nan() || step <= 4.0 * f64::EPSILON * outside {
            break;
        }
        outside -= step;
    }
    let mut nudge = f64::EPSILON * outside;
    while excess(outside) <= 0.0 && outside < 1.0 {
        outside = (outside + nudge).min(1.0);
        nudge *= 2.0;
    }
    outside
}

/// The same where no bound helps: the interval up to one is halved.
fn halved(share: f64, excess: impl Fn(f64) -> f64) -> f64 {
    const HALVINGS: usize = 60;
    let (mut inside, mut outside) = (share, 1.0);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (inside + outside);
        if excess(middle) <= 0.0 {
            inside = middle;
        } else {
            outside = middle;
        }
    }
    outside
}

// === means ===

/// The largest mean that a sample leaves possible; wrong with probability at most exp(-`log_odds`).
pub fn mean_above(sample: &Sample, log_odds: f64) -> f64 {
    // The better of two bounds, of which Bernstein's in turn is one for the mean and one for the variance.
    let (hoeffding, bernstein) = (log_odds + 2f64.ln(), log_odds + 4f64.ln());
    let Sample { size, mean, least, most, .. } = *sample;
    let range = most - least;
    let scaled = ((mean - least) / range).clamp(0.0, 1.0);
    let width = bernstein_width(sample, bernstein);
    (least + range * share_above(scaled, size, hoeffding)).min(mean + width).min(most)
}

/// Half the width of the empirical Bernstein interval.
fn bernstein_width(sample: &Sample, log_odds: f64) -> f64 {
    let rest = (sample.size - 1.0).max(1.0);
    let variance = sample.variance * sample.size / rest;
    (2.0 * variance * log_odds / sample.size.max(1.0)).sqrt()
        + 7.0 * (sample.most - sample.least) * log_odds / (3.0 * rest)
}

/// The largest mean of a function, given its `values` by cell, within `tolerance` (relative entropy, nats) of the
/// `shares`.
pub fn tolerated_mean(shares: &[f64], values: &[f64], tolerance: f64) -> f64 {
    const STEPS: usize = 40;
    let seen = || shares.iter().zip(values).filter(|(share, _)| **share > 0.0);
    let most = seen().map(|(_, &value)| value).fold(f64::NEG_INFINITY, f64::max);
    let mean: f64 = seen().map(|(share, value)| share * value).sum();
    let variance: f64 = seen().map(|(share, value)| share * (value - mean).powi(2)).sum();
    // Where all values are the same, rounding may put their mean above them.
    if tolerance <= 0.0 || variance <= 0.0 || most <= mean {
        return mean;
    }
    // ln E exp(η(f - most)), and the mean and the variance of f - most tilted by exp(ηf).
    let tilted = |eta: f64| {
        let mut sums = [0.0; 3];
        for (share, value) in seen() {
            let (weight, below) = (share * (eta * (value - most)).exp(), value - most);
            let terms = [weight, weight * below, weight * below * below];
            sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        }
        let [whole, sum, squares] = sums;
        (whole.ln(), sum / whole, (squares / whole - (sum / whole).powi(2)).max(0.0))
    };
    // The tilt whose relative entropy is the tolerance, by Newton's method from where it would be if f were normal. The
    // entropy grows by η times the tilted variance.
    let largest = (8.0 * tolerance / variance).sqrt() + 64.0 / (most - mean);
    let (mut eta, mut best) = ((2.0 * tolerance / variance).sqrt().min(largest), most);
    for _ in 0..STEPS {
        let (log_mean, mean, variance) = tilted(eta);
        best = best.min((log_mean + tolerance) / eta + most);
        let next = eta - (eta * mean - log_mean - tolerance) / (eta * variance);
        let next = if next.is_finite() { next.clamp(0.5 * eta, largest) } else { largest };
        if (next - eta).abs() <= 1e-8 * eta {
            break;
        }
        eta = next;
    }
    best.max(mean)
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
    fn the_ends_of_an_interval_are_those_that_halving_finds_and_never_inside() {
        for share in [0.0, 1e-12, 1e-4, 0.03, 0.5, 0.9, 0.999_999, 1.0] {
            for radius in [0.0, 1e-9, 1e-6, 1e-3, 0.02, 0.5, 3.0] {
                // The entropy itself is rounded, which shows where it is tiny.
                let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * (b - share) + 1e-9;
                let above = share_above(share, 1_000.0, radius * 1_000.0);
                let expected = halved(share, |p| binary_entropy(share, p) - radius);
                assert!(near(above, expected), "{share} {radius}: {above} {expected}");
                assert!(above >= 1.0 || binary_entropy(share, above) >= radius, "{share} {radius}: {above}");
                let (above, expected) =
                    (tolerated_above(share, radius), halved(share, |x| binary_entropy(x, share) - radius));
                assert!(near(above, expected), "{share} {radius}: {above} {expected}");
            }
        }
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
        let mean = tolerated_mean(&[1.0 - mass, mass, 0.0], &[0.0, 1.0, 5.0], tolerance);
        assert!((mean - x).abs() < 1e-9, "{mean} {x}");
    }

    proptest::proptest! {
        #[test]
        fn cells_with_the_same_value_have_that_mean(value in -2.0f64..2.0, weights in proptest::collection::vec(1u32..1_000, 1..80)) {
            let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
            let shares: Vec<f64> = weights.iter().map(|&weight| f64::from(weight) / total).collect();
            let mean = tolerated_mean(&shares, &vec![value; shares.len()], 0.000_2);
            proptest::prop_assert!((mean - value).abs() < 1e-12, "{} {}", mean, value);
        }
    }

    proptest::proptest! {
        #[test]
        fn the_tolerated_mean_is_the_least_bound_over_all_tilts(
            weights in proptest::collection::vec(0u32..1_000, 2..40), power in 0.2f64..4.0, tolerance in 1e-6f64..2.0,
        ) {
            let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
            proptest::prop_assume!(total > 0.0);
            let shares: Vec<f64> = weights.iter().map(|&weight| f64::from(weight) / total).collect();
            let values: Vec<f64> = (0..shares.len()).map(|cell| (cell as f64 / 40.0).powf(power)).collect();
            let found = tolerated_mean(&shares, &values, tolerance);
            let seen = || shares.iter().zip(&values).filter(|(share, _)| **share > 0.0);
            let most = seen().map(|(_, &value)| value).fold(0.0, f64::max);
            let bound = |eta: f64| {
                let mean: f64 = seen().map(|(share, value)| share * (eta * (value - most)).exp()).sum();
                (mean.ln() + tolerance) / eta + most
            };
            let least = (0..4_000).map(|step| bound(1.01f64.powi(step - 2_000))).fold(most, f64::min);
            // Any tilt's bound holds; the search ends before tilts so steep that only the largest value is left.
            proptest::prop_assert!(found <= least + 1e-4 * most && found >= least - 1e-3 * (most - least) - 1e-6, "{} {}", found, least);
        }
    }

    #[test]
    fn small_tolerances_move_a_mean_by_the_root_of_twice_the_variance() {
        let (shares, ranks): (Vec<f64>, Vec<f64>) =
            (0..1_000).map(|i| (0.001, f64::from(i) / 499.5 - 1.0)).unzip();
        let rise = tolerated_mean(&shares, &ranks, 0.000_2);
        assert!((rise / (2.0 * 0.000_2 / 3.0f64).sqrt() - 1.0).abs() < 0.02, "{rise}");
        assert!(tolerated_mean(&shares, &ranks, 0.0).abs() < 1e-12);
        assert!(tolerated_mean(&shares, &ranks, 1e3) <= 1.0);
    }

    #[test]
    fn a_large_sample_leaves_little_doubt_and_a_small_one_much() {
        let of = |size| {
            let sample = Sample { size, mean: 0.1, variance: 1.0 / 3.0, least: -1.0, most: 1.0 };
            mean_above(&sample, 9.0)
        };
        assert!(of(1e5) - 0.1 < 0.011 && of(50.0) > 0.5 && of(50.0) <= 1.0);
    }
}
