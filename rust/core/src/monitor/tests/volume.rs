//! How many calls come, by the clock.

use super::*;
use crate::monitor::{Resumption, VolumeSnapshot};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// Without a cycle, a norm of a day; and with days of 24 hours, a norm of ten of them.
const FLAT: &str = r#"{"learn_rows": 0, "volume": {"period_ns": null, "learn_ns": 86400000000000}}"#;
const DAILY: &str = r#"{"learn_rows": 0, "volume": {"learn_ns": 864000000000000}}"#;

/// Sends as many calls per minute as `rate` says, a little more and a little less by chance, from hour to hour.
fn traffic(
    monitor: &mut Monitor,
    hours: std::ops::Range<u64>,
    random: &mut Random,
    rate: impl Fn(u64) -> f64,
) {
    for minute in hours.start * 60..hours.end * 60 {
        let calls = rate(minute / 60) * (0.2 * random.normal()).exp();
        for call in 0..calls as u64 {
            monitor.observe(IN, &[], minute * MINUTE + call * MINUTE / (calls as u64 + 1));
        }
        monitor.tick(minute * MINUTE + MINUTE - SECOND);
    }
}

fn volume(monitor: &Monitor) -> VolumeSnapshot {
    monitor.snapshot(false).volume.unwrap()
}

fn by_day(hour: u64) -> f64 {
    if (8..20).contains(&(hour % 24)) { 40.0 } else { 4.0 }
}

#[test]
fn silence_raises_an_alarm_by_the_clock_alone_and_calls_end_it() {
    let (mut watched, mut random) = (monitor(FLAT, None), Random(1));
    traffic(&mut watched, 0..100, &mut random, |_| 20.0);
    assert!(volume(&watched).learned && watched.take_events().is_empty());
    let quiet = (1..=60).find(|minute| {
        watched.tick(100 * HOUR + minute * MINUTE);
        watched.active_alarms() > 0
    });
    assert!(quiet.is_some_and(|minutes| minutes <= 10), "{quiet:?}");
    let events = watched.take_events();
    assert_eq!((events.len(), events[0].feature.as_str(), events[0].method), (1, "volume", "edetector"));
    let named = volume(&watched).shape;
    assert_eq!(events[0].shape, named);
    assert_eq!(named.as_deref(), Some("fewer calls"));
    traffic(&mut watched, 101..110, &mut random, |_| 20.0);
    assert_eq!(watched.take_events()[0].state, AlarmState::Cleared);
    assert_eq!(watched.active_alarms(), 0);
}

#[test]
fn half_and_twice_as_many_calls_are_found_and_named() {
    for (rate, words) in [(10.0, "fewer calls"), (40.0, "more calls")] {
        let (mut watched, mut random) = (monitor(FLAT, None), Random(2));
        traffic(&mut watched, 0..48, &mut random, |_| 20.0);
        traffic(&mut watched, 48..50, &mut random, |_| rate);
        let events = watched.take_events();
        assert_eq!(events[0].shape.as_deref(), Some(words));
        let calls = events[0].change_call as f64;
        assert!((48.0 * 60.0 * 20.0 * 0.9..48.0 * 60.0 * 20.0 * 1.15).contains(&calls), "{calls}");
    }
}

#[test]
fn a_daily_cycle_is_the_norm_and_a_night_at_noon_is_not() {
    let (mut watched, mut random) = (monitor(DAILY, None), Random(3));
    traffic(&mut watched, 0..24 * 40, &mut random, by_day);
    assert_eq!(watched.take_events(), []);
    traffic(&mut watched, 24 * 40..24 * 40 + 12, &mut random, by_day);
    traffic(&mut watched, 24 * 40 + 12..24 * 40 + 14, &mut random, |_| 4.0);
    assert_eq!(watched.take_events()[0].state, AlarmState::Raised);
}

#[test]
fn unchanged_bursty_traffic_raises_next_to_nothing() {
    // A norm of two days each, 10 of them; an alarm a day would be nominal in the 38 that follow: 380.
    let json = r#"{"learn_rows": 0, "volume": {"period_ns": null, "learn_ns": 172800000000000,
        "arl_ns": 86400000000000, "tolerance": 0.0}}"#;
    let mut alarms = 0;
    for seed in 0..10 {
        let (mut watched, mut random) = (monitor(json, None), Random(seed));
        let mut level = 0.0;
        for minute in 0..40 * 24 * 60 {
            // Overdispersed, and each minute like the one before.
            level = 0.6 * level + 0.8 * random.normal();
            watched.tick(minute * MINUTE);
            watched.inputs.calls += (10.0 * (0.7 * level).exp()) as u64;
        }
        alarms += watched.take_events().iter().filter(|event| event.state == AlarmState::Raised).count();
    }
    assert!(alarms <= 10, "{alarms}");
}

#[test]
fn a_restart_goes_on_with_what_was_learned() {
    let (mut before, mut random) = (monitor(FLAT, None), Random(4));
    traffic(&mut before, 0..30, &mut random, |_| 20.0);
    let stored = before.stored().unwrap();
    let stored = postcard::from_bytes(&postcard::to_stdvec(&stored).unwrap()).unwrap();
    let config = Arc::new(serde_json::from_str(FLAT).unwrap());
    // Another clock, five minutes later.
    let at = Resumption { then: 30 * HOUR, now: 3 * SECOND, gap: 5 * MINUTE };
    let mut after = Monitor::resumed(config, None, stored, at).unwrap();
    assert!(volume(&after).learned);
    assert_eq!(after.take_events(), []);
    (1..=20).for_each(|minute| after.tick(3 * SECOND + minute * MINUTE));
    assert_eq!(after.take_events()[0].feature, "volume");
}

#[test]
fn nothing_is_counted_where_it_is_not_asked_for() {
    assert_eq!(monitor(r#"{"learn_rows": 0}"#, None).snapshot(false).volume, None);
}

#[test]
fn a_clock_that_jumps_far_is_not_made_up_for() {
    let mut watched = monitor(FLAT, None);
    watched.observe(IN, &[], 0);
    watched.tick(u64::MAX);
    watched.tick(u64::MAX);
    assert!(volume(&watched).learned);
}
