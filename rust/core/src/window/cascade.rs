//! The counts of a feature over the last hour, day and month: minutes, which add up to hours, which add up to days.
//!
//! Every level is a ring of slices and their sum, kept by adding what enters and subtracting what leaves: whole
//! numbers, so the sum is exact for ever. Slices are cut where time (or a number of rows) says, not where panes end.
//!
//! ```text
//!   now   running slice ─┬─▶ 60 minutes ─▶ forgotten
//!                        ├─▶ running hour ─▶ 24 hours ─▶ forgotten
//!                        └─▶ running day ──▶ 30 days ──▶ forgotten
//! ```

use super::calendar::Passed;
use super::ring::Ring;
use crate::sketch::binning::Binning;
use crate::sketch::bins::{Bins, Packed};
use crate::sketch::frames::{framed, unframed};
use crate::sketch::{Sketch, Subtract};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which windows are kept, and so how much memory a feature takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Horizon {
    /// 60 minutes, 24 hours, 30 days, with the places of values in their bins.
    #[default]
    Full,
    /// 24 hours and 30 days, counts alone.
    Lean,
    /// None.
    Off,
}

/// How many slices a level keeps, and how long each is, in those of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub slices: u32,
    pub length: u64,
}

/// The windows of one feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Cascade {
    horizon: Horizon,
    binning: Arc<Binning>,
    /// All that was counted before the running slice began.
    taken: Packed,
    levels: Box<[Level]>,
}

#[derive(Clone, Debug, PartialEq)]
struct Level {
    span: &'static Span,
    /// In frames.
    closed: Ring,
    /// Of those that are closed.
    sum: Packed,
    /// Slices of the calendar that do not make a slice of this level yet.
    running: Packed,
}

/// The slices that are closed, and what is running: plain data, for a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    taken: Packed,
    levels: Vec<(Vec<Packed>, Packed)>,
}

// === impl Horizon ===

impl Horizon {
    /// The levels, shortest first.
    pub fn spans(self) -> &'static [Span] {
        const DAYS: [Span; 3] = [
            Span { slices: 60, length: 1 },
            Span { slices: 24, length: 60 },
            Span { slices: 30, length: 1_440 },
        ];
        match self {
            Horizon::Full => &DAYS,
            Horizon::Lean => &DAYS[1..],
            Horizon::Off => &[],
        }
    }
}

// === impl Span ===

impl Span {
    /// How far back it reaches, in slices of the calendar.
    pub fn reach(self) -> u64 {
        u64::from(self.slices) * self.length
    }
}

// === impl Cascade ===

impl Cascade {
    pub fn new(binning: &Arc<Binning>, horizon: Horizon) -> Cascade {
        let level = |span: &'static Span| Level {
            span,
            closed: Ring::default(),
            sum: Packed::default(),
            running: Packed::default(),
        };
        Cascade {
            horizon,
            binning: Arc::clone(binning),
            levels: horizon.spans().iter().map(level).collect(),
            taken: Packed::default(),
        }
    }

    fn empty(&self) -> Bins {
        match self.horizon {
            Horizon::Full => Bins::new(Arc::clone(&self.binning)),
            Horizon::Lean | Horizon::Off => Bins::of_counts(Arc::clone(&self.binning)),
        }
    }

    fn with_places(&self) -> bool {
        self.horizon == Horizon::Full
    }

    /// Slices have passed; `total` is all that was ever counted.
    pub fn advance(&mut self, passed: Passed, total: &Bins) {
        if self.levels.is_empty() {
            return;
        }
        let (slice, mut sum, with_places) = (self.running(total), self.empty(), self.with_places());
        self.taken = Packed::of(total, with_places);
        for level in &mut self.levels {
            sum.clear();
            sum.merge_packed(&level.running);
            sum.merge(&slice);
            level.running = Packed::of(&sum, with_places);
            if let Some(passed) = passed.coarser(level.span.length) {
                level.close(passed.count(), &mut sum, with_places);
            }
        }
    }

    /// The counts of a window, by its place among [`Horizon::spans`]: of its closed slices, and of what is running.
    pub fn window(&self, level: usize, total: &Bins) -> Option<Bins> {
        let level = self.levels.get(level)?;
        let mut window = self.running(total);
        window.merge_packed(&level.sum);
        window.merge_packed(&level.running);
        Some(window)
    }

    /// What the running slice has counted.
    fn running(&self, total: &Bins) -> Bins {
        let mut slice = self.empty();
        slice.merge(total);
        slice.subtract_packed(&self.taken);
        slice
    }

    pub fn stored(&self) -> Stored {
        let level = |level: &Level| (level.slices().collect(), level.running.clone());
        Stored { taken: self.taken.clone(), levels: self.levels.iter().map(level).collect() }
    }

    /// Goes on with what was stored; false, and nothing has changed, when it has other windows.
    pub fn resume(&mut self, stored: Stored) -> bool {
        let fits = |(level, (closed, _)): (&Level, &(Vec<Packed>, Packed))| {
            closed.len() <= level.span.slices as usize
        };
        if stored.levels.len() != self.levels.len() || !self.levels.iter().zip(&stored.levels).all(fits) {
            return false;
        }
        let (mut sum, with_places) = (self.empty(), self.with_places());
        self.taken = stored.taken;
        for (level, (closed, running)) in self.levels.iter_mut().zip(stored.levels) {
            sum.clear();
            closed.iter().for_each(|slice| sum.merge_packed(slice));
            level.sum = Packed::of(&sum, with_places);
            level.closed = closed.iter().map(|slice| framed(slice.bytes())).collect();
            level.running = running;
        }
        true
    }

    /// Adds the windows of another worker that watched other rows at the same time, slice by slice, the latest beside
    /// the latest. False, and nothing has changed, when it keeps other windows.
    pub fn merge(&mut self, other: &Cascade) -> bool {
        if self.horizon != other.horizon {
            return false;
        }
        let (mut both, with_places) = (self.empty(), self.with_places());
        let mut add = |mine: &mut Packed, theirs: &Packed| {
            both.clear();
            both.merge_packed(mine);
            both.merge_packed(theirs);
            *mine = Packed::of(&both, with_places);
        };
        add(&mut self.taken, &other.taken);
        for (mine, theirs) in self.levels.iter_mut().zip(&other.levels) {
            mine.merge(theirs, &mut add);
        }
        true
    }
}

