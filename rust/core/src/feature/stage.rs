//! Rows wait here until there are enough of them to be counted column by column.
//!
//! Messages are rows; counters belong to columns. Counting row by row touches every feature's counters for every row,
//! and with many features none of them stays in the cache. Waiting for a block of rows and then walking it by columns
//! makes the cost per value the same for 16 features and for thousands.

use crate::prefetch::Depth;
use crate::sketch::real::{Real, widened};
use crate::tensor::Tensor;
use fearless_simd::{Level, Simd, dispatch};
use std::ops::Range;

/// Rows that are counted, and looked at, together: not much less than whole parts of the counting.
const ROWS: usize = 120;

/// The same of so many columns that their counters come from memory each time: half as often.
const ROWS_OF_MANY: usize = 2 * ROWS;
const MANY: usize = 1_024;

/// Most values that wait, a small part of what the counters of so many features take.
const VALUES_MAX: usize = 2 << 20;

/// Fewest rows that are worth waiting for.
const ROWS_MIN: usize = 8;

/// Columns walked at a time: those that share a cache line.
const GROUP: usize = 16;

/// Fewest columns whose counters the caches do not keep from one block to the next.
const WIDE: usize = 256;

/// A block of rows, one column per feature.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The feature of each column.
    slots: Vec<u32>,
    values: Values,
    filled: usize,
    rows: usize,
}

/// Row-major. Short floats as long as they hold everything that comes.
#[derive(Clone, Debug)]
enum Values {
    Short(Vec<f32>),
    Long(Vec<f64>),
}

/// Room for a column: vectors that begin in the middle of a cache line take longer to read.
const HEIGHT: usize = ROWS.next_multiple_of(GROUP);
const HEIGHT_OF_MANY: usize = ROWS_OF_MANY.next_multiple_of(GROUP);

/// The columns of a group.
#[repr(align(64))]
struct Columns<R, const HEIGHT: usize>([[R; HEIGHT]; GROUP]);

/// Whoever is shown the columns.
trait Visitor {
    /// Whose columns come after the next one.
    fn prepare(&mut self, _slots: &[u32]) {}

    fn column<R: Real>(&mut self, slot: usize, values: &[R]);
}

/// Counts columns, and then shows their features.
struct Drain<'a, C, F> {
    features: &'a mut [C],
    is_wide: bool,
    errand: Errand,
    each: F,
}

/// Shows columns as long floats.
struct Widen<F>(F);

/// Whatever the values of a column are counted in.
pub trait Count {
    fn count<R: Real>(&mut self, values: &[R]);

    /// Asks for the cache lines at a depth that counting will need, and the errand after it.
    fn prefetch(&self, _depth: Depth, _errand: Errand) {}
}

/// What a feature is shown for after it was counted, which other lines are needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// For nothing.
    None,
    /// It is looked at, at this row.
    Look(u64),
    /// Its pane is closed, at this row.
    Close(u64),
}

/// How many rows of so many features are counted, and looked at, together.
pub fn rows_together(features: usize) -> usize {
    if features < MANY { ROWS } else { ROWS_OF_MANY }
}

// === impl Stage ===

impl Stage {
    /// An empty stage, whose columns belong to the features `slots`.
    pub fn new(slots: Vec<u32>) -> Stage {
        let rows = (VALUES_MAX / slots.len().max(1)).clamp(ROWS_MIN, rows_together(slots.len()));
        Stage { values: Values::Short(Vec::new()), slots, filled: 0, rows }
    }

    /// A copy that holds the rows that wait and has memory for no others.
    #[must_use]
    pub fn copied(&self) -> Stage {
        let waiting = self.filled * self.slots.len();
        let values = match &self.values {
            Values::Short(values) => Values::Short(values.get(..waiting).unwrap_or_default().to_vec()),
            Values::Long(values) => Values::Long(values.get(..waiting).unwrap_or_default().to_vec()),
        };
        Stage { slots: self.slots.clone(), values, ..*self }
    }

    /// The feature of each column.
    pub fn slots(&self) -> &[u32] {
        &self.slots
    }

    /// How many rows may be added before it must be drained.
    fn room(&self) -> usize {
        self.rows - self.filled
    }

    pub fn is_empty(&self) -> bool {
        self.filled == 0 || self.slots.is_empty()
    }

    /// Adds rows of a tensor with one element per column; counts those that wait when there is no more room.
    pub fn read<C: Count>(&mut self, tensor: &Tensor<'_>, mut rows: Range<usize>, features: &mut [C]) {
        let columns = tensor.columns();
        if !tensor.is_short() {
            self.lengthen(features);
        }
        while !rows.is_empty() {
            let taken = rows.len().min(self.rows);
            if self.is_short() {
                tensor.read(rows.start * columns, self.add_short(taken, features));
            } else {
                tensor.read(rows.start * columns, self.add(taken, features));
            }
            rows.start += taken;
        }
    }

    fn is_short(&self) -> bool {
        matches!(self.values, Values::Short(_))
    }

