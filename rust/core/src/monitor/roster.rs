//! The features of a model, and the way from a tensor to them.

use super::config::MonitorConfig;
use super::layout::{self, Layout, Route};
use super::plans::Plans;
use super::snapshot::{FeatureSnapshot, Shown};
use super::watch::{self, Watch};
use crate::detect::discovery::{Discovery, discover};
use crate::feature::stage::{Errand, Stage};
use crate::feature::{Reading, Room, Spec, TensorConfig, TensorKind};
use crate::profile::{Column, Labels, Limits, Numbers, Plan, Profile, Reference};
use crate::sketch::binning::Kind;
use crate::tensor::{Direction, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};
use std::ops::Range;
use std::sync::Arc;

/// Widths of a tensor that get features per column; a tensor of still more widths is pooled.
const WIDTHS_MAX: usize = 8;

/// Longest name of a tensor, in bytes. Names come from clients and are kept; longer ones are not read.
const NAME_BYTES_MAX: usize = 256;

/// Values kept while learning, over all features (64 MiB; of short floats twice as many), and at most per feature.
const LEARN_VALUES: usize = 8 << 20;
const LEARN_VALUES_PER_FEATURE: usize = 65_536;

/// Values of one row that a pooled feature learns from.
const LEARN_VALUES_PER_ROW: usize = 512;

/// Of how many features room is made for one more, so that making many one by one moves none of them often.
const SPARE: usize = 8;

/// All features, in the order in which they were first seen, and the layouts of the tensors that hold them.
#[derive(Debug, Default)]
pub struct Roster {
    features: Vec<Watch>,
    /// What the e-detector of each has gathered, where it has one: asked for far more often than it changes.
    evidence: Vec<Option<f64>>,
    /// How many inputs there are, and how many outputs.
    of_direction: [usize; 2],
    /// How many have a reference.
    compared: usize,
    plans: Plans,
    numbers: Arc<BTreeMap<(Direction, String), u32>>,
    layouts: Vec<Layout>,
    /// Of every input with a feature that is learned or compared, the layout that was made first.
    inputs: Vec<usize>,
    /// The layout after the one used last: messages repeat, so the next tensor probably belongs there.
    cursor: usize,
    /// Empty tensors that no feature is known of.
    missing: u64,
    /// Tensors since the start of which nothing was counted, because there is no room or they have too long a name.
    unwatched: u64,
}

/// A roster at rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    pub(super) features: Vec<watch::Stored>,
    layouts: Vec<layout::Stored>,
    missing: u64,
}

/// How a feature begins that has not been seen before.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    pub config: &'a MonitorConfig,
    pub profile: Option<&'a Profile>,
    pub is_learning: bool,
    /// Rows that came before.
    pub rows: u64,
}

// === impl Stored ===

impl Stored {
    /// Whether there are more features, or layouts, than may be watched.
    pub fn exceeds(&self, most: usize) -> bool {
        self.features.len() > most || self.layouts.len() > most
    }
}

// === impl Roster ===

impl Roster {
    pub fn features(&self) -> &[Watch] {
        &self.features
    }

    /// Ends learning: what was learned of each feature.
    pub fn learned(&mut self) -> impl Iterator<Item = Reference> {
        self.features.iter_mut().filter_map(Watch::learned)
    }

    /// What a snapshot shows of it now, histograms only if asked for, with the rows that wait.
    #[must_use]
    pub fn copied(&self, histograms: bool) -> Roster {
        Roster {
            features: self.features.iter().map(|feature| feature.copied(histograms)).collect(),
            evidence: self.evidence.clone(),
            of_direction: self.of_direction,
            compared: self.compared,
            plans: Plans::default(),
            numbers: Arc::clone(&self.numbers),
            layouts: self.layouts.iter().map(Layout::copied).collect(),
            inputs: self.inputs.clone(),
            cursor: self.cursor,
            missing: self.missing,
            unwatched: self.unwatched,
        }
    }

    /// What the evidence of all features adds up to; `evidence` is memory that is used again.
    pub fn weigh(&self, evidence: &mut Vec<f64>, level: f64) -> Discovery {
        evidence.clear();
        evidence.extend(self.evidence.iter().flatten());
        discover(evidence, level)
    }

