//! Panes in, capital and alarms out.

use super::*;
use crate::profile::ProfileBuilder;
use crate::random::Random;
use crate::sketch::Sketch;
use crate::sketch::binning::Binning;
use crate::sketch::screen::Specials;
use crate::tensor::Direction;
use directions::{Aspect, Shape};
use pool::Pool;

const PANE: usize = 100;
const LEVEL: f64 = 1e6;

fn reference(rows: usize) -> Bins {
    let edges: Vec<f64> = (-8..=8).map(|edge| f64::from(edge) / 4.0).collect();
    let mut bins = Bins::new(Arc::new(Binning::numeric(&edges).unwrap()));
    bins.update(&Random(99).normals(rows));
    bins
}

fn detector(reference: &Bins, tolerance: f64) -> EDetector {
    EDetector::new(Arc::new(Plan::new(reference, Some(1.0), tolerance, 0.01)))
}

/// Counts rows, of which those that are NaN are missing.
fn counted(reference: &Bins, rows: &[f64]) -> Bins {
    let mut bins = Bins::new(Arc::clone(reference.binning()));
    let finite: Vec<f64> = rows.iter().copied().filter(|row| row.is_finite()).collect();
    bins.update(&finite);
    bins.add_specials(&Specials { nan: (rows.len() - finite.len()) as u64, ..Specials::default() });
    bins
}

/// Shows a pane, whose number is `pane`; what changes.
fn show(detector: &mut EDetector, counts: &[u64], pane: usize) -> Option<AlarmState> {
    let mark = |pane: usize| Mark { row: (pane * PANE) as u64, call: pane as u64 };
    let (start, end) = (mark(pane), mark(pane + 1));
    detector.update(&Pane { counts, start, end, stake: PANE as f64 });
    detector.judge(LEVEL, 2)
}

/// The first pane that raises an alarm, and what is found.
fn first_alarm(
    tolerance: f64,
    panes: usize,
    mut row: impl FnMut(&mut Random) -> f64,
) -> Option<(usize, Finding)> {
    let reference = reference(50_000);
    let mut detector = detector(&reference, tolerance);
    let mut random = Random(5);
    (0..panes).find_map(|pane| {
        let rows: Vec<f64> = (0..PANE).map(|_| row(&mut random)).collect();
        let state = show(&mut detector, counted(&reference, &rows).cells(), pane)?;
        assert_eq!(state, AlarmState::Raised);
        Some((pane, detector.finding().unwrap()))
    })
}

fn aspect_of(found: Option<(usize, Finding)>) -> (Aspect, directions::Sense) {
    let (_, finding) = found.expect("an alarm");
    (finding.shape.aspect, finding.shape.sense)
}

#[test]
fn undrifted_rows_raise_no_alarm() {
    assert_eq!(first_alarm(0.0, 3_000, Random::normal), None);
    assert_eq!(first_alarm(0.002, 3_000, Random::normal), None);
}

#[test]
fn shifts_are_found_and_named() {
    use directions::Sense::{Down, Up};
    assert_eq!(aspect_of(first_alarm(0.002, 100, |r| r.normal() + 0.4)), (Aspect::Location, Up));
    assert_eq!(aspect_of(first_alarm(0.002, 100, |r| r.normal() - 0.4)), (Aspect::Location, Down));
    assert_eq!(aspect_of(first_alarm(0.002, 200, |r| r.normal() * 0.7)), (Aspect::Scale, Down));
    let holey = |r: &mut Random| if r.uniform() < 0.1 { f64::NAN } else { r.normal() };
    assert_eq!(aspect_of(first_alarm(0.002, 100, holey)), (Aspect::Missing, Up));
    let spiky = |r: &mut Random| if r.uniform() < 0.05 { 50.0 } else { r.normal() };
    assert_eq!(aspect_of(first_alarm(0.002, 100, spiky)), (Aspect::Above, Up));
}

