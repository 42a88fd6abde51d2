//! The engine as the data planes and the observer use it.

use super::*;
use crate::call::Code;
use crate::tensor::{Data, Datatype, Direction, Tensor};

const CONFIG: &str = r#"{
    "plane": "test", "versions": [{"name": "v1"}, {"name": "v2"}, {"name": "v3"}],
    "routes": [{"name": "r", "stable": "v1", "candidates": [{"version": "v2", "weight_ppm": 250000}],
                "sticky": ["metadata:user"],
                "shadow": {"version": "v3", "share_ppm": 1000000, "max_in_flight": 1, "max_bytes": 1, "timeout_ns": 1,
                           "methods": ["/s/m"], "absolute": 0.1, "relative": 0.0}}],
    "sampling": {"share_ppm": 0, "errors": true},
    "queue": {"messages": 1, "bytes": 1}
}"#;

fn engine() -> Engine {
    Engine::new(EngineConfig::from_json(CONFIG).unwrap(), BTreeMap::new(), 0).unwrap()
}

fn outcome(code: Code) -> Outcome {
    Outcome { code, duration: 2_000, upstream: 1_000, request_bytes: 1, response_bytes: 1 }
}

#[test]
fn planned_and_reached_shares_stand_side_by_side() {
    let engine = engine();
    for user in 0..4_000 {
        let decision = engine.decide(&engine.policy(), "/s/m", &[("user", user.to_string())][..], 1);
        engine.ended(&decision, &outcome(0));
    }
    let route = &engine.snapshot(0, false).routes[0];
    assert_eq!(route.versions[0].weight_ppm, 750_000);
    assert!((route.versions[1].share.unwrap() - 0.25).abs() < 0.03);
    assert_eq!(route.versions[0].calls + route.versions[1].calls, 4_000);
}

#[test]
fn the_journal_balances_and_errors_are_kept() {
    let engine = engine();
    let none: &[(&str, &str)] = &[];
    for code in [0, 0, 13, 5] {
        engine.ended(&engine.decide(&engine.policy(), "/s/m", none, 1), &outcome(code));
    }
    engine.settle(None);
    let account = engine.snapshot(0, false).journal;
    assert!(account.balances());
    assert_eq!((account.observed, account.sampled_out, account.kept, account.queued), (4, 2, 1, 1));
}

#[test]
fn a_shadow_is_bounded_and_compared() {
    let engine = engine();
    let none: &[(&str, &str)] = &[];
    let decision = engine.decide(&engine.policy(), "/s/m", none, 1);
    let shadow = decision.copied_to().unwrap();
    assert!(shadow.admit(1));
    assert!(!shadow.admit(1));
    assert!(shadow.ended(0, 0, 1));
    let (left, right) = (1.0f32.to_le_bytes(), 1.5f32.to_le_bytes());
    let tensor = |bytes| [Tensor::new("y", Datatype::Fp32, vec![1], Data::Raw(bytes)).unwrap()];
    shadow.compare(Some((&tensor(&left), &tensor(&right))));
    let shadow = &engine.snapshot(0, false).shadows[0];
    assert_eq!((shadow.account.dropped, shadow.account.mismatch), (1, 1));
    assert_eq!(shadow.account.max_difference["y"], 0.5);
}

#[test]
fn a_model_that_never_answered_is_not_watched() {
    let engine = engine();
    let bytes = 1.0f32.to_le_bytes();
    let tensors = [Tensor::new("x", Datatype::Fp32, vec![1], Data::Raw(&bytes)).unwrap()];
    let mut observation = Observation {
        model: "ghost",
        version: 0,
        direction: Direction::Input,
        tensors: &tensors,
        defects: &[],
        answered: false,
        now: 1,
    };
    engine.observe(observation);
    assert!(engine.snapshot(0, false).models.is_empty());
    observation.answered = true;
    engine.observe(observation);
    let snapshot = engine.snapshot(0, false);
    assert_eq!((snapshot.models.len(), snapshot.series_overflow), (1, 1));
}

#[test]
fn a_model_that_its_version_s_profile_is_not_of_is_named() {
    let tensor = |bytes| [Tensor::new("x", Datatype::Fp32, vec![1], Data::Raw(bytes)).unwrap()];
    let bytes = 1.0f32.to_le_bytes();
    let unfitting = |profile_of: &str| {
        let mut training = crate::profile::ProfileBuilder::new(profile_of, 32);
        training.add_column_f64("x", Direction::Input, &[1.0; 100]).unwrap();
        let profiles = [("v1".to_owned(), training.finish().unwrap())].into();
        let engine = Engine::new(EngineConfig::from_json(CONFIG).unwrap(), profiles, 0).unwrap();
        for (model, version) in [("wine", 0), ("wine", 1), ("beer", 0)] {
            let (direction, tensors) = (Direction::Input, &tensor(&bytes)[..]);
            engine.observe(Observation {
                model,
                version,
                direction,
                tensors,
                defects: &[],
                answered: true,
                now: 1,
            });
        }
        let found = engine.snapshot(0, false).unfitting;
        assert_eq!(found, engine.unfitting());
        found.into_iter().map(|it| (it.model, it.version, it.profile_of)).collect::<Vec<_>>()
    };
    let named = |model: &str, of: &str| (model.to_owned(), "v1".to_owned(), of.to_owned());
    assert_eq!(unfitting("wine"), [named("beer", "wine")]);
    assert_eq!(unfitting("vine"), [named("beer", "vine"), named("wine", "vine")]);
    assert_eq!(unfitting(""), []);
}

