//! What raises an alarm, what it says, and what raises none.

use super::*;

/// Values of several shapes, all undrifted: normal, heavy-tailed, zero-inflated, discrete with rare values, binary.
fn undrifted(random: &mut Random, shape: usize) -> f64 {
    match shape % 5 {
        0 => random.normal(),
        1 => 1.0 / (1e-3 + random.uniform()),
        2 if random.uniform() < 0.7 => 0.0,
        2 => random.normal().abs(),
        3 => (-8.0 * random.uniform().ln()).floor().min(40.0),
        _ => f64::from(u8::from(random.uniform() < 0.01)),
    }
}

fn undrifted_rows(random: &mut Random, rows: usize, columns: usize) -> Vec<f64> {
    (0..rows * columns).map(|position| undrifted(random, position % columns)).collect()
}

#[test]
fn rows_like_the_reference_raise_no_alarm_however_small_the_panes() {
    const COLUMNS: usize = 50;
    for (detector, learn_rows, pane_rows) in [
        ("threshold", 2_000, 500),
        ("threshold", 2_000, 100),
        ("threshold", 500, 50),
        ("threshold", 200, 20),
        ("edetector", 2_000, 500),
        ("edetector", 500, 50),
        ("edetector", 200, 20),
    ] {
        let config = format!(
            r#"{{"learn_rows": {learn_rows}, "pane_rows": {pane_rows}, "alarm": {{"detector": "{detector}", "jensen_shannon": 0.05, "ks": 0.05}}}}"#
        );
        let mut monitor = monitor(&config, None);
        let mut random = Random(learn_rows + pane_rows);
        for _ in 0..(learn_rows + 200 * pane_rows) / 10 {
            send(&mut monitor, IN, "x", COLUMNS, &undrifted_rows(&mut random, 10, COLUMNS));
        }
        assert_eq!(monitor.snapshot(false).panes, 200);
        assert_eq!(monitor.take_events(), [], "panes of {pane_rows} rows, {learn_rows} learned");
    }
}

