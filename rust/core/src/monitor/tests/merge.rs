//! Several workers, or sidecars, that saw parts of one stream.

use super::*;
use crate::detect::edetector::{EDetector, Pane, Plan};
use crate::detect::{AlarmState, Mark};
use crate::monitor::Lost;
use crate::profile::ProfileBuilder;
use crate::sketch::Sketch;
use crate::sketch::bins::Bins;

const MINUTE: u64 = 60_000_000_000;
const JSON: &str = r#"{"learn_rows": 0, "pane_rows": 20}"#;

fn profile() -> Arc<Profile> {
    let mut builder = ProfileBuilder::new("m", 16);
    builder.add_column_f64("x[0]", IN, &Random(5).normals(2_000)).unwrap();
    builder.add_column_f64("x[1]", IN, &Random(6).normals(2_000)).unwrap();
    let colours = ["red", "blue"].repeat(50);
    builder.add_column_bytes("colour", IN, colours.iter().map(|it| Some(it.as_bytes()))).unwrap();
    Arc::new(builder.finish().unwrap())
}

/// One message: five rows, some of them holes or outside the range.
fn observe(monitor: &mut Monitor, call: u64, now: u64) {
    let mut random = Random(call);
    let mut values = random.normals(10);
    values[0] = [values[0], f64::NAN, 40.0, f64::INFINITY, -1e300][call as usize % 5];
    let bytes = bytes_of(&values);
    let green = format!("green {}", call % 50);
    let colour = [&b"red"[..], b"blue", green.as_bytes(), b""][call as usize % 4];
    let tensors = [
        Tensor::new("x", Datatype::Fp64, vec![5, 2], Data::Raw(&bytes)).unwrap(),
        Tensor::new("colour", Datatype::Bytes, vec![5], Data::Bytes(vec![colour; 5])).unwrap(),
    ];
    monitor.observe(IN, &tensors, now);
}

