//! Input that nobody wants: each has a defined result, and none a panic.

use super::*;
use crate::profile::ProfileBuilder;

fn reference(values: &[f64]) -> Arc<Profile> {
    let mut builder = ProfileBuilder::new("m", 32);
    builder.add_column_f64("x", IN, values).unwrap();
    Arc::new(builder.finish().unwrap())
}

/// Live values against a reference, in panes of 50.
fn watched(training: &[f64], live: &[f64]) -> Monitor {
    let mut monitor = monitor(r#"{"learn_rows": 0, "pane_rows": 50}"#, Some(reference(training)));
    for part in live.chunks(7) {
        send(&mut monitor, IN, "x", 1, part);
    }
    monitor
}

fn finite(snapshot: &FeatureSnapshot) -> bool {
    let drift = snapshot.drift.as_ref().unwrap();
    drift.psi.is_finite() && drift.psi_noise.is_finite() && drift.jensen_shannon.is_finite()
}

#[test]
fn messages_without_tensors_or_rows_are_counted_and_compared_with_nothing() {
    let mut monitor = monitor(r#"{"learn_rows": 0, "pane_rows": 50}"#, Some(reference(&[1.0, 2.0, 3.0])));
    for _ in 0..200 {
        monitor.observe(IN, &[], 7);
        send(&mut monitor, IN, "x", 1, &[]);
    }
    let snapshot = monitor.snapshot(true);
    assert_eq!((snapshot.calls, snapshot.rows, snapshot.panes, snapshot.features.len()), (400, 0, 0, 0));
    assert_eq!((snapshot.missing, snapshot.evidence), (200, None));
}

#[test]
fn a_constant_that_stays_the_same_is_quiet_and_one_that_moves_is_found() {
    let same = watched(&[5.0; 2_000], &[5.0; 5_000]);
    let seen = feature(&same, IN, "x");
    assert_eq!((seen.std, seen.drift.as_ref().unwrap().psi, same.active_alarms()), (Some(0.0), 0.0, 0));
    let moved = watched(&[5.0; 2_000], &[5.1; 5_000]);
    assert_eq!((moved.active_alarms(), feature(&moved, IN, "x").over), (1, 5_000));
    let now_constant = watched(&Random(1).normals(2_000), &[0.01; 5_000]);
    assert_eq!(now_constant.active_alarms(), 1);
}

#[test]
fn values_that_are_all_missing_are_missing_and_not_zero() {
    let always = watched(&[f64::NAN; 2_000], &[f64::NAN; 5_000]);
    let seen = feature(&always, IN, "x");
    assert!(finite(&seen) && always.active_alarms() == 0);
    assert_eq!((seen.count, seen.missing, seen.mean, seen.histogram), (5_000, 5_000, None, Some(None)));
    let suddenly = watched(&Random(1).normals(2_000), &[f64::NAN; 5_000]);
    assert_eq!(feature(&suddenly, IN, "x").alarm.unwrap().shape.as_deref(), Some("missing up"));
    let at_last = watched(&[f64::NAN; 2_000], &Random(1).normals(5_000));
    assert_eq!(at_last.active_alarms(), 1);
}

#[test]
fn a_single_row_excludes_only_that_its_own_value_is_very_rare() {
    let one = watched(&[3.0], &[3.0]);
    assert_eq!((one.snapshot(false).panes, feature(&one, IN, "x").drift), (0, None));
    // A value with a share below delta / directions would not have been the one that was drawn; nothing else is known.
    let anything = watched(&[3.0], &Random(1).normals(2_000));
    assert!(finite(&feature(&anything, IN, "x")));
    assert_eq!(anything.active_alarms(), 0);
}

#[test]
fn a_reference_of_fewer_rows_than_bins_alarms_only_on_what_it_excludes() {
    let few: Vec<f64> = Random(3).normals(20);
    let quiet = watched(&few, &Random(4).normals(20_000));
    assert!(finite(&feature(&quiet, IN, "x")));
    assert_eq!(quiet.active_alarms(), 0);
}

#[test]
fn a_billion_rows_in_a_window_keep_brackets_certain_or_say_nothing() {
    use crate::distance::Brackets;
    use crate::sketch::Sketch;
    use crate::sketch::binning::Binning;
    use crate::sketch::bins::{Bins, Packed};
    let binning = Arc::new(Binning::numeric(&[0.0, 1.0, 2.0]).unwrap());
    let mut day = Bins::new(Arc::clone(&binning));
    day.update(&[0.25, 0.5, 0.75, 1.5]);
    // Doubled thirty-one times: eight billion rows, more than 2^64 quanta in a bin.
    for _ in 0..31 {
        let half = day.clone();
        day.merge(&half);
    }
    assert_eq!(day.total(), 4 << 31);
    let mut one = Bins::new(Arc::clone(&binning));
    one.update(&[0.25, 0.5, 0.75, 1.5]);
    let wasserstein = Brackets::of(&one, &day).unwrap().wasserstein.unwrap();
    assert!(wasserstein.contains(0.0) && wasserstein.high.is_finite(), "{wasserstein:?}");
    let mut back = Bins::new(binning);
    back.merge_packed(&Packed::of(&day, true));
    assert_eq!(back, day);
}

#[test]
fn a_tensor_that_changes_its_width_is_several_features_and_then_one() {
    let mut monitor = monitor(r#"{"learn_rows": 200, "pane_rows": 50}"#, None);
    for call in 0..400usize {
        let width = 1 + call % 13;
        send(&mut monitor, IN, "tokens", width, &vec![call as f64; width]);
    }
    let snapshot = monitor.snapshot(true);
    assert_eq!(snapshot.rows, 400);
    assert!(snapshot.features.iter().all(|feature| feature.name.starts_with("tokens")));
    assert!(snapshot.features.iter().any(|feature| feature.name == "tokens[*]"));
}

#[test]
fn strings_where_numbers_were_have_no_place_among_them_and_raise_the_alarm() {
    let mut monitor =
        monitor(r#"{"learn_rows": 0, "pane_rows": 50}"#, Some(reference(&Random(1).normals(2_000))));
    for call in 0..100 {
        match call % 2 {
            0 => send(&mut monitor, IN, "x", 1, &[0.5]),
            _ => send_strings(&mut monitor, IN, "x", &["0.5"]),
        }
    }
    let seen = feature(&monitor, IN, "x");
    assert_eq!((seen.kind, seen.count, seen.unseen), (Kind::Numeric, 100, 50));
    assert_eq!(seen.mean, Some(0.5));
    assert_eq!(feature(&monitor, IN, "x.length").count, 50);
}

#[test]
fn categories_never_seen_have_one_cell_together_and_raise_the_alarm() {
    let mut builder = ProfileBuilder::new("m", 32);
    let known = ["red", "blue"].repeat(1_000);
    builder.add_column_bytes("colour", IN, known.iter().map(|it| Some(it.as_bytes()))).unwrap();
    let mut monitor =
        monitor(r#"{"learn_rows": 0, "pane_rows": 50}"#, Some(Arc::new(builder.finish().unwrap())));
    for call in 0..1_000 {
        send_strings(&mut monitor, IN, "colour", &[&format!("never seen {call}")]);
    }
    let seen = feature(&monitor, IN, "colour");
    assert_eq!((seen.count, seen.unseen), (1_000, 1_000));
    assert_eq!(seen.alarm.unwrap().shape.as_deref(), Some("unseen up"));
}

#[test]
fn timestamps_far_from_zero_keep_their_spread_and_their_bins() {
    let nanoseconds = |row: f64| 1.764e18 + row * 1e6;
    let training: Vec<f64> = (0..4_000).map(|row| nanoseconds(f64::from(row * 7_919 % 4_000))).collect();
    let live: Vec<f64> = (0..8_000).map(|row| nanoseconds(f64::from(row * 7_907 % 4_000))).collect();
    let quiet = watched(&training, &live);
    let seen = feature(&quiet, IN, "x");
    let spread = 1e6 * 4_000.0 / 12f64.sqrt();
    assert!((seen.std.unwrap() / spread - 1.0).abs() < 1e-3, "{:?}", seen.std);
    assert!((seen.mean.unwrap() - nanoseconds(1_999.5)).abs() < 1e3);
    assert_eq!((seen.under, seen.over, quiet.active_alarms()), (0, 0, 0));
    let drift = seen.drift.unwrap();
    assert!(drift.psi < drift.psi_noise && drift.ks.unwrap() < drift.ks_noise.unwrap());
    // A shift by a quarter of the range, a 10^-9 of the value.
    let shifted: Vec<f64> = live.iter().map(|value| value + 1e9).collect();
    assert_eq!(watched(&training, &shifted).active_alarms(), 1);
}

#[test]
fn the_largest_and_smallest_floats_are_counted_where_they_belong() {
    let extremes = [f64::MAX, -f64::MAX, f64::MIN_POSITIVE, f64::from_bits(1), -0.0, 0.0];
    let seen = feature(&watched(&extremes.repeat(100), &extremes.repeat(100)), IN, "x");
    assert_eq!((seen.count, seen.under, seen.over, seen.unseen), (600, 0, 0, 0));
    assert_eq!((seen.min, seen.max), (Some(-f64::MAX), Some(f64::MAX)));
    assert!(finite(&seen) && seen.mean.unwrap().is_finite());
}
