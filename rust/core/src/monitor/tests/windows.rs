//! The last hour, day and month of a feature.

use super::*;
use crate::profile::ProfileBuilder;

const MINUTE: u64 = 60_000_000_000;

fn profile(values: &[f64]) -> Arc<Profile> {
    let mut builder = ProfileBuilder::new("m", 16);
    builder.add_column_f64("x", IN, values).unwrap();
    Arc::new(builder.finish().unwrap())
}

fn watching(json: &str) -> Monitor {
    monitor(json, Some(profile(&Random(5).normals(4_000))))
}

fn send_at(monitor: &mut Monitor, values: &[f64], now: u64) {
    let bytes = bytes_of(values);
    let tensor = Tensor::new("x", Datatype::Fp64, vec![values.len()], Data::Raw(&bytes)).unwrap();
    monitor.observe(IN, &[tensor], now);
}

/// Names and rows of the windows.
fn windows(monitor: &Monitor) -> Vec<(String, u64)> {
    feature(monitor, IN, "x").windows.into_iter().map(|window| (window.window, window.rows)).collect()
}

fn rows(hour: u64, day: u64, month: u64) -> Vec<(String, u64)> {
    [("1h", hour), ("1d", day), ("30d", month)].map(|(name, rows)| (name.to_owned(), rows)).to_vec()
}

#[test]
fn an_hour_old_row_leaves_the_hour_and_stays_in_the_day() {
    let mut monitor = watching(r#"{"pane_rows": 10}"#);
    let start = 5_000_000_000_000;
    send_at(&mut monitor, &[0.0; 25], start);
    send_at(&mut monitor, &[0.5; 20], start + 30 * MINUTE);
    assert_eq!(windows(&monitor), rows(45, 45, 45));
    monitor.tick(start + 60 * MINUTE);
    assert_eq!(windows(&monitor), rows(45, 45, 45));
    monitor.tick(start + 61 * MINUTE);
    assert_eq!(windows(&monitor), rows(20, 45, 45));
    monitor.tick(start + 26 * 60 * MINUTE);
    assert_eq!(windows(&monitor), [("30d".to_owned(), 45)]);
}

#[test]
fn a_clock_that_goes_back_moves_nothing() {
    let mut monitor = watching(r#"{"pane_rows": 10}"#);
    send_at(&mut monitor, &[0.0; 20], 100 * MINUTE);
    send_at(&mut monitor, &[0.0; 20], 40 * MINUTE);
    monitor.tick(0);
    assert_eq!(windows(&monitor), rows(40, 40, 40));
}

#[test]
fn a_window_is_measured_against_the_reference_with_its_noise() {
    let mut monitor = watching(r#"{"pane_rows": 200}"#);
    let values = Random(9).normals(2_000);
    send_at(&mut monitor, &values, 0);
    let window = feature(&monitor, IN, "x").windows.remove(0);
    assert_eq!(window.rows, 2_000);
    assert!(window.psi < window.psi_noise && window.ks.unwrap() < window.ks_noise.unwrap());
    let pane = feature(&monitor, IN, "x").drift.unwrap();
    assert!(window.psi_noise < pane.psi_noise, "more rows leave less to chance");
    assert!(window.distances.is_some() && monitor.snapshot(false).features[0].windows[0].distances.is_none());
    let shifted: Vec<f64> = values.iter().map(|value| value + 0.5).collect();
    send_at(&mut monitor, &shifted, 90 * MINUTE);
    let seen = feature(&monitor, IN, "x").windows;
    assert!(seen[0].psi > 3.0 * seen[0].psi_noise && seen[0].psi > 2.0 * seen[1].psi);
    assert_eq!((seen[0].rows, seen[1].rows), (2_000, 4_000));
}

#[test]
fn windows_of_rows_know_no_time() {
    let mut monitor = watching(r#"{"pane_rows": 10, "window_rows": 100}"#);
    for pane in 0..700 {
        send_at(&mut monitor, &[0.0; 10], pane * 10 * MINUTE);
    }
    let seen = windows(&monitor);
    let expected = [("6000 rows", 6_000), ("144000 rows", 7_000), ("4320000 rows", 7_000)];
    assert_eq!(seen, expected.map(|(name, rows)| (name.to_owned(), rows)));
}

#[test]
fn lean_windows_begin_with_the_day_and_none_are_kept_when_off() {
    let mut lean = watching(r#"{"pane_rows": 10, "windows": "lean"}"#);
    send_at(&mut lean, &[0.0, 9.0, -9.0].repeat(10), 0);
    assert_eq!(windows(&lean), [("1d".to_owned(), 30), ("30d".to_owned(), 30)]);
    let mut off = watching(r#"{"pane_rows": 10, "windows": "off"}"#);
    send_at(&mut off, &[0.0; 30], 0);
    assert_eq!(windows(&off), []);
}

#[test]
fn a_pane_that_takes_too_long_is_closed_by_time() {
    let mut monitor = watching(r#"{"pane_rows": 1000, "pane_ns": 60000000000}"#);
    send_at(&mut monitor, &[0.0; 30], 0);
    assert_eq!(monitor.snapshot(false).panes, 0);
    monitor.tick(MINUTE - 1);
    assert_eq!(monitor.snapshot(false).panes, 0);
    monitor.tick(MINUTE);
    let drift = feature(&monitor, IN, "x").drift.unwrap();
    assert_eq!((monitor.snapshot(false).panes, drift.pane_rows), (1, 30));
    monitor.tick(10 * MINUTE);
    assert_eq!(monitor.snapshot(false).panes, 1, "nothing came: nothing is compared");
    send_at(&mut monitor, &[0.0; 10], 20 * MINUTE);
    send_at(&mut monitor, &[0.0; 10], 21 * MINUTE);
    assert_eq!(monitor.snapshot(false).panes, 2);
}

#[test]
fn windows_begin_when_learning_has_ended() {
    let mut monitor = monitor(r#"{"learn_rows": 500, "pane_rows": 10}"#, None);
    send_at(&mut monitor, &Random(1).normals(500), 0);
    send_at(&mut monitor, &[0.0; 30], 90 * MINUTE);
    assert_eq!(windows(&monitor), rows(30, 30, 30));
}
