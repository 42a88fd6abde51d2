//! The e-detector: an alarm whose mean time between false alarms is at least what the user asks for.
//!
//! Before every pane each bet receives the same stake of new capital, then the pane multiplies what the bet holds:
//! M ← (M + stake) · e. As long as nothing has changed, e is at most one in expectation, so the capital expected at
//! any time, however it is chosen, is at most the stakes paid in until then (Shin, Ramdas and Rinaldo, "E-detectors: a
//! nonparametric framework for sequential change detection", NEJSDS 2023, arXiv 2203.03532, Shiryaev-Roberts form).
//! Stakes are what the time between false alarms is counted in, rows or seconds: an alarm at a capital of T comes on
//! average after at least T rows, or seconds, whenever one looks, at any volume.
//!
//! ```text
//!           capital at or above the level
//!   Quiet ─────────────────────────────────▶ Raised
//!     ▲                                         │
//!     └─────────────────────────────────────────┘
//!           clear_after panes in a row, or more, are back within the tolerance: none is evidence
//!           of a change on its own, and in them the best bet has lost what raised the alarm
//! ```

pub mod bets;
pub mod change;
mod choice;
pub mod directions;
pub mod functions;
mod growth;
mod holdings;
pub mod pool;
pub mod screen;
pub mod slack;
pub mod tables;
pub mod tempo;
pub mod terms;

use super::{AlarmState, Mark};
use bets::{Bets, Null, Odds};
use change::{History, Onset};
use directions::Shape;
use functions::Ranks;
use growth::Capital;
use holdings::Holdings;
use screen::{Screen, WIDTH};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tables::Tables;
use tempo::{Probe, Tempo};

use crate::sketch::bins::Bins;

/// Name under which its alarms go out.
pub const METHOD: &str = "edetector";

/// Most that a bet can hold. Reached only long after an alarm.
const CAPITAL_MAX: f64 = 1e280;

/// Largest logarithm of a factor that is applied at once, and the smallest.
const GAIN_MAX: f64 = 640.0;
const GAIN_MIN: f64 = -640.0;

/// What is bet on a feature and against what; made from the reference when it is loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    bets: Arc<Bets>,
    tables: Tables,
    probe: Probe,
    screen: Screen,
    autocorrelation_time: Option<f64>,
}

/// Watches one feature.
#[derive(Clone, Debug)]
pub struct EDetector {
    plan: Arc<Plan>,
    /// The autocorrelation time for which bets are made.
    time: f64,
    state: State,
    /// The capital of all bets by their weights.
    evidence: f64,
}

/// Everything a detector has learned: plain data, for a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Of every bet, in the order of the plan.
    capital: Holdings,
    /// What the latest pane was worth, in the unit of the stakes.
    stake: f64,
    tempo: Tempo,
    history: History,
    raised: Option<Box<Raised>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raised {
    bet: usize,
    shape: Shape,
    onset: Onset,
    /// What the bet had won when the alarm was raised, and has lost in the calm panes since; logarithms.
    won: f64,
    lost: f64,
    calm: u32,
}

/// A pane, as a detector sees it.
#[derive(Clone, Copy, Debug)]
pub struct Pane<'a> {
    pub counts: &'a [u64],
    pub start: Mark,
    pub end: Mark,
    /// How long it was, in the unit in which the time between false alarms is set: rows, or seconds.
    pub stake: f64,
}

/// What is paid for rows that end at a moment which they themselves decided about.
#[derive(Clone, Copy, Debug)]
pub struct Stakes<'a> {
    /// What was certain when they began, and is bet on all of them.
    pub before: f64,
    /// What is bet on later rows only.
    pub after: f64,
    /// What was certain when the latest of them began, which have these counts, and is bet on those alone.
    pub apart: &'a [(&'a [u64], f64)],
}

/// What a detector concludes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    pub shape: Shape,
    pub onset: Onset,
}

// === impl Plan ===

impl Plan {
    /// `autocorrelation_time` is that of the reference's rows, where their order is known.
    pub fn new(reference: &Bins, autocorrelation_time: Option<f64>, tolerance: f64, delta: f64) -> Plan {
        let null = Null { tolerance, delta, autocorrelation_time: autocorrelation_time.unwrap_or(1.0) };
        let ranks = Ranks::of(reference);
        Plan {
            bets: Arc::new(Bets::against(reference, &ranks, &null)),
            tables: Tables::default(),
            probe: Probe::of(reference, &ranks),
            screen: Screen::of(reference),
            autocorrelation_time,
        }
    }

