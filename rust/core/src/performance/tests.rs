//! What is expected without labels, and what is realised with them.

//! Estimates of accuracy against ones computed from the labels.

use super::scores::edge;
use super::*;
use crate::random::Random;

/// Rows with score u^`skew`, of which `probability(score)` are positive.
fn rows(count: usize, seed: u64, skew: f64, probability: impl Fn(f64) -> f64) -> Vec<(f64, bool, bool)> {
    let mut random = Random(seed);
    let mut row = || {
        let score = random.uniform().powf(skew);
        (score, score >= 0.5, random.uniform() < probability(score))
    };
    (0..count).map(|_| row()).collect()
}

fn counted(rows: &[(f64, bool, bool)]) -> LabelTable {
    let mut table = LabelTable::default();
    rows.iter().for_each(|&(score, predicted, label)| table.add(score, predicted, label));
    table
}

#[test]
fn realised_figures_are_those_of_the_confusion_matrix() {
    // 3 true positives, 1 false positive, 2 false negatives, 4 true negatives.
    let mut table = LabelTable::default();
    for (score, predicted, label, times) in
        [(0.9, true, true, 3), (0.8, true, false, 1), (0.3, false, true, 2), (0.1, false, false, 4)]
    {
        (0..times).for_each(|_| table.add(score, predicted, label));
    }
    let found = realised(&table);
    assert_eq!((found.rows, found.accuracy), (10, Some(0.7)));
    assert_eq!((found.precision, found.recall, found.specificity), (Some(0.75), Some(0.6), Some(0.8)));
    assert!((found.f1.unwrap() - 6.0 / 9.0).abs() < 1e-12);
    // Of 25 pairs: the three at 0.9 beat all five negatives, the two at 0.3 beat the four at 0.1.
    let area = found.roc_auc.unwrap();
    assert!((area.low - 23.0 / 25.0).abs() < 1e-12 && area.low == area.high);
}

#[test]
fn the_area_bracket_holds_the_area_of_the_unbinned_scores() {
    for (seed, skew) in [(1, 1.0), (2, 3.0), (3, 0.2)] {
        let rows = rows(3_000, seed, skew, |score| 0.2 + 0.6 * score);
        let mut sorted = rows.clone();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (mut below, mut ordered) = (0.0, 0.0);
        for (_, _, label) in &sorted {
            if *label { ordered += below } else { below += 1.0 }
        }
        let exact = ordered / (below * (rows.len() as f64 - below));
        let area = realised(&counted(&rows)).roc_auc.unwrap();
        assert!(
            area.low <= exact && exact <= area.high && (area.value - exact).abs() < 0.005,
            "{area:?} {exact}"
        );
    }
}

#[test]
fn the_estimate_follows_a_shift_of_the_scores_without_any_label() {
    let truth = |score: f64| 0.15 + 0.7 * score * score;
    let calibration = Calibration::learn(&counted(&rows(60_000, 1, 1.0, truth)));
    assert!(calibration.probabilities().is_some());
    for (seed, skew) in [(2, 1.0), (3, 3.0), (4, 0.3)] {
        let live = counted(&rows(60_000, seed, skew, truth));
        let Gap { estimated, realised, accuracy } = gap(&live, &calibration);
        let noise = estimated.accuracy_noise;
        assert!(accuracy.unwrap().abs() < 4.0 * noise && noise < 0.01, "{accuracy:?} {noise}");
        assert!((estimated.f1.unwrap() - realised.f1.unwrap()).abs() < 0.015);
        assert!((estimated.roc_auc.unwrap().value - realised.roc_auc.unwrap().value).abs() < 0.015);
    }
}

#[test]
fn concept_drift_is_invisible_in_the_estimate_and_plain_in_the_gap() {
    let calibration = Calibration::learn(&counted(&rows(60_000, 1, 1.0, |score| score)));
    let live = counted(&rows(60_000, 2, 1.0, |score| 1.0 - score));
    let Gap { estimated, accuracy, .. } = gap(&live, &calibration);
    assert!((estimated.accuracy.unwrap() - 0.75).abs() < 0.01);
    assert!(accuracy.unwrap() < -0.4 && estimated.accuracy_noise < 0.004);
}

#[test]
fn the_noise_is_how_far_accuracy_scatters() {
    let truth = |score: f64| score;
    let mut off = 0.0;
    let mut expected = 0.0;
    for seed in 0..200 {
        let calibration = Calibration::learn(&counted(&rows(500, 1_000 + seed, 1.0, truth)));
        let found = gap(&counted(&rows(500, seed, 1.0, truth)), &calibration);
        off += found.accuracy.unwrap().powi(2);
        expected += found.estimated.accuracy_noise.powi(2);
    }
    let ratio = off / expected;
    assert!((0.5..1.5).contains(&ratio), "{ratio}");
}

#[test]
fn nothing_seen_has_no_figures() {
    let found = realised(&LabelTable::default());
    assert_eq!((found.rows, found.accuracy, found.f1, found.roc_auc), (0, None, None, None));
    assert_eq!(of_classes(&[]), None);
}

#[test]
fn the_accuracy_of_many_classes_is_the_share_of_rows_whose_class_is_right() {
    let mut random = Random(5);
    let mut tables = vec![LabelTable::default(); 3];
    let mut right = 0;
    for _ in 0..3_000 {
        let raw = [random.uniform(), random.uniform(), random.uniform()];
        let sum: f64 = raw.iter().sum();
        let predicted = (0..3).max_by(|&a, &b| raw[a].total_cmp(&raw[b])).unwrap();
        let label = if random.uniform() < 0.6 { predicted } else { (predicted + 1) % 3 };
        right += usize::from(label == predicted);
        for (class, table) in tables.iter_mut().enumerate() {
            table.add(raw[class] / sum, class == predicted, class == label);
        }
    }
    let classes: Vec<Performance> = tables.iter().map(realised).collect();
    let all = of_classes(&classes).unwrap();
    assert!((all.accuracy.unwrap() - right as f64 / 3_000.0).abs() < 1e-12);
    assert!(all.roc_auc.is_some() && all.f1.unwrap() < 1.0 && edge(64) == 1.0);
}
