//! A monitor that stops and goes on.

use super::*;
use crate::monitor::{Lost, Resumption, Stored};
use crate::performance::reference::Scores;
use crate::performance::scores::LabelTable;
use crate::profile::ProfileBuilder;

const MINUTE: u64 = 60_000_000_000;
const JSON: &str = r#"{"learn_rows": 0, "pane_rows": 50}"#;

fn profile() -> Arc<Profile> {
    let mut builder = ProfileBuilder::new("m", 16);
    builder.add_column_f64("x[0]", IN, &Random(5).normals(4_000)).unwrap();
    builder.add_column_f64("x[1]", IN, &Random(6).normals(4_000)).unwrap();
    builder
        .add_column_bytes("colour", IN, ["red", "blue"].repeat(50).iter().map(|it| Some(it.as_bytes())))
        .unwrap();
    Arc::new(builder.finish().unwrap())
}

fn config(json: &str) -> Arc<MonitorConfig> {
    Arc::new(serde_json::from_str(json).unwrap())
}

/// As it comes back from a file.
fn read_again(stored: &Stored) -> Stored {
    postcard::from_bytes(&postcard::to_stdvec(stored).unwrap()).unwrap()
}

fn restarted(
    monitor: &mut Monitor,
    json: &str,
    profile: Option<Arc<Profile>>,
    at: Resumption,
) -> Result<Monitor, Lost> {
    Monitor::resumed(config(json), profile, read_again(&monitor.stored().unwrap()), at)
}

