//! Which calls are kept, and why.
//!
//! Decided when the call has ended, so that failures and slow calls can be kept whatever the share; and by the call's
//! id, so that everyone who sees the same id keeps the same calls (`pseudo_random_from_uuid` of Sentry's relay). The
//! reason travels with the decision.

use serde::Deserialize;

use crate::bucket::{Placement, Stretch, WHOLE_PPM};
use crate::call::{Decision, Nanos, OK, Outcome, Role};
use crate::error::ConfigurationError;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplingConfig {
    /// Share of all calls, drawn by call id.
    pub share_ppm: u32,
    /// Keep every call that ends with a status other than OK.
    #[serde(default)]
    pub errors: bool,
    /// Keep every call that takes at least this long.
    #[serde(default)]
    pub slower_than_ns: Option<Nanos>,
    /// Keep every call that a canary answers.
    #[serde(default)]
    pub canary: bool,
}

/// Why a call is kept; the first that applies, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    Error,
    Slow,
    Canary,
    Sampled,
}

#[derive(Debug)]
pub struct Sampler {
    config: SamplingConfig,
    placement: Placement,
    share: Stretch,
}

// === impl Sampler ===

impl Sampler {
    /// # Errors
    /// A share above the whole.
    pub fn new(config: SamplingConfig) -> Result<Sampler, ConfigurationError> {
        if config.share_ppm > WHOLE_PPM {
            return Err(ConfigurationError(format!(
                "sampling keeps {} ppm of the calls: at most {WHOLE_PPM} can be kept",
                config.share_ppm
            )));
        }
        let share = Stretch::new(0, config.share_ppm);
        Ok(Sampler { config, placement: Placement::new("sample", ""), share })
    }

    /// Whether the call is kept, and why.
    pub fn sample(&self, decision: &Decision, outcome: &Outcome) -> Option<Reason> {
        if self.config.errors && outcome.code != OK {
            return Some(Reason::Error);
        }
        if self.config.slower_than_ns.is_some_and(|limit| outcome.duration >= limit) {
            return Some(Reason::Slow);
        }
        if self.config.canary && decision.role == Role::Canary {
            return Some(Reason::Canary);
        }
        self.share.contains(self.placement.bucket(decision.call_id.as_bytes())).then_some(Reason::Sampled)
    }
}

// === impl Reason ===

impl Reason {
    pub fn name(self) -> &'static str {
        match self {
            Reason::Error => "error",
            Reason::Slow => "slow",
            Reason::Canary => "canary",
            Reason::Sampled => "sampled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Strategy;

    fn call(id: &str, role: Role) -> Decision {
        Decision {
            call_id: id.into(),
            method: "/s/m".into(),
            route: 0,
            version: 0,
            role,
            strategy: Strategy::Static,
            shadow: None,
            traceparent: None,
        }
    }

    fn ended(code: u32, duration: Nanos) -> Outcome {
        Outcome { code, duration, upstream: duration, request_bytes: 0, response_bytes: 0 }
    }

    #[test]
    fn the_first_reason_that_applies_is_given() {
        let config =
            SamplingConfig { share_ppm: WHOLE_PPM, errors: true, slower_than_ns: Some(100), canary: true };
        let sampler = Sampler::new(config).unwrap();
        let (primary, canary) = (call("a", Role::Primary), call("a", Role::Canary));
        assert_eq!(sampler.sample(&canary, &ended(13, 200)), Some(Reason::Error));
        assert_eq!(sampler.sample(&canary, &ended(0, 100)), Some(Reason::Slow));
        assert_eq!(sampler.sample(&canary, &ended(0, 99)), Some(Reason::Canary));
        assert_eq!(sampler.sample(&primary, &ended(0, 99)), Some(Reason::Sampled));
    }

    #[test]
    fn the_same_id_is_always_decided_alike_and_the_share_is_reached() {
        let config = SamplingConfig { share_ppm: 10_000, errors: false, slower_than_ns: None, canary: false };
        let (one, other) = (Sampler::new(config.clone()).unwrap(), Sampler::new(config).unwrap());
        let kept = (0..100_000)
            .filter(|id| {
                let call = call(&format!("call-{id}"), Role::Primary);
                let decision = one.sample(&call, &ended(13, 1));
                assert_eq!(decision, other.sample(&call, &ended(0, 9)));
                decision.is_some()
            })
            .count();
        assert!((874..=1126).contains(&kept), "{kept}");
    }
}
