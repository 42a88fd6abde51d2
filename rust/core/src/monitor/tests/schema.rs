//! Features that appear, disappear or change their type.

use super::*;

fn profile() -> Arc<Profile> {
    let mut builder = crate::profile::ProfileBuilder::new("m", 32);
    builder.add_column_f64("age", IN, &Random(1).normals(2_000)).unwrap();
    builder.add_column_f64("income", IN, &Random(2).normals(2_000)).unwrap();
    Arc::new(builder.finish().unwrap())
}

/// Sends a pane of rows with these tensors.
fn pane(monitor: &mut Monitor, names: &[&str], seed: u64) {
    let values: Vec<Vec<u8>> =
        (0..names.len()).map(|at| bytes_of(&Random(seed + at as u64).normals(100))).collect();
    let tensors: Vec<Tensor<'_>> = names
        .iter()
        .zip(&values)
        .map(|(name, bytes)| Tensor::new(name, Datatype::Fp64, vec![100], Data::Raw(bytes)).unwrap())
        .collect();
    monitor.observe(IN, &tensors, 7);
}

/// State, feature and words of the schema alarms since the last call.
fn told(monitor: &mut Monitor) -> Vec<(AlarmState, String, String)> {
    let events = monitor.take_events().into_iter().filter(|event| event.method == "schema");
    events.map(|event| (event.state, event.feature, event.shape.unwrap())).collect()
}

