//! What scores promise, live.

use super::*;
use crate::performance::reference::Scores;
use crate::performance::scores::LabelTable;
use crate::profile::ProfileBuilder;

/// A profile of a model with scores of `classes` tables; labels follow the scores.
fn profile(classes: usize) -> Arc<Profile> {
    let mut random = Random(3);
    let mut tables = vec![LabelTable::default(); classes];
    for _ in 0..20_000 {
        let score = random.uniform();
        let label = random.uniform() < score;
        tables[0].add(score, score >= 0.5, label);
        tables.iter_mut().skip(1).for_each(|table| table.add(1.0 - score, score < 0.5, !label));
    }
    let mut builder = ProfileBuilder::new("m", 16);
    builder.add_column_f64("proba", Direction::Output, &Random(4).normals(100)).unwrap();
    let scores = Scores { output: "proba".into(), label_age_s: Some(60), classes: tables };
    Arc::new(builder.finish().unwrap().with_section(&scores).unwrap())
}

fn watching(classes: usize) -> Monitor {
    monitor(r#"{"pane_rows": 500, "window_panes": 4}"#, Some(profile(classes)))
}

#[test]
fn accuracy_is_estimated_from_the_scores_of_the_latest_panes() {
    let mut monitor = watching(1);
    assert_eq!(monitor.snapshot(false).performance, None);
    let sharp: Vec<f64> = (0..3_000).map(|row| if row % 2 == 0 { 0.05 } else { 0.95 }).collect();
    send(&mut monitor, Direction::Output, "proba", 1, &sharp);
    let found = monitor.snapshot(false).performance.unwrap();
    assert!((found.estimated.accuracy.unwrap() - 0.95).abs() < 0.02, "{found:?}");
    assert!((found.reference.accuracy.unwrap() - 0.75).abs() < 0.02);
    assert_eq!((found.estimated.rows, found.label_age_s), (2_000, Some(60)));
    send(&mut monitor, Direction::Output, "proba", 1, &[0.5; 2_000]);
    let found = monitor.snapshot(false).performance.unwrap();
    assert!((found.estimated.accuracy.unwrap() - 0.5).abs() < 0.06, "{found:?}");
}

#[test]
fn two_columns_are_the_two_classes() {
    let mut monitor = watching(1);
    send(&mut monitor, Direction::Output, "proba", 2, &[0.1, 0.9, 0.8, 0.2].repeat(500));
    let found = monitor.snapshot(false).performance.unwrap();
    assert!((found.estimated.accuracy.unwrap() - 0.85).abs() < 0.05, "{found:?}");
}

#[test]
fn other_outputs_inputs_and_widths_do_not_count() {
    let mut monitor = watching(2);
    send(&mut monitor, Direction::Output, "other", 2, &[0.1, 0.9].repeat(500));
    send(&mut monitor, Direction::Output, "proba", 3, &[0.1; 1_500]);
    let found = monitor.snapshot(false).performance.unwrap();
    assert_eq!((found.estimated.rows, found.estimated.accuracy), (0, None));
    send(&mut monitor, Direction::Output, "proba", 2, &[f64::NAN, 0.9].repeat(500));
    assert_eq!(monitor.snapshot(false).performance.unwrap().estimated.rows, 0);
}

#[test]
fn workers_add_up() {
    let (mut one, mut other) = (watching(1), watching(1));
    send(&mut one, Direction::Output, "proba", 1, &[0.9; 1_000]);
    send(&mut other, Direction::Output, "proba", 1, &[0.6; 1_500]);
    one.merge(other).unwrap();
    let found = one.snapshot(false).performance.unwrap().estimated;
    assert_eq!(found.rows, 2_500);
    assert!((found.accuracy.unwrap() - (0.9 * 1_000.0 + 0.6 * 1_500.0) / 2_500.0).abs() < 0.03, "{found:?}");
}