/// Everything but evidence, of every feature: counts, windows with their distances, histograms, extremes, means.
fn exact(monitor: &Monitor) -> String {
    let snapshot = monitor.snapshot(true);
    let features = snapshot.features.into_iter().map(|feature| {
        let counts =
            (feature.count, feature.missing, feature.nan, feature.pos_inf, feature.under, feature.over);
        serde_json::to_string(&(
            feature.name,
            counts,
            feature.unseen,
            feature.min,
            feature.max,
            (feature.mean, feature.std),
            feature.windows,
            feature.histogram,
        ))
    });
    let features: Vec<String> = features.map(Result::unwrap).collect();
    format!("{} {} {} {}", snapshot.calls, snapshot.rows, snapshot.missing, features.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_split_over_workers_merges_to_the_whole_in_any_order(
        owners in prop::collection::vec(0usize..3, 40..160), minutes in 1u64..300,
    ) {
        let end = owners.len() as u64 * minutes * MINUTE / 40;
        let now = |call: u64| call * minutes * MINUTE / 40;
        // All workers begin and end together, as those of one process do.
        let seen = |worker: Option<usize>| {
            let mut monitor = monitor(JSON, Some(profile()));
            observe(&mut monitor, 0, 0);
            for (call, owner) in (1..).zip(&owners) {
                if worker.is_none_or(|worker| worker == *owner) {
                    observe(&mut monitor, call, now(call));
                }
            }
            monitor.tick(end);
            monitor
        };
        let mut whole = seen(None);
        // The first message was seen by all three.
        for _ in 0..2 {
            let mut twice = monitor(JSON, Some(profile()));
            observe(&mut twice, 0, 0);
            twice.tick(end);
            whole.merge(twice).unwrap();
        }
        let expected = exact(&whole);
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut merged = seen(Some(order[0]));
            merged.merge(seen(Some(order[1]))).unwrap();
            merged.merge(seen(Some(order[2]))).unwrap();
            prop_assert_eq!(exact(&merged), expected.clone());
        }
    }

    /// Evidence, alarms, dates and the order of features included; some rows drift, some workers see features first or alone.
    #[test]
    fn any_grouping_of_workers_in_any_order_is_the_same_state_to_the_last_byte(
        owners in prop::collection::vec(0usize..4, 20..100),
        order in Just([0usize, 1, 2, 3]).prop_shuffle(),
        drift in prop::array::uniform4(prop_oneof![Just(0.0), 0.0f64..2.0]),
        detector in prop_oneof![Just("edetector"), Just("threshold")],
        window_rows in prop_oneof![Just("null"), Just("30")],
    ) {
        let json = format!(
            r#"{{"learn_rows": 0, "pane_rows": 20, "window_rows": {window_rows}, "alarm": {{"detector": "{detector}", "arl": 300}}}}"#,
        );
        let seen = |worker: usize| {
            let mut monitor = monitor(&json, Some(profile()));
            if worker % 2 == 1 {
                send(&mut monitor, IN, "extra", worker, &vec![1.0; worker]);
            }
            for (call, owner) in (1..).zip(&owners) {
                if *owner == worker {
                    observe(&mut monitor, call, call * MINUTE);
                    let moved: Vec<f64> = Random(call).normals(40).iter().map(|value| value + drift[worker]).collect();
                    send(&mut monitor, IN, "x", 2, &moved);
                }
            }
            monitor.tick((100 + worker as u64) * MINUTE);
            monitor
        };
        let merged = |mut one: Monitor, other: Monitor| {
            one.merge(other).unwrap();
            one
        };
        let bytes = |mut monitor: Monitor| postcard::to_stdvec(&monitor.stored().unwrap()).unwrap();
        let line = bytes((1..4).fold(seen(0), |sum, worker| merged(sum, seen(worker))));
        let [a, b, c, d] = order.map(seen);
        prop_assert!(bytes(merged(merged(a, b), merged(c, d))) == line);
        let [a, b, c, d] = order.map(seen);
        prop_assert!(bytes(merged(d, merged(c, merged(b, a)))) == line);
    }

    /// Panes are merged before a detector sees them, so it sees the same: whoever counted which rows.
    #[test]
    fn counts_of_workers_raise_the_same_alarms_as_one_pass(
        owners in prop::collection::vec(0usize..4, 1_500), shift in prop_oneof![Just(0.0), Just(1.0)], order in 0usize..4,
    ) {
        let profile = profile();
        let reference = profile.get(IN, "x[0]").unwrap();
        let plan = Arc::new(Plan::new(&reference.bins, None, 0.002, 0.01));
        let (mut single, mut merged) = (EDetector::new(Arc::clone(&plan)), EDetector::new(plan));
        let values: Vec<f64> =
            Random(9).normals(1_500).iter().enumerate().map(|(row, v)| v + if row < 700 { 0.0 } else { shift }).collect();
        let empty = || Bins::new(Arc::clone(reference.bins.binning()));
        for (pane, (values, owners)) in values.chunks(50).zip(owners.chunks(50)).enumerate() {
            let mut whole = empty();
            whole.update(values);
            let mut parts = [empty(), empty(), empty(), empty()];
            owners.iter().zip(values).for_each(|(&owner, value)| parts[owner].update(&[*value]));
            parts.rotate_left(order);
            let mut sum = empty();
            parts.iter().for_each(|part| sum.merge(part));
            prop_assert_eq!(&sum, &whole);
            let mark = |pane: usize| Mark { row: 50 * pane as u64, call: 0 };
            let judged = [(&mut single, &whole), (&mut merged, &sum)].map(|(detector, bins)| {
                detector.update(&Pane { counts: bins.cells(), start: mark(pane), end: mark(pane + 1), stake: 50.0 });
                detector.judge(20_000.0, 2)
            });
            prop_assert_eq!(judged[0], judged[1]);
            prop_assert_eq!(single.state(), merged.state());
        }
        prop_assert_eq!(single.is_raised(), shift > 0.0);
        prop_assert!(shift == 0.0 || single.judge(20_000.0, 2) != Some(AlarmState::Raised));
    }
}

#[test]
fn counts_on_different_bins_are_not_added_up() {
    let mut mine = monitor(JSON, Some(profile()));
    observe(&mut mine, 1, 0);
    let before = exact(&mine);
    let mut builder = ProfileBuilder::new("m", 8);
    builder.add_column_f64("x[0]", IN, &Random(5).normals(2_000)).unwrap();
    let other = Arc::new(builder.finish().unwrap());
    assert_eq!(mine.merge(monitor(JSON, Some(other))), Err(Lost::OtherProfile));
    assert_eq!(mine.merge(monitor(r#"{"windows": "lean"}"#, Some(profile()))), Err(Lost::OtherSettings));
    assert_eq!(exact(&mine), before);
}

#[test]
fn a_feature_that_only_one_of_them_saw_is_kept() {
    let (mut mine, mut other) = (monitor(JSON, Some(profile())), monitor(JSON, Some(profile())));
    observe(&mut mine, 1, 0);
    send(&mut other, IN, "extra", 3, &[1.0; 9]);
    observe(&mut other, 2, 0);
    mine.merge(other).unwrap();
    assert_eq!((feature(&mine, IN, "extra[2]").count, feature(&mine, IN, "x[0]").count), (3, 10));
    send(&mut mine, IN, "extra", 3, &[1.0; 9]);
    assert_eq!(feature(&mine, IN, "extra[2]").count, 6);
}
