//! Principal axes, and how much of a row they do not explain.
//!
//! The eigenvectors of the correlation matrix by Jacobi's rotations (Golub and Van Loan, *Matrix Computations*, section
//! 8.5): slow for large matrices, but simple, and accurate for every one of them.

use super::comoments::CoMoments;

/// Most columns: the axes travel in the profile.
pub const COLUMNS_MAX: usize = 128;

/// Share of the variance that the axes kept explain (as nannyml's data reconstruction).
pub const EXPLAINED: f64 = 0.65;

/// Sweeps over all pairs; convergence is quadratic, ten are plenty.
const SWEEPS: usize = 30;

/// The axes, unit vectors, that together explain [`EXPLAINED`] of the variance; the first explains most. None where there
/// are too many columns, or nothing varies.
pub fn axes(comoments: &CoMoments) -> Vec<Vec<f64>> {
    if comoments.columns() > COLUMNS_MAX {
        return Vec::new();
    }
    let mut found = eigen(comoments.correlations());
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    let whole: f64 = found.iter().map(|(value, _)| value.max(0.0)).sum();
    let mut explained = 0.0;
    let is_needed = |&(value, _): &(f64, Vec<f64>)| {
        let needed = explained < EXPLAINED * whole;
        explained += value.max(0.0);
        needed
    };
    found.into_iter().take_while(is_needed).map(|(_, axis)| axis).collect()
}

/// Length of what the axes leave of a row (its L2 reconstruction error).
pub fn reconstruction_error(row: &[f64], axes: &[Vec<f64>]) -> f64 {
    let whole: f64 = row.iter().map(|value| value * value).sum();
    let along = |axis: &Vec<f64>| row.iter().zip(axis).map(|(value, part)| value * part).sum::<f64>().powi(2);
    (whole - axes.iter().map(along).sum::<f64>()).max(0.0).sqrt()
}

/// Eigenvalues and eigenvectors of a symmetric matrix.
fn eigen(mut matrix: Vec<Vec<f64>>) -> Vec<(f64, Vec<f64>)> {
    let size = matrix.len();
    let unit = |i: usize| (0..size).map(|j| f64::from(u8::from(i == j))).collect();
    let mut vectors: Vec<Vec<f64>> = (0..size).map(unit).collect(); // row k is eigenvector k
    let scale: f64 = matrix.iter().flatten().map(|value| value * value).sum();
    for _ in 0..SWEEPS {
        let pairs = (0..size).flat_map(|i| (0..i).map(move |j| (i, j)));
        let off: f64 = pairs.clone().map(|(i, j)| matrix[i][j].powi(2)).sum();
        if off <= 1e-26 * scale {
            break;
        }
        pairs.for_each(|(i, j)| rotate(&mut matrix, &mut vectors, j, i));
    }
    vectors.into_iter().enumerate().map(|(i, vector)| (matrix[i][i], vector)).collect()
}

/// Turns columns `p` and `q` until the element between them is zero.
fn rotate(matrix: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) {
    if matrix[p][q] == 0.0 {
        return;
    }
    let theta = (matrix[q][q] - matrix[p][p]) / (2.0 * matrix[p][q]);
    let tangent = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    for row in matrix.iter_mut() {
        (row[p], row[q]) = (cosine * row[p] - sine * row[q], sine * row[p] + cosine * row[q]);
    }
    turn(matrix, p, q, cosine, sine);
    turn(vectors, p, q, cosine, sine);
}

/// Turns rows `p` and `q`; `p` comes first.
fn turn(rows: &mut [Vec<f64>], p: usize, q: usize, cosine: f64, sine: f64) {
    let (before, after) = rows.split_at_mut(q);
    for (a, b) in before[p].iter_mut().zip(&mut after[0]) {
        (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn eigenvectors_are_orthonormal_and_make_up_the_matrix(
            entries in prop::collection::vec(-1f64..1.0, 21), size in 1usize..=6,
        ) {
            let at = |i: usize, j: usize| entries[i.max(j) * (i.max(j) + 1) / 2 + i.min(j)];
            let matrix: Vec<Vec<f64>> = (0..size).map(|i| (0..size).map(|j| at(i, j)).collect()).collect();
            let found = eigen(matrix.clone());
            for i in 0..size {
                for j in 0..size {
                    let dot: f64 = (0..size).map(|k| found[i].1[k] * found[j].1[k]).sum();
                    prop_assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-10);
                    let sum: f64 = found.iter().map(|(value, vector)| value * vector[i] * vector[j]).sum();
                    prop_assert!((sum - matrix[i][j]).abs() < 1e-10);
                }
            }
        }
    }

    #[test]
    fn rows_on_the_axes_are_explained_and_others_are_not() {
        let mut comoments = CoMoments::new(3).unwrap();
        for i in 0..1_000u32 {
            let (a, b) = (f64::from(i % 17) - 8.0, f64::from(i % 13) - 6.0);
            comoments.add(&[a, 2.0 * a, b]);
        }
        let axes = axes(&comoments);
        assert_eq!(axes.len(), 1, "the first axis explains two of three columns");
        assert!(reconstruction_error(&[1.0, 1.0, 0.0], &axes) < 0.05);
        assert!((reconstruction_error(&[1.0, -1.0, 0.0], &axes) - 2f64.sqrt()).abs() < 0.05);
        assert!(super::axes(&CoMoments::new(2).unwrap()).is_empty(), "nothing varies");
    }
}
