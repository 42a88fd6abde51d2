//! Rows wait here until there are enough of them to be counted column by column.
//!
//! Messages are rows; counters belong to columns. Counting row by row touches every feature's counters for every row,
//! and with many features none of them stays in the cache. Waiting for a block of rows and then walking it by columns
//! makes the cost per value the same for 16 features and for thousands.

mod table;

use crate::sketch::real::{Real, widened};
use crate::tensor::Tensor;
use std::hint::black_box;
use std::ops::Range;
use table::{GROUP, Table};

/// Most rows that wait: as many as are looked at together.
pub const ROWS: usize = 120;

/// Most values that wait, a small part of what the counters of so many features take.
const VALUES_MAX: usize = 2 << 20;

/// Fewest rows that are worth waiting for.
const ROWS_MIN: usize = 8;

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
    /// A row that is being written.
    row: Vec<f64>,
}

/// Short floats as long as they hold everything that comes.
#[derive(Clone, Debug)]
enum Values {
    Short(Table<f32>),
    Long(Table<f64>),
}

/// Whoever is shown the columns.
trait Visitor {
    /// The features of the columns that come next.
    fn prepare(&mut self, _slots: &[u32]) {}

    fn column<R: Real>(&mut self, slot: usize, values: &[R]);
}

/// Counts columns, and then shows their features.
struct Drain<'a, C, F> {
    features: &'a mut [C],
    is_wide: bool,
    each: F,
}

/// Shows columns as long floats.
struct Widen<F>(F);

/// Whatever the values of a column are counted in.
pub trait Count {
    fn count<R: Real>(&mut self, values: &[R]);

    /// Reads a part of the cache lines that counting will need, and answers something that depends on all of them: so
    /// that many features' lines come from memory at once, instead of one after the other when each is needed. What can
    /// be reached by one address more is read at the next depth, when that address has come.
    fn touch(&self, _depth: Depth) -> u64 {
        0
    }
}

/// How far from a feature itself what is read lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What it points to.
    Near,
    /// The first line of everything that points to.
    Far,
    /// All other lines.
    Whole,
}

// === impl Stage ===

impl Stage {
    /// An empty stage, whose columns belong to the features `slots`.
    pub fn new(slots: Vec<u32>) -> Stage {
        let rows = (VALUES_MAX / slots.len().max(1)).clamp(ROWS_MIN, ROWS);
        Stage { values: Values::Short(Table::default()), slots, filled: 0, rows, row: Vec::new() }
    }

    /// A copy that holds the rows that wait and has memory for no others.
    #[must_use]
    pub fn copied(&self) -> Stage {
        let values = match &self.values {
            Values::Short(table) => Values::Short(table.copied(self.filled)),
            Values::Long(table) => Values::Long(table.copied(self.filled)),
        };
        Stage { slots: self.slots.clone(), values, row: Vec::new(), ..*self }
    }

    /// The feature of each column.
    pub fn slots(&self) -> &[u32] {
        &self.slots
    }

    pub fn is_empty(&self) -> bool {
        self.filled == 0 || self.slots.is_empty()
    }

    /// Adds rows of a tensor with one element per column; counts those that wait when there is no more room.
    pub fn read<C: Count>(&mut self, tensor: &Tensor<'_>, mut rows: Range<usize>, features: &mut [C]) {
        while !rows.is_empty() {
            let taken = rows.len().min(self.rows);
            let into = self.make_room(taken, tensor.is_short(), features);
            let from = rows.start..rows.start + taken;
            match &mut self.values {
                Values::Short(table) => table.read(tensor, from, into),
                Values::Long(table) => table.read(tensor, from, into),
            }
            rows.start += taken;
        }
    }

    /// Adds a row, which is handed out to be written.
    pub fn add<C: Count>(&mut self, features: &mut [C], write: impl FnOnce(&mut [f64])) {
        let into = self.make_room(1, false, features);
        self.row.resize(self.slots.len(), 0.0);
        write(&mut self.row);
        if let Values::Long(table) = &mut self.values {
            table.set(into, &self.row);
        }
    }

    /// Where the next `rows` rows go, as many as there may be, which are counted as filled; those that wait are counted
    /// when there is no room.
    fn make_room<C: Count>(&mut self, rows: usize, are_short: bool, features: &mut [C]) -> usize {
        if self.rows - self.filled < rows {
            self.drain(features);
        }
        let width = self.slots.len();
        match &mut self.values {
            Values::Short(table) if are_short => table.make(width, self.rows),
            Values::Short(_) => {
                self.drain(features);
                let mut table = Table::default();
                table.make(width, self.rows);
                self.values = Values::Long(table);
            }
            Values::Long(_) => {}
        }
        let into = self.filled;
        self.filled += rows;
        into
    }

    /// Counts the waiting values of every feature, in order, and forgets them.
    pub fn drain<C: Count>(&mut self, features: &mut [C]) {
        self.drain_each(features, |_, _| {});
    }

    /// The same, and shows each feature as soon as its values are counted.
    pub fn drain_each<C: Count>(&mut self, features: &mut [C], each: impl FnMut(usize, &mut C)) {
        self.show(&mut Drain { features, is_wide: self.slots.len() >= WIDE, each });
        self.filled = 0;
    }

    /// Shows every feature its waiting values, in order.
    pub fn visit(&self, visit: impl FnMut(usize, &[f64])) {
        self.show(&mut Widen(visit));
    }

    fn show(&self, visitor: &mut impl Visitor) {
        match &self.values {
            _ if self.is_empty() => {}
            Values::Short(table) => self.columns(table, visitor),
            Values::Long(table) => self.columns(table, visitor),
        }
    }

    /// Shows the features of some columns, and then each of these columns.
    fn columns<R: Real>(&self, table: &Table<R>, visitor: &mut impl Visitor) {
        let mut columns = [[R::INFINITY; ROWS]; GROUP];
        for (group, slots) in self.slots.chunks(GROUP).enumerate() {
            visitor.prepare(slots);
            table.turn(group, self.filled, &mut columns);
            for (column, &slot) in columns.iter().zip(slots) {
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
        let features = || slots.iter().filter_map(|&slot| self.features.get(slot as usize));
        for depth in [Depth::Near, Depth::Far, Depth::Whole] {
            black_box(features().fold(0, |sum, feature| sum ^ feature.touch(depth)));
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
        assert!(stage.is_empty() && stage.rows == ROWS);
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
            for row in long.chunks(columns) {
                stage.add(&mut features, |written| written.copy_from_slice(row));
            }
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
    fn wide_rows_wait_in_smaller_blocks() {
        assert_eq!(Stage::new(vec![0; 8_192]).rows, ROWS);
        assert_eq!(Stage::new(vec![0; 1_000_000]).rows, ROWS_MIN);
    }

    #[test]
    fn looking_does_not_take_anything_away() {
        let (mut stage, mut features) = (Stage::new(vec![0]), vec![Seen::default()]);
        for value in [1.0, 2.0] {
            stage.add(&mut features, |row| row[0] = value);
        }
        for stage in [&stage, &stage, &stage.copied()] {
            stage.visit(|_, values| assert_eq!(values, [1.0, 2.0]));
        }
    }
}
