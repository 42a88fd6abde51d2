//! Changes that no column shows alone, and streams in which nothing changes.

use super::builder::{BINS, JointBuilder};
use super::comoments::CoMoments;
use super::detector::{JointAlarm, JointDetector};
use super::joint::{Joint, Joints, Wanted};
use crate::detect::AlarmState;
use crate::detect::edetector::terms::Terms;
use crate::profile::{Profile, ProfileBuilder, ProfileError, Section};
use crate::random::Random;
use crate::tensor::Direction;

const COLUMNS: usize = 4;

fn names() -> Vec<String> {
    ["age", "income", "debt", "term"].map(str::to_owned).to_vec()
}

/// Standard normal columns, of which the first two have this correlation.
fn rows(count: usize, correlation: f64, seed: u64) -> Vec<f64> {
    let mut random = Random(seed);
    let mut row = || {
        let (a, b) = (random.normal(), random.normal());
        let second = correlation * a + (1.0 - correlation * correlation).sqrt() * b;
        [50.0 + 10.0 * a, 3e4 + 8e3 * second, random.normal(), random.normal()]
    };
    (0..count).flat_map(|_| row()).collect()
}

/// Columns that are pairwise independent normals; the sign of the product of three of them is always the same if `odd`.
fn triples(count: usize, odd: bool, seed: u64) -> Vec<f64> {
    let mut random = Random(seed);
    let mut row = || {
        let [a, b, c] = [random.normal(), random.normal(), random.normal()];
        let third = if odd { c.abs().copysign(a * b) } else { c };
        [a, b, third, random.normal()]
    };
    (0..count).flat_map(|_| row()).collect()
}

fn detector(reference: &[f64], wanted: Wanted, terms: Terms) -> JointDetector {
    let mut builder = JointBuilder::new("x", COLUMNS, 32, wanted);
    reference.chunks(COLUMNS * 1_000).for_each(|chunk| builder.add(chunk));
    let (joint, references) = builder.finish(&names()).unwrap();
    JointDetector::new(joint, references, terms).unwrap()
}

fn name_of(detector: &JointDetector, alarm: &JointAlarm) -> String {
    detector.joint().names(&names())[alarm.number].clone()
}

#[test]
fn a_correlation_that_changes_its_sign_is_found_though_every_column_stays_as_it_was() {
    for seed in 1..=3 {
        let mut watched = detector(&rows(20_000, 0.6, seed), Wanted::default(), Terms::default());
        assert_eq!(watched.update(&rows(10_000, 0.6, 100 + seed)), []);
        let calm = watched.distances().correlation.unwrap();
        assert!(calm.value < 2.5 * calm.expected, "{calm:?}");
        let alarms = watched.update(&rows(2_000, -0.6, 200 + seed));
        let first = alarms.first().expect("an alarm");
        assert!(first.row <= 10_500 && first.state == AlarmState::Raised, "{first:?}");
        let change = first.finding.unwrap().onset.estimate.row;
        assert!(change.abs_diff(10_000) <= 200, "{change}");
        let found: Vec<String> = alarms.iter().map(|alarm| name_of(&watched, alarm)).collect();
        assert!(found.iter().any(|name| name == "x.pair(age, income)"), "{found:?}");
        let distance = watched.distances().correlation.unwrap();
        assert!((distance.value - 1.2 * 2f64.sqrt()).abs() < 0.3 && distance.expected < 0.4, "{distance:?}");
        assert!(watched.distances().discrepancy > watched.distances().discrepancy_expected);
    }
}

#[test]
fn fourier_features_find_what_neither_columns_nor_pairs_show() {
    let wanted = Wanted { features: 128, pairs: 0, principal: false, seed: 5 };
    let mut watched = detector(&triples(50_000, false, 1), wanted, Terms::default());
    assert_eq!(watched.update(&triples(20_000, false, 2)), []);
    let alarms = watched.update(&triples(20_000, true, 3));
    assert!(alarms.first().is_some_and(|alarm| alarm.row <= 25_000), "{:?}", alarms.first());
}

