//! Which part a change is found in, and that the parts add up.

use super::detector::{Attribution, Part};
use super::*;
use crate::detect::AlarmState;
use crate::detect::edetector::terms::Terms;
use crate::random::Random;
use proptest::prelude::*;

/// Probability of label 1 given a score.
type Concept = fn(f64) -> f64;

impl Random {
    /// A row whose score is u^`power` and whose label is 1 with probability `concept(score)`.
    fn row(&mut self, power: f64, concept: Concept) -> (f64, usize) {
        let score = self.uniform().powf(power);
        (score, usize::from(self.uniform() < concept(score)))
    }
}

fn honest(score: f64) -> f64 {
    score
}

fn flipped(score: f64) -> f64 {
    1.0 - score
}

fn lower(score: f64) -> f64 {
    0.7 * score
}

fn cells(rows: usize, seed: u64, power: f64, concept: Concept) -> Cells {
    let (mut random, mut cells) = (Random(seed), Cells::new(2).unwrap());
    (0..rows).for_each(|_| {
        let (score, label) = random.row(power, concept);
        cells.add(score, label);
    });
    cells
}

fn attribution(seed: u64) -> Attribution {
    Attribution::new(&cells(20_000, seed, 1.0, honest), Terms::default(), None).unwrap()
}

#[test]
fn each_kind_of_change_is_found_in_its_own_part() {
    let cases: [(f64, Concept, Part); 4] = [
        (1.4, honest, Part::Score),
        (0.7, honest, Part::Score),
        (1.0, flipped, Part::LabelGivenScore),
        (1.0, lower, Part::LabelGivenScore),
    ];
    for (seed, (power, concept, part)) in (1..).zip(cases) {
        let (mut watched, mut random) = (attribution(seed), Random(100 + seed));
        let calm = watched.update((0..10_000).map(|_| random.row(1.0, honest)));
        assert_eq!(calm, []);
        let alarms = watched.update((0..4_000).map(|_| random.row(power, concept)));
        let first = alarms.first().expect("an alarm");
        assert_eq!((first.part, first.state), (part, AlarmState::Raised));
        assert!(first.split.since.row.abs_diff(10_000) <= 400, "{:?}", first.split);
        let split = watched.split();
        let (right, other) = match part {
            Part::Score => (split.score_bits, split.label_given_score_bits),
            Part::LabelGivenScore => (split.label_given_score_bits, split.score_bits),
        };
        assert!(right > 50.0 && other.max(0.0) / (right + other.max(0.0)) < 0.05, "{split:?}");
        assert!(alarms.iter().all(|alarm| alarm.part == part), "{alarms:?}");
    }
}

#[test]
fn an_unchanged_stream_raises_nothing() {
    for seed in 1..=5 {
        let (mut watched, mut random) = (attribution(seed), Random(1_000 + seed));
        assert_eq!(watched.update((0..100_000).map(|_| random.row(1.0, honest))), []);
    }
}

#[test]
fn evidence_for_the_concept_does_not_grow_however_the_scores_move() {
    // Scores that move within a group take the labels of that group with them: the further, the larger a tolerance of it.
    for (power, tolerance) in [(2.0, Terms::default().tolerance), (6.0, 0.002)] {
        let terms = Terms { tolerance, ..Terms::default() };
        let mut watched = Attribution::new(&cells(20_000, 1, 1.0, honest), terms, None).unwrap();
        let mut random = Random(2);
        watched.update((0..100_000).map(|_| random.row(power, honest)));
        let (score, label) = watched.evidence_bits();
        assert!(score > 500.0 && label < 10.0, "{power}: {score} {label}");
    }
}

#[test]
fn a_change_that_passes_is_cleared() {
    let (mut watched, mut random) = (attribution(3), Random(4));
    let mut alarms = watched.update((0..3_000).map(|_| random.row(1.0, flipped)));
    alarms.extend(watched.update((0..20_000).map(|_| random.row(1.0, honest))));
    let states: Vec<AlarmState> = alarms.iter().map(|alarm| alarm.state).collect();
    assert_eq!(states, [AlarmState::Raised, AlarmState::Cleared]);
}

