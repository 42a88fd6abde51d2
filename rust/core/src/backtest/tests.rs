//! What a backtest promises: the live code, whatever the chunks.

use super::*;
use crate::profile::ProfileBuilder;
use proptest::prelude::*;

const IN: Direction = Direction::Input;

fn uniform(row: u64) -> f64 {
    let mut word = (row + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (word >> 11) as f64 / (1u64 << 53) as f64
}

fn profile() -> Arc<Profile> {
    let mut builder = ProfileBuilder::new("m", 32);
    let numbers: Vec<f64> = (0..20_000).map(uniform).collect();
    let bits: Vec<f64> = numbers.iter().map(|&number| f64::from(u8::from(number < 0.2))).collect();
    builder.add_column_f64("level", IN, &numbers).unwrap();
    builder.add_column_f64("wrong", Direction::Output, &bits).unwrap();
    let cities = (0..20_000).map(|row| Some(if row % 3 == 0 { &b"Ulm"[..] } else { b"Bern" }));
    builder.add_column_bytes("city", IN, cities).unwrap();
    Arc::new(builder.finish().unwrap())
}

fn config(json: &str) -> BacktestConfig {
    serde_json::from_str(json).unwrap()
}

fn familiar(name: &str) -> BacktestConfig {
    config(&format!(r#"{{"familiar": {{"name": "{name}"}}}}"#))
}

/// Feature, row and change row of the alarms of a table in which everything changes at row 6,000.
fn alarms(config: BacktestConfig, chunk: usize) -> Vec<(String, u64, u64)> {
    let mut backtest = Backtest::new(config, profile()).unwrap();
    let changed = |row: usize| row >= 6_000;
    let level: Vec<f64> =
        (0..10_000).map(|row| uniform(row as u64 + 50_000) + if changed(row) { 0.5 } else { 0.0 }).collect();
    let wrong = |row: usize| uniform(row as u64 + 90_000) < if changed(row) { 0.6 } else { 0.2 };
    let wrong: Vec<f64> = (0..10_000).map(|row| f64::from(u8::from(wrong(row)))).collect();
    let city = |row: usize| if row.is_multiple_of(3) && !changed(row) { &b"Ulm"[..] } else { b"Bern" };
    let city: Vec<&[u8]> = (0..10_000).map(city).collect();
    let mut found = Vec::new();
    for start in (0..10_000).step_by(chunk) {
        let rows = start..10_000.min(start + chunk);
        let numbers = |values| Values::Numbers { columns: 1, values };
        backtest
            .observe(&[
                ("level", IN, numbers(&level[rows.clone()])),
                ("wrong", Direction::Output, numbers(&wrong[rows.clone()])),
                ("city", IN, Values::Texts(city[rows].to_vec())),
            ])
            .unwrap();
        found.extend(backtest.take_alarms());
    }
    found.extend(backtest.finish());
    assert_eq!(backtest.rows(), 10_000);
    assert!(found.iter().all(|alarm| alarm.drift.is_some()));
    let plain = |alarm: Alarm| match alarm.event {
        Event::Live(event) => (event.feature, event.row, event.change_row),
        Event::Familiar(alarm) => (alarm.feature, alarm.row, alarm.change_row),
    };
    found.into_iter().map(plain).collect()
}

#[test]
fn the_alarms_are_those_of_the_live_monitor() {
    let mut found = alarms(BacktestConfig::default(), 10_000);
    found.sort();
    let features: Vec<&str> = found.iter().map(|(feature, ..)| feature.as_str()).collect();
    assert_eq!(features, ["city", "level", "wrong"]);
    assert!(found.iter().all(|&(_, row, change_row)| change_row == 6_000 && (6_001..=7_000).contains(&row)));
}

#[test]
fn a_familiar_detector_watches_the_numbers_it_can_judge() {
    let of = |name| {
        let mut features: Vec<String> = alarms(familiar(name), 10_000).into_iter().map(|(f, ..)| f).collect();
        features.sort();
        features.dedup();
        features
    };
    assert_eq!(of("adwin"), ["level", "wrong"]);
    assert_eq!(of("ddm"), ["wrong"]);
}

#[test]
fn a_familiar_alarm_names_its_row_and_the_row_of_the_change() {
    for (feature, row, change_row) in alarms(familiar("adwin"), 10_000) {
        assert!(
            (6_000..6_200).contains(&row) && change_row.abs_diff(6_000) < 300,
            "{feature} {row} {change_row}"
        );
    }
}

#[test]
fn a_detector_that_can_watch_nothing_is_refused() {
    let mut builder = ProfileBuilder::new("m", 32);
    builder.add_column_f64("level", IN, &[0.5, 3.0]).unwrap();
    let refused = Backtest::new(familiar("hddm_a"), Arc::new(builder.finish().unwrap())).unwrap_err();
    assert!(
        refused.to_string().starts_with("hddm_a takes numbers from 0 to 1, which no feature"),
        "{refused}"
    );
    assert!(Backtest::new(familiar("adwim"), profile()).is_err());
    assert!(Backtest::new(config(r#"{"monitor": {"pane_rows": 0}}"#), profile()).is_err());
}

#[test]
fn tensors_of_different_lengths_are_refused_whole() {
    let mut backtest = Backtest::new(BacktestConfig::default(), profile()).unwrap();
    let part = |values| Values::Numbers { columns: 1, values };
    let ragged = [("level", IN, part(&[1.0][..])), ("wrong", Direction::Output, part(&[1.0, 2.0][..]))];
    assert_eq!(backtest.observe(&ragged), Err(Defect::ShapeMismatch));
    assert_eq!(backtest.rows(), 0);
    assert_eq!(backtest.observe(&[]), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn however_the_rows_are_cut_the_alarms_are_the_same(chunk in 1usize..3_000) {
        for name in ["adwin", "page_hinkley"] {
            prop_assert_eq!(alarms(familiar(name), chunk), alarms(familiar(name), 10_000));
        }
        prop_assert_eq!(alarms(BacktestConfig::default(), chunk), alarms(BacktestConfig::default(), 10_000));
    }
}