    /// With bets that were worked out elsewhere.
    pub fn placed(bets: Bets, probe: Probe, autocorrelation_time: Option<f64>) -> Plan {
        let (bets, tables, screen) = (Arc::new(bets), Tables::default(), Screen::default());
        Plan { bets, tables, probe, screen, autocorrelation_time }
    }

    /// The same for live values of which the reference held only a part.
    pub fn with_live_time(self, autocorrelation_time: Option<f64>) -> Plan {
        Plan { autocorrelation_time, ..self }
    }

    pub fn bets(&self) -> &Bets {
        &self.bets
    }

    /// What the bets win, of rows of which `time` are worth one independent row.
    pub fn odds(&self, time: f64) -> Arc<Odds> {
        self.tables.odds(&self.bets, time)
    }

    /// The same plan, sharing with another one what is equal, and what is worked out.
    #[must_use]
    pub fn beside(self, other: &Plan) -> Plan {
        let bets = Arc::new(Bets::clone(&self.bets).beside(&other.bets));
        Plan { bets, tables: other.tables.clone(), ..self }
    }

    /// The same plan, with what is worked out for a model.
    #[must_use]
    pub fn with_tables(self, tables: Tables) -> Plan {
        Plan { tables, ..self }
    }

    /// Asks for the cache lines that it points to and [`Plan::is_unusual`] needs.
    pub fn prefetch(&self) {
        self.screen.prefetch();
    }

    /// Whether rows that are not weighed yet, the latest or all of them, look as if that should be done; of which `time`
    /// are worth one independent row.
    pub fn is_unusual(&self, counts: [&[u32; WIDTH]; 2], time: f64) -> bool {
        self.screen.is_unusual(counts, time)
    }
}

// === impl EDetector ===

impl EDetector {
    pub fn new(plan: Arc<Plan>) -> EDetector {
        let state = State {
            capital: Holdings::nothing(plan.bets.len()),
            stake: 0.0,
            tempo: Tempo::new(plan.autocorrelation_time),
            history: History::default(),
            raised: None,
        };
        EDetector::with(plan, state)
    }

    fn with(plan: Arc<Plan>, state: State) -> EDetector {
        let evidence = plan.bets.weighted(&state.capital.each());
        EDetector { time: state.tempo.time(), plan, state, evidence }
    }

    /// What is bet on now: the plan's bets, for the autocorrelation time seen.
    pub fn odds(&self) -> Arc<Odds> {
        self.plan.odds(self.time)
    }

    /// A detector that goes on where another one stopped. `None` when the state belongs to another reference.
    pub fn resumed(plan: Arc<Plan>, state: State) -> Option<EDetector> {
        let fits = state.capital.len() == plan.bets.len() && state.history.has_cells(plan.bets.cells());
        let sound = state.capital.each().iter().all(|capital| (0.0..=CAPITAL_MAX).contains(&capital.get()));
        (fits && sound).then(|| EDetector::with(plan, state))
    }

