//! Rows wait here until there are enough of them to be counted column by column.
//!
//! Messages are rows; counters belong to columns. Counting row by row touches every feature's counters for every row,
//! and with many features none of them stays in the cache. Waiting for a block of rows and then walking it by columns
//! makes the cost per value the same for 16 features and for thousands.

use crate::sketch::BLOCK;

/// Most values that wait: 2 MiB, a tenth of what the counters of so many features take.
const VALUES_MAX: usize = 262_144;

/// Fewest rows that are worth waiting for.
const ROWS_MIN: usize = 8;

/// Columns walked at a time: those that share a cache line.
const GROUP: usize = 8;

/// A block of rows, one column per feature.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The feature of each column.
    slots: Vec<u32>,
    /// Row-major.
    values: Vec<f64>,
    filled: usize,
    rows: usize,
}

// === impl Stage ===

impl Stage {
    /// An empty stage, whose columns belong to the features `slots`.
    pub fn new(slots: Vec<u32>) -> Stage {
        let rows = (VALUES_MAX / slots.len().max(1)).clamp(ROWS_MIN, BLOCK);
        Stage { values: vec![0.0; rows * slots.len()], slots, filled: 0, rows }
    }

    /// The feature of each column.
    pub fn slots(&self) -> &[u32] {
        &self.slots
    }

    /// How many rows may be added before it must be drained.
    pub fn room(&self) -> usize {
        self.rows - self.filled
    }

    pub fn is_empty(&self) -> bool {
        self.filled == 0 || self.slots.is_empty()
    }

    /// Adds `rows` rows (at most [`Stage::room`]) and hands them out, row-major, to be written.
    pub fn add(&mut self, rows: usize) -> &mut [f64] {
        let start = self.filled;
        self.filled = (start + rows).min(self.rows);
        let width = self.slots.len();
        &mut self.values[start * width..self.filled * width]
    }

    /// Shows every feature its waiting values, in order, and forgets them.
    pub fn drain(&mut self, visit: impl FnMut(usize, &[f64])) {
        self.visit(visit);
        self.filled = 0;
    }

    /// Shows every feature its waiting values, in order.
    pub fn visit(&self, mut visit: impl FnMut(usize, &[f64])) {
        if self.is_empty() {
            return;
        }
        let width = self.slots.len();
        let rows = &self.values[..self.filled * width];
        let mut columns = [[0.0; BLOCK]; GROUP];
        for (group, slots) in self.slots.chunks(GROUP).enumerate() {
            for (position, row) in rows.chunks_exact(width).enumerate() {
                let cells = &row[group * GROUP..][..slots.len()];
                for (column, &value) in columns.iter_mut().zip(cells) {
                    column[position % BLOCK] = value;
                }
            }
            for (column, &slot) in columns.iter().zip(slots) {
                visit(slot as usize, &column[..self.filled]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_in_and_columns_come_out() {
        let mut stage = Stage::new((10..21).collect());
        for row in 0..5 {
            for (column, value) in stage.add(1).iter_mut().enumerate() {
                *value = f64::from(row) * 100.0 + column as f64;
            }
        }
        let mut seen = Vec::new();
        stage.drain(|slot, values| seen.push((slot, values.to_vec())));
        assert_eq!(seen.len(), 11);
        for (column, (slot, values)) in seen.into_iter().enumerate() {
            let expected: Vec<f64> = (0..5).map(|row| f64::from(row) * 100.0 + column as f64).collect();
            assert_eq!((slot, values), (column + 10, expected));
        }
        assert!(stage.is_empty() && stage.room() == BLOCK);
    }

    #[test]
    fn wide_rows_wait_in_smaller_blocks() {
        assert_eq!(Stage::new(vec![0; 8_192]).room(), 32);
        assert_eq!(Stage::new(vec![0; 100_000]).room(), ROWS_MIN);
    }

    #[test]
    fn looking_does_not_take_anything_away() {
        let mut stage = Stage::new(vec![0]);
        stage.add(2).copy_from_slice(&[1.0, 2.0]);
        for _ in 0..2 {
            stage.visit(|_, values| assert_eq!(values, [1.0, 2.0]));
        }
    }
}