    /// From now on, holds whatever comes: as many rows as of few columns, for they take twice the memory.
    fn lengthen<C: Count>(&mut self, features: &mut [C]) {
        if self.is_short() {
            self.drain(features);
            self.rows = self.rows.min(ROWS);
            self.values = Values::Long(vec![0.0; self.rows * self.slots.len()]);
        }
    }

    /// Adds `rows` rows (as many as may wait of long values) and hands them out, row-major, to be written.
    pub fn add<C: Count>(&mut self, rows: usize, features: &mut [C]) -> &mut [f64] {
        self.lengthen(features);
        let range = self.range_for(rows, features);
        match &mut self.values {
            Values::Long(values) => &mut values[range],
            Values::Short(_) => &mut [],
        }
    }

    fn add_short<C: Count>(&mut self, rows: usize, features: &mut [C]) -> &mut [f32] {
        let (whole, range) = (self.rows * self.slots.len(), self.range_for(rows, features));
        match &mut self.values {
            Values::Short(values) => {
                values.resize(whole, 0.0);
                &mut values[range]
            }
            Values::Long(_) => &mut [],
        }
    }

    /// Where the next `rows` rows go, which are counted as filled; those that wait are counted when there is no room.
    fn range_for<C: Count>(&mut self, rows: usize, features: &mut [C]) -> Range<usize> {
        if self.room() < rows {
            self.drain(features);
        }
        let (start, width) = (self.filled, self.slots.len());
        self.filled = (start + rows).min(self.rows);
        start * width..self.filled * width
    }

    /// Counts the waiting values of every feature, in order, and forgets them.
    pub fn drain<C: Count>(&mut self, features: &mut [C]) {
        self.drain_each(features, Errand::None, |_, _| {});
    }

    /// The same, and shows each feature as soon as its values are counted, for an errand.
    pub fn drain_each<C: Count>(
        &mut self,
        features: &mut [C],
        errand: Errand,
        each: impl FnMut(usize, &mut C),
    ) {
        self.show(&mut Drain { features, is_wide: self.slots.len() >= WIDE, errand, each });
        self.filled = 0;
    }

    /// Shows every feature its waiting values, in order.
    pub fn visit(&self, visit: impl FnMut(usize, &[f64])) {
        self.show(&mut Widen(visit));
    }

    fn show(&self, visitor: &mut impl Visitor) {
        match &self.values {
            _ if self.is_empty() => {}
            Values::Long(values) => self.columns::<_, HEIGHT>(values, visitor),
            Values::Short(values) if self.rows <= HEIGHT => self.columns::<_, HEIGHT>(values, visitor),
            Values::Short(values) => self.columns::<_, HEIGHT_OF_MANY>(values, visitor),
        }
    }

    /// Shows each column, and before it whose columns come later.
    fn columns<R: Real, const HEIGHT: usize>(&self, values: &[R], visitor: &mut impl Visitor) {
        let width = self.slots.len();
        let rows = &values[..self.filled * width];
        let Columns(columns) = &mut Columns([[R::INFINITY; HEIGHT]; GROUP]);
        for (group, slots) in self.slots.chunks(GROUP).enumerate() {
            let rows = &rows[group * GROUP..];
            if slots.len() == GROUP && self.filled >= R::LANES {
                dispatch!(Level::new(), simd => turn(simd, rows, width, self.filled, columns));
            } else {
                for (position, row) in rows.chunks(width).enumerate() {
                    for (column, &value) in columns.iter_mut().zip(row).take(slots.len()) {
                        column[position % HEIGHT] = value;
                    }
                }
            }
            for (position, (column, &slot)) in columns.iter().zip(slots).enumerate() {
                visitor.prepare(self.slots.get(group * GROUP + position + 1..).unwrap_or_default());
                visitor.column(slot as usize, &column[..self.filled]);
            }
        }
    }
}

// === impl Drain ===

impl<C: Count, F: FnMut(usize, &mut C)> Visitor for Drain<'_, C, F> {
    fn prepare(&mut self, slots: &[u32]) {
        if !self.is_wide {
            return;
        }
        for (&slot, depth) in slots.iter().zip(Depth::ALL) {
            if let Some(feature) = self.features.get(slot as usize) {
                feature.prefetch(depth, self.errand);
            }
        }
    }

    #[inline]
    fn column<R: Real>(&mut self, slot: usize, values: &[R]) {
        let feature = &mut self.features[slot];
        feature.count(values);
        (self.each)(slot, feature);
    }
}

// === impl Widen ===

impl<F: FnMut(usize, &[f64])> Visitor for Widen<F> {
    fn column<R: Real>(&mut self, slot: usize, values: &[R]) {
        widened(values, |values| (self.0)(slot, values));
    }
}

