//! What brackets must contain: the exact distance of the values themselves.

use super::*;
use crate::sketch::Sketch;
use crate::sketch::binning::Binning;
use proptest::prelude::*;
use std::sync::Arc;

fn counted(binning: &Arc<Binning>, values: &[f64]) -> Bins {
    let mut bins = Bins::new(Arc::clone(binning));
    bins.update(values);
    bins
}

fn brackets(binning: Binning, reference: &[f64], current: &[f64]) -> Brackets {
    let binning = Arc::new(binning);
    Brackets::of(&counted(&binning, reference), &counted(&binning, current)).unwrap()
}

/// The distances of the values themselves: KS, Cramér-von Mises, Wasserstein-1, energy.
fn exact(reference: &[f64], current: &[f64]) -> [f64; 4] {
    let (m, n) = (reference.len() as f64, current.len() as f64);
    let mut pooled = [reference, current].concat();
    pooled.sort_by(f64::total_cmp);
    let share =
        |sample: &[f64], z: f64| sample.iter().filter(|&&x| x <= z).count() as f64 / sample.len() as f64;
    let gaps: Vec<f64> = pooled.iter().map(|&z| share(reference, z) - share(current, z)).collect();
    let widths: Vec<f64> = pooled.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let integral =
        |power: i32| gaps.iter().zip(&widths).map(|(gap, w)| gap.abs().powi(power) * w).sum::<f64>();
    [
        gaps.iter().fold(0.0, |most, gap| gap.abs().max(most)),
        n * m / ((n + m) * (n + m)) * gaps.iter().map(|gap| gap * gap).sum::<f64>(),
        integral(1),
        (2.0 * integral(2)).sqrt(),
    ]
}

fn assert_contains(found: &Brackets, exact: [f64; 4]) {
    let brackets = [found.ks, found.cramer_von_mises, found.wasserstein, found.energy];
    for (name, (bracket, exact)) in ["ks", "cvm", "w1", "energy"].iter().zip(brackets.iter().zip(exact)) {
        let bracket = bracket.unwrap();
        let slack = 1e-12 * exact + 1e-13; // of the brute force, which adds up in another order
        assert!(
            bracket.low <= exact + slack && exact <= bracket.high + slack,
            "{name}: {exact} not in {bracket:?}"
        );
    }
}

/// Standard normal values, by the sum of twelve uniform ones of a fixed sequence.
fn normal(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..count).map(|_| (0..12).map(|_| uniform()).sum::<f64>() - 6.0).collect()
}

fn quantiles(values: &[f64], bins: usize) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (0..=bins).map(|i| sorted[i * (sorted.len() - 1) / bins]).collect()
}

#[test]
fn a_shift_is_measured_to_a_thousandth_and_ks_to_a_bin() {
    let (reference, current) = (normal(4_000, 1), normal(3_000, 2));
    let current: Vec<f64> = current.into_iter().map(|x| x + 0.25).collect();
    let exact = exact(&reference, &current);
    let found = brackets(Binning::numeric(&quantiles(&reference, 64)).unwrap(), &reference, &current);
    assert_contains(&found, exact);
    let (ks, wasserstein) = (found.ks.unwrap(), found.wasserstein.unwrap());
    assert!(ks.high - ks.low < 0.016, "{ks:?}");
    assert!((wasserstein.low / exact[2] - 1.0).abs() < 1e-3, "{wasserstein:?} {}", exact[2]);
}

#[test]
fn values_in_one_bin_at_different_places_are_told_apart_by_their_sums() {
    let found = brackets(Binning::numeric(&[0.0, 1.0]).unwrap(), &[0.1, 0.2, 0.3], &[0.7, 0.8, 0.9]);
    let wasserstein = found.wasserstein.unwrap();
    assert!((wasserstein.low - 0.6).abs() < 1e-9, "{wasserstein:?}");
    assert_eq!(found.ks.unwrap(), Bracket { low: 0.0, high: 1.0 });
}

#[test]
fn discrete_values_leave_nothing_open() {
    let binning = Binning::discrete(&[0.0, 1.0, 5.0]).unwrap();
    let found = brackets(binning, &[0.0, 1.0, 1.0, 5.0], &[0.0, 5.0, 5.0, 5.0]);
    let [ks, cramer_von_mises, wasserstein, energy] = exact(&[0.0, 1.0, 1.0, 5.0], &[0.0, 5.0, 5.0, 5.0]);
    for (bracket, exact) in [
        (found.ks, ks),
        (found.cramer_von_mises, cramer_von_mises),
        (found.wasserstein, wasserstein),
        (found.energy, energy),
    ] {
        assert_eq!(bracket, Some(Bracket { low: exact, high: exact }));
    }
}