#[test]
fn a_stake_apart_wins_what_it_would_alone_whatever_came_before() {
    let reference = reference(50_000);
    let count = |shift: f64, seed| {
        let rows: Vec<f64> = Random(seed).normals(PANE).into_iter().map(|row| row + shift).collect();
        counted(&reference, &rows).cells().to_vec()
    };
    let (before, latest) = (count(-0.5, 3), count(0.5, 4));
    let all: Vec<u64> = before.iter().zip(&latest).map(|(before, latest)| before + latest).collect();
    let weighed = |counts: &[u64], stakes: Stakes<'_>| {
        let mut detector = detector(&reference, 0.002);
        detector.weigh(counts, stakes, 1.0);
        detector.capital()
    };
    let stakes = |before, after, apart| Stakes { before, after, apart };
    let alone = weighed(&latest, stakes(5.0, 0.0, &[]));
    let together = weighed(&all, stakes(7.0, 3.0, &[]));
    assert!(alone > 50.0 && together < 10.0, "{alone} {together}");
    let both = weighed(&all, stakes(7.0, 3.0, &[(&latest, 5.0), (&before, 0.0)]));
    assert!((both - together - alone).abs() < 1e-4 * both, "{both}");
}

#[test]
fn a_shift_of_half_a_deviation_is_found_within_a_few_panes() {
    let (pane, _) = first_alarm(0.002, 100, |r| r.normal() + 0.5).unwrap();
    assert!(pane <= 4, "{pane}");
}

#[test]
fn below_the_tolerance_there_is_silence_at_any_volume() {
    // A shift of 0.05 deviations: relative entropy 0.00125, below 0.002. Counts as they would be on average, of
    // panes up to a billion rows.
    let reference = reference(1_000_000);
    let drifted = {
        let rows: Vec<f64> = Random(3).normals(1_000_000).into_iter().map(|row| row + 0.05).collect();
        counted(&reference, &rows)
    };
    let mut detector = detector(&reference, 0.002);
    for pane in 0..12 {
        let scale = 10u64.pow(pane / 4);
        let counts: Vec<u64> = drifted.cells().iter().map(|count| count * scale).collect();
        assert_eq!(show(&mut detector, &counts, pane as usize), None);
    }
    assert_eq!(detector.evidence_bits(), 0.0);
}

#[test]
fn the_change_is_dated() {
    let reference = reference(50_000);
    let mut detector = detector(&reference, 0.002);
    let mut random = Random(8);
    for pane in 0..60 {
        let shift = if pane < 37 { 0.0 } else { 0.4 };
        let rows: Vec<f64> = random.normals(PANE).into_iter().map(|row| row + shift).collect();
        if show(&mut detector, counted(&reference, &rows).cells(), pane).is_some() {
            let onset = detector.finding().unwrap().onset;
            assert!(onset.estimate.row.abs_diff(3_700) <= 200, "{onset:?}");
            assert!((onset.earliest.row..=onset.latest.row).contains(&3_700), "{onset:?}");
            return;
        }
    }
    panic!("no alarm");
}

#[test]
fn an_alarm_latches_and_clears_when_the_change_is_undone() {
    let reference = reference(50_000);
    let mut detector = detector(&reference, 0.002);
    let mut random = Random(6);
    let mut changes = Vec::new();
    for pane in 0..200 {
        let shift = if (20..60).contains(&pane) { 0.5 } else { 0.0 };
        let rows: Vec<f64> = random.normals(PANE).into_iter().map(|row| row + shift).collect();
        changes
            .extend(show(&mut detector, counted(&reference, &rows).cells(), pane).map(|state| (pane, state)));
    }
    let [(raised, AlarmState::Raised), (cleared, AlarmState::Cleared)] = changes[..] else {
        panic!("{changes:?}")
    };
    assert!((20..30).contains(&raised) && (61..75).contains(&cleared), "{changes:?}");
    assert_eq!(detector.finding().map(|finding| finding.onset.estimate.row >= 6_000), Some(true));
}

#[test]
fn counts_merged_from_workers_are_a_single_pass() {
    let reference = reference(10_000);
    let (mut whole, mut parts) = (detector(&reference, 0.002), detector(&reference, 0.002));
    let mut random = Random(4);
    for pane in 0..50 {
        let rows = random.normals(PANE);
        show(&mut whole, counted(&reference, &rows).cells(), pane);
        let (left, right) = rows.split_at(pane);
        let mut merged = counted(&reference, right);
        merged.merge(&counted(&reference, left));
        show(&mut parts, merged.cells(), pane);
    }
    assert_eq!(serde_json::to_vec(whole.state()).unwrap(), serde_json::to_vec(parts.state()).unwrap());
}