#[test]
fn noise_is_exceeded_as_rarely_as_it_says() {
    const COLUMNS: usize = 50;
    let mut monitor = monitor(r#"{"learn_rows": 5000, "pane_rows": 200}"#, None);
    let mut random = Random(8);
    send(&mut monitor, IN, "x", COLUMNS, &undrifted_rows(&mut random, 5_000, COLUMNS));
    let mut above = 0;
    for _ in 0..300 {
        send(&mut monitor, IN, "x", COLUMNS, &undrifted_rows(&mut random, 200, COLUMNS));
        let drifts = monitor.snapshot(false).features.into_iter().map(|f| f.drift.unwrap());
        above += drifts.filter(|d| d.psi > d.psi_noise || d.jensen_shannon > d.jensen_shannon_noise).count();
    }
    // One pane of a thousand is promised; 300 were seen.
    assert!(above <= 3, "{above} of 15,000 scores are above their noise floor");
}

/// Sends rows of two normal columns, ten at a time, the first of them shifted.
fn send_shifted(monitor: &mut Monitor, random: &mut Random, rows: usize, shift: f64) {
    for _ in 0..rows / 10 {
        let mut values = random.normals(20);
        values.iter_mut().step_by(2).for_each(|value| *value += shift);
        send(monitor, IN, "x", 2, &values);
    }
}

#[test]
fn a_shift_raises_an_alarm_that_names_its_first_row_and_its_end_clears_it() {
    let mut random = Random(9);
    let mut monitor = monitor(
        r#"{"learn_rows": 2000, "pane_rows": 500, "alarm": {"detector": "threshold", "clear_after": 3}}"#,
        None,
    );
    let mut phase = |monitor: &mut Monitor, rows, shift| send_shifted(monitor, &mut random, rows, shift);
    phase(&mut monitor, 4_000, 0.0);
    assert_eq!(monitor.take_events(), []);
    phase(&mut monitor, 1_500, 1.0);
    let [raised] = &monitor.take_events()[..] else { panic!("one alarm expected") };
    assert_eq!((raised.state, raised.feature.as_str(), raised.method), (AlarmState::Raised, "x[0]", "psi"));
    assert_eq!((raised.row, raised.change_row), (5_000, 4_000));
    assert_eq!((raised.call, raised.change_call, raised.at_ns), (500, 400, 7));
    assert!(raised.score > raised.threshold && raised.score > raised.noise.unwrap());
    let alarm = feature(&monitor, IN, "x[0]").alarm.unwrap();
    assert_eq!((alarm.method, alarm.since_row, monitor.active_alarms()), ("psi", 4_000, 1));
    phase(&mut monitor, 1_500, 0.0);
    let [cleared] = &monitor.take_events()[..] else { panic!("one clearing expected") };
    assert_eq!((cleared.state, cleared.row, cleared.change_row), (AlarmState::Cleared, 7_000, 4_000));
    assert_eq!((feature(&monitor, IN, "x[0]").alarm, monitor.active_alarms()), (None, 0));
}

#[test]
fn evidence_raises_an_alarm_that_says_what_changed_and_since_when_and_its_end_clears_it() {
    let mut random = Random(9);
    let mut monitor = monitor(r#"{"learn_rows": 2000, "pane_rows": 250}"#, None);
    let mut phase = |monitor: &mut Monitor, rows, shift| send_shifted(monitor, &mut random, rows, shift);
    phase(&mut monitor, 4_000, 0.0);
    assert_eq!(monitor.take_events(), []);
    phase(&mut monitor, 1_500, 0.7);
    let [raised] = &monitor.take_events()[..] else { panic!("one alarm expected") };
    assert_eq!(
        (raised.state, raised.feature.as_str(), raised.method),
        (AlarmState::Raised, "x[0]", "edetector")
    );
    assert_eq!((raised.detector, raised.shape.as_deref()), ("edetector", Some("location up")));
    assert_eq!((raised.change_row, raised.change_call), (4_000, 400));
    assert!(raised.change_from_row <= Some(4_000) && raised.change_to_row >= Some(4_000));
    assert!(raised.row <= 5_000 && raised.noise.is_none());
    assert!(raised.evidence_bits == Some(raised.score) && raised.score >= raised.threshold);
    let seen = feature(&monitor, IN, "x[0]");
    let (alarm, evidence) = (seen.alarm.unwrap(), seen.evidence.unwrap());
    assert_eq!((alarm.since_row, alarm.shape.as_deref()), (4_000, Some("location up")));
    assert!(evidence.bits > evidence.threshold_bits && evidence.change_row == Some(4_000));
    let model = monitor.snapshot(false).evidence.unwrap();
    assert!(model.alarm && model.flagged == ["x[0]"] && model.bits > model.threshold_bits);
    assert!(feature(&monitor, IN, "x[1]").alarm.is_none());
    phase(&mut monitor, 3_000, 0.0);
    let [cleared] = &monitor.take_events()[..] else { panic!("one clearing expected") };
    assert_eq!((cleared.state, cleared.change_row), (AlarmState::Cleared, 4_000));
    assert_eq!((feature(&monitor, IN, "x[0]").alarm, monitor.active_alarms()), (None, 0));
}

#[test]
fn a_time_between_false_alarms_is_staked_in_seconds() {
    let mut monitor =
        monitor(r#"{"learn_rows": 1000, "pane_rows": 100, "alarm": {"arl_ns": 86400000000000}}"#, None);
    let mut random = Random(21);
    for second in 0..40u64 {
        let values = random.normals(100);
        let bytes = bytes_of(&values);
        let tensor = Tensor::new("x", Datatype::Fp64, vec![100], Data::Raw(&bytes)).unwrap();
        monitor.observe(IN, &[tensor], second * 1_000_000_000);
    }
    // A day is 86,400 panes of a second: 16.4 bits.
    let threshold = feature(&monitor, IN, "x").evidence.unwrap().threshold_bits;
    assert!((threshold - 86_400f64.log2()).abs() < 1e-9, "{threshold}");
}

#[test]
fn rows_that_hang_together_raise_no_alarm() {
    let (mut random, mut value) = (Random(31), 0.0);
    let mut next = || {
        value = 0.8 * value + 0.6 * random.normal();
        value
    };
    let mut monitor = monitor(r#"{"learn_rows": 5000, "pane_rows": 100}"#, None);
    for _ in 0..2_000 {
        let values: Vec<f64> = (0..100).map(|_| next()).collect();
        send(&mut monitor, IN, "x", 1, &values);
    }
    assert_eq!(monitor.take_events(), []);
    let time = feature(&monitor, IN, "x").evidence.unwrap().autocorrelation_time;
    assert!((6.0..16.0).contains(&time), "{time} instead of 9");
}

#[test]
fn values_that_go_missing_raise_an_alarm() {
    let mut monitor = monitor(r#"{"learn_rows": 1000, "pane_rows": 200}"#, None);
    let mut random = Random(10);
    send(&mut monitor, IN, "x", 1, &random.normals(1_000));
    let holey: Vec<f64> =
        random.normals(400).into_iter().map(|v| if v > 0.5 { f64::NAN } else { v }).collect();
    send(&mut monitor, IN, "x", 1, &holey);
    assert_eq!(monitor.take_events().len(), 1);
}

#[test]
fn a_new_category_raises_an_alarm() {
    let mut monitor = monitor(r#"{"learn_rows": 1000, "pane_rows": 200}"#, None);
    for _ in 0..200 {
        send_strings(&mut monitor, IN, "c", &["red", "blue", "red", "red", "blue"]);
    }
    for _ in 0..200 {
        send_strings(&mut monitor, IN, "c", &["red", "green"]);
    }
    let features: Vec<String> = monitor.take_events().into_iter().map(|event| event.feature).collect();
    assert_eq!(features, ["c", "c.length"]);
}

#[test]
fn untaken_events_are_bounded() {
    let mut events = VecDeque::new();
    let change = Change {
        state: AlarmState::Raised,
        score: 1.0,
        threshold: 0.2,
        noise: 0.1,
        since: Mark::default(),
        finding: None,
    };
    for call in 0..EVENTS_MAX as u64 + 5 {
        remember(&mut events, event("x", IN, "psi", change, Mark { row: 0, call }, 0));
    }
    assert_eq!((events.len(), events[0].call), (EVENTS_MAX, 5));
}