    /// Whether a feature of a direction has so much evidence without an alarm.
    pub fn is_suspect(&self, direction: Direction, level: f64) -> bool {
        let known = self.features.iter().zip(&self.evidence);
        let mut suspects = known.filter(|(_, evidence)| evidence.is_some_and(|evidence| evidence >= level));
        suspects.any(|(feature, _)| feature.direction() == direction && !feature.is_alarmed())
    }

    /// Shows all features of a direction, whose evidence may change.
    pub fn visit(&mut self, direction: Direction, mut visit: impl FnMut(&mut Watch)) {
        for (feature, evidence) in self.features.iter_mut().zip(&mut self.evidence) {
            if feature.direction() == direction {
                visit(feature);
                *evidence = feature.evidence();
            }
        }
    }

    /// Counts what waits of a direction, and shows every feature of it, where that is possible right after its values
    /// were counted: with thousands of features, what one of them has counted is out of the caches when all of them have.
    pub fn drain_and_visit(
        &mut self,
        direction: Direction,
        errand: Errand,
        mut visit: impl FnMut(&mut Watch),
    ) {
        let mut waiting = self.layouts.iter_mut().filter(|layout| layout.waits(direction));
        let (first, second) = (waiting.next(), waiting.next());
        // Every feature must be visited once, when nothing of it waits any more.
        let features = self.of_direction[place(direction)];
        let is_all = |layout: &&mut Layout| {
            layout.slots().len() == features && layout.slots().is_sorted_by(|one, next| one < next)
        };
        let Some(layout) = first.filter(is_all).filter(|_| second.is_none()) else {
            self.drain(direction);
            return self.visit(direction, visit);
        };
        let evidence = &mut self.evidence;
        layout.drain_each(&mut self.features, errand, |slot, feature| {
            visit(feature);
            if let Some(evidence) = evidence.get_mut(slot) {
                *evidence = feature.evidence();
            }
        });
    }

    /// Takes in all features anew: their evidence, and how many there are.
    fn recount(&mut self) {
        self.evidence.clear();
        self.evidence.extend(self.features.iter().map(Watch::evidence));
        self.compared = self.features.iter().filter(|feature| feature.is_compared()).count();
        self.of_direction = [Direction::Input, Direction::Output]
            .map(|direction| self.features.iter().filter(|it| it.direction() == direction).count());
        let mut named = BTreeSet::new();
        let layouts = self.layouts.iter().enumerate();
        let inputs = layouts.filter(|(_, layout)| layout.input().is_some_and(|name| named.insert(name)));
        let watched = inputs.filter(|(_, layout)| is_watched(layout, &self.features));
        self.inputs = watched.map(|(place, _)| place).collect();
    }

    /// Compares all features with a profile that was learned.
    pub fn compare_with(&mut self, profile: Option<&Profile>, config: &MonitorConfig) {
        self.plans = Plans::of_model(profile.map_or(0, |profile| profile.references().len()));
        for feature in &mut self.features {
            let reference = profile.and_then(|profile| profile.get(feature.direction(), feature.name()));
            feature.compare_with(reference, config, &mut self.plans);
        }
        self.recount();
    }

    /// Adds the features of another roster, of which no rows wait: those of one name are one feature. Features and
    /// layouts stand in the order of their names afterwards, whoever saw them first.
    pub fn merge(&mut self, other: Roster) {
        let mut features: BTreeMap<(Direction, String), Watch> = BTreeMap::new();
        let mut layouts: Vec<layout::Stored> = Vec::new();
        let key = |feature: &Watch| (feature.direction(), feature.name().to_owned());
        let rosters = [std::mem::take(self), other];
        let keys: BTreeSet<_> = rosters.iter().flat_map(|roster| roster.features.iter().map(key)).collect();
        let numbers: BTreeMap<_, u32> = keys.into_iter().zip(0..).collect();
        for roster in rosters {
            let number = |slot: u32| roster.features.get(slot as usize).and_then(|it| numbers.get(&key(it)));
            let renumbered =
                |layout: &Layout| layout.stored().renumbered(|slot| *number(slot).unwrap_or(&slot));
            layouts.extend(roster.layouts.iter().map(renumbered));
            self.missing += roster.missing;
            self.unwatched += roster.unwatched;
            for feature in roster.features {
                match features.entry(key(&feature)) {
                    Entry::Occupied(mine) => mine.into_mut().merge(feature),
                    Entry::Vacant(room) => drop(room.insert(feature)),
                }
            }
        }
        layouts.sort();
        layouts.dedup_by(|next, one| one.is_like(next));
        self.features = features.into_values().collect();
        let resumed = |layout| Layout::resumed(layout, self.features.len());
        self.layouts = layouts.into_iter().filter_map(resumed).collect();
        self.numbers = Arc::new(numbers);
        self.recount();
    }

