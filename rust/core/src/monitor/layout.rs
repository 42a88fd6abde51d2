//! Where the elements of a tensor go. Worked out when a tensor is first seen, so that later messages cost no look-up.

use super::watch::Watch;
use crate::feature::stage::{Errand, Stage};
use crate::feature::summary::{Row, Summary};
use crate::sketch::BLOCK;
use crate::tensor::{Data, Datatype, Direction, Tensor};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A tensor of one name and width, and the features its elements belong to.
#[derive(Debug)]
pub struct Layout {
    direction: Direction,
    name: String,
    /// Elements per row; `None` fits any.
    columns: Option<usize>,
    strings: bool,
    route: Route,
}

/// The features (by number) that elements are counted in.
#[derive(Debug)]
pub enum Route {
    Nothing,
    /// Every column its own, then the summary; all of them wait in the stage.
    Columns {
        stage: Stage,
        summary: Summary,
    },
    /// All elements in one; only the summary waits in the stage.
    Pooled {
        all: u32,
        stage: Stage,
        summary: Summary,
    },
    /// One per column, or one for all columns; either may be empty.
    Strings {
        categories: Vec<u32>,
        lengths: Vec<u32>,
    },
}

/// A layout at rest: the same with the features of each stage, and no rows in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stored {
    direction: Direction,
    name: String,
    columns: Option<usize>,
    strings: bool,
    route: StoredRoute,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum StoredRoute {
    Nothing,
    Columns { slots: Vec<u32>, summary: Summary },
    Pooled { all: u32, slots: Vec<u32>, summary: Summary },
    Strings { categories: Vec<u32>, lengths: Vec<u32> },
}

// === impl Stored ===

impl Stored {
    /// Whether it is for the same tensors as another one.
    pub fn is_like(&self, other: &Stored) -> bool {
        (self.direction, self.columns, self.strings) == (other.direction, other.columns, other.strings)
            && self.name == other.name
    }

    /// The same for features that have other numbers now.
    #[must_use]
    pub fn renumbered(mut self, number: impl Fn(u32) -> u32) -> Stored {
        let lists: [&mut [u32]; 2] = match &mut self.route {
            StoredRoute::Nothing => [&mut [], &mut []],
            StoredRoute::Columns { slots, .. } => [slots, &mut []],
            StoredRoute::Pooled { all, slots, .. } => [std::slice::from_mut(all), slots],
            StoredRoute::Strings { categories, lengths } => [categories, lengths],
        };
        lists.into_iter().flatten().for_each(|slot| *slot = number(*slot));
        self
    }
}

// === impl Layout ===

impl Layout {
    /// For tensors like `tensor`, or, if `ragged`, like it but of any width.
    pub fn new(direction: Direction, tensor: &Tensor<'_>, ragged: bool, route: Route) -> Layout {
        Layout {
            direction,
            name: tensor.name.to_owned(),
            columns: (!ragged).then(|| tensor.columns()),
            strings: tensor.datatype == Datatype::Bytes,
            route,
        }
    }

    /// The layout without the rows that wait.
    pub fn stored(&self) -> Stored {
        let route = match &self.route {
            Route::Nothing => StoredRoute::Nothing,
            Route::Columns { stage, summary } => {
                StoredRoute::Columns { slots: stage.slots().to_vec(), summary: *summary }
            }
            Route::Pooled { all, stage, summary } => {
                StoredRoute::Pooled { all: *all, slots: stage.slots().to_vec(), summary: *summary }
            }
            Route::Strings { categories, lengths } => {
                StoredRoute::Strings { categories: categories.clone(), lengths: lengths.clone() }
            }
        };
        let Layout { direction, name, columns, strings, .. } = self;
        Stored { direction: *direction, name: name.clone(), columns: *columns, strings: *strings, route }
    }

    /// A stored layout of so many features; `None` when it does not fit them.
    pub fn resumed(stored: Stored, features: usize) -> Option<Layout> {
        let Stored { direction, name, columns, strings, route } = stored;
        let exist = |slots: &[u32]| slots.iter().all(|&slot| (slot as usize) < features);
        let route = match route {
            StoredRoute::Nothing => Route::Nothing,
            StoredRoute::Columns { slots, summary } => {
                let fits = columns.and_then(|columns| columns.checked_add(summary.width()));
                let stage = (exist(&slots) && fits == Some(slots.len())).then(|| Stage::new(slots))?;
                Route::Columns { stage, summary }
            }
            StoredRoute::Pooled { all, slots, summary } => {
                let fits = exist(&[all]) && exist(&slots) && slots.len() == summary.width();
                Route::Pooled { all, stage: fits.then(|| Stage::new(slots))?, summary }
            }
            StoredRoute::Strings { categories, lengths } => {
                (exist(&categories) && exist(&lengths)).then_some(Route::Strings { categories, lengths })?
            }
        };
        Some(Layout { direction, name, columns, strings, route })
    }

    /// The layout with the rows that wait, in no more memory than they need.
    #[must_use]
    pub fn copied(&self) -> Layout {
        let route = match &self.route {
            Route::Nothing => Route::Nothing,
            Route::Columns { stage, summary } => Route::Columns { stage: stage.copied(), summary: *summary },
            Route::Pooled { all, stage, summary } => {
                Route::Pooled { all: *all, stage: stage.copied(), summary: *summary }
            }
            Route::Strings { categories, lengths } => {
                Route::Strings { categories: categories.clone(), lengths: lengths.clone() }
            }
        };
        Layout { name: self.name.clone(), route, ..*self }
    }