#[test]
fn an_unknown_field_of_the_configuration_is_named() {
    let error = EngineConfig::from_json(&CONFIG.replace("\"plane\"", "\"plain\"")).unwrap_err();
    assert!(error.0.contains("plain"), "{error}");
}

fn policy(versions: &str, routes: &str) -> PolicyConfig {
    let text = format!(
        r#"{{"versions": {versions}, "routes": {routes}, "sampling": {{"share_ppm": 0, "errors": false}}}}"#
    );
    PolicyConfig::from_json(&text).unwrap()
}

const ONLY_V2: &str = r#"[{"name": "r", "stable": "v2"}]"#;

#[test]
fn a_call_keeps_the_policy_it_was_decided_under() {
    let engine = engine();
    let none: &[(&str, &str)] = &[];
    let ruling = engine.decide(&engine.policy(), "/s/m", none, 1);
    assert_eq!(engine.apply(policy(r#"[{"name": "v2"}]"#, ONLY_V2), Profiles::new()), Ok(2));
    assert_eq!(&*ruling.copied_to().map(|it| ruling.policy().version(it.version)).unwrap().name, "v3");
    // The old policy keeps failures, the new one does not.
    assert_eq!(engine.ended(&ruling, &outcome(13)), Some(Reason::Error));
    let next = engine.decide(&engine.policy(), "/s/m", none, 1);
    assert_eq!((&*next.answering().name, next.copied_to().is_none()), ("v2", true));
    assert_eq!(engine.ended(&next, &outcome(13)), None);
}

#[test]
fn versions_and_routes_that_stay_keep_their_statistics() {
    let engine = engine();
    let none: &[(&str, &str)] = &[];
    for seed in 0..100 {
        let ruling = engine.decide(&engine.policy(), "/s/m", none, seed);
        engine.ended(&ruling, &outcome(0));
    }
    let before = engine.snapshot(0, false);
    let canary = before.routes[0].versions[1].calls;
    let other = r#"{"name": "other", "stable": "v2"}"#;
    let stays = r#"{"name": "r", "stable": "v4", "candidates": [{"version": "v2", "weight_ppm": 1}]}"#;
    let versions = r#"[{"name": "v4"}, {"name": "v2"}]"#;
    engine.apply(policy(versions, &format!("[{other}, {stays}]")), Profiles::new()).unwrap();
    let after = engine.snapshot(0, false);
    let weights: Vec<_> =
        after.routes[1].versions.iter().map(|it| (it.version.as_str(), it.calls, it.share)).collect();
    assert_eq!(weights, [("v4", 0, None), ("v2", canary, None)]);
    assert_eq!(after.routes[1].decisions, before.routes[0].decisions);
    let names = |of: &Snapshot| of.calls.series.iter().map(|it| it.version.clone()).collect::<Vec<_>>();
    assert_eq!(names(&after), names(&before));
    let in_force: Vec<_> = after.versions.iter().map(|it| (it.version.as_str(), it.in_force)).collect();
    assert_eq!(in_force, [("v1", false), ("v2", true), ("v3", false), ("v4", true)]);
}

#[test]
fn what_cannot_be_used_changes_nothing() {
    let engine = engine();
    let before = serde_json::to_value(engine.snapshot(0, true)).unwrap();
    let v9 = r#"[{"name": "v9"}]"#;
    for (versions, routes, words) in
        [(v9, ONLY_V2, "'v2', which is none of v9"), (v9, "[]", "no routes"), ("[]", ONLY_V2, "no versions")]
    {
        let error = engine.apply(policy(versions, routes), Profiles::new()).unwrap_err();
        assert!(error.0.contains(words), "{error}");
    }
    assert_eq!(serde_json::to_value(engine.snapshot(0, true)).unwrap(), before);
}

#[test]
fn a_version_keeps_what_it_has_seen_unless_its_profile_changes() {
    let engine = engine();
    let bytes = 1.0f32.to_le_bytes();
    let tensors = [Tensor::new("x", Datatype::Fp32, vec![1], Data::Raw(&bytes)).unwrap()];
    let direction = Direction::Input;
    let see = |version| {
        let model = "m";
        engine.observe(Observation {
            model,
            version,
            direction,
            tensors: &tensors,
            defects: &[],
            answered: true,
            now: 1,
        });
    };
    (0..3).for_each(see);
    let profile = |rows: usize| {
        let mut builder = crate::profile::ProfileBuilder::new("m", 4);
        builder.add_column_f64("x", Direction::Input, &vec![1.0; rows]).unwrap();
        builder.finish().unwrap()
    };
    let seen = || {
        let models = engine.snapshot(0, false).models;
        models.into_iter().map(|it| (it.version, it.monitor.calls)).collect::<Vec<_>>()
    };
    let versions = r#"[{"name": "v1"}, {"name": "v2"}]"#;
    let apply = |rows| {
        let profiles = Profiles::from([("v1".to_owned(), profile(rows))]);
        engine.apply(policy(versions, ONLY_V2), profiles).unwrap();
    };
    apply(10);
    assert_eq!(seen(), [("v2".to_owned(), 1)]);
    (0..3).for_each(see);
    apply(10);
    assert_eq!(seen(), [("v1".to_owned(), 1), ("v2".to_owned(), 2)]);
    apply(20);
    assert_eq!(seen(), [("v2".to_owned(), 2)]);
}

#[test]
fn a_reader_sees_every_policy_that_is_applied() {
    let engine = engine();
    let mut reader = engine.reader();
    assert_eq!(reader.current().generation(), 1);
    engine.apply(policy(r#"[{"name": "v2"}]"#, ONLY_V2), Profiles::new()).unwrap();
    assert_eq!(reader.current().generation(), 2);
}

fn budget(values_per_second: Option<u64>) -> PolicyConfig {
    PolicyConfig { values_per_second, ..policy(r#"[{"name": "v2"}]"#, ONLY_V2) }
}

/// Calls of 1,000 values each millisecond, for a second; how many are counted.
fn offer(engine: &Engine, start: u64) -> u64 {
    let none: &[(&str, &str)] = &[];
    let counted = (0..1_000).filter(|call| {
        let ruling = engine.decide(&engine.policy(), "/s/m", none, *call);
        engine.offered(ruling.version, 4_000, ruling.is_counted(), start + call * 1_000_000);
        ruling.is_counted()
    });
    counted.count() as u64
}

#[test]
fn the_budget_for_watching_comes_into_force_changes_and_goes_with_a_reload() {
    let engine = engine();
    assert_eq!((offer(&engine, 0), engine.snapshot(0, false).statistics.counted_share), (1_000, 1.0));
    engine.apply(budget(Some(100_000)), Profiles::new()).unwrap();
    (1..5).for_each(|second| _ = offer(&engine, second * 1_000_000_000));
    let share = engine.snapshot(0, false).statistics.counted_share;
    assert!((share - 0.1).abs() < 0.05, "{share}");
    // The same budget under another policy goes on; ten times the budget takes effect at once.
    engine.apply(budget(Some(100_000)), Profiles::new()).unwrap();
    assert_eq!(engine.snapshot(0, false).statistics.counted_share, share);
    engine.apply(budget(Some(2_000_000)), Profiles::new()).unwrap();
    assert_eq!(offer(&engine, 5_000_000_000), 1_000);
    engine.apply(budget(None), Profiles::new()).unwrap();
    assert_eq!(offer(&engine, 6_000_000_000), 1_000);
}

#[test]
fn a_candidate_with_few_calls_is_counted_in_full_beside_a_stable_version_of_which_few_are() {
    let engine = engine();
    let routes = r#"[{"name": "r", "stable": "v1", "candidates": [{"version": "v2", "weight_ppm": 20000}]}]"#;
    let both = policy(r#"[{"name": "v1"}, {"name": "v2"}]"#, routes);
    engine.apply(PolicyConfig { values_per_second: Some(200_000), ..both }, Profiles::new()).unwrap();
    let none: &[(&str, &str)] = &[];
    let mut of_each = [(0.0, 0.0); 2];
    // Two million values per second, for ten seconds.
    for call in 0..20_000u64 {
        let ruling = engine.decide(&engine.policy(), "/s/m", none, call);
        engine.offered(ruling.version, 4_000, ruling.is_counted(), call * 500_000);
        let (calls, counted) = &mut of_each[ruling.version];
        *calls += f64::from(u8::from(call > 6_000));
        *counted += f64::from(u8::from(call > 6_000 && ruling.is_counted()));
    }
    let [(stable, of_stable), (canary, of_canary)] = of_each;
    assert!(canary > 200.0 && of_canary == canary, "{of_each:?}");
    assert!((of_stable / stable - 0.08).abs() < 0.02, "{of_each:?}");
}

#[test]
fn a_budget_of_nothing_is_refused_with_the_remedy_and_changes_nothing() {
    let engine = engine();
    let error = engine.apply(budget(Some(0)), Profiles::new()).unwrap_err();
    assert!(error.0.contains("values_per_second is 0: give"), "{error}");
    assert_eq!(engine.policy().generation(), 1);
}