    /// All features and layouts, of which no rows wait any more.
    pub fn stored(&self) -> Stored {
        Stored {
            features: self.features.iter().map(Watch::stored).collect(),
            layouts: self.layouts.iter().map(Layout::stored).collect(),
            missing: self.missing,
        }
    }

    /// A stored roster, compared with `profile`; `None` when it does not hold together.
    pub fn resumed(stored: Stored, profile: Option<&Profile>, config: &MonitorConfig) -> Option<Roster> {
        let mut plans = Plans::of_model(profile.map_or(0, |profile| profile.references().len()));
        let resumed = |stored: watch::Stored| Watch::resumed(stored, profile, config, &mut plans);
        let features = stored.features.into_iter().map(resumed).collect::<Option<Vec<Watch>>>()?;
        let key = |(number, feature): (usize, &Watch)| {
            ((feature.direction(), feature.name().to_owned()), number as u32)
        };
        let numbers: BTreeMap<_, _> = features.iter().enumerate().map(key).collect();
        let layout = |stored| Layout::resumed(stored, features.len());
        let layouts = stored.layouts.into_iter().map(layout).collect::<Option<Vec<Layout>>>()?;
        let distinct = numbers.len() == features.len();
        let mut roster = Roster {
            features,
            plans,
            numbers: Arc::new(numbers),
            layouts,
            missing: stored.missing,
            ..Roster::default()
        };
        roster.recount();
        distinct.then_some(roster)
    }

    /// Whether there are more features, or layouts, than may be watched.
    pub fn exceeds(&self, most: usize) -> bool {
        self.features.len() > most || self.layouts.len() > most
    }

    /// Those of one direction.
    pub fn of_direction(&mut self, direction: Direction) -> impl Iterator<Item = &mut Watch> {
        self.features.iter_mut().filter(move |feature| feature.direction() == direction)
    }

    /// How many features have a reference.
    pub fn compared(&self) -> usize {
        self.compared
    }

    /// Counts a range of the rows of a tensor.
    pub fn observe(
        &mut self,
        direction: Direction,
        tensor: &Tensor<'_>,
        rows: Range<usize>,
        start: Start<'_>,
    ) {
        if tensor.is_empty() {
            return self.observe_empty(direction, tensor);
        }
        let (found, is_new) = (self.layout_of(direction, tensor, start), rows.start == 0);
        if let Some(found) = found {
            self.cursor = found + 1;
            self.layouts[found].observe(tensor, rows, &mut self.features);
        }
        let is_watched = found.is_some_and(|found| self.layouts[found].features().next().is_some());
        self.unwatched += u64::from(!is_watched && is_new && start.is_asked_for(tensor.name));
    }

    /// Tensors since the start of which nothing was counted, because there is no room or they have too long a name.
    pub fn unwatched(&self) -> u64 {
        self.unwatched
    }

