//! Random Fourier features: a few bounded numbers whose means know the whole joint distribution.
//!
//! For random ω and b the mean of cos(ω·z + b) is a value of the characteristic function of z, so that no two
//! distributions agree in all of them; and 2/D times the squared distance between the means of D of them approaches the squared
//! maximum mean discrepancy of a Gaussian kernel (Rahimi and Recht, "Random features for large-scale kernel machines",
//! NIPS 2007; for online detection: Kalinke and Gavioli-Akilagun, NeurIPS 2025, arXiv 2505.17789). Frequencies follow from
//! a seed, and so does everything computed from them.

use crate::random::Random;

/// The map from rows to features.
#[derive(Clone, Debug, PartialEq)]
pub struct Fourier {
    columns: usize,
    /// One row of frequencies per feature.
    frequencies: Vec<f64>,
    phases: Vec<f64>,
}

/// Variances of the frequencies, times the number of columns, taken in turn: the kernel's width is the median distance of
/// standardised rows, and half of it.
const VARIANCES: [f64; 2] = [0.5, 2.0];

// === impl Fourier ===

impl Fourier {
    /// `features` of them on so many columns.
    pub fn new(seed: u64, columns: usize, features: usize) -> Fourier {
        let mut random = Random(seed);
        let mut frequencies = Vec::with_capacity(features * columns);
        for feature in 0..features {
            let scale = (VARIANCES[feature % VARIANCES.len()] / columns.max(1) as f64).sqrt();
            frequencies.extend((0..columns).map(|_| scale * random.normal()));
        }
        let phases = (0..features).map(|_| std::f64::consts::TAU * random.uniform()).collect();
        Fourier { columns, frequencies, phases }
    }

    pub fn features(&self) -> usize {
        self.phases.len()
    }

    /// Writes the features of a standardised row, each from -1 to 1.
    pub fn project(&self, row: &[f64], out: &mut [f64]) {
        let features = self.frequencies.chunks_exact(self.columns.max(1)).zip(&self.phases);
        for (out, (frequencies, phase)) in out.iter_mut().zip(features) {
            *out = (dot(frequencies, row) + phase).cos();
        }
    }
}

/// Four sums at once, so that the additions need not wait for each other.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a_chunks, a_rest) = a.as_chunks::<4>();
    let (b_chunks, b_rest) = b.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..4 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_features_and_another_one_others() {
        let of = |seed| {
            let mut out = [0.0; 8];
            Fourier::new(seed, 3, 8).project(&[0.3, -1.0, 2.0], &mut out);
            out
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert!(of(1).iter().all(|value| value.abs() <= 1.0));
    }

    #[test]
    fn products_of_features_approach_the_kernel() {
        let fourier = Fourier::new(7, 5, 20_000);
        let (x, y) = ([0.1, 0.5, -1.0, 0.7, 0.2], [0.4, -0.2, -0.3, 1.1, 0.9]);
        let (mut of_x, mut of_y) = (vec![0.0; 20_000], vec![0.0; 20_000]);
        fourier.project(&x, &mut of_x);
        fourier.project(&y, &mut of_y);
        let product: f64 = of_x.iter().zip(&of_y).map(|(a, b)| 2.0 * a * b).sum::<f64>() / 20_000.0;
        let square: f64 = x.iter().zip(y).map(|(a, b)| (a - b).powi(2)).sum();
        let kernel =
            VARIANCES.map(|variance| (-0.5 * variance / 5.0 * square).exp()).iter().sum::<f64>() / 2.0;
        assert!((product - kernel).abs() < 0.02, "{product} {kernel}");
    }
}
