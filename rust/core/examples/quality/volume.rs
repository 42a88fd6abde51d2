//! A shift inside the tolerance, at any volume: counts as they would be on average, of a thousand rows and of a billion.
//! Beside it what a test for equality says of the same counts (chi-square, p < 0.05).

use super::normal::normal_quantile;
use super::random::Random;
use super::source::reference;
use pilotfish_core::detect::Mark;
use pilotfish_core::detect::edetector::{EDetector, Pane, Plan};
use std::sync::Arc;

const REFERENCE_ROWS: usize = 1_000_000;
const QUANTILES: usize = 1_000_000;
const ARL: f64 = 1e5;
const TOLERANCE: f64 = 0.000_2;
const PANES: u64 = 20;

/// Prints the table; whether no volume inside the tolerance raised an alarm.
pub fn table() -> bool {
    let mut random = Random(5);
    let rows: Vec<f64> = (0..REFERENCE_ROWS).map(|_| normal_quantile(random.uniform().max(1e-12))).collect();
    let reference = reference(&rows, false);
    let plan = Arc::new(Plan::new(&reference.bins, Some(1.0), TOLERANCE, 0.01));
    println!(
        "\nEvidence after {PANES} panes, tolerance {TOLERANCE} (0.02 sd), ARL {ARL}; chi-square for equality of one pane"
    );
    println!("{:>10} {:>12} {:>8} {:>12} {:>10}", "shift, sd", "rows", "alarm", "capital", "p < 0.05");
    let mut kept = true;
    for shift in [0.0, 0.01, 0.015, 0.05] {
        for exponent in 3..=9 {
            let total = 10u64.pow(exponent);
            let counts = expected(&reference.bins, shift, total / PANES);
            let mut detector = EDetector::new(Arc::clone(&plan));
            let mut is_raised = false;
            for pane in 0..PANES {
                let mark = |pane: u64| Mark { row: pane * total / PANES, call: 0 };
                let stake = (total / PANES) as f64;
                detector.update(&Pane { counts: &counts, start: mark(pane), end: mark(pane + 1), stake });
                // In panes this long, stakes alone exceed the level: the evidence is the capital beyond them.
                is_raised |= detector.capital() >= ARL.max(stake * (pane + 1) as f64);
            }
            kept &= !is_raised || shift > 0.02;
            let is_significant = chi_square(reference.bins.cells(), &counts) > quantile(counts.len());
            println!(
                "{shift:>10} {total:>12} {:>8} {:>12.1e} {:>10}",
                if is_raised { "yes" } else { "no" },
                detector.capital(),
                if is_significant { "yes" } else { "no" }
            );
        }
    }
    kept
}

/// The counts of so many rows of a shifted normal, as they are on average.
fn expected(bins: &pilotfish_core::sketch::bins::Bins, shift: f64, rows: u64) -> Vec<u64> {
    let mut cells = vec![0u64; bins.cells().len()];
    let values: Vec<f64> =
        (0..QUANTILES).map(|i| normal_quantile((i as f64 + 0.5) / QUANTILES as f64) + shift).collect();
    bins.binning().count(&values, &mut cells);
    cells.iter().map(|&count| (count as f64 * rows as f64 / QUANTILES as f64).round() as u64).collect()
}

fn chi_square(reference: &[u64], counts: &[u64]) -> f64 {
    let (m, n) = (reference.iter().sum::<u64>() as f64, counts.iter().sum::<u64>() as f64);
    let term = |(&c, &d): (&u64, &u64)| {
        let (c, d) = (c as f64, d as f64);
        if c + d > 0.0 { ((n / m).sqrt() * c - (m / n).sqrt() * d).powi(2) / (c + d) } else { 0.0 }
    };
    reference.iter().zip(counts).map(term).sum()
}

/// The 95 % quantile of chi-square with about so many degrees of freedom (Wilson and Hilferty, 1931).
fn quantile(cells: usize) -> f64 {
    let freedom = cells as f64 - 8.0;
    let c = 2.0 / (9.0 * freedom);
    freedom * (1.0 - c + 1.645 * c.sqrt()).powi(3)
}
