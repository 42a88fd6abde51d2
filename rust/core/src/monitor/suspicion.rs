//! The e-detector of one feature, as the monitor uses it.

mod waiting;

use super::comparison::Closing;
use super::config::AlarmConfig;
use super::snapshot::EvidenceSnapshot;
use crate::detect::edetector::{
    EDetector, Finding, METHOD, Plan, Stakes, State, bits, pool::Pool, screen::WIDTH,
};
use crate::detect::{Alarm, AlarmState, Change, Mark};
use crate::feature::stage::Errand;
use crate::prefetch::{Depth, prefetch};
use crate::sketch::binning::CELLS_MAX;
use crate::sketch::bins::Bins;
use crate::window::Window;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use waiting::{Counts, Waiting};

/// Evidence below which it is not worth saying what it is evidence of, in bits.
const WORDS_FROM_BITS: f64 = 1.0;

/// Rows that are weighed even if they look like any others.
const WEIGHED_ROWS: u64 = 8_000;

/// Rows that may become one segment of the history: what a date can be wrong by.
const SEGMENT_ROWS: u64 = 500;

/// The part of each stake that is bet on the rows of its look alone, and as large a part on those of the next segment. A bet
/// that wins by what has changed has lost all it held, by then, on the rows that waited before.
const APART: f64 = 0.25;

/// The autocorrelation time below which rows are bet on look by look. Where they hang together, a rare event comes in clusters:
/// whether one of them says anything can only be told from many rows.
const INDEPENDENT: f64 = 1.25;

/// How much speaks for a change of a feature, and of what kind.
///
/// A look that finds nothing, as most do, reads what stands here, the counts and the plan's screen, and nothing else.
#[derive(Clone, Debug)]
pub struct Suspicion {
    plan: Arc<Plan>,
    /// All that was counted up to each of the [`Moments`].
    counts: Waiting,
    moments: Moments,
    /// What is bet, and on nothing else, on the rows since some were kept last.
    apart: f64,
    /// Whether anything was looked at yet.
    begun: bool,
    /// Whether the rows that were weighed last have won anything: those that follow are weighed at once.
    winning: bool,
    /// Of the detector.
    raised: bool,
    time: f64,
    evidence: f64,
    /// The detectors of several sidecars of which this one's is the mean, until it has seen more.
    pool: Option<Box<Pool>>,
    /// Evidence at which the feature is flagged, and the length of a pane.
    level: f64,
    stake: f64,
    /// Paid for all panes that are closed.
    paid: f64,
    /// A copy shares it until rows are weighed.
    detector: Arc<EDetector>,
}

/// How far rows have been looked at, weighed, and kept in the history.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    seen: Moment,
    weighed: Moment,
    kept: Moment,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Moment {
    until: Mark,
    /// Paid until then.
    stake: f64,
}

/// All that was counted up to a moment, at rest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Counted {
    cells: Vec<u32>,
    until: Mark,
    stake: f64,
}

/// The moment of a look.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    pub window: &'a Window,
    pub so_far: &'a Closing<'a>,
}

/// A suspicion at rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    evidence: Held,
    level: f64,
    stake: f64,
    paid: f64,
    apart: f64,
    winning: bool,
    seen: Counted,
    kept: Counted,
    weighed: Counted,
}

/// Whose evidence it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Held {
    Own(State),
    Pooled(Pool),
}

// === impl Suspicion ===

impl Suspicion {
    pub fn new(plan: Arc<Plan>, alarm: &AlarmConfig) -> Suspicion {
        let mut suspicion = Suspicion {
            counts: Waiting::nothing(plan.bets().cells()),
            moments: Moments::default(),
            apart: 0.0,
            begun: false,
            winning: false,
            raised: false,
            time: 1.0,
            evidence: 0.0,
            pool: None,
            level: alarm.level(),
            stake: 0.0,
            paid: 0.0,
            detector: Arc::new(EDetector::new(Arc::clone(&plan))),
            plan,
        };
        suspicion.note();
        suspicion
    }

    pub fn stored(&self) -> Stored {
        let Moments { seen, weighed, kept } = self.moments;
        let (counts, lanes) = (self.counts.counts(), self.counts.lanes());
        let counted = |cells: &[u32], Moment { until, stake }| Counted {
            cells: if self.begun { cells[..lanes].to_vec() } else { Vec::new() },
            until,
            stake,
        };
        Stored {
            evidence: self.held(),
            level: self.level,
            stake: self.stake,
            paid: self.paid,
            apart: self.apart,
            winning: self.winning,
            seen: counted(&counts.seen, seen),
            kept: counted(&counts.until_kept(), kept),
            weighed: counted(&counts.until_weighed(), weighed),
        }
    }