#[test]
fn a_row_that_leaves_the_principal_axes_is_found_by_its_reconstruction_error() {
    let correlated = |noise: f64, seed: u64| -> Vec<f64> {
        let mut random = Random(seed);
        (0..20_000)
            .flat_map(|_| {
                let common = random.normal();
                [0; COLUMNS].map(|_| common * (1.0 - noise).sqrt() + noise.sqrt() * random.normal())
            })
            .collect()
    };
    let wanted = Wanted { features: 0, pairs: 0, ..Wanted::default() };
    let mut watched = detector(&correlated(0.1, 1), wanted, Terms::default());
    assert_eq!(watched.joint().width(), 1);
    assert_eq!(watched.update(&correlated(0.1, 2)), []);
    let alarms = watched.update(&correlated(0.3, 3));
    let first = alarms.first().expect("an alarm");
    assert_eq!(name_of(&watched, first), "x.reconstruction_error");
    assert!(first.row <= 20_300);
}

#[test]
fn an_unchanged_stream_raises_nothing() {
    // 40 references of their own, at an average of one false alarm in 20,000 rows at most: 50 would be nominal.
    let terms = Terms { arl: 20_000.0, tolerance: 0.0, ..Terms::default() };
    let wanted = Wanted { features: 16, ..Wanted::default() };
    let alarms: usize = (0..40)
        .map(|seed| {
            let mut watched = detector(&rows(5_000, 0.5, seed), wanted, terms);
            let found = watched.update(&rows(25_000, 0.5, 1_000 + seed));
            found.iter().filter(|alarm| alarm.state == AlarmState::Raised).count()
        })
        .sum();
    assert!(alarms <= 25, "{alarms}");
}

#[test]
fn missing_infinite_and_constant_values_do_no_harm() {
    let mut reference = rows(2_000, 0.0, 1);
    for row in reference.chunks_exact_mut(COLUMNS) {
        row[2] = 7.0;
    }
    reference[0] = f64::NAN;
    reference[5] = f64::INFINITY;
    reference[8] = 1e300;
    let mut watched = detector(&reference, Wanted::default(), Terms::default());
    let mut live = rows(1_000, 0.0, 2);
    live[0] = f64::NEG_INFINITY;
    live[1] = f64::NAN;
    live[2] = f64::MAX;
    watched.update(&live);
    assert!(watched.evidence_bits().iter().all(|bits| bits.is_finite()));
    assert!(watched.distances().correlation.unwrap().value.is_finite());
}

#[test]
fn a_map_travels_in_the_profile_and_maps_the_same() {
    let mut builder = JointBuilder::new("x", COLUMNS, 32, Wanted { seed: 9, ..Wanted::default() });
    builder.add(&rows(3_000, 0.4, 1));
    let (joint, references) = builder.finish(&names()).unwrap();
    let width = joint.width();
    let profile = Profile::new("loan", references)
        .unwrap()
        .with_section(&Joints { maps: vec![joint.clone()] })
        .unwrap();
    let read = Profile::from_bytes(&profile.to_bytes()).unwrap();
    let maps = read.section::<Joints>().unwrap().unwrap();
    let again = maps.of("x").unwrap().clone();
    assert_eq!(again, joint);
    assert_eq!(maps.of("y"), None);
    assert_eq!(read.references().len(), width);
    let project = |joint: &Joint| {
        let (mut standard, mut numbers) = (vec![0.0; COLUMNS], vec![0.0; width]);
        joint.standardise(&[51.0, 2e4, 0.3, -0.2], &mut standard);
        joint.project(&standard, &mut numbers);
        numbers
    };
    assert_eq!(project(&again), project(&joint));
    assert!(project(&joint)[..32].iter().all(|number| number.abs() <= 1.0));
}

