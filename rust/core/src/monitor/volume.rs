//! Volume: whether as many calls come as used to, and whether any come at all.
//!
//! The calls of every interval are a count; the counts of a learning time are the norm, by part of the cycle ([`norm`]);
//! ranks of later counts are watched by an e-detector whose stakes are seconds. So the mean time between false alarms is
//! at least `arl_ns`, as long as the counts of each part of the cycle follow what was learned for it. The clock drives it,
//! not the calls: silence is a count of zero.

mod config;
mod norm;

pub use config::VolumeConfig;

use super::config::MonitorConfig;
use super::snapshot::VolumeSnapshot;
use super::{Monitor, event, remember};
use crate::detect::edetector::change::Onset;
use crate::detect::edetector::{self, EDetector, Finding, Pane, Plan, State, bits};
use crate::detect::{AlarmEvent, Change, Mark};
use crate::sketch::binning::FIRST;
use crate::sketch::bins::Bins;
use crate::sketch::{Sketch, Subtract};
use crate::tensor::Direction;
use norm::Norm;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The feature that its alarms name.
const NAME: &str = "volume";

/// Intervals that are taken together to see how they hang together, and whether an alarm is over.
const PANE_INTERVALS: u64 = 30;

/// Intervals that are judged when the clock is seen to have moved; of a longer pause the rest was not watched.
const CATCH_UP_MAX: u64 = 10_000;

/// Watches how many calls come.
#[derive(Clone, Debug)]
pub struct Volume {
    config: VolumeConfig,
    delta: f64,
    clear_after: u32,
    /// Messages of either direction, whether or not they are in the statistics.
    messages: [u64; 2],
    beat: Beat,
    stage: Stage,
}

/// Where in time one is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Beat {
    /// Monotonic nanoseconds at which the open interval began; none before the first message.
    opened_ns: Option<u64>,
    /// Of the open interval, counted from the first one.
    number: u64,
    /// Calls before it, and in the interval before it.
    calls: u64,
    last: u32,
}

#[derive(Clone, Debug)]
enum Stage {
    /// The counts so far.
    Learning(Vec<u32>),
    Watching(Box<Watching>),
}

#[derive(Clone, Debug)]
struct Watching {
    norm: Norm,
    plan: Arc<Plan>,
    detector: EDetector,
    /// Ranks of the open pane, and of one interval.
    pane: Bins,
    single: Bins,
}

/// A volume at rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    beat: Beat,
    stage: StoredStage,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum StoredStage {
    Learning(Vec<u32>),
    Watching { norm: Norm, detector: Box<State>, pane: Vec<u64> },
}

// === impl Monitor ===

impl Monitor {
    /// Closes the intervals that are over by `now`; before anything is counted at `now`.
    pub(super) fn beat(&mut self, now: u64) {
        let Some(volume) = &mut self.volume else { return };
        let (events, calls) = (&mut self.events, volume.calls());
        volume.pass(now, calls, |change, words| {
            let end = in_calls(Mark { row: 0, call: calls });
            let told = event(NAME, Direction::Input, edetector::METHOD, change, end, now);
            remember(events, AlarmEvent { shape: words, ..told });
        });
    }
}

/// What is told of volume is told in calls: it has no rows of its own.
fn in_calls(mark: Mark) -> Mark {
    Mark { row: mark.call, call: mark.call }
}

// === impl Beat ===

impl Beat {
    /// The beginning of the open interval, and its end; a detector's rows are intervals.
    fn marks(&self, calls: u64) -> (Mark, Mark) {
        (Mark { row: self.number, call: self.calls }, Mark { row: self.number + 1, call: calls })
    }
}

// === impl Volume ===

impl Volume {
    pub fn of(config: &MonitorConfig) -> Option<Volume> {
        let (delta, clear_after) = (config.alarm.delta, config.alarm.clear_after);
        let of = |config: &VolumeConfig| Volume {
            config: config.clone(),
            delta,
            clear_after,
            messages: [0; 2],
            beat: Beat::default(),
            stage: Stage::Learning(Vec::new()),
        };
        config.volume.as_ref().map(of)
    }