    /// Counts rows of a message in which inputs that are known were left out: their features are missing, as in a table
    /// whose cells are empty. What is known from elsewhere is left to that.
    pub fn leave_out(&mut self, tensors: &[Tensor<'_>], rows: u64, is_elsewhere: impl Fn(&str) -> bool) {
        let Roster { inputs, layouts, features, .. } = self;
        for (place, &first) in inputs.iter().enumerate() {
            let Some(name) = layouts[first].input() else { continue };
            let is_it = |tensor: &Tensor<'_>| tensor.name == name;
            // Most messages hold all of them, in the same order.
            let is_there = tensors.get(place).is_some_and(is_it) || tensors.iter().any(is_it);
            if !is_there && !is_elsewhere(name) {
                layouts[first].leave_out(rows, features);
            }
        }
    }

    /// A tensor without elements: a row in which every feature of its name is missing.
    fn observe_empty(&mut self, direction: Direction, tensor: &Tensor<'_>) {
        match self.layouts.iter().find(|layout| layout.is_named(direction, tensor.name)) {
            Some(layout) => layout.observe_missing(&mut self.features),
            None => self.missing += 1,
        }
    }

    /// Hands the rows that wait in the stages of a direction to their features.
    pub fn drain(&mut self, direction: Direction) {
        for layout in &mut self.layouts {
            layout.drain(direction, &mut self.features);
        }
    }

    /// All features, in order of direction and name, and how many values of theirs were missing.
    pub fn snapshot(&self, shown: Shown<'_>) -> (Vec<FeatureSnapshot>, u64) {
        let mut staged = vec![Vec::new(); self.features.len()];
        for layout in &self.layouts {
            layout.visit(|number, values| staged[number].extend_from_slice(values));
        }
        let waiting = |values: &[f64]| values.iter().filter(|value| value.is_nan()).count() as u64;
        let missing =
            self.features.iter().zip(&staged).map(|(feature, staged)| feature.missing(waiting(staged)));
        let missing = self.missing + missing.sum::<u64>();
        let numbers = self.numbers.values().map(|&number| number as usize);
        (numbers.map(|number| self.features[number].snapshot(&staged[number], shown)).collect(), missing)
    }

    /// The layout of a tensor, which is made when it is new and there is room.
    fn layout_of(&mut self, direction: Direction, tensor: &Tensor<'_>, start: Start<'_>) -> Option<usize> {
        let fits = |layout: &Layout| layout.fits(direction, tensor);
        let (before, after) = self.layouts.split_at(self.cursor.min(self.layouts.len()));
        let found = after.iter().position(fits).map(|found| before.len() + found);
        found.or_else(|| before.iter().position(fits)).or_else(|| self.add_layout(direction, tensor, start))
    }

    fn add_layout(&mut self, direction: Direction, tensor: &Tensor<'_>, start: Start<'_>) -> Option<usize> {
        let most = start.config.max_features as usize;
        if self.layouts.len() >= most || tensor.name.len() > NAME_BYTES_MAX {
            return None;
        }
        let widths = self.layouts.iter().filter(|layout| layout.is_named(direction, tensor.name)).count();
        let ragged = widths >= WIDTHS_MAX;
        let room = Room { features: most.saturating_sub(self.features.len()), pooled: ragged };
        let auto = TensorConfig::default();
        let tensor_config = start.config.tensors.get(tensor.name).unwrap_or(&auto);
        let reading = Reading::of(direction, tensor, tensor_config, room);
        let route = self.route(direction, tensor, reading, start);
        let layout = Layout::new(direction, tensor, ragged, route);
        let place = self.layouts.len();
        if layout.input().is_some() && widths == 0 && is_watched(&layout, &self.features) {
            self.inputs.push(place);
            if start.is_learning {
                layout.leave_out(start.rows, &mut self.features);
            }
        }
        self.layouts.push(layout);
        Some(place)
    }

    fn route(
        &mut self,
        direction: Direction,
        tensor: &Tensor<'_>,
        reading: Reading,
        start: Start<'_>,
    ) -> Route {
        self.reserve(reading.width());
        let mut add = |spec, per_row| self.add_feature(direction, spec, per_row, start);
        match reading {
            Reading::Nothing => Route::Nothing,
            Reading::Columns { columns, summary } => {
                let specs = columns.into_iter().chain(summary.specs(tensor.name));
                Route::Columns { stage: Stage::new(specs.map(|spec| add(spec, 1)).collect()), summary }
            }
            Reading::Pooled { all, summary } => {
                let all = add(all, tensor.columns());
                let specs = summary.specs(tensor.name).into_iter();
                Route::Pooled { all, stage: Stage::new(specs.map(|spec| add(spec, 1)).collect()), summary }
            }
            Reading::Strings { categories, lengths } => Route::Strings {
                categories: categories.into_iter().map(|spec| add(spec, 1)).collect(),
                lengths: lengths.into_iter().map(|spec| add(spec, 1)).collect(),
            },
        }
    }

    /// Makes room for so many features, and for an eighth more if that is more: what is left over is never given back.
    fn reserve(&mut self, more: usize) {
        if self.features.capacity() - self.features.len() < more {
            let more = more.max(self.features.len() / SPARE);
            self.features.reserve_exact(more);
            self.evidence.reserve_exact(more);
        }
    }

    /// The number of a feature, which is made unless another width of its tensor has made it before. A row holds
    /// `per_row` of its values.
    fn add_feature(&mut self, direction: Direction, spec: Spec, per_row: usize, start: Start<'_>) -> u32 {
        let key = (direction, spec.name.clone());
        if let Some(&number) = self.numbers.get(&key) {
            return number;
        }
        let number = self.features.len() as u32;
        let feature = start.feature(direction, spec, per_row, &mut self.plans);
        self.evidence.push(feature.evidence());
        self.of_direction[place(direction)] += 1;
        self.compared += usize::from(feature.is_compared());
        self.features.push(feature);
        Arc::make_mut(&mut self.numbers).insert(key, number);
        number
    }
}

/// Whether a feature of the layout is learned or compared.
fn is_watched(layout: &Layout, features: &[Watch]) -> bool {
    layout.features().any(|slot| features.get(slot as usize).is_some_and(Watch::is_watched))
}

fn place(direction: Direction) -> usize {
    usize::from(direction == Direction::Output)
}

// === impl Start ===

impl Start<'_> {
    /// Whether the features of a tensor are not left out, or made elsewhere.
    fn is_asked_for(self, tensor: &str) -> bool {
        let kind = self.config.tensors.get(tensor).map(|config| config.kind);
        !matches!(kind, Some(TensorKind::Ignore | TensorKind::Embedding))
    }

