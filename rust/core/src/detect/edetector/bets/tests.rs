//! No bet gains on average from what counts as unchanged.

use super::*;
use crate::sketch::Sketch;
use crate::sketch::binning::Binning;
use crate::sketch::screen::Specials;
use proptest::prelude::*;
use std::sync::Arc;

fn null(tolerance: f64) -> Null {
    Null { tolerance, delta: 0.01, autocorrelation_time: 1.0 }
}

fn against(reference: &Bins, null: &Null, time: f64) -> Odds {
    Odds::of(Arc::new(Bets::against(reference, &Ranks::of(reference), null)), time)
}

fn reference(counts: &[u64], holes: [u64; 2]) -> Bins {
    let edges: Vec<f64> = (0..=counts.len()).map(|edge| edge as f64).collect();
    let mut bins = Bins::new(Arc::new(Binning::numeric(&edges).unwrap()));
    for (bin, &count) in counts.iter().enumerate() {
        bins.update(&vec![bin as f64 + 0.5; count as usize]);
    }
    bins.add_specials(&Specials { missing: holes[0], ..Specials::default() });
    bins.update(&vec![-1.0; holes[1] as usize]);
    bins
}

/// The expectation of every bet's factor for one value that is distributed as `q`.
fn expectations(odds: &Odds, q: &[f64]) -> Vec<f64> {
    let mut expectations = vec![0.0; odds.bets().len()];
    for (cell, share) in q.iter().enumerate() {
        let mut one = vec![0; q.len()];
        one[cell] = 1;
        let gains = odds.gains(&one);
        expectations.iter_mut().zip(&gains).for_each(|(sum, gain)| *sum += share * gain.exp());
    }
    expectations
}

fn entropy(q: &[f64], p: &[f64]) -> f64 {
    q.iter().zip(p).filter(|&(&q, _)| q > 0.0).map(|(&q, &p)| q * (q / p).ln()).sum()
}

/// The distribution within `tolerance` of `p` that has the largest mean of `values`: p tilted by exp(ηf), with η
/// where the relative entropy is the tolerance.
fn worst(p: &[f64], values: &[f64], tolerance: f64) -> Vec<f64> {
    let tilted = |eta: f64| {
        let raw: Vec<f64> = p.iter().zip(values).map(|(p, f)| p * (eta * f).exp()).collect();
        let sum: f64 = raw.iter().sum();
        raw.into_iter().map(|mass| mass / sum).collect::<Vec<f64>>()
    };
    let (mut low, mut high) = (0.0, 400.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if entropy(&tilted(middle), p) <= tolerance { low = middle } else { high = middle }
    }
    tilted(low)
}

proptest! {
    #[test]
    fn no_distribution_within_the_tolerance_lets_any_bet_gain(
        counts in prop::collection::vec(1u64..400, 2..20), holes: [u8; 2],
        tolerance in prop_oneof![Just(0.0), 1e-4f64..0.05],
        function in prop::collection::vec(-1f64..1.0, 27),
    ) {
        let reference = reference(&counts, holes.map(u64::from));
        let odds = against(&reference, &null(tolerance), 1.0);
        let p: Vec<f64> =
            reference.cells().iter().map(|&n| n as f64 / reference.total() as f64).collect();
        // The worst case of every bet itself, and of a function nobody bets on.
        let mut functions: Vec<Vec<f64>> = vec![function[..p.len()].to_vec()];
        for bet in 0..odds.bets().len() {
            let factor = |cell: usize| {
                let mut one = vec![0; p.len()];
                one[cell] = 1;
                odds.gain(bet, &one).exp()
            };
            let factors: Vec<f64> = (0..p.len()).map(factor).collect();
            let most = factors.iter().copied().fold(0.0, f64::max);
            functions.push(factors.iter().map(|factor| factor / most).collect());
        }
        for function in functions {
            let q = worst(&p, &function, tolerance);
            for expectation in expectations(&odds, &q) {
                prop_assert!(expectation <= 1.0 + 1e-9, "{}", expectation);
            }
        }
    }

    #[test]
    fn counts_multiply(
        a in prop::collection::vec(0u64..50, 11), b in prop::collection::vec(0u64..50, 11),
    ) {
        let odds = against(&reference(&[40, 30, 20, 10], [3, 0]), &null(0.001), 1.0);
        let sum: Vec<u64> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
        let gains = |counts: &[u64]| odds.gains(counts);
        for (bet, ((a, b), sum)) in gains(&a).iter().zip(gains(&b)).zip(gains(&sum)).enumerate() {
            prop_assert!((a + b - sum).abs() < 1e-9);
            prop_assert_eq!(odds.gain(bet, &[0; 11]), 0.0);
        }
    }
}

#[test]
fn runs_of_one_value_do_not_let_any_bet_gain() {
    let reference = reference(&[990, 10], [2, 0]);
    let p: Vec<f64> = reference.cells().iter().map(|&n| n as f64 / reference.total() as f64).collect();
    for time in [1.0, 3.0, 9.0, 99.0] {
        let stickiness = (time - 1.0) / (time + 1.0);
        let odds = against(&reference, &null(0.0), time);
        for bet in 0..odds.bets().len() {
            let of_run = |cell: usize| {
                let mut one = vec![0; p.len()];
                one[cell] = 1;
                let factor = odds.gain(bet, &one).exp();
                (1.0 - stickiness) * factor / (1.0 - stickiness * factor)
            };
            let expectation: f64 = p.iter().enumerate().map(|(cell, share)| share * of_run(cell)).sum();
            assert!(expectation <= 1.0 + 1e-9, "{time}: {expectation}");
        }
    }
}

#[test]
fn weights_add_up_to_one_and_every_bet_has_its_row() {
    for counts in [&[10, 20, 30][..], &[5], &[1_000; 64]] {
        let odds = against(&reference(counts, [0, 0]), &null(0.0), 1.0);
        assert!((odds.bets().iter().map(|(_, weight)| weight).sum::<f64>() - 1.0).abs() < 1e-12);
        let counted = reference(counts, [1, 1]);
        let gains = odds.gains(counted.cells());
        assert_eq!(gains.len(), odds.bets().len());
        for (bet, gain) in gains.iter().enumerate() {
            assert!((odds.gain(bet, counted.cells()) - gain).abs() < 1e-9 && gain.is_finite());
        }
    }
}

#[test]
fn an_autocorrelated_reference_is_trusted_less() {
    let reference = reference(&[500, 500], [0, 0]);
    let gain = |time: f64| {
        let null = Null { autocorrelation_time: time, ..null(0.0) };
        let gains = against(&reference, &null, 1.0).gains(&[0, 0, 0, 0, 0, 30, 70, 0, 0]);
        gains.into_iter().fold(f64::NEG_INFINITY, f64::max)
    };
    assert!(gain(1.0) > gain(10.0));
}
