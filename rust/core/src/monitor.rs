//! Watches one model version: tensors in, a snapshot and alarms out.
//!
//! Without a profile it first learns one from live rows. Then rows fill panes; every full pane is compared with the
//! profile, feature by feature, and detectors decide whether that is worth an alarm. Batches are cut at the edge of a
//! pane, so the panes, and every number computed from them, are the same however rows were batched.

mod clock;
mod config;
mod layout;
mod snapshot;
mod watch;

pub use crate::feature::{TensorConfig, TensorKind};
pub use config::{AlarmConfig, MonitorConfig};
pub use snapshot::{
    BatchSnapshot, BinsSnapshot, DriftSnapshot, FeatureSnapshot, MonitorSnapshot, MonitorState,
    ProfileSnapshot,
};

use crate::detect::{AlarmEvent, Change, Mark};
use crate::distance::Chance;
use crate::feature::stage::Stage;
use crate::feature::{Reading, Room, Spec};
use crate::profile::{Column, Labels, Numbers, Plan, Profile};
use crate::sketch::binning::Kind;
use crate::tensor::{Direction, Tensor};
use clock::Clock;
use layout::{Layout, Route};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use watch::{Closing, Watch};

/// Widths of a tensor that get features per column; a tensor of still more widths is pooled.
const WIDTHS_MAX: usize = 8;

/// Longest name of a tensor, in bytes. Names come from clients and are kept; longer ones are not read.
const NAME_BYTES_MAX: usize = 256;

/// Alarm events that wait to be taken; beyond that the oldest are forgotten.
const EVENTS_MAX: usize = 4_096;

/// Values kept while learning, over all features (64 MiB), and at most per feature.
const LEARN_VALUES: usize = 8 << 20;
const LEARN_VALUES_PER_FEATURE: usize = 65_536;

/// Values of one row that a pooled feature learns from.
const LEARN_VALUES_PER_ROW: usize = 512;

/// Panes, of a thousand undrifted ones, in which any feature may score above its noise floor.
const NOISY_PANES: f64 = 0.001;