fn add_to(profile: &Profile, tensor: &str, rows: &[f64], wanted: Wanted) -> Result<Profile, ProfileError> {
    let mut builder = JointBuilder::new(tensor, names().len(), BINS, wanted);
    builder.add(rows);
    builder.into_profile(profile, &names(), false)
}

#[test]
fn a_map_is_added_to_a_profile_and_takes_the_place_of_an_earlier_one() {
    let mut builder = ProfileBuilder::new("loan", 8);
    builder.add_column_f64("age", Direction::Input, &[1.0, 2.0]).unwrap();
    let plain = builder.finish().unwrap();
    let wanted = Wanted::of_tensor("x", false);
    let added = add_to(&plain, "x", &rows(2_000, 0.5, 1), wanted).unwrap();
    let width = 32 + 6 + 1;
    assert_eq!(added.references().len(), 1 + width);
    let again = add_to(&added, "x", &rows(2_000, 0.5, 2), wanted).unwrap();
    assert_eq!(again.references().len(), 1 + width);
    let both = add_to(&again, "e", &rows(2_000, 0.5, 3), Wanted::of_tensor("e", true)).unwrap();
    assert_eq!(both.references().len(), 1 + width + 64);
    assert_eq!(both.section::<Joints>().unwrap().unwrap().maps.len(), 2);
    assert_eq!(add_to(&plain, "x", &[], wanted).unwrap_err(), ProfileError::Empty);
}

#[test]
fn maps_merge_only_with_themselves() {
    let learn = |seed| Joint::learn("x", COLUMNS, &rows(500, 0.0, seed), Wanted::default()).unwrap();
    let (joint, other) = (learn(1), learn(2));
    let mut maps = Joints { maps: vec![joint.clone()] };
    assert!(maps.merge(&Joints { maps: vec![other] }).unwrap_err().contains("one map"));
    maps.merge(&Joints { maps: vec![joint.clone()] }).unwrap();
    assert_eq!(maps.maps[0].comoments().map(CoMoments::count), Some(1_000));
    assert!(Joints { maps: vec![joint.clone(), joint.clone()] }.check().is_err());
    assert!(Joint::learn("x", COLUMNS, &[], Wanted::default()).is_none());
    assert!(Joint::learn("x", 0, &[1.0], Wanted::default()).is_none());
    let text = serde_json::to_string(&joint).unwrap().replace("\"scales\":[", "\"scales\":[0.0,");
    assert!(serde_json::from_str::<Joint>(&text).is_err());
}

#[test]
fn wide_embeddings_have_fourier_features_only() {
    const WIDE: usize = 300;
    let mut random = Random(3);
    let embedding: Vec<f64> = (0..1_000 * WIDE).map(|_| random.normal()).collect();
    let joint = Joint::learn("e", WIDE, &embedding, Wanted::of_embedding(24, 1)).unwrap();
    assert_eq!((joint.width(), joint.comoments()), (24, None));
    let many = Joint::learn("e", 100, &embedding, Wanted::default()).unwrap();
    assert_eq!(many.names(&[]).iter().filter(|name| name.contains("pair")).count(), 64);
}

#[test]
fn settings_and_references_that_do_not_fit_are_refused() {
    let mut builder = JointBuilder::new("x", COLUMNS, 32, Wanted::default());
    builder.add(&rows(500, 0.0, 1));
    let (joint, references) = builder.finish(&names()).unwrap();
    let broken = Terms { arl: 0.0, ..Terms::default() };
    assert!(JointDetector::new(joint.clone(), references.clone(), broken).is_err());
    let error = JointDetector::new(joint, references[1..].to_vec(), Terms::default()).unwrap_err();
    assert!(error.to_string().contains("built with the map"), "{error}");
    assert!(JointBuilder::new("x", COLUMNS, 32, Wanted::default()).finish(&names()).is_none());
}