fn watching() -> Monitor {
    monitor(r#"{"pane_rows": 100}"#, Some(profile()))
}

#[test]
fn a_feature_that_disappears_raises_an_alarm_until_it_is_back() {
    let mut monitor = watching();
    pane(&mut monitor, &["age", "income"], 3);
    assert_eq!(told(&mut monitor), []);
    pane(&mut monitor, &["age"], 5);
    assert_eq!(told(&mut monitor), [(AlarmState::Raised, "income".into(), "absent".into())]);
    let shown = monitor.snapshot(false).schema;
    assert_eq!((shown.len(), shown[0].breach, shown[0].since_row), (1, schema::Breach::Absent, 100));
    assert_eq!(monitor.active_alarms(), 2, "its rows are missing, too");
    pane(&mut monitor, &["age"], 7);
    assert_eq!(told(&mut monitor), []);
    pane(&mut monitor, &["age", "income"], 9);
    assert_eq!(told(&mut monitor), [(AlarmState::Cleared, "income".into(), "absent".into())]);
    assert_eq!((monitor.snapshot(false).schema.len(), monitor.active_alarms()), (0, 1));
    (11..60).for_each(|seed| pane(&mut monitor, &["age", "income"], seed));
    assert_eq!(monitor.active_alarms(), 0);
}

/// Batches of ten rows, of which so many in ten come without the second tensor.
fn optional(monitor: &mut Monitor, names: [&str; 2], seed: u64, calls: u64, left_out: u64) {
    let mut random = Random(seed);
    for call in 0..calls {
        let (first, second) = (bytes_of(&random.normals(10)), bytes_of(&random.normals(10)));
        let tensor = |name, bytes| Tensor::new(name, Datatype::Fp64, vec![10], Data::Raw(bytes)).unwrap();
        let tensors = [tensor(names[0], &first), tensor(names[1], &second)];
        monitor.observe(IN, if (call * 7 + 5) % 10 < left_out { &tensors[..1] } else { &tensors }, call);
    }
}

#[test]
fn rows_without_an_optional_input_are_missing_as_empty_cells_are() {
    let mut builder = crate::profile::ProfileBuilder::new("m", 32);
    let holes = |row: usize| (row / 10 * 7 % 10 < 3).then_some(f64::NAN);
    let income = Random(2).normals(2_000).into_iter().enumerate();
    let income: Vec<f64> = income.map(|(row, value)| holes(row).unwrap_or(value)).collect();
    builder.add_column_f64("age", IN, &Random(1).normals(2_000)).unwrap();
    builder.add_column_f64("income", IN, &income).unwrap();
    let profile = Arc::new(builder.finish().unwrap());
    for learned in [false, true] {
        let json = r#"{"pane_rows": 100, "learn_rows": 2000}"#;
        let mut monitor = monitor(json, (!learned).then(|| Arc::clone(&profile)));
        let before = if learned { 200 } else { 0 };
        optional(&mut monitor, ["age", "income"], 3, before + 500, 3);
        assert_eq!(monitor.take_events(), []);
        assert_eq!(feature(&monitor, IN, "income").missing, 3 * (before + 500));
        optional(&mut monitor, ["age", "income"], 4, 100, 9);
        let events = monitor.take_events();
        assert_eq!((&*events[0].feature, events[0].shape.as_deref()), ("income", Some("missing up")));
    }
}

#[test]
fn an_input_that_cannot_be_observed_is_not_missing() {
    let mut monitor = watching();
    pane(&mut monitor, &["age", "income"], 1);
    let bytes = bytes_of(&Random(3).normals(10));
    let age = Tensor::new("age", Datatype::Fp64, vec![10], Data::Raw(&bytes)).unwrap();
    for call in 0..100 {
        let defects = [("income", crate::tensor::Defect::SharedMemory)];
        monitor.observe_beside(IN, std::slice::from_ref(&age), &defects, call);
    }
    assert_eq!(feature(&monitor, IN, "income").missing, 0);
    monitor.observe(IN, std::slice::from_ref(&age), 100);
    assert_eq!(feature(&monitor, IN, "income").missing, 10);
}

#[test]
fn an_input_first_seen_while_learning_was_missing_before() {
    let mut monitor = monitor(r#"{"pane_rows": 100, "learn_rows": 1000}"#, None);
    optional(&mut monitor, ["age", "income"], 3, 40, 10);
    optional(&mut monitor, ["age", "income"], 4, 60, 0);
    assert_eq!(feature(&monitor, IN, "income").missing, 400);
}

#[test]
fn a_feature_that_never_came_is_absent_from_the_first_pane_on() {
    let mut monitor = watching();
    pane(&mut monitor, &["income"], 3);
    assert_eq!(told(&mut monitor), [(AlarmState::Raised, "age".into(), "absent".into())]);
}

#[test]
fn a_feature_that_appears_raises_an_alarm() {
    let mut monitor = watching();
    pane(&mut monitor, &["age", "income", "height"], 3);
    assert_eq!(told(&mut monitor), [(AlarmState::Raised, "height".into(), "not in the profile".into())]);
}

#[test]
fn numbers_that_became_strings_raise_an_alarm() {
    let mut monitor = watching();
    for _ in 0..100 {
        let age = Tensor::new("age", Datatype::Bytes, vec![1], Data::Bytes(vec![b"thirty"])).unwrap();
        let bytes = bytes_of(&[0.1]);
        let income = Tensor::new("income", Datatype::Fp64, vec![1], Data::Raw(&bytes)).unwrap();
        monitor.observe(IN, &[age, income], 7);
    }
    let found = told(&mut monitor);
    assert!(found.contains(&(AlarmState::Raised, "age".into(), "of another type".into())), "{found:?}");
}

#[test]
fn what_one_worker_has_is_not_absent_from_both() {
    let seen = |names: &[&str]| {
        let mut monitor = watching();
        pane(&mut monitor, names, 3);
        monitor
    };
    let merged = |first: &[&str], second: &[&str]| {
        let mut sum = seen(first);
        sum.merge(seen(second)).unwrap();
        let of = |alarm: SchemaAlarm| (alarm.feature, alarm.breach);
        sum.snapshot(false).schema.into_iter().map(of).collect::<Vec<_>>()
    };
    let absent = [("income".to_owned(), Breach::Absent)];
    assert_eq!(merged(&["age"], &["age"]), absent);
    assert_eq!(merged(&["age"], &["age", "income"]), []);
    assert_eq!(merged(&["age", "income"], &["age"]), []);
    let new = [("height".to_owned(), Breach::New)];
    assert_eq!(merged(&["age", "income", "height"], &["age", "income"]), new);
    let mut sum = watching();
    sum.merge(seen(&["age"])).unwrap(); // one that has closed no pane cannot tell
    assert_eq!(sum.snapshot(false).schema.len(), 1);
}

#[test]
fn a_direction_that_the_profile_knows_nothing_of_is_not_judged() {
    let mut monitor = watching();
    send(&mut monitor, OUT, "score", 1, &Random(1).normals(200));
    assert_eq!(told(&mut monitor), []);
}

#[test]
fn an_empty_tensor_is_missing_and_not_absent() {
    let mut monitor = watching();
    pane(&mut monitor, &["age", "income"], 3);
    for _ in 0..100 {
        let bytes = bytes_of(&[0.1]);
        let age = Tensor::new("age", Datatype::Fp64, vec![1], Data::Raw(&bytes)).unwrap();
        let income = Tensor::new("income", Datatype::Fp64, vec![0], Data::Raw(&[])).unwrap();
        monitor.observe(IN, &[age, income], 7);
    }
    assert_eq!(told(&mut monitor), []);
}

#[test]
fn what_is_computed_of_a_feature_that_the_profile_has_is_not_new() {
    let mut builder = crate::profile::ProfileBuilder::new("m", 32);
    let labels = (0..500).map(|row| Some(if row % 2 == 0 { &b"yes"[..] } else { b"no" }));
    builder.add_column_bytes("answer", IN, labels).unwrap();
    let mut monitor = monitor(r#"{"pane_rows": 100}"#, Some(Arc::new(builder.finish().unwrap())));
    send_strings(&mut monitor, IN, "answer", &["yes", "no"].repeat(50));
    assert!(monitor.snapshot(false).features.len() > 1);
    assert_eq!(told(&mut monitor), []);
}