/// The statistics of one model version.
#[derive(Debug)]
pub struct Monitor {
    config: Arc<MonitorConfig>,
    /// Name for a profile that is learned.
    model: String,
    profile: Option<Arc<Profile>>,
    phase: Phase,
    inputs: Clock,
    outputs: Clock,
    features: Vec<Watch>,
    numbers: BTreeMap<(Direction, String), u32>,
    layouts: Vec<Layout>,
    /// The layout after the one used last: messages repeat, so the next tensor probably belongs there.
    cursor: usize,
    /// Empty tensors that no feature is known of.
    missing: u64,
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
        Monitor {
            config,
            model: String::new(),
            profile,
            phase: if learns { Phase::Learning } else { Phase::Watching },
            inputs: Clock::default(),
            outputs: Clock::default(),
            features: Vec::new(),
            numbers: BTreeMap::new(),
            layouts: Vec::new(),
            cursor: 0,
            missing: 0,
            events: VecDeque::new(),
        }
    }

    /// Sets the model's name, for the profile that may be learned.
    pub fn set_model(&mut self, model: &str) {
        model.clone_into(&mut self.model);
    }

    /// Counts one message. `now` (monotonic nanoseconds) is only passed on to alarm events.
    pub fn observe(&mut self, direction: Direction, tensors: &[Tensor<'_>], now: u64) {
        if self.phase == Phase::Learning && self.has_learned(direction) {
            self.finish_learning();
        }
        // A shape without elements may claim any number of rows; only rows that hold something are counted.
        let full = tensors.iter().find(|tensor| !tensor.is_empty());
        let rows = (!tensors.is_empty()).then(|| full.map_or(0, Tensor::rows));
        self.clock_mut(direction).call(rows.map(|rows| rows as u64));
        let Some(rows) = rows else { return };
        let mut done = 0;
        loop {
            let taken = self.pane_room(direction).min(rows - done);
            for tensor in tensors {
                if tensor.rows() == rows {
                    self.observe_tensor(direction, tensor, done..done + taken);
                } else if done == 0 {
                    self.observe_tensor(direction, tensor, 0..tensor.rows());
                }
            }
            done += taken;
            self.clock_mut(direction).rows += taken as u64;
            if self.pane_room(direction) == 0 {
                self.close_pane(direction, now);
            }
            if done >= rows {
                break;
            }
        }
        let both = self.has_learned(Direction::Input) && self.has_learned(Direction::Output);
        if self.phase == Phase::Learning && both {
            self.finish_learning();
        }
    }

    /// Alarms raised and cleared since this was last called, oldest first.
    pub fn take_events(&mut self) -> Vec<AlarmEvent> {
        std::mem::take(&mut self.events).into()
    }

    /// The profile that was learned; `None` before that, and when one was given.
    pub fn learned(&self) -> Option<Arc<Profile>> {
        self.profile.clone().filter(|_| self.phase == Phase::Learned)
    }

    /// Features whose alarm is raised.
    pub fn active_alarms(&self) -> usize {
        self.features.iter().filter(|feature| feature.is_alarmed()).count()
    }

    /// All numbers; `detail` adds bins and exponential histograms.
    pub fn snapshot(&self, detail: bool) -> MonitorSnapshot {
        let mut staged = vec![Vec::new(); self.features.len()];
        for layout in &self.layouts {
            layout.visit(|slot, values| staged[slot].extend_from_slice(values));
        }
        let features: Vec<FeatureSnapshot> = self
            .numbers
            .values()
            .map(|&slot| self.features[slot as usize].snapshot(&staged[slot as usize], detail))
            .collect();
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
            missing: self.missing + self.missing_values(&staged),
            panes: clock.panes,
            features,
        }
    }

    fn missing_values(&self, staged: &[Vec<f64>]) -> u64 {
        let waiting = |values: &Vec<f64>| values.iter().filter(|value| value.is_nan()).count() as u64;
        self.features.iter().zip(staged).map(|(feature, staged)| feature.missing(waiting(staged))).sum()
    }

    fn profile_snapshot(&self, profile: &Profile) -> ProfileSnapshot {
        let compared = self.features.iter().filter(|feature| feature.is_compared()).count();
        ProfileSnapshot {
            hash: profile.hash().to_owned(),
            rows: profile.rows(),
            absent: (profile.references().len() - compared) as u64,
            unprofiled: (self.features.len() - compared) as u64,
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

    fn close_pane(&mut self, direction: Direction, now: u64) {
        self.drain(direction);
        let calls = self.inputs.calls;
        let clock = self.clock_mut(direction);
        let (start, end) = (clock.start, Mark { row: clock.rows, call: calls });
        clock.panes += 1;
        clock.restart(calls);
        let compared = self.features.iter().filter(|feature| feature.is_compared()).count();
        let chance = Chance::of(NOISY_PANES / compared.max(1) as f64);
        let closing = Closing { alarm: &self.config.alarm, chance, start };
        let events = &mut self.events;
        for feature in self.features.iter_mut().filter(|feature| feature.direction() == direction) {
            feature.close(&closing, |name, method, change| {
                remember(events, event(name, direction, method, change, end, now));
            });
        }
    }

    fn drain(&mut self, direction: Direction) {
        for layout in &mut self.layouts {
            layout.drain(direction, &mut self.features);
        }
    }

    // === learning ===

    /// Whether a direction has seen its rows. Learning ends when both have, or when one that has sees another message:
    /// so the answer to a large first batch is learned from, and a model without readable answers does not wait.
    fn has_learned(&self, direction: Direction) -> bool {
        self.clock(direction).rows >= self.config.learn_rows
    }

    fn finish_learning(&mut self) {
        self.drain(Direction::Input);
        self.drain(Direction::Output);
        let references = self.features.iter_mut().filter_map(Watch::learned).collect();
        self.phase = Phase::Learned;
        self.profile = Profile::new(&self.model, references).ok().map(Arc::new);
        for feature in &mut self.features {
            let reference =
                self.profile.as_ref().and_then(|profile| profile.get(feature.direction(), feature.name()));
            feature.compare_with(reference, self.config.window_panes as usize, &self.config.alarm);
        }
        let calls = self.inputs.calls;
        self.inputs.restart(calls);
        self.outputs.restart(calls);
    }

    // === tensors and features ===

    fn observe_tensor(&mut self, direction: Direction, tensor: &Tensor<'_>, rows: std::ops::Range<usize>) {
        if tensor.is_empty() {
            return self.observe_empty(direction, tensor);
        }
        if let Some(found) = self.layout_of(direction, tensor) {
            self.cursor = found + 1;
            self.layouts[found].observe(tensor, rows, &mut self.features);
        }
    }

    /// A tensor without elements: a row in which every feature of its name is missing.
    fn observe_empty(&mut self, direction: Direction, tensor: &Tensor<'_>) {
        match self.layouts.iter().find(|layout| layout.is_named(direction, tensor.name)) {
            Some(layout) => layout.observe_missing(&mut self.features),
            None => self.missing += 1,
        }
    }

    /// The layout of a tensor, which is made when it is new and there is room.
    fn layout_of(&mut self, direction: Direction, tensor: &Tensor<'_>) -> Option<usize> {
        let fits = |layout: &Layout| layout.fits(direction, tensor);
        let (before, after) = self.layouts.split_at(self.cursor.min(self.layouts.len()));
        let found = after.iter().position(fits).map(|found| before.len() + found);
        found.or_else(|| before.iter().position(fits)).or_else(|| self.add_layout(direction, tensor))
    }

    fn add_layout(&mut self, direction: Direction, tensor: &Tensor<'_>) -> Option<usize> {
        let most = self.config.max_features as usize;
        if self.layouts.len() >= most || tensor.name.len() > NAME_BYTES_MAX {
            return None;
        }
        let widths = self.layouts.iter().filter(|layout| layout.is_named(direction, tensor.name)).count();
        let ragged = widths >= WIDTHS_MAX;
        let room = Room { features: most.saturating_sub(self.features.len()), pooled: ragged };
        let config = Arc::clone(&self.config);
        let auto = TensorConfig::default();
        let tensor_config = config.tensors.get(tensor.name).unwrap_or(&auto);
        let route = match Reading::of(direction, tensor, tensor_config, room) {
            Reading::Nothing => Route::Nothing,
            Reading::Columns { columns, summary } => {
                let specs = columns.into_iter().chain(summary.specs(tensor.name));
                Route::Columns { stage: Stage::new(self.add_features(direction, specs, 1)), summary }
            }
            Reading::Pooled { all, summary } => {
                let all = self.add_feature(direction, all, tensor.columns());
                let stage = Stage::new(self.add_features(direction, summary.specs(tensor.name), 1));
                Route::Pooled { all, stage, summary }
            }
            Reading::Strings { categories, lengths } => Route::Strings {
                categories: self.add_features(direction, categories, 1),
                lengths: self.add_features(direction, lengths, 1),
            },
        };
        self.layouts.push(Layout::new(direction, tensor, ragged, route));
        Some(self.layouts.len() - 1)
    }

    fn add_features(
        &mut self,
        direction: Direction,
        specs: impl IntoIterator<Item = Spec>,
        per_row: usize,
    ) -> Vec<u32> {
        specs.into_iter().map(|spec| self.add_feature(direction, spec, per_row)).collect()
    }

    /// The number of a feature, which is made unless another width of its tensor has made it before. A row holds
    /// `per_row` of its values.
    fn add_feature(&mut self, direction: Direction, spec: Spec, per_row: usize) -> u32 {
        let key = (direction, spec.name.clone());
        if let Some(&number) = self.numbers.get(&key) {
            return number;
        }
        let feature = match self.phase {
            Phase::Learning => {
                let column = self.column(&spec, per_row);
                Watch::learning(spec, direction, column)
            }
            Phase::Watching | Phase::Learned => {
                let reference = self.profile.as_ref().and_then(|profile| profile.get(direction, &spec.name));
                let mut feature = Watch::unprofiled(spec, direction);
                feature.compare_with(reference, self.config.window_panes as usize, &self.config.alarm);
                feature
            }
        };
        let number = self.features.len() as u32;
        self.features.push(feature);
        self.numbers.insert(key, number);
        number
    }

    fn column(&self, spec: &Spec, per_row: usize) -> Column {
        if spec.kind == Kind::Category {
            return Column::Labels(Labels::default());
        }
        let shared = LEARN_VALUES / self.config.max_features.max(1) as usize;
        let pooled = per_row > 1;
        Column::Numbers(Numbers::new(Plan {
            bins: self.config.bins.into(),
            integral: spec.kind == Kind::Discrete,
            buffer: if pooled {
                LEARN_VALUES_PER_FEATURE
            } else {
                shared.clamp(256, LEARN_VALUES_PER_FEATURE)
            },
            every: if pooled { thinning(per_row) } else { 1 },
        }))
    }
}

/// Take every so many of `per_row` values; a step that 2 and 3 do not divide, so that it does not keep hitting the
/// same colour of every pixel.
fn thinning(per_row: usize) -> usize {
    per_row.div_ceil(LEARN_VALUES_PER_ROW).saturating_sub(1).div_ceil(6) * 6 + 1
}

fn event(
    feature: &str,
    direction: Direction,
    method: &'static str,
    change: Change,
    end: Mark,
    now: u64,
) -> AlarmEvent {
    AlarmEvent {
        state: change.state,
        feature: feature.to_owned(),
        direction,
        method,
        score: change.score,
        threshold: change.threshold,
        noise: change.noise,
        row: end.row,
        change_row: change.since.row,
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
