//! Whole messages in, numbers and alarms out.

mod alarms;
mod bad_input;
mod joint;
mod looks;
mod merge;
mod restart;
mod schema;
mod scores;
mod volume;
mod windows;

use super::*;
use crate::detect::AlarmState;
use crate::random::Random;
use crate::sketch::binning::Kind;
use crate::tensor::{Data, Datatype};
use proptest::prelude::*;

const IN: Direction = Direction::Input;
const OUT: Direction = Direction::Output;

fn monitor(json: &str, profile: Option<Arc<Profile>>) -> Monitor {
    let config: MonitorConfig = serde_json::from_str(json).unwrap();
    config.check().unwrap();
    Monitor::new(Arc::new(config), profile)
}

fn bytes_of(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Sends rows of a FP64 table.
fn send(monitor: &mut Monitor, direction: Direction, name: &str, columns: usize, values: &[f64]) {
    let bytes = bytes_of(values);
    let shape = vec![values.len() / columns, columns];
    let tensor = Tensor::new(name, Datatype::Fp64, shape, Data::Raw(&bytes)).unwrap();
    monitor.observe(direction, &[tensor], 7);
}

fn send_strings(monitor: &mut Monitor, direction: Direction, name: &str, values: &[&str]) {
    let elements = values.iter().map(|value| value.as_bytes()).collect();
    let tensor = Tensor::new(name, Datatype::Bytes, vec![values.len()], Data::Bytes(elements)).unwrap();
    monitor.observe(direction, &[tensor], 7);
}

fn feature(monitor: &Monitor, direction: Direction, name: &str) -> FeatureSnapshot {
    let snapshot = monitor.snapshot(true);
    let found = snapshot.features.into_iter().find(|f| f.name == name && f.direction == direction);
    found.unwrap_or_else(|| panic!("no feature {name}"))
}

fn close(a: Option<f64>, b: f64) -> bool {
    a.is_some_and(|a| (a - b).abs() <= 1e-12 * b.abs().max(1.0))
}

const NO_LEARNING: &str = r#"{"learn_rows": 0}"#;

// === counting ===

#[test]
fn means_and_extremes_are_those_of_the_rows() {
    let values = Random(1).normals(3 * 157);
    let mut monitor = monitor(NO_LEARNING, None);
    for rows in values.chunks(3 * 10) {
        send(&mut monitor, IN, "x", 3, rows);
    }
    for column in 0..3 {
        let column_values: Vec<f64> = values.iter().skip(column).step_by(3).copied().collect();
        let n = column_values.len() as f64;
        let mean = column_values.iter().sum::<f64>() / n;
        let variance = column_values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        let seen = feature(&monitor, IN, &format!("x[{column}]"));
        assert_eq!(seen.count, 157);
        assert!(close(seen.mean, mean) && close(seen.std, variance.sqrt()));
        assert_eq!(seen.min, column_values.iter().copied().reduce(f64::min));
        assert_eq!(seen.max, column_values.iter().copied().reduce(f64::max));
        let histogram = seen.histogram.unwrap().unwrap();
        assert_eq!(histogram.count, 157);
        assert!((histogram.sum - mean * n).abs() < 1e-9);
    }
}

#[test]
fn calls_rows_and_batches_are_those_of_the_inputs() {
    let mut monitor = monitor(NO_LEARNING, None);
    for rows in [1, 5, 3] {
        send(&mut monitor, IN, "x", 2, &vec![0.0; rows * 2]);
        send(&mut monitor, OUT, "y", 1, &vec![0.0; rows]);
    }
    monitor.observe(IN, &[], 0);
    let snapshot = monitor.snapshot(false);
    assert_eq!((snapshot.calls, snapshot.rows), (4, 9));
    assert_eq!(snapshot.batch, BatchSnapshot { min: 1, max: 5, mean: 3.0 });
    assert_eq!(snapshot.state, MonitorState::Watching);
    assert_eq!(snapshot.profile, None);
}

#[test]
fn what_is_not_a_number_never_enters_a_mean() {
    let mut monitor = monitor(NO_LEARNING, None);
    send(&mut monitor, IN, "x", 1, &[1.0, f64::NAN, f64::INFINITY, 3.0, f64::NEG_INFINITY, f64::NAN]);
    let seen = feature(&monitor, IN, "x");
    assert_eq!((seen.count, seen.missing, seen.nan, seen.pos_inf, seen.neg_inf), (6, 2, 2, 1, 1));
    assert_eq!((seen.mean, seen.min, seen.max), (Some(2.0), Some(1.0), Some(3.0)));
    assert_eq!(monitor.snapshot(false).missing, 2);
}

#[test]
fn an_empty_tensor_is_a_missing_row_of_every_column() {
    let mut monitor = monitor(NO_LEARNING, None);
    send(&mut monitor, IN, "x", 2, &[1.0, 2.0]);
    for (name, shape) in [("x", vec![0, 2]), ("x", vec![usize::MAX, 0]), ("new", vec![3, 0])] {
        monitor.observe(IN, &[Tensor::new(name, Datatype::Fp32, shape, Data::Raw(&[])).unwrap()], 0);
    }
    assert_eq!(feature(&monitor, IN, "x[1]").missing, 2);
    let snapshot = monitor.snapshot(false);
    assert_eq!((snapshot.missing, snapshot.rows, snapshot.calls), (2 * 2 + 1, 1, 4));
}

#[test]
fn tensors_of_one_column_each_are_features_of_their_names() {
    let mut monitor = monitor(NO_LEARNING, None);
    let (age, income) = (bytes_of(&[30.0, 50.0]), 1_000i64.to_le_bytes());
    for _ in 0..3 {
        let tensors = [
            Tensor::new("age", Datatype::Fp64, vec![2], Data::Raw(&age)).unwrap(),
            Tensor::new("income", Datatype::Int64, vec![1, 1], Data::Raw(&income)).unwrap(),
        ];
        monitor.observe(IN, &tensors, 0);
    }
    assert_eq!(feature(&monitor, IN, "age").mean, Some(40.0));
    assert_eq!(
        (feature(&monitor, IN, "income").count, feature(&monitor, IN, "income").mean),
        (3, Some(1_000.0))
    );
}

#[test]
fn an_image_has_brightness_contrast_and_size() {
    let mut monitor = monitor(r#"{"learn_rows": 0, "tensors": {"image": {"kind": "image"}}}"#, None);
    send(&mut monitor, IN, "image", 4, &[0.0, 2.0, 0.0, 2.0, 4.0, 4.0, 4.0, 4.0]);
    let mean = |name| feature(&monitor, IN, name).mean;
    assert_eq!((mean("image.brightness"), mean("image.contrast")), (Some(2.5), Some(0.5)));
    assert_eq!((mean("image.size"), mean("image[1]")), (Some(4.0), Some(3.0)));
}

#[test]
fn wide_images_are_pooled_and_still_have_brightness() {
    let json = r#"{"learn_rows": 0, "max_features": 100, "tensors": {"image": {"kind": "image"}}}"#;
    let mut monitor = monitor(json, None);
    let values: Vec<f64> = (0..2 * 300).map(f64::from).collect();
    send(&mut monitor, IN, "image", 300, &values);
    let pooled = feature(&monitor, IN, "image[*]");
    assert_eq!((pooled.count, pooled.mean, pooled.max), (600, Some(299.5), Some(599.0)));
    let brightness = feature(&monitor, IN, "image.brightness");
    assert_eq!((brightness.count, brightness.min, brightness.max), (2, Some(149.5), Some(449.5)));
    assert_eq!(feature(&monitor, IN, "image.size").mean, Some(300.0));
}

#[test]
fn strings_are_categories_with_a_length() {
    let mut monitor = monitor(r#"{"learn_rows": 4, "pane_rows": 3}"#, None);
    send_strings(&mut monitor, IN, "colour", &["red", "blue", "red", ""]);
    send_strings(&mut monitor, IN, "colour", &["red", "green", ""]);
    let colour = feature(&monitor, IN, "colour");
    assert_eq!((colour.kind, colour.count, colour.missing, colour.unseen), (Kind::Category, 7, 2, 1));
    assert_eq!(colour.histogram, Some(None));
    let bins = colour.bins.unwrap();
    assert_eq!(bins.labels, ["blue", "red"]);
    assert_eq!((bins.reference, bins.window), (vec![1, 2], vec![0, 1]));
    let drift = colour.drift.unwrap();
    assert_eq!((drift.pane_rows, drift.ks), (3, None));
    let length = feature(&monitor, IN, "colour.length");
    assert_eq!((length.count, length.missing, length.max), (7, 2, Some(5.0)));
    assert_eq!(monitor.snapshot(false).missing, 2);
}

#[test]
fn scores_have_a_class_mix() {
    let mut monitor = monitor(r#"{"learn_rows": 3}"#, None);
    send(&mut monitor, OUT, "proba", 2, &[0.9, 0.1, 0.2, 0.8, 0.4, 0.6]);
    monitor.observe(OUT, &[], 0);
    let class = feature(&monitor, OUT, "proba.class");
    assert_eq!(
        (class.kind, class.bins.unwrap().labels),
        (Kind::Discrete, vec!["0".to_owned(), "1".to_owned()])
    );
    assert!(close(feature(&monitor, OUT, "proba.score").mean, 2.3 / 3.0));
}

#[test]
fn features_stay_within_their_bound() {
    let mut monitor = monitor(r#"{"learn_rows": 0, "max_features": 10}"#, None);
    for tensor in 0..50 {
        send(&mut monitor, IN, &format!("t{tensor}"), 4, &[1.0; 4]);
    }
    let names: Vec<String> = monitor.snapshot(false).features.into_iter().map(|f| f.name).collect();
    assert_eq!(names.len(), 10);
    assert!(names.contains(&"t1[3]".to_owned()) && names.contains(&"t2[*]".to_owned()));
    assert_eq!(monitor.snapshot(false).unwatched, 50 - 4);
    send(&mut monitor, IN, "t3", 1, &[1.0; 40]);
    assert_eq!(monitor.snapshot(false).unwatched, 50 - 4 + 1);
}

#[test]
fn a_name_of_absurd_length_is_not_kept() {
    let mut monitor = monitor(NO_LEARNING, None);
    send(&mut monitor, IN, &"x".repeat(257), 1, &[1.0]);
    let snapshot = monitor.snapshot(false);
    assert_eq!((snapshot.features.len(), snapshot.rows, snapshot.unwatched), (0, 1, 1));
}

#[test]
fn tensors_of_one_call_may_differ_in_rows() {
    let mut monitor = monitor(r#"{"learn_rows": 0, "pane_rows": 2}"#, None);
    let (table, scalar) = (bytes_of(&[1.0; 5]), bytes_of(&[3.0]));
    let tensors = [
        Tensor::new("x", Datatype::Fp64, vec![5], Data::Raw(&table)).unwrap(),
        Tensor::new("threshold", Datatype::Fp64, vec![1], Data::Raw(&scalar)).unwrap(),
    ];
    monitor.observe(IN, &tensors, 0);
    assert_eq!((feature(&monitor, IN, "x").count, feature(&monitor, IN, "threshold").count), (5, 1));
    assert_eq!((monitor.snapshot(false).rows, monitor.snapshot(false).panes), (5, 2));
}

#[test]
fn a_tensor_that_keeps_changing_its_width_ends_up_pooled() {
    let mut monitor = monitor(NO_LEARNING, None);
    for width in 1..40 {
        send(&mut monitor, IN, "tokens", width, &vec![1.0; width]);
    }
    let features = monitor.snapshot(false).features;
    assert_eq!(features.len(), 10); // "tokens", [0] ... [7], [*]
    assert_eq!(features.iter().map(|f| f.count).sum::<u64>(), (1..40).sum::<u64>());
}

#[test]
fn ignored_tensors_leave_no_trace() {
    let mut monitor = monitor(r#"{"learn_rows": 0, "tensors": {"secret": {"kind": "ignore"}}}"#, None);
    send(&mut monitor, IN, "secret", 2, &[1.0; 2]);
    assert_eq!((monitor.snapshot(true).features, monitor.snapshot(true).unwatched), (vec![], 0));
}

// === learning and comparing ===

fn learned(values: &[f64], columns: usize) -> Arc<Profile> {
    let rows = values.len() / columns;
    let mut monitor = monitor(&format!(r#"{{"learn_rows": {rows}}}"#), None);
    monitor.set_model("m");
    assert!(monitor.learned().is_none());
    assert_eq!(monitor.snapshot(false).state, MonitorState::Learning);
    send(&mut monitor, IN, "x", columns, values);
    monitor.observe(IN, &[], 0);
    assert_eq!(monitor.snapshot(false).state, MonitorState::Watching);
    monitor.learned().unwrap()
}

#[test]
fn a_learned_profile_is_that_of_a_builder() {
    let values = Random(2).normals(3_000);
    let mut builder = crate::profile::ProfileBuilder::new("m", 32);
    builder.add_column_f64("x", IN, &values[..1_000]).unwrap();
    assert_eq!(learned(&values[..1_000], 1).to_bytes(), builder.finish().unwrap().to_bytes());
}

#[test]
fn the_answer_to_a_large_first_batch_is_learned_from() {
    let mut monitor = monitor(r#"{"learn_rows": 100}"#, None);
    send(&mut monitor, IN, "x", 1, &Random(12).normals(300));
    assert!(monitor.learned().is_none());
    send(&mut monitor, OUT, "y", 1, &Random(13).normals(300));
    let profile = monitor.learned().unwrap();
    assert_eq!(profile.references().iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["x", "y"]);
}

#[test]
fn learned_rows_count_in_the_totals_but_not_in_the_panes() {
    let mut monitor = monitor(r#"{"learn_rows": 100, "pane_rows": 50}"#, None);
    send(&mut monitor, IN, "x", 1, &Random(3).normals(100));
    assert_eq!((monitor.snapshot(false).panes, feature(&monitor, IN, "x").drift), (0, None));
    send(&mut monitor, IN, "x", 1, &Random(4).normals(120));
    let snapshot = monitor.snapshot(false);
    assert_eq!((snapshot.rows, snapshot.panes, snapshot.features[0].count), (220, 2, 220));
    let profile = snapshot.profile.unwrap();
    assert_eq!((profile.rows, profile.absent, profile.unprofiled), (100, 0, 0));
    assert_eq!(feature(&monitor, IN, "x").drift.unwrap().pane_rows, 50);
}

#[test]
fn features_that_the_profile_and_the_traffic_do_not_share_are_visible() {
    let profile = learned(&Random(5).normals(200), 2);
    let mut monitor = monitor("{}", Some(profile));
    send(&mut monitor, IN, "x", 2, &[0.0; 2]);
    send(&mut monitor, IN, "new", 1, &[0.0]);
    send_strings(&mut monitor, OUT, "x[0]", &["text"]);
    let profile = monitor.snapshot(false).profile.unwrap();
    assert_eq!((profile.absent, profile.unprofiled), (0, 3));
    assert!(monitor.learned().is_none());
}

#[test]
fn scores_are_those_of_the_distances_on_the_counts() {
    let profile = learned(&Random(6).normals(1_000), 1);
    let mut monitor = monitor(
        r#"{"pane_rows": 400, "alarm": {"detector": "threshold", "psi": null, "ks": 0.5}}"#,
        Some(Arc::clone(&profile)),
    );
    let values: Vec<f64> = Random(7).normals(400).into_iter().map(|value| value * 1.5 + 0.3).collect();
    send(&mut monitor, IN, "x", 1, &values);
    let binning = profile.get(IN, "x").unwrap().bins.binning();
    let mut cells = vec![0; binning.cells()];
    binning.count(&values, &mut cells);
    let reference = profile.get(IN, "x").unwrap().bins.cells();
    let drift = feature(&monitor, IN, "x").drift.unwrap();
    use crate::distance::Distance;
    assert_eq!(Some(drift.psi), Distance::Psi.between(reference, &cells));
    assert_eq!(Some(drift.jensen_shannon), Distance::JensenShannon.between(reference, &cells));
    assert_eq!(drift.ks, Distance::Ks.between(reference, &cells));
    assert_eq!(Some(drift.score), drift.ks);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn batching_changes_no_number(cuts in prop::collection::vec(1usize..90, 1..60), seed: u64) {
        let values: Vec<f64> =
            Random(seed).normals(700 * 3).into_iter().map(|v| if v > 2.0 { f64::NAN } else { v }).collect();
        let json = r#"{"learn_rows": 0, "pane_rows": 70, "window_panes": 3}"#;
        let profile = learned(&values[..300], 3);
        let (mut whole, mut cut) = (monitor(json, Some(Arc::clone(&profile))), monitor(json, Some(profile)));
        send(&mut whole, IN, "x", 3, &values);
        let mut rest = &values[..];
        for rows in cuts.into_iter().cycle() {
            let (batch, behind) = rest.split_at(rest.len().min(rows * 3));
            send(&mut cut, IN, "x", 3, batch);
            cut.snapshot(true); // looking changes nothing either
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(whole.snapshot(true).features, cut.snapshot(true).features);
        let without_calls = |event: AlarmEvent| AlarmEvent { call: 0, change_call: 0, ..event };
        let events = |monitor: &mut Monitor| monitor.take_events().into_iter().map(without_calls).collect::<Vec<_>>();
        prop_assert_eq!(events(&mut whole), events(&mut cut));
    }
}

#[test]
fn the_snapshot_is_json_with_the_agreed_names() {
    let mut monitor = monitor(r#"{"learn_rows": 10, "pane_rows": 10}"#, None);
    send(&mut monitor, IN, "x", 1, &Random(11).normals(10));
    send(&mut monitor, IN, "x", 1, &Random(12).normals(15));
    let plain = serde_json::to_value(monitor.snapshot(false)).unwrap();
    let keys =
        |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        keys(&plain),
        "batch calls evidence features missing panes performance profile rows schema state unwatched volume"
    );
    let feature = "alarm count direction drift evidence kind max mean min missing name nan neg_inf others over pos_inf std under unseen windows";
    assert_eq!(keys(&plain["features"][0]), feature);
    assert_eq!(
        keys(&plain["features"][0]["drift"]),
        "distances jensen_shannon jensen_shannon_noise ks ks_noise pane_rows psi psi_noise score"
    );
    assert_eq!(
        keys(&plain["features"][0]["evidence"]),
        "autocorrelation_time bits change_row shape threshold_bits"
    );
    assert_eq!(keys(&plain["evidence"]), "alarm bits flagged threshold_bits");
    let detail = serde_json::to_value(monitor.snapshot(true)).unwrap();
    assert_eq!(keys(&detail["features"][0]["bins"]), "edges labels reference window");
    assert_eq!(
        keys(&detail["features"][0]["histogram"]),
        "count max min negative positive scale sum zero_count"
    );
}