    /// Whether the elements of `tensor` belong here.
    #[inline]
    pub fn fits(&self, direction: Direction, tensor: &Tensor<'_>) -> bool {
        self.columns.is_none_or(|columns| columns == tensor.columns())
            && self.is_named(direction, tensor.name)
            && self.strings == (tensor.datatype == Datatype::Bytes)
    }

    /// Whether it belongs to tensors of this name.
    pub fn is_named(&self, direction: Direction, name: &str) -> bool {
        self.direction == direction && self.name == name
    }

    /// Counts a range of the rows of `tensor`.
    pub fn observe(&mut self, tensor: &Tensor<'_>, rows: Range<usize>, features: &mut [Watch]) {
        match &mut self.route {
            Route::Nothing => {}
            Route::Columns { stage, summary: Summary::Nothing } => stage.read(tensor, rows, features),
            Route::Columns { stage, summary } => rows.for_each(|row| {
                stage_row(stage, *summary, tensor, row, features);
            }),
            Route::Pooled { all, stage, summary } => rows.for_each(|row| {
                let summarised = pool_row(*all as usize, *summary, tensor, row, features);
                summarised.finish(stage.add(1, features));
            }),
            Route::Strings { categories, lengths } => {
                let Data::Bytes(elements) = &tensor.data else { return };
                let columns = tensor.columns();
                let wanted = elements.get(rows.start * columns..rows.end * columns).unwrap_or_default();
                for (position, element) in wanted.iter().enumerate() {
                    let column = position % columns;
                    count_string(element, at(categories, column), at(lengths, column), features);
                }
            }
        }
    }

    /// Name of the tensors, if they are inputs.
    pub fn input(&self) -> Option<&str> {
        (self.direction == Direction::Input).then_some(self.name.as_str())
    }

    /// The features that elements are counted in.
    pub fn features(&self) -> impl Iterator<Item = u32> {
        let (one, other): (&[u32], &[u32]) = match &self.route {
            Route::Nothing => (&[], &[]),
            Route::Columns { stage, .. } => (stage.slots(), &[]),
            Route::Pooled { all, stage, .. } => (std::slice::from_ref(all), stage.slots()),
            Route::Strings { categories, lengths } => (categories, lengths),
        };
        one.iter().chain(other).copied()
    }

    /// Counts a row of a tensor that came without elements.
    pub fn observe_missing(&self, features: &mut [Watch]) {
        self.features().for_each(|slot| features[slot as usize].add_missing(1));
    }

    /// Counts rows of messages without the tensor.
    pub fn leave_out(&self, rows: u64, features: &mut [Watch]) {
        self.features().for_each(|slot| features[slot as usize].leave_out(rows));
    }

    /// Counts the rows that wait, if they are of `direction`.
    pub fn drain(&mut self, direction: Direction, features: &mut [Watch]) {
        if self.direction == direction
            && let Route::Columns { stage, .. } | Route::Pooled { stage, .. } = &mut self.route
        {
            stage.drain(features);
        }
    }

    /// Whether rows of `direction` wait in it.
    pub fn waits(&self, direction: Direction) -> bool {
        match &self.route {
            Route::Columns { stage, .. } | Route::Pooled { stage, .. } => {
                self.direction == direction && !stage.is_empty()
            }
            Route::Nothing | Route::Strings { .. } => false,
        }
    }

    /// The features whose values wait in it.
    pub fn slots(&self) -> &[u32] {
        match &self.route {
            Route::Columns { stage, .. } | Route::Pooled { stage, .. } => stage.slots(),
            Route::Nothing | Route::Strings { .. } => &[],
        }
    }

    /// Counts the rows that wait, and shows each feature after its values were counted.
    pub fn drain_each(
        &mut self,
        features: &mut [Watch],
        errand: Errand,
        each: impl FnMut(usize, &mut Watch),
    ) {
        if let Route::Columns { stage, .. } | Route::Pooled { stage, .. } = &mut self.route {
            stage.drain_each(features, errand, each);
        }
    }

    /// Shows the values that wait, by feature.
    pub fn visit(&self, visit: impl FnMut(usize, &[f64])) {
        if let Route::Columns { stage, .. } | Route::Pooled { stage, .. } = &self.route {
            stage.visit(visit);
        }
    }
}

fn stage_row(stage: &mut Stage, summary: Summary, tensor: &Tensor<'_>, row: usize, features: &mut [Watch]) {
    let columns = tensor.columns();
    let (elements, derived) = stage.add(1, features).split_at_mut(columns);
    tensor.read(row * columns, elements);
    let mut summarised = Row::new(summary);
    summarised.update(elements);
    summarised.finish(derived);
}

fn pool_row(all: usize, summary: Summary, tensor: &Tensor<'_>, row: usize, features: &mut [Watch]) -> Row {
    let columns = tensor.columns();
    let mut summarised = Row::new(summary);
    let mut block = [0.0; BLOCK];
    for start in (0..columns).step_by(BLOCK) {
        let block = &mut block[..BLOCK.min(columns - start)];
        tensor.read(row * columns + start, block);
        summarised.update(block);
        features[all].update(block);
    }
    summarised
}

/// The feature of a column, or the one of all columns.
fn at(slots: &[u32], column: usize) -> Option<usize> {
    slots.get(column).or(slots.first()).map(|&slot| slot as usize)
}

fn count_string(element: &[u8], category: Option<usize>, length: Option<usize>, features: &mut [Watch]) {
    if let Some(slot) = category {
        match element {
            [] => features[slot].add_missing(1),
            _ => features[slot].add_label(element),
        }
    }
    if let Some(slot) = length {
        match element {
            [] => features[slot].add_missing(1),
            _ => features[slot].update(&[element.len() as f64]),
        }
    }
}