#[test]
fn settings_out_of_range_and_empty_references_are_refused() {
    let empty = Attribution::new(&Cells::new(2).unwrap(), Terms::default(), None).err().unwrap();
    assert!(empty.to_string().contains("give it some"));
    let broken = Terms { pane_rows: 0, ..Terms::default() };
    assert!(Attribution::new(&cells(10, 1, 1.0, honest), broken, None).is_err());
    assert!(Cells::new(1).is_none() && Cells::new(17).is_none());
    let mut cells = Cells::new(2).unwrap();
    [(f64::NAN, 0), (0.5, 2), (1.5, 1), (0.5, 1)]
        .into_iter()
        .for_each(|(score, label)| cells.add(score, label));
    assert_eq!((cells.rows(), cells.beside()), (1, 3));
    assert!(!cells.merge(&Cells::new(3).unwrap()));
    assert!(serde_json::from_str::<Cells>(r#"{"labels": 2, "counts": [1], "beside": 0}"#).is_err());
}

#[test]
fn labels_of_many_classes_are_watched_too() {
    let mut random = Random(9);
    let mut row = |shift: usize| {
        let score = random.uniform();
        let label = (random.uniform() * 4.0 * (0.25 + 0.75 * score)) as usize;
        (score, (label + shift) % 5)
    };
    let mut reference = Cells::new(5).unwrap();
    (0..20_000).for_each(|_| {
        let (score, label) = row(0);
        reference.add(score, label);
    });
    let mut watched = Attribution::new(&reference, Terms::default(), None).unwrap();
    assert_eq!(watched.update((0..10_000).map(|_| row(0))), []);
    let alarms = watched.update((0..1_000).map(|_| row(1)));
    assert_eq!(alarms.first().map(|alarm| alarm.part), Some(Part::LabelGivenScore));
}

#[test]
fn the_evidence_of_joint_bets_is_the_sum_of_the_two_parts() {
    for (seed, power) in [(1, 1.0), (2, 0.5), (3, 2.0)] {
        let (mut watched, mut random) = (attribution(seed), Random(seed));
        let rows: Vec<(f64, usize)> = (0..300).map(|_| random.row(power, lower)).collect();
        watched.update(rows.iter().copied());
        let split = watched.split();
        // Every pair of a bet on scores and one on labels, row by row, with the product of their weights.
        let joint = watched.joint_evidence(&rows[split.since.row as usize..]) / std::f64::consts::LN_2;
        assert!((joint - split.joint_bits).abs() < 1e-9 * joint.abs().max(1.0), "{joint} {split:?}");
        assert!(split.score_bits != 0.0 && split.label_given_score_bits != 0.0);
    }
}

proptest! {
    #[test]
    fn the_two_parts_of_a_divergence_add_up_to_the_joint_one(
        p in prop::collection::vec(0u64..1_000, 24), q in prop::collection::vec(0u64..1_000, 24),
    ) {
        for labels in [2, 3, 4] {
            let found = Divergence::of(&p, &q, labels);
            prop_assert!((found.score + found.label_given_score - found.joint).abs() < 1e-12);
            prop_assert!(found.score >= -1e-12 && found.label_given_score >= -1e-12);
        }
    }

    #[test]
    fn any_split_of_the_rows_counts_the_same(seed: u64, cut in 0usize..300) {
        let whole = cells(300, seed, 1.0, honest);
        let mut random = Random(seed);
        let rows: Vec<(f64, usize)> = (0..300).map(|_| random.row(1.0, honest)).collect();
        let count = |rows: &[(f64, usize)]| {
            let mut cells = Cells::new(2).unwrap();
            rows.iter().for_each(|&(score, label)| cells.add(score, label));
            cells
        };
        let mut merged = count(&rows[cut..]);
        prop_assert!(merged.merge(&count(&rows[..cut])));
        prop_assert_eq!(merged, whole);
    }
}