    /// One message more.
    pub fn count(&mut self, direction: Direction) {
        self.messages[usize::from(direction == Direction::Output)] += 1;
    }

    fn calls(&self) -> u64 {
        self.messages[0].max(self.messages[1])
    }

    fn pass(&mut self, now: u64, calls: u64, mut report: impl FnMut(Change, Option<String>)) {
        let Some(opened) = self.beat.opened_ns else {
            (self.beat.opened_ns, self.beat.calls) = (Some(now), calls);
            return;
        };
        let interval = self.config.interval_ns.max(1);
        let over = now.saturating_sub(opened) / interval;
        for _ in 0..over.min(CATCH_UP_MAX) {
            // All calls that were seen came in the first of them: every later one would have closed it.
            let count = u32::try_from(calls.saturating_sub(self.beat.calls)).unwrap_or(u32::MAX);
            if let Some((change, words)) = self.close(count, calls) {
                report(change, words);
            }
            (self.beat.calls, self.beat.last) = (calls, count);
            self.beat.number += 1;
        }
        self.beat.number += over.saturating_sub(CATCH_UP_MAX);
        self.beat.opened_ns = Some(opened + over * interval);
    }

    fn close(&mut self, count: u32, calls: u64) -> Option<(Change, Option<String>)> {
        let (beat, config) = (self.beat, &self.config);
        match &mut self.stage {
            Stage::Learning(counts) => {
                counts.push(count);
                if counts.len() as u64 >= config.learn_intervals() {
                    let first = beat.number + 1 - counts.len() as u64;
                    let norm = Norm::learn(counts, config.slots(), |number| config.slot_of(first + number));
                    self.stage = Stage::Watching(Box::new(Watching::new(norm, config, self.delta)?));
                }
                None
            }
            Stage::Watching(watching) => watching.weigh(count, beat, calls, config, self.clear_after),
        }
    }

    pub fn is_alarmed(&self) -> bool {
        matches!(&self.stage, Stage::Watching(watching) if watching.detector.is_raised())
    }

    pub fn snapshot(&self) -> VolumeSnapshot {
        let seconds = self.config.interval_ns as f64 / 1e9;
        let (slot, level) = (self.config.slot_of(self.beat.number), self.config.arl_ns as f64 / 1e9);
        let watching = match &self.stage {
            Stage::Watching(watching) => Some(watching),
            Stage::Learning(_) => None,
        };
        let detector = watching.map(|watching| &watching.detector);
        VolumeSnapshot {
            learned: watching.is_some(),
            interval_seconds: seconds,
            calls: self.beat.last,
            usual_calls: watching.and_then(|watching| watching.norm.median(slot)),
            evidence_bits: detector.map(EDetector::evidence_bits),
            threshold_bits: bits(level, seconds),
            shape: watching.filter(|watching| watching.detector.is_raised()).and_then(|it| it.words()),
        }
    }

    pub fn stored(&self) -> Stored {
        let stage = match &self.stage {
            Stage::Learning(counts) => StoredStage::Learning(counts.clone()),
            Stage::Watching(watching) => StoredStage::Watching {
                norm: watching.norm.clone(),
                detector: Box::new(watching.detector.state().clone()),
                pane: watching.pane.cells().to_vec(),
            },
        };
        Stored { beat: self.beat, stage }
    }