/// Turns a group of columns, which `rows` begin with, a square at a time; the last squares overlap those before them.
#[inline(always)]
fn turn<S: Simd, R: Real, const HEIGHT: usize>(
    simd: S,
    rows: &[R],
    width: usize,
    filled: usize,
    columns: &mut [[R; HEIGHT]; GROUP],
) {
    for (part, columns) in columns.chunks_exact_mut(R::LANES).enumerate() {
        for start in (0..filled).step_by(R::LANES) {
            let at = start.min(filled - R::LANES);
            R::turn(simd, &rows[at * width + part * R::LANES..], width, columns, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Data, Datatype};

    /// What was counted of a feature.
    #[derive(Clone, Debug, Default, PartialEq)]
    struct Seen(Vec<f64>);

    impl Count for Seen {
        fn count<R: Real>(&mut self, values: &[R]) {
            self.0.extend(values.iter().map(|value| value.wide()));
        }
    }

    fn table(rows: usize, columns: usize) -> Vec<u8> {
        (0..rows * columns).flat_map(|i| (i as f32).to_le_bytes()).collect()
    }

    fn read(stage: &mut Stage, bytes: &[u8], columns: usize, features: &mut [Seen]) {
        let rows = bytes.len() / columns / 4;
        let tensor = Tensor::new("x", Datatype::Fp32, vec![rows, columns], Data::Raw(bytes)).unwrap();
        stage.read(&tensor, 0..rows, features);
    }

    fn expected(rows: usize, columns: usize, column: usize) -> Vec<f64> {
        (0..rows).map(|row| (row * columns + column) as f64).collect()
    }

    #[test]
    fn rows_go_in_and_columns_come_out() {
        let (mut stage, mut features) = (Stage::new((2..23).collect()), vec![Seen::default(); 23]);
        for rows in [1, 3, 700] {
            let bytes = table(rows, 21);
            read(&mut stage, &bytes, 21, &mut features);
            stage.drain(&mut features);
            for (column, feature) in features.iter_mut().skip(2).enumerate() {
                assert_eq!(std::mem::take(feature).0, expected(rows, 21, column));
            }
        }
        assert!(stage.is_empty() && stage.room() == ROWS);
    }

    #[test]
    fn whole_groups_of_columns_are_turned_whatever_their_number_of_rows() {
        let columns = 3 * GROUP + 1;
        let (mut stage, mut features) =
            (Stage::new((0..columns as u32).collect()), vec![Seen::default(); columns]);
        for rows in [1, 7, 8, 15, 16, 17, 119, ROWS] {
            let bytes = table(rows, columns);
            read(&mut stage, &bytes, columns, &mut features);
            stage.drain(&mut features);
            for (column, feature) in features.iter_mut().enumerate() {
                assert_eq!(std::mem::take(feature).0, expected(rows, columns, column));
            }
            let long: Vec<f64> = (0..rows * columns).map(|i| i as f64).collect();
            let mut stage = Stage::new((0..columns as u32).collect());
            stage.add(rows, &mut features).copy_from_slice(&long);
            stage.drain(&mut features);
            for (column, feature) in features.iter_mut().enumerate() {
                assert_eq!(std::mem::take(feature).0, expected(rows, columns, column));
            }
        }
    }

    #[test]
    fn what_is_too_long_for_short_floats_makes_the_stage_long_and_loses_nothing() {
        let (mut stage, mut features) = (Stage::new(vec![0]), vec![Seen::default()]);
        read(&mut stage, &table(2, 1), 1, &mut features);
        let bytes = 0.1f64.to_le_bytes();
        let long = Tensor::new("x", Datatype::Fp64, vec![1], Data::Raw(&bytes)).unwrap();
        stage.read(&long, 0..1, &mut features);
        read(&mut stage, &table(2, 1), 1, &mut features);
        stage.drain(&mut features);
        assert_eq!(features[0].0, [0.0, 1.0, 0.1, 0.0, 1.0]);
    }

    #[test]
    fn more_rows_of_many_columns_wait_and_come_out_as_they_went_in() {
        let columns = MANY;
        let (mut stage, mut features) = (Stage::new((0..MANY as u32).collect()), vec![Seen::default(); MANY]);
        for rows in [1, 17, 121, ROWS_OF_MANY] {
            read(&mut stage, &table(rows, columns), columns, &mut features);
            assert_eq!(stage.room(), ROWS_OF_MANY - rows);
            stage.drain(&mut features);
            for (column, feature) in features.iter_mut().enumerate() {
                assert_eq!(std::mem::take(feature).0, expected(rows, columns, column));
            }
        }
        stage.add(1, &mut features).fill(0.5);
        assert_eq!(stage.room(), ROWS - 1);
        stage.drain(&mut features);
        assert_eq!(features[MANY - 1].0, [0.5]);
    }

    #[test]
    fn very_wide_rows_wait_in_smaller_blocks() {
        assert_eq!(Stage::new(vec![0; 8_192]).room(), ROWS_OF_MANY);
        assert_eq!(Stage::new(vec![0; 1_000_000]).room(), ROWS_MIN);
    }

    #[test]
    fn looking_does_not_take_anything_away() {
        let (mut stage, mut features) = (Stage::new(vec![0]), vec![Seen::default()]);
        stage.add(2, &mut features).copy_from_slice(&[1.0, 2.0]);
        for _ in 0..2 {
            stage.visit(|_, values| assert_eq!(values, [1.0, 2.0]));
        }
    }
}
