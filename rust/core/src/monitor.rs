//! Watches one model version: tensors in, a snapshot and alarms out.
//!
//! Without a profile it first learns one from live rows. Then rows fill panes; every full pane is compared with the
//! profile, feature by feature, and detectors decide whether that is worth an alarm. Batches are cut at the edge of a
//! pane, so the panes, and every number computed from them, are the same however rows were batched.
//!
//! ```
//! use pilotfish_core::monitor::{Monitor, MonitorConfig};
//! use pilotfish_core::tensor::{Data, Datatype, Direction, Tensor};
//! use std::sync::Arc;
//!
//! let config = MonitorConfig { learn_rows: 1_000, pane_rows: 200, ..MonitorConfig::default() };
//! let mut monitor = Monitor::new(Arc::new(config), None);
//! for row in 0..2_000u32 {
//!     let celsius = 20.0 + f64::from(row * 7919 % 100) / 10.0;
//!     let reading = if row < 1_400 { celsius } else { celsius * 1.8 + 32.0 }; // somebody changed the unit
//!     let bytes = reading.to_le_bytes();
//!     let tensor = Tensor::new("temperature", Datatype::Fp64, vec![1], Data::Raw(&bytes)).unwrap();
//!     monitor.observe(Direction::Input, &[tensor], 0);
//! }
//! let events = monitor.take_events();
//! assert_eq!((events[0].feature.as_str(), events[0].row, events[0].change_row), ("temperature", 1_520, 1_400));
//! assert_eq!(events[0].shape.as_deref(), Some("above range up"));
//! ```

mod clock;
mod comparison;
mod config;
mod copied;
mod joint;
mod layout;
mod look;
mod plans;
mod roster;
mod schema;
mod scores;
mod snapshot;
mod stored;
mod suspicion;
mod texts;
mod volume;
mod watch;

pub use crate::feature::{TensorConfig, TensorKind};
pub use config::{AlarmConfig, DetectorKind, MonitorConfig};
pub(crate) use look::look_rows;
pub use snapshot::{
    BatchSnapshot, BinsSnapshot, DriftSnapshot, EvidenceSnapshot, FeatureSnapshot, ModelEvidence,
    MonitorSnapshot, MonitorState, PerformanceSnapshot, ProfileSnapshot, VolumeSnapshot, WindowSnapshot,
};
pub use stored::{Lost, Resumption, Stored};
pub use texts::TextsSnapshot;
pub use volume::VolumeConfig;

use crate::detect::discovery::Discovery;
use crate::detect::{AlarmEvent, Change, Mark, edetector};
use crate::distance::Chance;
use crate::feature::stage::Errand;
use crate::profile::Profile;
use crate::tensor::{Defect, Direction, Tensor};
use clock::Clock;
use comparison::Closing;
use joint::JointWatches;
use roster::{Roster, Start};
pub use schema::{Breach, METHOD as SCHEMA, SchemaAlarm};
use schema::{Judged, Schema};
use scores::ScoreWatch;
use snapshot::Shown;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use volume::Volume;
use watch::Watch;

/// Alarm events that wait to be taken; beyond that the oldest are forgotten.
const EVENTS_MAX: usize = 4_096;

/// Panes, of a thousand undrifted ones, in which any feature may score above its noise floor.
const NOISY_PANES: f64 = 0.001;

/// The statistics of one model version.
#[derive(Debug)]
pub struct Monitor {
    config: Arc<MonitorConfig>,
    /// The same, with the names of what is computed from whole rows.
    named: Arc<MonitorConfig>,
    /// Name for a profile that is learned.
    model: String,
    profile: Option<Arc<Profile>>,
    phase: Phase,
    inputs: Clock,
    outputs: Clock,
    roster: Roster,
    schema: Schema,
    joints: JointWatches,
    scores: Option<ScoreWatch>,
    volume: Option<Volume>,
    /// What the evidence came to when a pane was closed last, and the length of that pane.
    discovery: Option<(Discovery, f64)>,
    /// Evidence of all features: kept so that closing a pane allocates nothing.
    evidence: Vec<f64>,
    events: VecDeque<AlarmEvent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No profile yet.
    Learning,
    /// With the profile that was given, or with none if none shall be learned.
    Watching,
    /// With the profile that was learned.
    Learned,
}

// === impl Monitor ===