    /// Goes on where it was stored at `then`, after a pause of `gap` nanoseconds that was not watched; false when that
    /// belongs to other settings.
    pub fn resume(&mut self, stored: Stored, then: u64, now: u64, gap: u64) -> bool {
        let Stored { beat, stage } = stored;
        let age = beat.opened_ns.map(|opened| then.saturating_sub(opened).saturating_add(gap));
        // The interval in which it stopped was not seen whole.
        let number = beat.number + age.map_or(0, |age| age / self.config.interval_ns.max(1) + 1);
        self.beat = Beat { opened_ns: beat.opened_ns.map(|_| now), number, ..beat };
        self.messages = [beat.calls; 2];
        match stage {
            // What was learned must be in one piece, for its slots and for how intervals hang together.
            StoredStage::Learning(counts) if gap < self.config.interval_ns => {
                let fits = (counts.len() as u64) < self.config.learn_intervals();
                self.stage = Stage::Learning(counts);
                fits
            }
            StoredStage::Learning(_) => true,
            StoredStage::Watching { norm, detector, pane } => {
                let made = norm.is_sound(self.config.slots());
                let made = made.then(|| Watching::new(norm, &self.config, self.delta)).flatten();
                let resumed = made.and_then(|made| made.resumed(*detector, &pane));
                let fits = resumed.is_some();
                self.stage = resumed.map_or(Stage::Learning(Vec::new()), |it| Stage::Watching(Box::new(it)));
                fits
            }
        }
    }
}

// === impl Watching ===

impl Watching {
    fn new(norm: Norm, config: &VolumeConfig, delta: f64) -> Option<Watching> {
        let reference = norm.reference()?;
        let delta = delta / norm.slots().max(1) as f64;
        let plan = Arc::new(Plan::new(&reference, Some(norm.time), config.tolerance, delta));
        let empty = Bins::new(Arc::clone(reference.binning()));
        Some(Watching {
            norm,
            detector: EDetector::new(Arc::clone(&plan)),
            plan,
            pane: empty.clone(),
            single: empty,
        })
    }

    fn resumed(mut self, state: State, pane: &[u64]) -> Option<Watching> {
        self.detector = EDetector::resumed(Arc::clone(&self.plan), state)?;
        let offsets = vec![0; self.pane.offsets().count()];
        let binning = Arc::clone(self.pane.binning());
        self.pane = Bins::from_cells(binning, pane.to_vec(), &offsets, [0; 2])?;
        Some(self)
    }

    fn weigh(
        &mut self,
        count: u32,
        beat: Beat,
        calls: u64,
        config: &VolumeConfig,
        clear_after: u32,
    ) -> Option<(Change, Option<String>)> {
        let rank = self.norm.rank(config.slot_of(beat.number), count, beat.number);
        self.single.clear();
        self.single.update(&[rank]);
        self.pane.update(&[rank]);
        let (stake, level) = (config.interval_ns as f64 / 1e9, config.arl_ns as f64 / 1e9);
        let (start, end) = beat.marks(calls);
        let interval = Pane { counts: self.single.cells(), start, end, stake };
        self.detector.settle(&interval, stake, stake);
        if (beat.number + 1).is_multiple_of(PANE_INTERVALS) {
            self.detector.close(self.pane.cells());
            self.pane.clear();
        }
        let score = self.detector.evidence_bits();
        self.detector.verdict(level, clear_after)?;
        let (finding, words) = (self.detector.finding(), self.words());
        let state = self.detector.judge(level, clear_after)?;
        let finding = finding.map(|Finding { shape, onset }| {
            let Onset { estimate, earliest, latest } = onset;
            let [estimate, earliest, latest] = [estimate, earliest, latest].map(in_calls);
            Finding { shape, onset: Onset { estimate, earliest, latest } }
        });
        let since = finding.map_or(in_calls(end), |finding| finding.onset.estimate);
        Some((Change { state, score, threshold: bits(level, stake), noise: 0.0, since, finding }, words))
    }

    /// What has changed, if anything: most ranks since then are low, or high, or neither.
    fn words(&self) -> Option<String> {
        let finding = self.detector.finding()?;
        let counts = self.detector.counts_since(finding.onset.estimate);
        let (low, high) = counts.split_at_checked(FIRST + norm::BINS / 2)?;
        let (low, high) = (low.iter().sum::<u64>(), high.iter().sum::<u64>());
        Some(match (low > 2 * high, high > 2 * low) {
            (true, _) => "fewer calls".to_owned(),
            (_, true) => "more calls".to_owned(),
            _ => finding.shape.to_string(),
        })
    }
}
