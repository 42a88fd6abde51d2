//! Traffic that is made up, against the clock that it brings along.

use super::*;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;
const ONE: VersionId = 1;

/// A message: when it comes, in nanoseconds, its length in bytes and its values.
#[derive(Clone, Copy, Debug)]
struct Message {
    of: VersionId,
    at: Nanos,
    bytes: u64,
    values: u64,
}

/// Which messages are counted. What was read is known a few milliseconds later.
fn counted(thinner: &mut Thinner, messages: impl Iterator<Item = Message>) -> Vec<(Message, bool)> {
    let mut waiting = std::collections::VecDeque::new();
    messages
        .map(|message| {
            let counted = thinner.draw(message.of);
            thinner.offered(message.of, message.bytes, counted, message.at);
            while waiting.front().is_some_and(|it: &Message| it.at + 2_000_000 < message.at) {
                let read = waiting.pop_front().unwrap();
                thinner.read(read.bytes, read.values);
            }
            waiting.extend(counted.then_some(message));
            (message, counted)
        })
        .collect()
}

/// Values that were counted, in each second.
fn values(all: &[(Message, bool)], from: u64, to: u64) -> f64 {
    let within = all.iter().filter(|(it, counted)| *counted && (from * SECOND..to * SECOND).contains(&it.at));
    within.map(|(it, _)| it.values as f64).sum::<f64>() / (to - from) as f64
}

/// Messages of 1,000 floats, at a rate (messages per second) that changes with time (seconds).
fn traffic(seconds: u64, rate: impl Fn(f64) -> f64) -> impl Iterator<Item = Message> {
    let mut owed = 0.0;
    (0..seconds * 10_000).flat_map(move |tenth| {
        owed += rate(tenth as f64 / 10_000.0) / 10_000.0;
        let come = owed as u64;
        owed -= come as f64;
        (0..come).map(move |_| Message { of: ONE, at: tenth * 100_000, bytes: 4_000, values: 1_000 })
    })
}

#[test]
fn within_the_budget_every_message_is_counted() {
    // Bursts as well: twice the budget for a tenth of a second, then nothing for as long.
    let burst = |time: f64| if ((time * 10.0) as u64).is_multiple_of(2) { 1_900.0 } else { 0.0 };
    for rate in [&(|_| 990.0) as &dyn Fn(f64) -> f64, &burst] {
        let mut thinner = Thinner::new(1_000_000);
        assert!(counted(&mut thinner, traffic(20, rate)).iter().all(|(_, counted)| *counted));
        assert_eq!(thinner.share(ONE), 1.0);
    }
}

#[test]
fn the_share_settles_where_the_budget_is_used() {
    let mut thinner = Thinner::new(1_000_000);
    let all = counted(&mut thinner, traffic(20, |_| 20_000.0));
    assert!((thinner.share(ONE) - 0.05).abs() < 0.005, "{}", thinner.share(ONE));
    let mean = values(&all, 3, 20);
    assert!((mean / 1e6 - 1.0).abs() < 0.03, "{mean}");
}

#[test]
fn a_version_that_offers_less_than_its_part_is_counted_in_full() {
    // Of 20,000 calls per second the first canary has 1 in 100, the second 1 in 20: 0.2 and 1 million values.
    let canary = |call: usize| {
        if call.is_multiple_of(100) {
            2
        } else if call % 20 == 7 {
            3
        } else {
            1
        }
    };
    let calls = traffic(20, |_| 20_000.0).enumerate();
    let mut thinner = Thinner::new(1_000_000);
    let all = counted(&mut thinner, calls.map(|(call, it)| Message { of: canary(call), ..it }));
    let mean = values(&all, 3, 20);
    assert!((mean / 1e6 - 1.0).abs() < 0.03, "{mean}");
    let of = |version: VersionId| {
        let of = all.iter().filter(|(it, _)| it.of == version && it.at > 3 * SECOND);
        let (of, counted): (Vec<_>, Vec<_>) = of.copied().unzip();
        counted.iter().filter(|counted| **counted).count() as f64 / of.len() as f64
    };
    assert_eq!(of(2), 1.0);
    assert!((of(3) - 0.4).abs() < 0.02, "{}", of(3));
    assert!((of(1) * 18.8 - 0.4).abs() < 0.02, "{}", of(1));
    assert!((thinner.share_of_all() - 0.05).abs() < 0.005, "{}", thinner.share_of_all());
}

#[test]
fn a_version_that_is_gone_leaves_its_part_to_the_others_and_is_forgotten() {
    let mut thinner = Thinner::new(1_000_000);
    let both = |message: Message| [message, Message { of: 2, ..message }];
    counted(&mut thinner, traffic(5, |_| 10_000.0).flat_map(both));
    assert!((thinner.share(ONE) - 0.05).abs() < 0.005, "{}", thinner.share(ONE));
    let later = traffic(30, |_| 10_000.0).map(|it| Message { at: it.at + 5 * SECOND, ..it });
    counted(&mut thinner, later);
    assert!((thinner.share(ONE) - 0.1).abs() < 0.01, "{}", thinner.share(ONE));
    assert_eq!(thinner.versions.len(), 1);
}