#[test]
fn a_detector_goes_on_after_a_restart_as_if_nothing_had_happened() {
    let reference = reference(10_000);
    let mut steady = detector(&reference, 0.002);
    let mut restarted = detector(&reference, 0.002);
    let mut random = Random(4);
    for pane in 0..40 {
        let shift = if pane < 20 { 0.0 } else { 0.3 };
        let rows: Vec<f64> = random.normals(PANE).into_iter().map(|row| row + shift).collect();
        let counts = counted(&reference, &rows);
        let stored = serde_json::to_string(restarted.state()).unwrap();
        restarted =
            EDetector::resumed(Arc::clone(&restarted.plan), serde_json::from_str(&stored).unwrap()).unwrap();
        assert_eq!(show(&mut steady, counts.cells(), pane), show(&mut restarted, counts.cells(), pane));
        assert_eq!(steady.state(), restarted.state());
    }
    assert!(steady.is_raised());
}

#[test]
fn the_state_of_another_reference_is_refused() {
    let other = detector(&Bins::new(Arc::new(Binning::discrete(&[1.0]).unwrap())), 0.0);
    let mine = detector(&reference(1_000), 0.0);
    assert!(EDetector::resumed(Arc::clone(&mine.plan), other.state().clone()).is_none());
    assert!(!Pool::of(mine.state().clone()).merge(&Pool::of(other.state().clone())));
}

#[test]
fn a_pool_goes_on_with_the_mean_of_what_each_holds() {
    let reference = reference(10_000);
    let watched = |seed: u64| {
        let mut detector = detector(&reference, 0.0);
        show(&mut detector, counted(&reference, &Random(seed).normals(PANE)).cells(), 0);
        detector
    };
    let detectors: Vec<EDetector> = (1..=3).map(watched).collect();
    let mut pool = Pool::of(detectors[0].state().clone());
    assert_eq!(&pool.mean(), detectors[0].state());
    detectors[1..].iter().for_each(|other| assert!(pool.merge(&Pool::of(other.state().clone()))));
    let mean = EDetector::resumed(Arc::clone(&detectors[0].plan), pool.mean()).unwrap();
    let third = detectors.iter().map(EDetector::capital).sum::<f64>() / 3.0;
    assert!(mean.capital() <= third * (1.0 + 1e-15) && mean.capital() >= third * (1.0 - 1e-6));
}

#[test]
fn constant_empty_and_all_missing_features_are_watched_without_harm() {
    let constant = {
        let mut bins = Bins::new(Arc::new(Binning::discrete(&[3.0]).unwrap()));
        bins.update(&[3.0; 1_000]);
        bins
    };
    let missing = {
        let mut bins = Bins::new(Arc::new(Binning::discrete(&[]).unwrap()));
        bins.add_specials(&Specials { missing: 1_000, ..Specials::default() });
        bins
    };
    for reference in [&constant, &missing] {
        let mut detector = detector(reference, 0.002);
        let empty = Bins::new(Arc::clone(reference.binning()));
        for pane in 0..200 {
            assert_eq!(show(&mut detector, reference.cells(), 2 * pane), None);
            assert_eq!(show(&mut detector, empty.cells(), 2 * pane + 1), None);
            assert!(detector.capital().is_finite());
        }
        let found =
            (400..410).find_map(|pane| show(&mut detector, counted(reference, &[4.0; PANE]).cells(), pane));
        assert_eq!(found, Some(AlarmState::Raised));
    }
}

#[test]
fn odds_are_kept_while_there_is_room_and_others_are_the_same_when_they_are_worked_out_again() {
    let tables = Tables::of(2);
    let plan = Plan::new(&reference(10_000), Some(4.0), 0.0, 0.01).with_tables(tables.clone());
    let other = Plan::new(&reference(9_000), Some(4.0), 0.0, 0.01).beside(&plan);
    let first = plan.odds(4.0);
    assert!(Arc::ptr_eq(&first, &plan.odds(4.0)));
    assert_ne!(*other.odds(4.0), *first);
    assert!(Arc::ptr_eq(&first, &plan.odds(4.0)));
    let _ = (other.odds(2.0), other.odds(3.0));
    let again = plan.odds(4.0);
    assert!(!Arc::ptr_eq(&first, &again) && *again == *first);
}