    /// Asks for the cache lines that it points to and keeping rows, or learning from a pane, needs.
    pub fn prefetch(&self, keeps: bool, closes: bool) {
        if keeps {
            self.state.history.prefetch();
        }
        if closes {
            self.state.tempo.prefetch();
        }
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes in a pane whose length was known before it began. One without values is no evidence, but time has passed.
    pub fn update(&mut self, pane: &Pane<'_>) {
        self.settle(pane, pane.stake, pane.stake);
        self.close(pane.counts);
    }

    /// Bets on rows, and keeps them in the history: see [`EDetector::weigh`].
    pub fn settle(&mut self, rows: &Pane<'_>, before: f64, unit: f64) {
        self.weigh(rows.counts, Stakes { before, after: rows.stake - before, apart: &[] }, unit);
        self.keep(rows.counts, rows.start, rows.end);
    }

    /// Bets on rows that end at a moment which they themselves decided about. `unit` is what evidence is measured in, a pane's
    /// stake.
    pub fn weigh(&mut self, counts: &[u64], stakes: Stakes<'_>, unit: f64) {
        self.state.stake = unit;
        let (odds, bets) = (self.odds(), &self.plan.bets);
        let Stakes { before, after, apart } = stakes;
        self.evidence = self.state.capital.change(|held| {
            odds.play(counts, before, held);
            for &(counts, stake) in apart.iter().filter(|(_, stake)| *stake > 0.0) {
                odds.play_apart(counts, stake, held);
            }
            if after > 0.0 {
                held.iter_mut().for_each(|capital| *capital = Capital::of(capital.get() + after));
            }
            bets.weighted(held)
        });
    }

    /// Keeps rows in the history, from which changes are dated.
    pub fn keep(&mut self, counts: &[u64], start: Mark, end: Mark) {
        self.state.history.push(counts, start, end);
    }

    /// A pane is over, of which all rows were weighed.
    pub fn close(&mut self, counts: &[u64]) {
        self.learn(counts);
        self.turn(counts);
    }

    /// Learns how the rows of a pane hang together; whether bets are to be made in another way from now on. Rows that wait
    /// must be weighed before the [turn](EDetector::turn): bets may depend on what was seen before, never on those.
    pub fn learn(&mut self, counts: &[u64]) -> bool {
        // While something has changed, how panes differ says nothing about how rows hang together.
        if self.state.raised.is_none() {
            self.state.tempo.observe(&self.plan.probe, counts);
        }
        self.state.tempo.time() != self.time
    }

    /// From a pane's end on, bets in the way that was learned; while an alarm stands, asks whether the pane has calmed it.
    pub fn turn(&mut self, counts: &[u64]) {
        if self.state.raised.is_some() {
            self.reconsider(&self.odds().gains(counts));
        } else {
            self.time = self.state.tempo.time();
        }
    }

    /// The autocorrelation time for which bets are made.
    pub fn tuned_time(&self) -> f64 {
        self.time
    }

    /// While an alarm stands: has the pane just taken in kept it alive, or taken some of what was won back?
    fn reconsider(&mut self, gains: &[f64]) {
        let calm = self.is_calm(gains);
        let best = if calm { None } else { self.fastest(gains) };
        let Some(raised) = &mut self.state.raised else { return };
        if calm {
            raised.calm = raised.calm.saturating_add(1);
            raised.lost = (raised.lost + gains.get(raised.bet).copied().unwrap_or(0.0)).min(0.0);
        } else {
            // The bet that raised the alarm may have been too bold for what followed.
            (raised.bet, raised.calm, raised.lost) = (best.unwrap_or(raised.bet), 0, 0.0);
        }
    }

    /// The bet that holds most; of those that hold all that is possible, the one that wins fastest.
    fn fastest(&self, gains: &[f64]) -> Option<usize> {
        let weighted = self.plan.bets.iter().zip(self.state.capital.each()).zip(gains).enumerate();
        let most = Capital::of(CAPITAL_MAX);
        let held = |weight: f64, capital: Capital| {
            if capital == most { CAPITAL_MAX } else { weight * capital.get() }
        };
        let ranked =
            weighted.map(|(bet, (((_, weight), capital), &gain))| (bet, held(weight, capital), gain));
        let best = ranked.max_by(|a, b| a.1.total_cmp(&b.1).then(a.2.total_cmp(&b.2)));
        best.map(|(bet, ..)| bet)
    }

    /// The evidence: capital, in the unit of the stakes. At most the stakes paid in, in expectation, if nothing has
    /// changed.
    pub fn capital(&self) -> f64 {
        self.evidence
    }

    /// The same in bits, in units of the latest pane's stake; at least 0.
    pub fn evidence_bits(&self) -> f64 {
        bits(self.capital(), self.state.stake)
    }

    /// Evidence by shape, in bits, largest first; shapes without any are left out.
    pub fn evidence_by_shape(&self) -> Vec<(Shape, f64)> {
        let mut shapes: Vec<(Shape, f64)> = Vec::new();
        for ((shape, weight), capital) in self.plan.bets.iter().zip(self.state.capital.each()) {
            match shapes.iter_mut().rfind(|(known, _)| *known == shape) {
                Some((_, sum)) => *sum += weight * capital.get(),
                None => shapes.push((shape, weight * capital.get())),
            }
        }
        let stake = self.state.stake;
        let mut shapes: Vec<(Shape, f64)> =
            shapes.into_iter().map(|(shape, capital)| (shape, bits(capital, stake))).collect();
        shapes.retain(|&(_, bits)| bits > 0.0);
        shapes.sort_by(|a, b| b.1.total_cmp(&a.1));
        shapes
    }

    /// What is found if an alarm is raised now, or was found when it was raised.
    pub fn finding(&self) -> Option<Finding> {
        if let Some(raised) = &self.state.raised {
            return Some(Finding { shape: raised.shape, onset: raised.onset });
        }
        let (bet, shape) = self.best()?;
        Some(Finding { shape, onset: self.onset(bet) })
    }

    /// The bet that holds most, by the latest rows where several hold all that is possible; and the shape it is on.
    fn best(&self) -> Option<(usize, Shape)> {
        let latest = self.starts().last().map(|start| self.counts_since(start)).unwrap_or_default();
        let bet = self.fastest(&self.odds().gains(&latest))?;
        self.plan.bets.iter().nth(bet).map(|(shape, _)| (bet, shape))
    }

    /// When the change began, by the judgement of one bet.
    fn onset(&self, bet: usize) -> Onset {
        self.state.history.onset(&self.odds(), bet)
    }

    /// Where a change may be said to have begun, oldest first.
    pub fn starts(&self) -> impl Iterator<Item = Mark> + '_ {
        self.state.history.starts()
    }