fn feed(monitor: &mut Monitor, calls: std::ops::Range<u64>, shift: f64) {
    for call in calls {
        let values: Vec<f64> = Random(call).normals(2 * 7).iter().map(|value| value + shift).collect();
        let bytes = bytes_of(&values);
        let tensors = [
            Tensor::new("x", Datatype::Fp64, vec![7, 2], Data::Raw(&bytes)).unwrap(),
            Tensor::new("colour", Datatype::Bytes, vec![7], Data::Bytes(vec![b"red"; 7])).unwrap(),
        ];
        monitor.observe(IN, &tensors, call * MINUTE);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn a_restart_at_any_call_leaves_no_trace(cut in 0u64..200, shift in prop_oneof![Just(0.0), Just(1.0)]) {
        let mut whole = monitor(JSON, Some(profile()));
        feed(&mut whole, 0..100, 0.0);
        feed(&mut whole, 100..200, shift);
        let mut before = monitor(JSON, Some(profile()));
        feed(&mut before, 0..cut.min(100), 0.0);
        feed(&mut before, 100..cut.max(100), shift);
        let at = Resumption { then: cut * MINUTE, now: cut * MINUTE, gap: 0 };
        let mut after = restarted(&mut before, JSON, Some(profile()), at).unwrap();
        feed(&mut after, cut.min(100)..100, 0.0);
        feed(&mut after, cut.max(100)..200, shift);
        prop_assert_eq!(whole.snapshot(true), after.snapshot(true));
        let bytes = |monitor: &mut Monitor| postcard::to_stdvec(&monitor.stored().unwrap()).unwrap();
        prop_assert!(bytes(&mut whole) == bytes(&mut after));
    }
}

/// With scores and their labels.
fn scored() -> Arc<Profile> {
    let mut table = LabelTable::default();
    (0..1_000).for_each(|row| table.add(f64::from(row) / 1e3, row >= 500, row % 1_000 < row * row / 1_000));
    let scores = Scores { output: "proba".into(), label_age_s: None, classes: vec![table] };
    Arc::new(Profile::clone(&profile()).with_section(&scores).unwrap())
}

/// A call whose features come and go with time, and its scores.
fn call(monitor: &mut Monitor, call: u64) {
    let odd = (60..130).contains(&call);
    let values = Random(call).normals(2 * 7);
    let bytes = bytes_of(&values.iter().map(|value| value + if odd { 2.0 } else { 0.0 }).collect::<Vec<_>>());
    let scores = bytes_of(&values.iter().take(7).map(|value| value.abs() % 1.0).collect::<Vec<_>>());
    let x = Tensor::new("x", Datatype::Fp64, vec![7, 2], Data::Raw(&bytes)).unwrap();
    let colour = Tensor::new("colour", Datatype::Bytes, vec![7], Data::Bytes(vec![b"red"; 7])).unwrap();
    let proba = Tensor::new("proba", Datatype::Fp64, vec![7], Data::Raw(&scores)).unwrap();
    let inputs = if odd { vec![x] } else { vec![x, colour] };
    monitor.observe(IN, &inputs, call * MINUTE);
    monitor.observe(OUT, &[proba], call * MINUTE);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_kill_at_any_call_changes_no_alarm(kills in prop::collection::btree_set(0u64..200, 1..4)) {
        let mut whole = monitor(JSON, Some(scored()));
        (0..200).for_each(|number| call(&mut whole, number));
        let (mut interrupted, mut told) = (monitor(JSON, Some(scored())), Vec::new());
        for number in 0..200 {
            if kills.contains(&number) {
                told.extend(interrupted.take_events());
                let at = Resumption { then: number * MINUTE, now: number * MINUTE, gap: 0 };
                // What is written is a copy of what goes on.
                let stored = interrupted.copied(true).stored().unwrap();
                interrupted = Monitor::resumed(config(JSON), Some(scored()), read_again(&stored), at).unwrap();
            }
            call(&mut interrupted, number);
        }
        told.extend(interrupted.take_events());
        let expected = whole.take_events();
        let schema = expected.iter().filter(|event| event.method == "schema").count();
        prop_assert!(schema >= 2 && expected.len() > schema, "{:?}", expected);
        prop_assert_eq!(told, expected);
        let (whole, interrupted) = (whole.snapshot(true), interrupted.snapshot(true));
        prop_assert!(whole.performance.is_some());
        prop_assert_eq!((whole.schema, whole.performance), (interrupted.schema, interrupted.performance));
    }
}

#[test]
fn scores_of_other_classes_are_refused() {
    let mut before = monitor(JSON, Some(scored()));
    (0..20).for_each(|number| call(&mut before, number));
    let mut stored = before.stored().unwrap();
    stored.scores = monitor(JSON, Some(profile())).stored().unwrap().scores;
    assert!(matches!(
        Monitor::resumed(config(JSON), Some(scored()), stored, Resumption::default()),
        Err(Lost::Damaged)
    ));
}

#[test]
fn an_alarm_that_is_raised_stays_raised() {
    let mut monitor = monitor(JSON, Some(profile()));
    feed(&mut monitor, 0..100, 0.0);
    feed(&mut monitor, 100..200, 2.0);
    let alarm = feature(&monitor, IN, "x[0]").alarm.unwrap();
    let mut after = restarted(&mut monitor, JSON, Some(profile()), Resumption::default()).unwrap();
    assert_eq!(feature(&after, IN, "x[0]").alarm, Some(alarm));
    assert_eq!(after.active_alarms(), monitor.active_alarms());
    feed(&mut after, 200..300, 2.0);
    assert!(
        after.take_events().iter().all(|event| event.feature != "x[0]"),
        "it is not raised a second time"
    );
}

#[test]
fn a_threshold_goes_on_counting_panes() {
    let json = r#"{"learn_rows": 0, "pane_rows": 50, "alarm": {"detector": "threshold", "raise_after": 8, "clear_after": 2}}"#;
    let mut before = monitor(json, Some(profile()));
    feed(&mut before, 0..36, 3.0);
    assert!(before.take_events().is_empty());
    let mut after = restarted(&mut before, json, Some(profile()), Resumption::default()).unwrap();
    feed(&mut after, 36..60, 3.0);
    let raised = after.take_events();
    assert_eq!((raised[0].row, raised[0].change_row), (400, 0));
    let again = restarted(&mut after, json, Some(profile()), Resumption::default()).unwrap();
    assert_eq!(feature(&again, IN, "x[0]").alarm, feature(&after, IN, "x[0]").alarm);
    assert!(feature(&again, IN, "x[0]").alarm.is_some());
}

#[test]
fn a_learned_profile_survives_and_a_half_learned_one_begins_anew() {
    let json = r#"{"learn_rows": 500, "pane_rows": 50}"#;
    let mut learning = monitor(json, None);
    feed(&mut learning, 0..50, 0.0);
    assert!(learning.stored().is_none());
    feed(&mut learning, 50..100, 0.0);
    let after = restarted(&mut learning, json, None, Resumption::default()).unwrap();
    assert_eq!(after.learned().unwrap().hash(), learning.learned().unwrap().hash());
    assert_eq!(after.snapshot(false).panes, learning.snapshot(false).panes);
}

#[test]
fn time_that_passed_meanwhile_moves_the_windows() {
    let rows = |gap: u64| {
        let mut monitor = monitor(JSON, Some(profile()));
        feed(&mut monitor, 0..50, 0.0);
        // Another boot: the clock shows 3 now, and `gap` has passed.
        let mut after =
            restarted(&mut monitor, JSON, Some(profile()), Resumption { then: 49 * MINUTE, now: 3, gap })
                .unwrap();
        after.tick(3);
        let windows = feature(&after, IN, "x[0]").windows;
        windows.iter().map(|window| (window.window.clone(), window.rows)).collect::<Vec<_>>()
    };
    let named = |hour: u64, day: u64| {
        [("1h", hour), ("1d", day), ("30d", day)].map(|(name, rows)| (name.to_owned(), rows)).to_vec()
    };
    assert_eq!(rows(0), named(350, 350));
    assert_eq!(rows(30 * MINUTE), named(7 * 31, 350));
    assert_eq!(rows(120 * MINUTE), named(0, 350)[1..].to_vec());
}

#[test]
fn what_was_merged_goes_on_as_one_and_is_read_again_as_it_was_written() {
    let fed = |calls: std::ops::Range<u64>, shift| {
        let mut monitor = Monitor::new(config(JSON), Some(profile()));
        feed(&mut monitor, calls, shift);
        monitor
    };
    let mut merged = fed(0..40, 0.0);
    merged.merge(fed(40..90, 0.1)).unwrap();
    merged.merge(fed(90..130, 0.0)).unwrap();
    let bytes = |monitor: &mut Monitor| postcard::to_stdvec(&monitor.stored().unwrap()).unwrap();
    let at = |call: u64| Resumption { then: call * MINUTE, now: call * MINUTE, gap: 0 };
    let mut again = restarted(&mut merged, JSON, Some(profile()), at(129)).unwrap();
    assert!(bytes(&mut again) == bytes(&mut merged));
    for monitor in [&mut merged, &mut again] {
        feed(monitor, 130..400, 1.0);
    }
    assert!(merged.active_alarms() > 0 && bytes(&mut again) == bytes(&mut merged));
    // With rows of its own it is one sidecar, which another one weighs as much as.
    let mut third = restarted(&mut merged, JSON, Some(profile()), at(399)).unwrap();
    let evidence = |monitor: &Monitor| monitor.roster.features().iter().find_map(Watch::evidence).unwrap();
    let before = evidence(&third);
    third.merge(fed(0..0, 0.0)).unwrap();
    assert!(evidence(&third) == before, "one that saw nothing has no features");
    third.merge(fed(0..3, 0.0)).unwrap();
    assert!((evidence(&third) / before - 0.5).abs() < 1e-3, "{} of {before}", evidence(&third));
}

#[test]
fn state_of_something_else_is_refused() {
    let mut before = monitor(JSON, Some(profile()));
    feed(&mut before, 0..50, 0.0);
    let mut again = |json, profile| restarted(&mut before, json, profile, Resumption::default()).err();
    let mut builder = ProfileBuilder::new("m", 8);
    builder.add_column_f64("x[0]", IN, &Random(5).normals(4_000)).unwrap();
    let other = Arc::new(builder.finish().unwrap());
    assert_eq!(again(JSON, Some(other)), Some(Lost::OtherProfile));
    assert_eq!(again(JSON, None), Some(Lost::OtherProfile));
    let strict = r#"{"learn_rows": 0, "pane_rows": 50, "alarm": {"tolerance": 0.0}}"#;
    assert_eq!(again(strict, Some(profile())), Some(Lost::OtherSettings));
    let larger_panes = r#"{"learn_rows": 0, "pane_rows": 500}"#;
    assert_eq!(again(larger_panes, Some(profile())), None);
}

#[test]
fn rows_wait_for_no_pane_when_it_is_made_smaller() {
    let mut before = monitor(r#"{"learn_rows": 0, "pane_rows": 500}"#, Some(profile()));
    feed(&mut before, 0..50, 0.0);
    let mut after = restarted(
        &mut before,
        r#"{"learn_rows": 0, "pane_rows": 100}"#,
        Some(profile()),
        Resumption::default(),
    )
    .unwrap();
    feed(&mut after, 50..51, 0.0);
    assert_eq!((after.snapshot(false).panes, after.snapshot(false).rows), (1, 357));
}

proptest! {
    #[test]
    fn no_altered_state_makes_the_reader_panic(position in 0usize..20_000, byte: u8, cut in 0usize..20_000) {
        let mut before = monitor(JSON, Some(profile()));
        feed(&mut before, 0..20, 0.0);
        let mut bytes = postcard::to_stdvec(&before.stored().unwrap()).unwrap();
        let position = position % bytes.len();
        bytes[position] = byte;
        bytes.truncate(cut.max(position + 1));
        if let Ok(stored) = postcard::from_bytes::<Stored>(&bytes) {
            let _ = Monitor::resumed(config(JSON), Some(profile()), stored, Resumption::default());
        }
    }
}