    fn held(&self) -> Held {
        match &self.pool {
            Some(pool) => Held::Pooled(Pool::clone(pool)),
            None => Held::Own(self.detector.state().clone()),
        }
    }

    /// Adds what another worker, or sidecar, has gathered: as certain as each of them, whatever their rows had to do with
    /// each other.
    pub fn merge(&mut self, other: &Suspicion) {
        let mut pool = self.held().pooled();
        let mean = pool.merge(&other.held().pooled()).then(|| pool.mean());
        if let Some(detector) = mean.and_then(|state| EDetector::resumed(Arc::clone(&self.plan), state)) {
            (self.detector, self.pool) = (Arc::new(detector), Some(Box::new(pool)));
        }
        self.stake = self.stake.max(other.stake);
        self.level = self.level.max(other.level);
        self.paid = self.paid.max(other.paid);
        self.begun |= other.begun;
        // What was bet on the rows of one of them is not bet on those of both.
        self.apart = 0.0;
        self.winning |= other.winning;
        self.counts.set(&self.counts.counts().merged(&other.counts.counts()));
        self.moments.seen.merge(&other.moments.seen);
        self.moments.weighed.merge(&other.moments.weighed);
        self.moments.kept.merge(&other.moments.kept);
        self.note();
    }

    /// Goes on with what was stored; false when that belongs to another reference.
    pub fn resume(&mut self, stored: Stored) -> bool {
        let (state, pool) = match stored.evidence {
            Held::Own(state) => (state, None),
            Held::Pooled(pool) => (pool.mean(), Some(Box::new(pool))),
        };
        let Some(detector) = EDetector::resumed(Arc::clone(&self.plan), state) else {
            return false;
        };
        let parts = [&stored.seen, &stored.weighed, &stored.kept];
        let lanes = self.counts.lanes();
        self.begun = parts.iter().any(|part| !part.cells.is_empty());
        if self.begun && parts.iter().any(|part| part.cells.len() != lanes) {
            return false;
        }
        let [seen, weighed, kept] = parts.map(|part| whole(&part.cells));
        self.counts.set(&Counts::of(seen, &weighed, &kept));
        let [seen, weighed, kept] = parts.map(|part| Moment { until: part.until, stake: part.stake });
        self.moments = Moments { seen, weighed, kept };
        (self.detector, self.pool) = (Arc::new(detector), pool);
        (self.level, self.stake, self.paid) = (stored.level, stored.stake, stored.paid);
        (self.apart, self.winning) = (stored.apart, stored.winning);
        self.note();
        true
    }

    /// Asks for the cache lines that a look needs, and those of the detector where rows are put into its history or it
    /// learns from a pane.
    pub fn prefetch(&self, depth: Depth, errand: Errand) {
        let (row, closes) = match errand {
            Errand::None => return,
            Errand::Look(row) => (row, false),
            Errand::Close(row) => (row, true),
        };
        let keeps = row.saturating_sub(self.moments.kept.until.row) >= SEGMENT_ROWS;
        if depth == Depth::Far {
            self.counts.prefetch();
            prefetch(&*self.plan);
            if keeps || closes {
                prefetch(&*self.detector);
            }
        } else {
            self.plan.prefetch();
            self.detector.prefetch(keeps, closes);
        }
    }

    /// Takes note of what looks ask about the detector.
    fn note(&mut self) {
        self.raised = self.detector.is_raised();
        self.time = self.detector.tuned_time();
        self.evidence = self.detector.capital();
    }

    /// Looks at what has been counted, and weighs what has not been weighed yet if that is `due` or its rows look
    /// unusual; whether it did. Not while an alarm stands, which is a matter of whole panes.
    pub fn look(&mut self, look: &Look<'_>, due: bool) -> bool {
        !self.raised && self.weigh(look, due)
    }

    /// The pane that is open in `look` is over.
    pub fn close(&mut self, look: &Look<'_>) {
        self.pool = None;
        let (pane, cells) = look.pane();
        let pane = &pane[..cells];
        let due = self.raised || Arc::make_mut(&mut self.detector).learn(pane);
        self.weigh(look, due);
        Arc::make_mut(&mut self.detector).turn(pane);
        self.stake = look.so_far.unit;
        self.paid += look.so_far.stake;
        self.note();
    }

