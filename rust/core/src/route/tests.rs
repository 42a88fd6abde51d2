//! Which version a call is given, and which configurations are refused.

use super::*;

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

fn route(name: &str) -> RouteConfig {
    RouteConfig {
        name: name.into(),
        method: None,
        metadata: BTreeMap::new(),
        stable: "v1".into(),
        candidates: Vec::new(),
        sticky: vec!["metadata:x-user-id".into()],
        salt: "salt".into(),
        shadow: None,
    }
}

fn canary(weights: &[u32]) -> RouteConfig {
    let candidate = |(i, &weight_ppm)| CandidateConfig { version: format!("v{}", i + 2), weight_ppm };
    RouteConfig { candidates: weights.iter().enumerate().map(candidate).collect(), ..route("canary") }
}

fn table(routes: Vec<RouteConfig>) -> Result<Table, ConfigurationError> {
    let version = |(id, name): (usize, &str)| Version { id, name: name.into(), upstream: "".into() };
    Table::new(routes, &["v1", "v2", "v3"].into_iter().enumerate().map(version).collect::<Vec<_>>(), None)
}

fn user(table: &Table, user: u32, seed: u64) -> VersionId {
    table.decide(INFER, &[("x-user-id", user.to_string())][..], seed).version
}

#[test]
fn a_user_stays_with_a_version_and_the_weights_are_reached() {
    let table = table(vec![canary(&[100_000])]).unwrap();
    let chosen: Vec<_> = (0..20_000).map(|id| user(&table, id, u64::from(id))).collect();
    let canaries = chosen.iter().filter(|&&version| version == 1).count();
    assert!((1_830..=2_170).contains(&canaries), "{canaries}");
    for id in 0..1000 {
        assert_eq!(user(&table, id, 7), chosen[id as usize]);
    }
}

#[test]
fn raising_one_candidate_moves_no_key_of_another() {
    let before = table(vec![canary(&[100_000, 200_000])]).unwrap();
    let after = table(vec![canary(&[300_000, 200_000])]).unwrap();
    for id in 0..20_000 {
        let (old, new) = (user(&before, id, 0), user(&after, id, 0));
        assert!(old == new || (old == 0 && new == 1), "user {id}: {old} to {new}");
    }
}

#[test]
fn weights_that_do_not_fit_equal_slots_are_still_reached() {
    let table = table(vec![canary(&[700_000, 200_000])]).unwrap();
    let count = |wanted| (0..20_000).filter(|&id| user(&table, id, 0) == wanted).count();
    assert!((13_700..=14_300).contains(&count(1)), "{}", count(1));
    assert!((3_770..=4_230).contains(&count(2)), "{}", count(2));
}

#[test]
fn the_first_matching_route_wins_and_nothing_matching_falls_back() {
    let mut beta = RouteConfig { stable: "v2".into(), ..route("beta") };
    beta.metadata.insert("X-Env".into(), "beta".into());
    let infer = RouteConfig { method: Some("/inference.*".into()), ..route("infer") };
    let table = table(vec![beta, infer]).unwrap();
    let decide = |method: &str, metadata: &[(&str, &str)]| {
        let decision = table.decide(method, metadata, 1);
        (table.routes()[decision.route].name.clone(), decision.version, decision.strategy)
    };
    assert_eq!(decide(INFER, &[("x-env", "beta")]), ("beta".into(), 1, Strategy::Static));
    assert_eq!(decide(INFER, &[("x-env", "other")]), ("infer".into(), 0, Strategy::Static));
    assert_eq!(decide("/other/Method", &[]), ("beta".into(), 1, Strategy::Fallback));
}

#[test]
fn without_a_sticky_key_each_call_is_drawn() {
    let table = table(vec![canary(&[500_000])]).unwrap();
    let none: &[(&str, &str)] = &[];
    let canaries = (0..10_000).filter(|&seed| table.decide(INFER, none, seed).version == 1).count();
    assert!((4_800..=5_200).contains(&canaries), "{canaries}");
}

#[test]
fn the_call_id_is_the_request_id_else_the_trace_id_else_the_seed() {
    let table = table(vec![route("default")]).unwrap();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let id = |metadata: &[(&str, &str)]| table.decide(INFER, metadata, 255).call_id.to_string();
    assert_eq!(id(&[("traceparent", trace), ("x-request-id", "abc")]), "abc");
    assert_eq!(id(&[("traceparent", trace)]), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(id(&[("traceparent", "00-xyz"), ("x-request-id", "a b\n")]), "00000000000000ff");
    assert_eq!(id(&[("x-request-id", &"x".repeat(200))]), "00000000000000ff");
}

#[test]
fn only_repeatable_methods_are_shadowed() {
    let shadow = ShadowConfig {
        version: "v3".into(),
        share_ppm: WHOLE_PPM,
        max_in_flight: 4,
        max_bytes: 1,
        timeout_ns: 1,
        methods: vec![INFER.into()],
        absolute: 0.0,
        relative: 0.0,
    };
    let table = table(vec![RouteConfig { shadow: Some(shadow), ..route("shadowed") }]).unwrap();
    let none: &[(&str, &str)] = &[];
    assert_eq!(table.decide(INFER, none, 1).shadow, Some(2));
    assert_eq!(table.decide("/inference.GRPCInferenceService/ModelLoad", none, 1).shadow, None);
}

#[test]
fn what_cannot_be_used_is_refused_with_its_name() {
    let unknown = RouteConfig { stable: "v9".into(), ..route("a") };
    assert!(table(vec![unknown]).unwrap_err().0.contains("'v9'"));
    assert!(table(vec![canary(&[600_000, 600_000])]).unwrap_err().0.contains("1200000 ppm"));
    assert!(table(vec![route("a"), route("a")]).unwrap_err().0.contains("'a'"));
    assert!(table(vec![]).unwrap_err().0.contains("no routes"));
    let sticky = RouteConfig { sticky: vec!["cookie:x".into()], ..route("a") };
    assert!(table(vec![sticky]).unwrap_err().0.contains("'cookie:x'"));
}