    /// Logarithm of the e-value of all rows from a start on: at most one in expectation, for a start that was chosen
    /// beforehand, if nothing has changed.
    pub fn evidence_since(&self, start: Mark) -> f64 {
        self.odds().evidence(&self.state.history.since(start))
    }

    /// What was counted from a start on.
    pub fn counts_since(&self, start: Mark) -> Vec<u64> {
        self.state.history.since(start)
    }

    /// Rows that are taken for one independent row.
    pub fn autocorrelation_time(&self) -> f64 {
        self.state.tempo.time()
    }

    pub fn is_raised(&self) -> bool {
        self.state.raised.is_some()
    }

    /// Whether a capital of `level` raises the alarm, or the panes since then have calmed it.
    pub fn verdict(&self, level: f64, clear_after: u32) -> Option<AlarmState> {
        match &self.state.raised {
            None => (self.capital() >= level).then_some(AlarmState::Raised),
            Some(raised) => raised.is_over(clear_after).then_some(AlarmState::Cleared),
        }
    }

    /// Raises the alarm, or clears it and starts anew, where that is the verdict.
    pub fn judge(&mut self, level: f64, clear_after: u32) -> Option<AlarmState> {
        match self.verdict(level, clear_after)? {
            AlarmState::Raised => self.raise(level),
            AlarmState::Cleared => {
                self.restart();
                Some(AlarmState::Cleared)
            }
        }
    }

    fn raise(&mut self, level: f64) -> Option<AlarmState> {
        let (bet, shape) = self.best()?;
        let onset = self.onset(bet);
        let won = (level / self.state.stake.max(f64::MIN_POSITIVE)).max(1.0).ln();
        let raised = Raised { bet, shape, onset, won, lost: 0.0, calm: 0 };
        self.state.raised = Some(Box::new(raised));
        Some(AlarmState::Raised)
    }

    /// Whether the latest pane, on its own, is no evidence of a change: its e-value is below one.
    fn is_calm(&self, gains: &[f64]) -> bool {
        let factors = gains.iter().map(|gain| gain.clamp(GAIN_MIN, GAIN_MAX).exp());
        self.plan.bets.iter().zip(factors).map(|((_, weight), factor)| weight * factor).sum::<f64>() < 1.0
    }

    fn restart(&mut self) {
        self.state.capital = Holdings::nothing(self.plan.bets.len());
        self.evidence = 0.0;
        self.state.history.clear();
        self.state.raised = None;
    }
}

// === impl Raised ===

impl Raised {
    /// The likelihood ratio that raised the alarm, read the other way round, and panes that are calm on their own.
    fn is_over(&self, clear_after: u32) -> bool {
        self.calm >= clear_after && -self.lost >= self.won
    }
}

/// Capital in bits, in units of a stake; at least 0.
pub fn bits(capital: f64, stake: f64) -> f64 {
    if stake > 0.0 && capital > stake { (capital / stake).log2() } else { 0.0 }
}

#[cfg(test)]
mod tests;
