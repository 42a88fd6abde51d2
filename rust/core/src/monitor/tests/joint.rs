//! How the columns of an input go together, live.

use super::*;
use crate::monitor::Resumption;

const ROWS: usize = 4_000;

/// Rows of two normal columns with this correlation, in a message each of a hundred.
fn send_pairs(monitor: &mut Monitor, count: usize, correlation: f64, seed: u64) {
    let normals = Random(seed).normals(2 * count);
    let values: Vec<f64> = normals
        .chunks_exact(2)
        .flat_map(|pair| {
            let second = correlation * pair[0] + (1.0 - correlation * correlation).sqrt() * pair[1];
            [20.0 + pair[0], 1e4 * second]
        })
        .collect();
    values.chunks(200).for_each(|message| send(monitor, IN, "x", 2, message));
}

const CONFIG: &str =
    r#"{"learn_rows": 4000, "pane_rows": 100, "tensors": {"x": {"joint": true, "names": ["a", "b"]}}}"#;

fn alarmed(monitor: &mut Monitor) -> Vec<String> {
    monitor.take_events().into_iter().map(|event| event.feature).collect()
}

#[test]
fn a_correlation_that_flips_alarms_though_no_column_changes() {
    let mut monitor = monitor(CONFIG, None);
    send_pairs(&mut monitor, ROWS, 0.7, 1);
    send_pairs(&mut monitor, 5_000, 0.7, 2);
    assert_eq!(monitor.take_events(), []);
    let names: Vec<String> =
        monitor.snapshot(false).features.into_iter().map(|feature| feature.name).collect();
    for name in ["a", "b", "x.fourier[31]", "x.pair(a, b)", "x.reconstruction_error"] {
        assert!(names.contains(&name.to_owned()), "{name} is not among {names:?}");
    }
    send_pairs(&mut monitor, 2_000, -0.7, 3);
    let found = alarmed(&mut monitor);
    assert!(found.contains(&"x.pair(a, b)".to_owned()), "{found:?}");
    assert!(!found.contains(&"a".to_owned()) && !found.contains(&"b".to_owned()), "{found:?}");
    assert!(monitor.snapshot(false).evidence.unwrap().alarm);
}

#[test]
fn a_learned_map_travels_with_its_profile() {
    let mut teacher = monitor(CONFIG, None);
    send_pairs(&mut teacher, ROWS + 100, 0.7, 1);
    let bytes = teacher.learned().expect("a profile").to_bytes();
    let profile = Arc::new(Profile::from_bytes(&bytes).unwrap());
    let mut watching = monitor(CONFIG, Some(profile));
    send_pairs(&mut watching, 3_000, -0.7, 4);
    assert!(alarmed(&mut watching).contains(&"x.pair(a, b)".to_owned()));
    assert_eq!(watching.snapshot(false).profile.map(|profile| profile.absent), Some(0));
}

#[test]
fn a_restart_goes_on_with_the_learned_map() {
    let mut before = monitor(CONFIG, None);
    send_pairs(&mut before, ROWS + 2_000, 0.7, 1);
    let stored = before.stored().expect("it has learned");
    let config: MonitorConfig = serde_json::from_str(CONFIG).unwrap();
    let mut after = Monitor::resumed(Arc::new(config), None, stored, Resumption::default()).unwrap();
    assert_eq!(after.snapshot(false).features.len(), before.snapshot(false).features.len());
    send_pairs(&mut after, 3_000, -0.7, 2);
    assert!(alarmed(&mut after).contains(&"x.pair(a, b)".to_owned()));
}

#[test]
fn an_embedding_has_fourier_features_and_no_feature_per_element() {
    let config = r#"{"learn_rows": 2000, "pane_rows": 100, "tensors": {"x": {"kind": "embedding"}}}"#;
    let mut monitor = monitor(config, None);
    send_pairs(&mut monitor, 2_000, 0.7, 1);
    send_pairs(&mut monitor, 3_000, 0.7, 2);
    let snapshot = monitor.snapshot(false);
    assert_eq!(snapshot.features.len(), 64);
    assert!(snapshot.features.iter().all(|feature| feature.name.starts_with("x.fourier[")));
    assert_eq!(monitor.take_events(), []);
    send_pairs(&mut monitor, 4_000, -0.7, 3);
    assert!(!monitor.take_events().is_empty());
}

#[test]
fn nothing_is_watched_together_unless_it_is_asked_for_and_known() {
    let mut plain = monitor(r#"{"learn_rows": 100, "pane_rows": 100}"#, None);
    send_pairs(&mut plain, 1_000, 0.0, 1);
    assert_eq!(plain.snapshot(false).features.len(), 2);
    let profile = plain.learned();
    let mut without_map = monitor(CONFIG, profile);
    send_pairs(&mut without_map, 1_000, 0.0, 1);
    assert_eq!(without_map.snapshot(false).features.len(), 2);
    // Another width than the one that was learned, and strings, are passed over.
    let mut learned = monitor(CONFIG, None);
    send_pairs(&mut learned, ROWS + 100, 0.0, 1);
    send(&mut learned, IN, "x", 3, &[1.0; 300]);
    assert_eq!(learned.snapshot(false).panes, 2);
}
