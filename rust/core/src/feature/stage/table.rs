//! The values that wait, sixteen columns at a time: all rows of these lie together.
//!
//! What is counted together is then read from one end to the other, which memory is fastest at. Were it whole rows, each
//! line would lie in another page, and all lines of some columns in the same few sets of a cache.

use super::ROWS;
use crate::sketch::real::Real;
use crate::tensor::Tensor;
use fearless_simd::{Level, Simd, dispatch};
use std::ops::Range;

/// Columns that lie together: short floats of a cache line.
pub const GROUP: usize = 16;

/// A table of a fixed width, in groups of columns.
#[derive(Clone, Debug)]
pub struct Table<R> {
    /// Rows there is room for.
    rows: usize,
    /// Rows of the first group, those of the next one, ...
    groups: Vec<Line<R>>,
    /// ...and those of the last one, which is narrower, as one number after the other.
    rest: Vec<R>,
    /// How wide that is.
    narrow: usize,
}

/// A row of a group.
#[repr(align(64))]
#[derive(Clone, Copy, Debug)]
struct Line<R>([R; GROUP]);

// === impl Table ===

impl<R> Default for Table<R> {
    fn default() -> Table<R> {
        Table { rows: 0, groups: Vec::new(), rest: Vec::new(), narrow: 0 }
    }
}

impl<R: Real> Table<R> {
    /// Makes room for so many rows, all of the same width, if that is not there yet.
    pub fn make(&mut self, width: usize, rows: usize) {
        let zero = R::nearest(0.0);
        if self.rows == 0 {
            self.rows = rows;
            self.narrow = width % GROUP;
            self.groups = vec![Line([zero; GROUP]); width / GROUP * rows];
            self.rest = vec![zero; self.narrow * rows];
        }
    }

    /// The first rows, and no room for others.
    pub fn copied(&self, filled: usize) -> Table<R> {
        let groups = self.groups.chunks(self.rows.max(1)).flat_map(|group| group.iter().take(filled));
        let rest = self.rest.iter().take(filled * self.narrow);
        Table {
            rows: filled,
            groups: groups.copied().collect(),
            rest: rest.copied().collect(),
            narrow: self.narrow,
        }
    }

    /// Takes rows `from` of a tensor, as its rows from `into` on.
    pub fn read(&mut self, tensor: &Tensor<'_>, from: Range<usize>, into: usize) {
        let columns = tensor.columns();
        let lines = self.groups.chunks_mut(self.rows.max(1)).enumerate().flat_map(|(group, lines)| {
            let lines = lines.iter_mut().skip(into).zip(from.clone());
            lines.map(move |(line, row)| (row * columns + group * GROUP, &mut line.0))
        });
        tensor.read_each(lines);
        let whole = columns.saturating_sub(self.narrow);
        let rest = self.rest.chunks_mut(self.narrow.max(1)).skip(into);
        rest.zip(from).for_each(|(rest, row)| tensor.read(row * columns + whole, rest));
    }

    /// Writes one row.
    pub fn set(&mut self, into: usize, row: &[f64]) {
        let (groups, rest) = row.as_chunks::<GROUP>();
        let lines = self.groups.chunks_mut(self.rows.max(1)).filter_map(|group| group.get_mut(into));
        lines.zip(groups).for_each(|(line, values)| line.0 = values.map(R::nearest));
        let mine = self.rest.iter_mut().skip(into * self.narrow);
        mine.zip(rest).for_each(|(mine, &value)| *mine = R::nearest(value));
    }

    /// The first rows of a group become columns.
    pub fn turn(&self, group: usize, filled: usize, columns: &mut [[R; ROWS]; GROUP]) {
        let lines = self.groups.get(group * self.rows..).unwrap_or_default();
        let lines = lines.get(..filled).unwrap_or_default();
        if lines.len() >= R::LANES {
            dispatch!(Level::new(), simd => turn(simd, lines, columns));
        } else if !lines.is_empty() {
            scatter(lines.iter().map(|line| &line.0[..]), columns);
        } else {
            scatter(self.rest.chunks(self.narrow.max(1)).take(filled), columns);
        }
    }
}

/// Turns rows one value at a time.
fn scatter<'a, R: Real>(rows: impl Iterator<Item = &'a [R]>, columns: &mut [[R; ROWS]; GROUP]) {
    for (position, row) in rows.take(ROWS).enumerate() {
        for (column, &value) in columns.iter_mut().zip(row) {
            column[position] = value;
        }
    }
}

/// Turns rows a square at a time; the last squares overlap those before them.
#[inline(always)]
fn turn<S: Simd, R: Real>(simd: S, lines: &[Line<R>], columns: &mut [[R; ROWS]; GROUP]) {
    for (part, columns) in columns.chunks_exact_mut(R::LANES).enumerate() {
        for start in (0..lines.len()).step_by(R::LANES) {
            let at = start.min(lines.len() - R::LANES);
            let rows = lines[at..].iter().map(|line| &line.0[part * R::LANES..]);
            R::turn(simd, rows, columns, at);
        }
    }
}