// === impl Level ===

impl Level {
    /// The running slice is over, and so many in all with the empty ones that followed it. `sum` is memory to add up in.
    fn close(&mut self, slices: u64, sum: &mut Bins, with_places: bool) {
        sum.clear();
        sum.merge_packed(&self.sum);
        let running = std::mem::take(&mut self.running);
        self.push(running.bytes(), sum);
        for _ in 1..slices.min(u64::from(self.span.slices) + 1) {
            self.push(&[], sum);
        }
        self.closed.shrink();
        self.sum = Packed::of(sum, with_places);
    }

    fn push(&mut self, slice: &[u8], sum: &mut Bins) {
        if self.closed.len() == self.span.slices as usize
            && let Some(oldest) = self.closed.oldest()
        {
            sum.subtract_bytes(&unframed(oldest));
            self.closed.forget_oldest();
        }
        sum.merge_bytes(slice);
        let slice = framed(slice);
        self.closed.push(slice.len(), |bytes| bytes.extend_from_slice(&slice));
    }

    /// The slices that are closed, oldest first.
    fn slices(&self) -> impl Iterator<Item = Packed> {
        self.closed.iter().map(|slice| Packed::from(unframed(slice)))
    }

    fn merge(&mut self, other: &Level, add: &mut impl FnMut(&mut Packed, &Packed)) {
        let longest = self.closed.len().max(other.closed.len());
        let slices = |level: &Level| {
            let missing = std::iter::repeat_n(Packed::default(), longest - level.closed.len());
            missing.chain(level.slices()).collect::<Vec<Packed>>()
        };
        let mut closed = slices(self);
        closed.iter_mut().zip(&slices(other)).for_each(|(mine, theirs)| add(mine, theirs));
        self.closed = closed.iter().map(|slice| framed(slice.bytes())).collect();
        add(&mut self.sum, &other.sum);
        add(&mut self.running, &other.running);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::calendar::Calendar;
    use proptest::prelude::*;

    fn binning() -> Arc<Binning> {
        Arc::new(Binning::numeric(&[0.0, 1.0, 2.0, 4.0]).unwrap())
    }

    fn counted(values: &[f64]) -> Bins {
        let mut bins = Bins::new(binning());
        bins.update(values);
        bins
    }

    /// Values with the minute in which each came, through a calendar of minutes.
    fn cascade(values: &[(u64, f64)], horizon: Horizon, until: u64) -> (Cascade, Bins) {
        let (mut calendar, mut cascade) = (Calendar::new(1, 0), Cascade::new(&binning(), horizon));
        let mut total = counted(&[]);
        for &(minute, value) in values {
            if let Some(passed) = calendar.advance(minute) {
                cascade.advance(passed, &total);
            }
            total.update(&[value]);
        }
        if let Some(passed) = calendar.advance(until) {
            cascade.advance(passed, &total);
        }
        (cascade, total)
    }

    /// The values of a window, told by their minutes: the running slice of the level, and as many as it keeps.
    fn expected(values: &[(u64, f64)], span: Span, until: u64) -> Vec<f64> {
        let first = (until / span.length).saturating_sub(u64::from(span.slices));
        let recent = values.iter().filter(|(minute, _)| minute / span.length >= first);
        recent.map(|(_, value)| *value).collect()
    }

    fn stream(gaps: Vec<(u64, f64)>) -> Vec<(u64, f64)> {
        let mut minute = 0;
        let later = |(gap, value)| {
            minute += gap;
            (minute, value)
        };
        gaps.into_iter().map(later).collect()
    }

    fn gaps() -> impl Strategy<Value = Vec<(u64, f64)>> {
        let gap = prop_oneof![6 => 0u64..3, 3 => 0u64..90, 1 => 0u64..3_000, 1 => 0u64..60_000];
        prop::collection::vec((gap, -1f64..5.0), 1..120)
    }

    proptest! {
        #[test]
        fn a_window_holds_exactly_the_values_of_its_time(gaps in gaps(), pause in 0u64..100) {
            let values = stream(gaps);
            let until = values.last().map_or(0, |last| last.0) + pause;
            let (cascade, total) = cascade(&values, Horizon::Full, until);
            for (level, span) in Horizon::Full.spans().iter().enumerate() {
                let window = cascade.window(level, &total).unwrap();
                prop_assert_eq!(window, counted(&expected(&values, *span, until)), "{:?}", span);
            }
        }

        #[test]
        fn lean_windows_count_the_same(gaps in gaps()) {
            let values = stream(gaps);
            let until = values.last().map_or(0, |last| last.0);
            let (full, total) = cascade(&values, Horizon::Full, until);
            let (lean, _) = cascade(&values, Horizon::Lean, until);
            for level in 0..2 {
                let (full, lean) = (full.window(level + 1, &total).unwrap(), lean.window(level, &total).unwrap());
                prop_assert_eq!(full.cells(), lean.cells());
                prop_assert_eq!(full.tails(), lean.tails());
            }
        }

        #[test]
        fn a_restart_changes_nothing(gaps in gaps(), cut in 0usize..120) {
            let values = stream(gaps);
            let until = values.last().map_or(0, |last| last.0);
            let cut = cut.min(values.len());
            let at = values[..cut].last().map_or(0, |last| last.0);
            let (before, mut total) = cascade(&values[..cut], Horizon::Full, at);
            let mut resumed = Cascade::new(&binning(), Horizon::Full);
            prop_assert!(resumed.resume(before.stored()));
            prop_assert_eq!(&resumed, &before);
            let mut calendar = Calendar::new(1, 0);
            calendar.advance(at);
            for &(minute, value) in &values[cut..] {
                if let Some(passed) = calendar.advance(minute) {
                    resumed.advance(passed, &total);
                }
                total.update(&[value]);
            }
            if let Some(passed) = calendar.advance(until) {
                resumed.advance(passed, &total);
            }
            prop_assert_eq!(&resumed, &cascade(&values, Horizon::Full, until).0);
        }

        #[test]
        fn any_split_over_workers_merges_to_the_whole(gaps in gaps(), owners in prop::collection::vec(0usize..3, 120)) {
            let values = stream(gaps);
            let until = values.last().map_or(0, |last| last.0);
            let of = |worker: usize| {
                let mine = values.iter().zip(&owners).filter(|(_, owner)| **owner == worker);
                cascade(&mine.map(|(value, _)| *value).collect::<Vec<_>>(), Horizon::Full, until).0
            };
            let whole = cascade(&values, Horizon::Full, until).0.stored();
            for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
                let mut merged = of(order[0]);
                prop_assert!(merged.merge(&of(order[1])) && merged.merge(&of(order[2])));
                prop_assert_eq!(merged.stored(), whole.clone());
            }
        }
    }

    #[test]
    fn windows_of_another_kind_are_not_taken_over() {
        let lean = Cascade::new(&binning(), Horizon::Lean);
        let mut full = Cascade::new(&binning(), Horizon::Full);
        assert!(!full.resume(lean.stored()) && !full.merge(&lean));
        assert_eq!(full, Cascade::new(&binning(), Horizon::Full));
    }
}