#[test]
fn a_sentinel_far_outside_is_only_known_from_below() {
    let found = brackets(Binning::numeric(&[0.0, 1.0]).unwrap(), &[0.5; 10], &[1e300; 10]);
    let wasserstein = found.wasserstein.unwrap();
    assert!(wasserstein.low > 1e6 && wasserstein.high.is_infinite());
    assert_eq!(found.ks.unwrap().low, 1.0);
}

#[test]
fn categories_and_empty_panes_have_no_brackets() {
    let binning = Arc::new(Binning::category(vec![b"a"[..].into()]).unwrap());
    assert_eq!(Brackets::of(&Bins::new(Arc::clone(&binning)), &Bins::new(binning)), None);
    let binning = Arc::new(Binning::numeric(&[0.0, 1.0]).unwrap());
    let found = Brackets::of(&counted(&binning, &[0.5]), &Bins::new(binning)).unwrap();
    assert_eq!((found.ks, found.wasserstein), (None, None));
}

fn values() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![
        4 => -3f64..3.0,
        2 => (-3i32..=3).prop_map(f64::from), // ties, also with the edges
        1 => prop_oneof![Just(0.1), Just(1e-9), Just(-2.5)],
        1 => -30f64..30.0,
    ];
    prop::collection::vec(value, 1..80)
}

/// Ranges: of a few edges anywhere, or around quantiles, with a bin for a single value.
fn edges() -> impl Strategy<Value = Vec<f64>> {
    let anywhere = prop::collection::vec((-30i32..30).prop_map(|x| f64::from(x) / 10.0), 2..40);
    anywhere.prop_map(|mut edges| {
        edges.extend([0.1, 0.1f64.next_up()]);
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        edges
    })
}

/// Brackets on up to 256 bins.
fn fine(edges: &[f64], reference: &[f64], current: &[f64]) -> Brackets {
    let (mut f, mut g) = (Fine::new(edges).unwrap(), Fine::new(edges).unwrap());
    f.update(reference);
    g.update(current);
    f.brackets(&g).unwrap()
}

#[test]
fn edges_out_of_order_or_too_many_are_refused() {
    let edges = |count: u32| (0..count).map(f64::from).collect::<Vec<_>>();
    assert!(Fine::new(&edges(257)).is_some() && Fine::new(&edges(66)).is_some());
    for refused in [edges(258), edges(1), vec![], vec![1.0, 0.0]] {
        assert_eq!(Fine::new(&refused), None);
    }
}

#[test]
fn four_times_the_bins_bracket_ks_four_times_as_closely() {
    let (reference, current) = (normal(20_000, 1), normal(15_000, 2));
    let current: Vec<f64> = current.into_iter().map(|x| x + 0.25).collect();
    let exact = exact(&reference, &current);
    for (bins, width) in [(64, 0.016), (256, 0.004)] {
        let edges = quantiles(&reference, bins);
        let found = fine(&edges, &reference, &current);
        assert_contains(&found, exact);
        let (ks, wasserstein) = (found.ks.unwrap(), found.wasserstein.unwrap());
        assert!(ks.high - ks.low <= width, "{bins}: {ks:?}");
        assert!((wasserstein.low / exact[2] - 1.0).abs() < 1e-3, "{bins}: {wasserstein:?} {}", exact[2]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn ranges_bracket_the_distances_of_the_values(
        edges in edges(), reference in values(), current in values(), shift in -2f64..2.0, scale in 0.01f64..3.0,
        unit in prop_oneof![Just(1.0), Just(1e-30), Just(1e9)], origin in prop_oneof![Just(0.0), Just(1.7e9)],
    ) {
        // As a timestamp or a tiny unit would have it; what coincides through rounding stays in order.
        let place = |x: &f64| x * unit + origin;
        let mut edges: Vec<f64> = edges.iter().map(place).collect();
        edges.dedup();
        prop_assume!(edges.len() > 1);
        let reference: Vec<f64> = reference.iter().map(place).collect();
        let current: Vec<f64> = current.iter().map(|x| place(&(x * scale + shift))).collect();
        let found = brackets(Binning::numeric(&edges).unwrap(), &reference, &current);
        let exact = exact(&reference, &current);
        assert_contains(&found, exact);
    }

    #[test]
    fn parts_bracket_the_distances_of_the_values(
        mut edges in prop::collection::vec(-30f64..30.0, 66..200), reference in values(), current in values(),
    ) {
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        assert_contains(&fine(&edges, &reference, &current), exact(&reference, &current));
    }

    #[test]
    fn points_bracket_the_distances_of_the_values(reference in values(), current in values(), some in 1usize..7) {
        let points: Vec<f64> = (0..some).map(|i| i as f64 - 3.0).collect();
        let found = brackets(Binning::discrete(&points).unwrap(), &reference, &current);
        assert_contains(&found, exact(&reference, &current));
    }
}