    fn weigh(&mut self, look: &Look<'_>, due: bool) -> bool {
        let (end, cells) = (look.so_far.end, look.window.total().cells().len());
        if !self.begun {
            self.begin(look);
        }
        let now = Moment { until: end, stake: self.paid + look.so_far.stake };
        let Moments { seen, weighed, kept } = self.moments;
        let rows = end.row.saturating_sub(weighed.until.row);
        if rows == 0 {
            return false;
        }
        self.pool = None;
        let news = self.counts.see(look.window.total().cells());
        let keeps = end.row.saturating_sub(kept.until.row) >= SEGMENT_ROWS;
        let is_independent = self.time < INDEPENDENT;
        let several = if keeps || !is_independent { &news.waiting } else { &news.recent };
        let worthwhile = due
            || self.winning
            || rows >= WEIGHED_ROWS
            || self.plan.is_unusual([&news.latest, several], self.time);
        if worthwhile || keeps {
            let mut counts = self.counts.counts();
            if worthwhile {
                // Apart from what is new, and may be what has changed.
                let before = counts.waiting;
                self.keep(&mut counts, &before, seen, cells);
            }
            self.keep(&mut counts, &news.waiting, now, cells);
            counts.note(&news);
            let part = if is_independent { APART } else { 0.0 };
            let of_segment = part * now.paid_since(&kept);
            if worthwhile {
                self.stake = look.so_far.unit;
                let stake = now.paid_since(&weighed);
                let together = (1.0 - 2.0 * part) * stake;
                // They might have been weighed after the first look.
                let before = together * (look.so_far.look_rows as f64 / rows as f64).min(1.0);
                let [waiting, recent, latest] =
                    [&news.waiting, &news.recent, &news.latest].map(|counts| counts.map(u64::from));
                let apart =
                    [(&recent[..cells], self.apart), (&latest[..cells], part * now.paid_since(&seen))];
                let stakes = Stakes { before, after: together - before + of_segment, apart: &apart };
                Arc::make_mut(&mut self.detector).weigh(&waiting[..cells], stakes, self.stake);
                counts.weigh();
                self.moments.weighed = now;
                self.apart = 0.0;
                let held = self.evidence;
                self.note();
                self.winning = is_independent && self.evidence > held + stake;
            } else {
                self.apart = of_segment;
            }
            self.counts.set(&counts);
        } else {
            self.counts.note(&news);
        }
        self.moments.seen = now;
        worthwhile
    }

    /// Nothing is counted before the pane that is open.
    fn begin(&mut self, look: &Look<'_>) {
        self.counts.set(&Counts::at(counted(look.window.past())));
        let start = Moment { until: look.so_far.start, stake: self.paid };
        self.moments = Moments { seen: start, weighed: start, kept: start };
        self.begun = true;
    }

    /// Keeps, in the history, what waited to be weighed at a moment and is not in it yet.
    fn keep(&mut self, counts: &mut Counts, waiting: &[u32; WIDTH], now: Moment, cells: usize) {
        let before = self.moments.kept.until;
        if now.until.row > before.row {
            let rows = counts.keep(waiting).map(u64::from);
            Arc::make_mut(&mut self.detector).keep(&rows[..cells], before, now.until);
            self.moments.kept = now;
        }
    }

    /// In the unit of the time between false alarms.
    pub fn evidence(&self) -> f64 {
        self.evidence
    }

    pub fn judge(&mut self, level: f64, closing: &Closing<'_>) -> Option<Change> {
        self.level = level;
        if !self.raised && self.evidence < level {
            return None;
        }
        let score = self.detector.evidence_bits();
        let before = self.detector.is_raised().then(|| self.detector.finding()).flatten();
        let state = Arc::make_mut(&mut self.detector).judge(level, closing.alarm.clear_after)?;
        self.pool = None;
        self.note();
        let finding = match state {
            AlarmState::Raised => self.detector.finding(),
            AlarmState::Cleared => before,
        };
        let since = finding.map_or(Mark::default(), |finding| finding.onset.estimate);
        Some(Change { state, score, threshold: bits(level, self.stake), noise: 0.0, since, finding })
    }

    pub fn alarm(&self) -> Option<Alarm> {
        let finding = self.detector.is_raised().then(|| self.detector.finding()).flatten()?;
        Some(Alarm {
            method: METHOD,
            score: self.detector.evidence_bits(),
            threshold: bits(self.level, self.stake),
            since_row: finding.onset.estimate.row,
            shape: Some(finding.shape.to_string()),
        })
    }