    fn feature(self, direction: Direction, spec: Spec, per_row: usize, plans: &mut Plans) -> Watch {
        if self.is_learning {
            let column = self.column(&spec, per_row);
            return Watch::learning(spec, direction, column);
        }
        let reference = self.profile.and_then(|profile| profile.get(direction, &spec.name));
        let mut feature = Watch::unprofiled(spec, direction);
        plans.set_model(self.profile.map_or(0, |profile| profile.references().len()));
        feature.compare_with(reference, self.config, plans);
        feature
    }

    fn column(self, spec: &Spec, per_row: usize) -> Column {
        if spec.kind == Kind::Category {
            return Column::Labels(Labels::default());
        }
        let share = LEARN_VALUES / self.config.max_features.max(1) as usize;
        let most = |share: usize| share.clamp(256, LEARN_VALUES_PER_FEATURE);
        let (buffer, every) = match per_row {
            0 | 1 => (Limits { long: most(share), short: most(2 * share) }, 1),
            _ => (Limits::of(LEARN_VALUES_PER_FEATURE), thinning(per_row)),
        };
        let (bins, integral) = (self.config.bins.into(), spec.kind == Kind::Discrete);
        Column::Numbers(Numbers::new(Plan { bins, integral, buffer, every }))
    }
}

/// Take every so many of `per_row` values; a step that 2 and 3 do not divide, so that it does not keep hitting the
/// same colour of every pixel.
fn thinning(per_row: usize) -> usize {
    per_row.div_ceil(LEARN_VALUES_PER_ROW).saturating_sub(1).div_ceil(6) * 6 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_leaves_a_few_hundred_values_of_any_row_and_spares_no_colour() {
        for per_row in [2, 100, 513, 12_288, 150_528, 3_000_000] {
            let step = thinning(per_row);
            assert!(step % 2 == 1 && step % 3 == 1, "{per_row}");
            assert!((100..=LEARN_VALUES_PER_ROW).contains(&(per_row / step)) || per_row < 1_000, "{per_row}");
        }
        assert_eq!((thinning(2), thinning(512), thinning(513)), (1, 1, 7));
    }
}