#[test]
fn a_burst_after_silence_costs_two_more_seconds_of_the_budget_at_most() {
    for times in [3.0, 30.0, 300.0] {
        let mut thinner = Thinner::new(1_000_000);
        let all = counted(&mut thinner, traffic(12, |time| if time < 5.0 { 1.0 } else { 1_000.0 * times }));
        let mean = values(&all, 5, 12);
        assert!((0.9e6..1.32e6).contains(&mean), "{times} times the budget: {mean}");
    }
}

#[test]
fn messages_larger_than_the_budget_of_minutes_keep_within_it_in_the_long_run() {
    let mut thinner = Thinner::new(1_000);
    let large =
        (0..36_000u64).map(|it| Message { of: ONE, at: it * SECOND, bytes: 1 << 20, values: 1 << 18 });
    let mean = values(&counted(&mut thinner, large), 0, 36_000);
    assert!((300.0..1_010.0).contains(&mean), "{mean}");
}

#[test]
fn another_budget_goes_on_with_what_is_known_of_the_traffic() {
    let mut thinner = Thinner::new(1_000_000);
    counted(&mut thinner, traffic(10, |_| 20_000.0));
    let other = thinner.with_budget(4_000_000);
    assert!((other.share(ONE) - 0.2).abs() < 0.01, "{}", other.share(ONE));
}

#[test]
fn a_clock_that_stands_still_or_goes_back_is_no_time() {
    let mut thinner = Thinner::new(1_000);
    for at in [5 * SECOND, 5 * SECOND, SECOND, 0] {
        thinner.offered(ONE, 4_000, true, at);
    }
    assert_eq!(thinner.debt, 3_000.0);
}

#[test]
fn large_and_small_messages_of_two_kinds_are_counted_alike() {
    // Every 100th is 250 times as large; half hold 8 bytes a value, half 1.
    let mixed = |it: u64| {
        let bytes = if it.is_multiple_of(100) { 1_000_000 } else { 4_000 };
        Message {
            of: ONE,
            at: it * 200_000,
            bytes,
            values: if it.is_multiple_of(2) { bytes / 8 } else { bytes },
        }
    };
    let mut thinner = Thinner::new(3_000_000);
    let all = counted(&mut thinner, (0..300_000).map(mixed));
    let share = |of: &dyn Fn(&Message) -> bool| {
        let (of, counted): (Vec<_>, Vec<_>) = all.iter().filter(|(it, _)| of(it)).copied().unzip();
        let taken = counted.iter().filter(|counted| **counted).count() as f64;
        (taken / of.len() as f64, (taken / (of.len() as f64).powi(2)).sqrt())
    };
    let (small, error) = share(&|it| it.bytes == 4_000);
    let (large, large_error) = share(&|it| it.bytes != 4_000);
    assert!((small - large).abs() < 3.5 * (error.powi(2) + large_error.powi(2)).sqrt(), "{small} {large}");
    let (bytes, other) = (share(&|it| it.values == 500).0, share(&|it| it.values == 4_000).0);
    assert!((bytes - other).abs() < 0.02, "{bytes} {other}");
    let mean = values(&all, 5, 60);
    assert!((mean / 3e6 - 1.0).abs() < 0.1, "{mean}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_mean_is_the_budget_whenever_at_least_so_much_comes(
        times in 1.5f64..60.0,
        swing in 0.0f64..0.95,
        period in 0.02f64..0.9,
        growth in 0.97f64..1.06,
    ) {
        let rate = |time: f64| {
            let burst = if (time / period).fract() < 0.5 { 1.0 + swing } else { 1.0 - swing };
            1_000.0 * times * burst * growth.powf(time)
        };
        let mut thinner = Thinner::new(1_000_000);
        let all = counted(&mut thinner, traffic(16, rate));
        let (mean, offered) = (values(&all, 4, 16), all.iter().map(|(it, _)| it.values as f64).sum::<f64>());
        prop_assume!(offered / 16.0 > 1.3e6);
        prop_assert!((0.9e6..1.06e6).contains(&mean), "{mean} of {offered}");
    }

    #[test]
    fn the_mean_never_exceeds_the_budget_for_long(
        rates in prop::collection::vec((0.0f64..1.5, 0u32..3), 8..20),
    ) {
        // Each second has a rate of its own, over three orders of magnitude.
        let rate = |time: f64| {
            let (of, tens) = rates[(time as usize).min(rates.len() - 1)];
            1_000.0 * of * 10f64.powi(tens as i32)
        };
        let seconds = rates.len() as u64;
        let mut thinner = Thinner::new(1_000_000);
        let mean = values(&counted(&mut thinner, traffic(seconds, rate)), 0, seconds);
        // Saved up before it began, and owed when it ends.
        prop_assert!(mean < 1e6 * (1.0 + 2.2 / seconds as f64), "{mean}");
    }
}