#[test]
fn huge_panes_neither_overflow_nor_turn_into_nan() {
    let reference = reference(10_000);
    let mut detector = detector(&reference, 0.0);
    for pane in 0..20 {
        let mut cells = vec![0; reference.cells().len()];
        cells[6 + pane % 2] = u64::MAX / 1_000;
        show(&mut detector, &cells, pane);
        assert!(detector.capital().is_finite() && detector.evidence_bits().is_finite());
    }
    assert!(detector.is_raised());
}

#[test]
fn evidence_by_shape_adds_up_to_the_evidence() {
    let reference = reference(50_000);
    let mut detector = detector(&reference, 0.0);
    for pane in 0..3 {
        let rows: Vec<f64> = Random(7 + pane as u64).normals(PANE).into_iter().map(|row| row + 0.5).collect();
        show(&mut detector, counted(&reference, &rows).cells(), pane);
    }
    let shapes = detector.evidence_by_shape();
    let sum: f64 = shapes.iter().map(|(_, bits)| bits.exp2()).sum();
    assert!((sum.log2() - detector.evidence_bits()).abs() < 0.1);
    assert_eq!(shapes[0].0.to_string(), "location up");
}

/// Alarms in so many rows of categories, whose reference were so many others; `share` is the category of a number in [0, 1).
fn alarms_of_categories(reference_rows: usize, panes: usize, seed: u64, share: impl Fn(f64) -> u32) -> usize {
    let mut random = Random(seed);
    let mut draw = |rows: usize| (0..rows).map(|_| share(random.uniform()).to_string()).collect::<Vec<_>>();
    let mut builder = ProfileBuilder::new("m", 32);
    let drawn = draw(reference_rows);
    builder.add_column_bytes("x", Direction::Input, drawn.iter().map(|it| Some(it.as_bytes()))).unwrap();
    let profile = builder.finish().unwrap();
    let reference = &profile.get(Direction::Input, "x").unwrap().bins;
    let mut detector = detector(reference, 0.0002);
    let mut raised = 0;
    for pane in 0..panes {
        let mut bins = Bins::new(Arc::clone(reference.binning()));
        draw(PANE).iter().for_each(|label| bins.add_label(label.as_bytes(), 1));
        raised += usize::from(show(&mut detector, bins.cells(), pane) == Some(AlarmState::Raised));
    }
    raised
}

#[test]
fn more_categories_than_bins_raise_no_alarm_whichever_were_chosen() {
    for (seed, categories) in [(1, 100.0), (2, 219.0), (3, 1_000.0), (4, 50_000.0)] {
        for rows in [500, 2_000, 20_000] {
            let equal = alarms_of_categories(rows, 400, seed, |u| (u * categories) as u32);
            let falling = alarms_of_categories(rows, 400, seed, |u| ((1.0 - u).powf(-1.2)) as u32);
            assert_eq!((equal, falling), (0, 0), "{categories} categories, {rows} rows");
        }
    }
}

#[test]
fn a_new_category_among_many_is_found() {
    let zipf = |u: f64| ((1.0 - u).powf(-1.0)) as u32;
    let mut random = Random(6);
    let mut builder = ProfileBuilder::new("m", 32);
    let drawn: Vec<String> = (0..50_000).map(|_| zipf(random.uniform()).to_string()).collect();
    builder.add_column_bytes("x", Direction::Input, drawn.iter().map(|it| Some(it.as_bytes()))).unwrap();
    let profile = builder.finish().unwrap();
    let reference = &profile.get(Direction::Input, "x").unwrap().bins;
    let mut detector = detector(reference, 0.0002);
    let found = (0..40).find_map(|pane| {
        let mut bins = Bins::new(Arc::clone(reference.binning()));
        for _ in 0..PANE {
            let label = if random.uniform() < 0.1 { 7_000_000 } else { zipf(random.uniform()) };
            bins.add_label(label.to_string().as_bytes(), 1);
        }
        show(&mut detector, bins.cells(), pane)?;
        Some((pane, detector.finding().unwrap().shape.aspect))
    });
    assert!(matches!(found, Some((..10, Aspect::Unseen))), "{found:?}");
}

