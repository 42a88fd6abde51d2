//! Counts calls and rows of one direction, and says when a pane is full and when a slice of the windows is over.
//!
//! Time in the statistics is rows; where seconds are asked for, they are monotonic ones.

use super::config::MonitorConfig;
use crate::detect::Mark;
use crate::window::calendar::{Calendar, Passed};
use crate::window::cascade::Horizon;
use serde::{Deserialize, Serialize};

/// Traffic of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    pub calls: u64,
    pub rows: u64,
    /// Fewest and most rows of a call, and how many calls had any tensors.
    pub batch_min: u64,
    pub batch_max: u64,
    pub batches: u64,
    /// Closed panes.
    pub panes: u64,
    /// When the open pane began.
    pub start: Mark,
    /// The same in monotonic nanoseconds; `None` before the first message.
    pub opened_ns: Option<u64>,
    /// Cuts the windows into slices; `None` before the first message that is compared.
    calendar: Option<Calendar>,
}

/// Nanoseconds in the finest slice of the windows.
const MINUTE_NS: u64 = 60_000_000_000;

// === impl Clock ===

impl Clock {
    /// A call with so many rows begins; `None` when it has no tensors.
    pub fn call(&mut self, rows: Option<u64>) {
        self.calls += 1;
        if let Some(rows) = rows {
            self.batch_min = if self.batches == 0 { rows } else { self.batch_min.min(rows) };
            self.batch_max = self.batch_max.max(rows);
            self.batches += 1;
        }
    }

    /// Rows in the open pane.
    pub fn open_rows(&self) -> u64 {
        self.rows - self.start.row
    }

    /// The open pane begins here and now; `calls` is how many the model has had.
    pub fn restart(&mut self, calls: u64, now: u64) {
        self.start = Mark { row: self.rows, call: calls };
        self.opened_ns = Some(now);
    }

    /// Whether the open pane holds rows and has been filling for longer than it may.
    pub fn is_overdue(&self, now: u64, pane_ns: Option<u64>) -> bool {
        let age = now.saturating_sub(self.opened_ns.unwrap_or(now));
        self.open_rows() > 0 && pane_ns.is_some_and(|limit| age >= limit)
    }

    /// The slices of the windows that are over by `now`, or by the rows counted, if any.
    pub fn passed(&mut self, config: &MonitorConfig, now: u64) -> Option<Passed> {
        if config.windows == Horizon::Off {
            return None;
        }
        let (unit, position) = config.window_rows.map_or((MINUTE_NS, now), |rows| (rows, self.rows));
        self.calendar.get_or_insert_with(|| Calendar::new(unit, position)).advance(position)
    }

    /// Adds the traffic of another worker. The pane that is open in both is one pane.
    pub fn merge(&mut self, other: &Clock, config: &MonitorConfig) {
        let least = |mine: u64, theirs: u64| if self.batches == 0 { theirs } else { mine.min(theirs) };
        if other.batches > 0 {
            self.batch_min = least(self.batch_min, other.batch_min);
        }
        self.batch_max = self.batch_max.max(other.batch_max);
        self.calls += other.calls;
        self.rows += other.rows;
        self.batches += other.batches;
        self.panes += other.panes;
        self.start = Mark { row: self.start.row + other.start.row, call: self.start.call + other.start.call };
        self.opened_ns = self.opened_ns.into_iter().chain(other.opened_ns).min();
        let calendars = self.calendar.into_iter().chain(other.calendar);
        self.calendar = calendars.reduce(|one, next| one.merged(next, config.window_rows.is_some()));
    }

    /// Goes on where it was at `then`, after a pause of `gap` nanoseconds; a window of rows knows no pause.
    #[must_use]
    pub fn resumed(self, config: &MonitorConfig, then: u64, now: u64, gap: u64) -> Clock {
        let age = |opened: u64| then.saturating_sub(opened).saturating_add(gap);
        let calendar = self.calendar.map(|calendar| match config.window_rows {
            Some(_) => calendar,
            None => calendar.resumed(then, now, gap),
        });
        Clock { opened_ns: self.opened_ns.map(|opened| now.saturating_sub(age(opened))), calendar, ..self }
    }

    /// How long the open pane has been filling, in seconds.
    pub fn open_seconds(&self, now: u64) -> f64 {
        now.saturating_sub(self.opened_ns.unwrap_or(now)) as f64 / 1e9
    }
}
