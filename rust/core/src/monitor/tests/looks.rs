//! Evidence is weighed before a pane is full, where that is worthwhile.

use super::*;

/// A profile of normal values, and what becomes of rows of which those from `change` on are moved by `shift`.
fn watched(rows: usize, change: usize, shift: f64, batch: usize) -> Vec<AlarmEvent> {
    let mut builder = crate::profile::ProfileBuilder::new("m", 32);
    builder.add_column_f64("x", IN, &Random(1).normals(20_000)).unwrap();
    let mut monitor = monitor("{}", Some(Arc::new(builder.finish().unwrap())));
    let mut values = Random(2).normals(rows);
    values.iter_mut().skip(change).for_each(|value| *value += shift);
    for part in values.chunks(batch) {
        send(&mut monitor, IN, "x", 1, part);
    }
    monitor.take_events()
}

#[test]
fn an_alarm_does_not_wait_for_the_end_of_the_pane() {
    let events = watched(5_000, 2_400, 1.0, 100);
    assert!((2_450..=2_640).contains(&events[0].row), "{events:?}");
    assert!(events[0].change_row.abs_diff(2_400) <= 200, "{events:?}");
}

#[test]
fn rows_before_the_change_do_not_delay_its_alarm_by_a_pane() {
    let delay = |change: usize| watched(9_000, change, 0.4, 100)[0].row - change as u64;
    for change in [3_000, 3_300, 3_700] {
        assert!(delay(change) <= 500, "{change}: {}", delay(change));
    }
}

#[test]
fn what_never_came_before_is_found_however_many_rows_did_without_it() {
    let mut learned = Random(1);
    let reference: Vec<f64> = (0..50_000).map(|_| (learned.uniform() * 10.0).floor()).collect();
    let mut builder = crate::profile::ProfileBuilder::new("m", 32);
    builder.add_column_f64("x", IN, &reference).unwrap();
    let profile = Arc::new(builder.finish().unwrap());
    let delay = |run: u64| {
        let (mut monitor, mut random) = (monitor("{}", Some(Arc::clone(&profile))), Random(20 + run));
        let change = 4_000 + 370 * run as usize;
        let value = |row| match random.uniform() {
            u if u < 0.02 && row >= change => 3.5,
            u => (u * 10.0).floor(),
        };
        let values: Vec<f64> = (0..change + 5_000).map(value).collect();
        send(&mut monitor, IN, "x", 1, &values);
        monitor.take_events()[0].row - change as u64
    };
    let delays: Vec<u64> = (0..8).map(delay).collect();
    assert!(delays.iter().sum::<u64>() <= 8 * 480, "{delays:?}");
}

#[test]
fn alarms_are_the_same_however_rows_are_batched() {
    let whole = watched(6_000, 3_100, 0.5, 6_000);
    assert_eq!(whole.len(), 1);
    let found = |event: &AlarmEvent| (event.row, event.change_row, event.evidence_bits, event.shape.clone());
    for batch in [1, 7, 640] {
        let parts = watched(6_000, 3_100, 0.5, batch);
        assert_eq!(parts.iter().map(found).collect::<Vec<_>>(), whole.iter().map(found).collect::<Vec<_>>());
    }
}

/// Rows of the alarms of a model with so many features, which come in so many tensors; one of them changes at row 480, and
/// hardly could more.
fn alarms_of_many(features: usize, tensors: usize) -> Vec<u64> {
    let columns = features / tensors;
    let reference = Random(1).normals(2_000);
    let mut builder = crate::profile::ProfileBuilder::new("m", 32);
    for feature in 0..features {
        let (tensor, column) = (feature / columns, feature % columns);
        builder.add_column_f64(&format!("x{tensor}[{column}]"), IN, &reference).unwrap();
    }
    let config = format!(r#"{{"max_features": {features}}}"#);
    let mut monitor = monitor(&config, Some(Arc::new(builder.finish().unwrap())));
    let value = |tensor: usize, row: usize, column: usize| {
        let moved = if tensor + column == 0 && row >= 480 { 10.0 } else { 0.0 };
        reference[(7_919 * row + 104_729 * (tensor * columns + column)) % reference.len()] + moved
    };
    let rows_of =
        |tensor| (0..1_000).flat_map(move |row| (0..columns).map(move |column| (tensor, row, column)));
    let bytes = |tensor| {
        bytes_of(&rows_of(tensor).map(|(tensor, row, column)| value(tensor, row, column)).collect::<Vec<_>>())
    };
    let bytes: Vec<(String, Vec<u8>)> =
        (0..tensors).map(|tensor| (format!("x{tensor}"), bytes(tensor))).collect();
    let tensor =
        |(name, bytes)| Tensor::new(name, Datatype::Fp64, vec![1_000, columns], Data::Raw(bytes)).unwrap();
    let tensors: Vec<_> =
        bytes.iter().map(|(name, bytes)| tensor((name.as_str(), bytes.as_slice()))).collect();
    monitor.observe(IN, &tensors, 7);
    monitor.take_events().into_iter().map(|event| event.row).collect()
}

#[test]
fn many_features_are_looked_at_half_as_often_whatever_tensors_they_come_in() {
    assert_eq!(alarms_of_many(1_023, 1), [600]);
    assert_eq!(alarms_of_many(1_024, 1), [720]);
    assert_eq!(alarms_of_many(1_024, 4), [720]);
}

#[test]
fn an_alarm_that_stands_is_a_matter_of_whole_panes() {
    let events = watched(20_000, 0, 0.5, 50);
    assert_eq!(events.len(), 1, "{events:?}");
}