/// Rows until a category that the reference does not have is found, which is one in twenty.
fn rows_to_a_new_category(categories: u32, reference_rows: u32) -> Option<usize> {
    let label = |category: u32| format!("category {category}");
    let mut random = Random(7);
    let mut draw = || label((random.uniform() * f64::from(categories)) as u32);
    let mut builder = ProfileBuilder::new("m", 32);
    let drawn: Vec<String> = (0..reference_rows).map(|_| draw()).collect();
    builder.add_column_bytes("x", Direction::Input, drawn.iter().map(|it| Some(it.as_bytes()))).unwrap();
    let profile = builder.finish().unwrap();
    let reference = &profile.get(Direction::Input, "x").unwrap().bins;
    let mut detector = detector(reference, 0.0002);
    let found = (0..100).find(|&pane| {
        let mut bins = Bins::new(Arc::clone(reference.binning()));
        (1..PANE).for_each(|row| {
            if row % 20 > 0 {
                bins.add_label(draw().as_bytes(), 1)
            }
        });
        (0..PANE / 20).for_each(|_| bins.add_label(label(categories).as_bytes(), 1));
        show(&mut detector, bins.cells(), pane).is_some()
    })?;
    assert_eq!(detector.finding()?.shape, Shape::up(Aspect::Unseen));
    Some((found + 1) * PANE)
}

#[test]
fn a_new_category_takes_no_longer_where_many_have_no_bin() {
    let rows = [30, 100, 200].map(|categories| rows_to_a_new_category(categories, 4_000));
    assert_eq!(rows, [Some(200); 3]);
}

/// Of values drawn from a normal distribution, as a profile has them.
fn profiled(rows: usize) -> Bins {
    let mut builder = ProfileBuilder::new("m", 32);
    builder.add_column_f64("x", Direction::Input, &Random(99).normals(rows)).unwrap();
    builder.finish().unwrap().get(Direction::Input, "x").unwrap().bins.clone()
}

#[test]
fn every_bet_receives_a_stake_once() {
    for reference in [profiled(300), profiled(2_000), reference(50_000)] {
        let mut detector = detector(&reference, 0.0002);
        let counts = counted(&reference, &Random(7).normals(PANE));
        show(&mut detector, counts.cells(), 0);
        let gains = detector.odds().gains(counts.cells());
        for ((held, gain), shape) in
            detector.state.capital.each().into_iter().zip(gains).zip(detector.plan.bets.iter())
        {
            let expected = PANE as f64 * gain.exp();
            assert!(
                (held.get() / expected - 1.0).abs() < 1e-5,
                "{shape:?}: {} instead of {expected}",
                held.get()
            );
        }
    }
}

#[test]
fn what_lies_above_all_of_the_reference_is_said_to_lie_above() {
    for rows in [300, 2_000, 50_000] {
        let reference = profiled(rows);
        let mut detector = detector(&reference, 0.0002);
        show(&mut detector, counted(&reference, &[99.0; PANE]).cells(), 0);
        assert_eq!(detector.finding().unwrap().shape, Shape::up(Aspect::Above), "{rows}");
    }
}

#[test]
fn of_two_values_one_comes_more_often_and_nothing_else_changes() {
    for (was, is) in [(0.1, 0.3), (0.3, 0.1), (0.02, 0.06), (0.9, 0.5), (0.5, 0.8)] {
        let mut random = Random(3);
        let mut drawn = |rows: usize, share: f64| -> Vec<f64> {
            (0..rows).map(|_| f64::from(u8::from(random.uniform() < share))).collect()
        };
        let mut reference = Bins::new(Arc::new(Binning::discrete(&[0.0, 1.0]).unwrap()));
        reference.update(&drawn(10_000, was));
        let mut detector = detector(&reference, 0.0002);
        for pane in 0..50 {
            show(&mut detector, counted(&reference, &drawn(PANE, is)).cells(), pane);
        }
        assert!(detector.is_raised());
        let shapes = detector.evidence_by_shape();
        let told: Vec<String> = shapes.iter().take(2).map(|(shape, _)| shape.to_string()).collect();
        let (location, bins) = if is > was {
            ("location up", ["bin 1 up", "bin 0 down"])
        } else {
            ("location down", ["bin 0 up", "bin 1 down"])
        };
        assert!(told.iter().all(|told| told == location || bins.contains(&told.as_str())), "{told:?}");
    }
}