    /// What is to be shown; `None` before the first pane.
    pub fn snapshot(&self, detail: bool) -> Option<EvidenceSnapshot> {
        let bits_now = self.detector.evidence_bits();
        let telling = bits_now >= WORDS_FROM_BITS || self.detector.is_raised();
        let finding: Option<Finding> = telling.then(|| self.detector.finding()).flatten();
        let by_shape = || {
            let shapes = self.detector.evidence_by_shape().into_iter();
            shapes.map(|(shape, bits)| (shape.to_string(), bits)).collect()
        };
        (self.stake > 0.0).then(|| EvidenceSnapshot {
            bits: bits_now,
            threshold_bits: bits(self.level, self.stake),
            shape: finding.map(|finding| finding.shape.to_string()),
            change_row: finding.map(|finding| finding.onset.estimate.row),
            autocorrelation_time: self.detector.autocorrelation_time(),
            by_shape: detail.then(by_shape),
        })
    }
}

// === impl Held ===

impl Held {
    fn pooled(self) -> Pool {
        match self {
            Held::Own(state) => Pool::of(state),
            Held::Pooled(pool) => pool,
        }
    }
}

// === impl Look ===

impl Look<'_> {
    /// What was counted since the last pane, by cell, and how many cells there are.
    fn pane(&self) -> ([u64; CELLS_MAX], usize) {
        let (total, past) = (self.window.total().cells(), self.window.past().cells());
        let mut pane = [0; CELLS_MAX];
        pane.iter_mut()
            .zip(total.iter().zip(past))
            .for_each(|(rest, (now, then))| *rest = now.saturating_sub(*then));
        (pane, total.len())
    }
}

/// Counts modulo 2^32.
fn counted(bins: &Bins) -> [u32; WIDTH] {
    let mut counted = [0; WIDTH];
    counted.iter_mut().zip(bins.cells()).for_each(|(counted, &count)| *counted = count as u32);
    counted
}

/// Filled up with zeros.
fn whole(lanes: &[u32]) -> [u32; WIDTH] {
    let mut whole = [0; WIDTH];
    whole.iter_mut().zip(lanes).for_each(|(whole, &count)| *whole = count);
    whole
}

// === impl Moment ===

impl Moment {
    /// What was paid between an earlier one and this.
    fn paid_since(&self, before: &Moment) -> f64 {
        (self.stake - before.stake).max(0.0)
    }

    /// What either has seen.
    fn merge(&mut self, other: &Moment) {
        self.until.row += other.until.row;
        self.until.call += other.until.call;
        self.stake = self.stake.max(other.stake);
    }
}

// === impl AlarmConfig ===

impl AlarmConfig {
    /// The time between false alarms, in rows or in seconds.
    pub fn level(&self) -> f64 {
        self.arl_ns.map_or(self.arl as f64, |nanoseconds| nanoseconds as f64 / 1e9)
    }

    /// The length of a pane in the same unit.
    pub fn stake(&self, rows: u64, seconds: f64) -> f64 {
        if self.arl_ns.is_some() { seconds.max(1e-9) } else { rows as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plans::Plans;
    use super::*;
    use crate::profile::ProfileBuilder;
    use crate::tensor::Direction;

    #[test]
    fn counts_of_another_reference_are_not_gone_on_with() {
        let mut builder = ProfileBuilder::new("m", 8);
        let values: Vec<f64> = (0..500).map(f64::from).collect();
        builder.add_column_f64("x", Direction::Input, &values).unwrap();
        let profile = builder.finish().unwrap();
        let plan = Plans::of_model(1).of(&profile.references()[0], &AlarmConfig::default());
        let mut fresh = Suspicion::new(plan, &AlarmConfig::default());
        assert!(fresh.resume(fresh.stored()));
        let counted = |cells| Counted { cells: vec![1; cells], ..Counted::default() };
        for (seen, kept) in [(16, 16), (16, 0), (7, 7), (1_000, 1_000)] {
            let (seen, kept) = (counted(seen), counted(kept));
            let fits = seen.cells.len() == 16 && kept.cells.len() == 16;
            let stored = Stored { weighed: kept.clone(), seen, kept, ..fresh.stored() };
            assert_eq!(fresh.resume(stored), fits);
        }
    }
}