impl Monitor {
    /// A monitor that has seen nothing. `config` is expected to pass [`MonitorConfig::check`].
    pub fn new(config: Arc<MonitorConfig>, profile: Option<Arc<Profile>>) -> Monitor {
        let learns = profile.is_none() && config.learn_rows > 0;
        let joints = JointWatches::new(&config, profile.as_deref());
        let scores = profile.as_ref().and_then(|known| ScoreWatch::of(known, config.window_panes as usize));
        Monitor {
            named: naming(&config, &joints),
            volume: Volume::of(&config),
            config,
            joints,
            scores,
            model: String::new(),
            profile,
            phase: if learns { Phase::Learning } else { Phase::Watching },
            inputs: Clock::default(),
            outputs: Clock::default(),
            roster: Roster::default(),
            schema: Schema::default(),
            discovery: None,
            evidence: Vec::new(),
            events: VecDeque::new(),
        }
    }

    /// Sets the model's name, for the profile that may be learned.
    pub fn set_model(&mut self, model: &str) {
        model.clone_into(&mut self.model);
    }

    /// Counts one message. `now` (monotonic nanoseconds) is passed on to alarm events, and is what a time between false
    /// alarms is measured in.
    pub fn observe(&mut self, direction: Direction, tensors: &[Tensor<'_>], now: u64) {
        self.observe_beside(direction, tensors, &[], now);
    }

    /// The same of a message that has other tensors, which cannot be observed: they are not missing.
    pub fn observe_beside(
        &mut self,
        direction: Direction,
        tensors: &[Tensor<'_>],
        defects: &[(&str, Defect)],
        now: u64,
    ) {
        self.pass_over(direction, now);
        self.pass(direction, now);
        self.clock_mut(direction).opened_ns.get_or_insert(now);
        if self.phase == Phase::Learning && self.has_learned(direction) {
            self.finish_learning(now);
        }
        // A shape without elements may claim any number of rows; only rows that hold something are counted.
        let full = tensors.iter().find(|tensor| !tensor.is_empty());
        let rows = (!tensors.is_empty()).then(|| full.map_or(0, Tensor::rows));
        self.clock_mut(direction).call(rows.map(|rows| rows as u64));
        let Some(rows) = rows else { return };
        let mut done = 0;
        loop {
            let taken = self.pane_room(direction).min(self.look_room(direction)).min(rows - done);
            self.observe_rows(direction, tensors, rows, done..done + taken);
            if direction == Direction::Input {
                let is_defective = |name: &str| defects.iter().any(|(defective, _)| *defective == name);
                let is_elsewhere = |name: &str| is_defective(name) || self.joints.is_map(name);
                self.roster.leave_out(tensors, taken as u64, is_elsewhere);
            }
            done += taken;
            self.clock_mut(direction).rows += taken as u64;
            if self.pane_room(direction) == 0 {
                self.close_pane(direction, now);
                self.slice(direction, now);
            } else if taken > 0 {
                self.look(direction, now);
            }
            if done >= rows {
                break;
            }
        }
        let both = self.has_learned(Direction::Input) && self.has_learned(Direction::Output);
        if self.phase == Phase::Learning && both {
            self.finish_learning(now);
        }
    }

    /// A message that is left out of the statistics, and belongs to the volume all the same.
    pub fn pass_over(&mut self, direction: Direction, now: u64) {
        self.beat(now);
        self.volume.iter_mut().for_each(|volume| volume.count(direction));
    }

    /// Time has passed: closes what is over by `now` although no message came.
    pub fn tick(&mut self, now: u64) {
        self.beat(now);
        self.pass(Direction::Input, now);
        self.pass(Direction::Output, now);
    }

    fn pass(&mut self, direction: Direction, now: u64) {
        if self.phase == Phase::Learning {
            return;
        }
        if self.clock(direction).is_overdue(now, self.config.pane_ns) {
            self.close_pane(direction, now);
        }
        self.slice(direction, now);
    }

    /// Moves the windows on, if a slice of them is over.
    fn slice(&mut self, direction: Direction, now: u64) {
        let clock = match direction {
            Direction::Input => &mut self.inputs,
            Direction::Output => &mut self.outputs,
        };
        if let Some(passed) = clock.passed(&self.config, now) {
            self.roster.drain(direction);
            self.roster.of_direction(direction).for_each(|feature| feature.advance(passed));
        }
    }

    /// Counts a part of the call's `rows`. Tensors with other numbers of rows are counted whole, with the first part.
    fn observe_rows(
        &mut self,
        direction: Direction,
        tensors: &[Tensor<'_>],
        rows: usize,
        part: Range<usize>,
    ) {
        let start = Start {
            config: &self.named,
            profile: self.profile.as_deref(),
            is_learning: self.phase == Phase::Learning,
            rows: self.clock(direction).rows,
        };
        for tensor in tensors {
            let part = if tensor.rows() == rows && !tensor.is_empty() {
                part.clone()
            } else if part.start == 0 {
                0..tensor.rows()
            } else {
                continue;
            };
            match direction {
                Direction::Input if !self.joints.is_empty() && !tensor.is_empty() => {
                    if let Some(numbers) = self.joints.observe(tensor, part.clone()) {
                        self.roster.observe(direction, &numbers, 0..part.len(), start);
                    }
                }
                Direction::Output => {
                    self.scores.iter_mut().for_each(|scores| scores.observe(tensor, part.clone()));
                }
                Direction::Input => {}
            }
            self.roster.observe(direction, tensor, part, start);
        }
    }

    /// Counts the rows that wait to be counted together.
    pub fn settle(&mut self) {
        self.roster.drain(Direction::Input);
        self.roster.drain(Direction::Output);
    }

    /// Alarms raised and cleared since this was last called, oldest first.
    pub fn take_events(&mut self) -> Vec<AlarmEvent> {
        std::mem::take(&mut self.events).into()
    }

    /// The profile that was learned; `None` before that, and when one was given.
    pub fn learned(&self) -> Option<Arc<Profile>> {
        self.profile.clone().filter(|_| self.phase == Phase::Learned)
    }

    /// Alarms that are raised.
    pub fn active_alarms(&self) -> usize {
        let drifted = self.roster.features().iter().filter(|feature| feature.is_alarmed());
        drifted.count()
            + self.schema.len()
            + usize::from(self.volume.as_ref().is_some_and(Volume::is_alarmed))
    }

    /// All numbers; `detail` adds bins and exponential histograms.
    pub fn snapshot(&self, detail: bool) -> MonitorSnapshot {
        let (features, missing) =
            self.roster.snapshot(Shown { detail, windows: &self.config.window_names() });
        let clock = self.main_clock();
        MonitorSnapshot {
            state: if self.phase == Phase::Learning {
                MonitorState::Learning
            } else {
                MonitorState::Watching
            },
            profile: self.profile.as_ref().map(|profile| self.profile_snapshot(profile)),
            calls: self.inputs.calls,
            rows: clock.rows,
            batch: BatchSnapshot {
                min: clock.batch_min,
                max: clock.batch_max,
                mean: clock.rows as f64 / clock.batches.max(1) as f64,
            },
            missing,
            unwatched: self.roster.unwatched(),
            panes: clock.panes,
            evidence: self.evidence(),
            schema: self.schema.snapshot(),
            volume: self.volume.as_ref().map(Volume::snapshot),
            performance: self.scores.as_ref().and_then(ScoreWatch::snapshot),
            features,
        }
    }

    fn evidence(&self) -> Option<ModelEvidence> {
        let (discovery, stake) = self.discovery?;
        let level = self.config.alarm.level();
        let is_flagged = |feature: &&Watch| feature.evidence().is_some_and(|found| found >= discovery.level);
        Some(ModelEvidence {
            bits: edetector::bits(discovery.mean, stake),
            threshold_bits: edetector::bits(level, stake),
            alarm: discovery.mean >= level,
            flagged: self.roster.features().iter().filter(is_flagged).map(|f| f.name().to_owned()).collect(),
        })
    }

    fn profile_snapshot(&self, profile: &Profile) -> ProfileSnapshot {
        let compared = self.roster.compared();
        ProfileSnapshot {
            hash: profile.hash().to_owned(),
            rows: profile.rows(),
            absent: (profile.references().len() - compared) as u64,
            unprofiled: (self.roster.features().len() - compared) as u64,
        }
    }

    // === rows and panes ===

    fn clock(&self, direction: Direction) -> &Clock {
        match direction {
            Direction::Input => &self.inputs,
            Direction::Output => &self.outputs,
        }
    }

    fn clock_mut(&mut self, direction: Direction) -> &mut Clock {
        match direction {
            Direction::Input => &mut self.inputs,
            Direction::Output => &mut self.outputs,
        }
    }

    /// The clock that speaks for the model: the inputs', unless only outputs are seen.
    fn main_clock(&self) -> &Clock {
        if self.inputs.batches > 0 { &self.inputs } else { &self.outputs }
    }

    /// Rows that the open pane can still take.
    fn pane_room(&self, direction: Direction) -> usize {
        if self.phase == Phase::Learning {
            return usize::MAX;
        }
        let pane_rows = u64::from(self.config.pane_rows.max(1));
        pane_rows.saturating_sub(self.clock(direction).open_rows()) as usize
    }

    fn discover(&mut self) -> Discovery {
        self.roster.weigh(&mut self.evidence, self.config.alarm.level())
    }

    fn close_pane(&mut self, direction: Direction, now: u64) {
        if direction == Direction::Output {
            self.scores.iter_mut().for_each(ScoreWatch::close);
        }
        let calls = self.inputs.calls;
        let clock = self.clock_mut(direction);
        let (start, end) = (clock.start, Mark { row: clock.rows, call: calls });
        let seconds = clock.open_seconds(now);
        clock.panes += 1;
        clock.restart(calls, now);
        let config = Arc::clone(&self.config);
        let chance = Chance::of(NOISY_PANES / self.roster.compared().max(1) as f64);
        let stake = config.alarm.stake(end.row - start.row, seconds);
        let closing =
            Closing { alarm: &config.alarm, start, end, stake, unit: stake, look_rows: self.look_rows() };
        let events = &mut self.events;
        let mut report = |name: &str, method, change| {
            remember(events, event(name, direction, method, change, end, now));
        };
        self.roster.drain_and_visit(direction, Errand::Close(end.row), |feature| {
            feature.close(&closing, chance, &mut report);
        });
        if let Some(profile) = &self.profile {
            let judged = self.schema.judge(profile, &mut self.roster, Judged { direction, start, end, now });
            judged.into_iter().for_each(|event| remember(&mut self.events, event));
        }
        if config.alarm.detector != DetectorKind::EDetector {
            return;
        }
        self.weigh_all(&Closing { start: end, stake: 0.0, ..closing }, direction);
        self.judge(direction, &closing, now);
    }

    /// Raises and clears alarms. Only with the evidence of all features is it known how much of it flags one.
    fn judge(&mut self, direction: Direction, closing: &Closing<'_>, now: u64) {
        let discovery = self.discover();
        self.discovery = Some((discovery, closing.unit));
        let events = &mut self.events;
        self.roster.visit(direction, |feature| {
            if let Some(change) = feature.judge(discovery.level, closing) {
                let event = event(feature.name(), direction, edetector::METHOD, change, closing.end, now);
                remember(events, event);
            }
        });
    }

    // === learning ===

    /// Whether a direction has seen its rows. Learning ends when both have, or when one that has sees another message:
    /// so the answer to a large first batch is learned from, and a model without readable answers does not wait.
    fn has_learned(&self, direction: Direction) -> bool {
        self.clock(direction).rows >= self.config.learn_rows
    }

    fn finish_learning(&mut self, now: u64) {
        self.settle();
        let (joints, of_numbers) = self.joints.learned();
        let references = self.roster.learned().chain(of_numbers).collect();
        self.phase = Phase::Learned;
        let profile = Profile::new(&self.model, references).and_then(|profile| {
            if joints.maps.is_empty() { Ok(profile) } else { profile.with_section(&joints) }
        });
        self.profile = profile.ok().map(Arc::new);
        self.named = naming(&self.config, &self.joints);
        self.roster.compare_with(self.profile.as_deref(), &self.config);
        let calls = self.inputs.calls;
        self.inputs.restart(calls, now);
        self.outputs.restart(calls, now);
    }
}

/// The configuration with the names of what is computed from whole rows.
fn naming(config: &Arc<MonitorConfig>, joints: &JointWatches) -> Arc<MonitorConfig> {
    if joints.is_empty() {
        return Arc::clone(config);
    }
    let mut named = MonitorConfig::clone(config);
    named.tensors.extend(joints.tensors());
    Arc::new(named)
}

fn event(
    feature: &str,
    direction: Direction,
    method: &'static str,
    change: Change,
    end: Mark,
    now: u64,
) -> AlarmEvent {
    let finding = change.finding;
    AlarmEvent {
        state: change.state,
        feature: feature.to_owned(),
        direction,
        method,
        detector: if finding.is_some() { edetector::METHOD } else { "threshold" },
        score: change.score,
        threshold: change.threshold,
        noise: finding.is_none().then_some(change.noise),
        evidence_bits: finding.map(|_| change.score),
        shape: finding.map(|finding| finding.shape.to_string()),
        row: end.row,
        change_row: change.since.row,
        change_from_row: finding.map(|finding| finding.onset.earliest.row),
        change_to_row: finding.map(|finding| finding.onset.latest.row),
        call: end.call,
        change_call: change.since.call,
        at_ns: now,
    }
}

fn remember(events: &mut VecDeque<AlarmEvent>, event: AlarmEvent) {
    if events.len() == EVENTS_MAX {
        events.pop_front();
    }
    events.push_back(event);
}

#[cfg(test)]
mod tests;
