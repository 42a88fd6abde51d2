//! When did it begin? The panes so far, the older the coarser, and the start that a bet likes best.
//!
//! The capital that a bet would have won from each possible start to now is the likelihood ratio "changed there"
//! against "not changed at all". Its largest value gives the estimate, Page's CUSUM read backwards (Page, Biometrika
//! 1954). Starts that win nearly as much, within ln(2/0.05), are kept beside it: if the bet were the true likelihood
//! ratio, the true start would be left out with a probability of at most 5 %, by Ville's inequality once for the rows
//! before it and once for those after it. The set is widened by a segment at its early end and by the length of the
//! segment at its late end, because a change may lie inside one. (In the spirit of Saha and Ramdas, "Post-detection
//! inference for sequential changepoint localization", arXiv 2502.06096, whose guarantee is stronger and dearer.)

use super::bets::{CELLS_MAX, Odds};
use crate::detect::Mark;
use crate::feature::stage::Depth;
use crate::sketch::groups::{Numbers, holds, write};
use crate::sketch::per_line;
use serde::{Deserialize, Serialize};

/// Segments of one length that are kept; beyond that the two oldest become one of double the length. A start is
/// known to an eighth of its age.
const SEGMENTS_PER_LENGTH: usize = 8;

/// Oldest start that is considered, in panes.
const PANES_MAX: u32 = 1_024;

/// ln(2 / 0.05).
const RIVALS: f64 = 3.688_879_454_113_936;

/// Counts of all panes since the detector began, in segments of 1, 2, 4, … panes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Oldest first.
    segments: Vec<Segment>,
    /// Of each segment, one after the other, in groups of seven bits: most are small, and hardly ever read.
    counts: Vec<u8>,
    /// Counts per segment.
    cells: usize,
    /// Where the newest segment ends.
    end: Mark,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Segment {
    start: Mark,
    panes: u32,
    /// How many bytes its counts take.
    bytes: u32,
}

/// By which memory grows: little at a time, for it is never given back.
const SEGMENTS_MORE: usize = 8;
const BYTES_MORE: usize = 512;

/// When a change is estimated to have begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Onset {
    pub estimate: Mark,
    /// Neither before this row nor from that row on, as far as the bet can tell.
    pub earliest: Mark,
    pub latest: Mark,
}

// === impl History ===

impl History {
    /// Adds a pane, of as many cells as those before it.
    pub fn push(&mut self, counts: &[u64], start: Mark, end: Mark) {
        if self.segments.len() == self.segments.capacity() {
            self.segments.reserve_exact(SEGMENTS_MORE);
        }
        self.cells = counts.len();
        let bytes = self.write(counts);
        self.segments.push(Segment { start, panes: 1, bytes });
        self.end = end;
        self.condense();
        self.forget();
    }

    /// Something of the cache lines of what is newest.
    pub fn touch(&self, depth: Depth) -> u64 {
        /// Of a few segments.
        const BYTES: usize = 512;
        match depth {
            Depth::Near | Depth::Beside => 0,
            Depth::Far => (self.counts.len() ^ self.segments.len() ^ self.cells) as u64,
            Depth::Whole => {
                let newest = self.counts.get(self.counts.len().saturating_sub(BYTES)..).unwrap_or_default();
                let segments = self.segments.iter().rev().take(16).step_by(2);
                let sum = segments.fold(0, |sum, segment| sum ^ u64::from(segment.panes));
                per_line(newest).fold(sum, |sum, byte| sum ^ u64::from(byte))
            }
        }
    }

    /// Puts counts behind all others; how many bytes they take. Beyond four billion rows in a cell a date is an estimate
    /// anyway.
    fn write(&mut self, counts: &[u64]) -> u32 {
        const LONGEST: usize = 5;
        let before = self.counts.len();
        if self.counts.capacity() - before < LONGEST * counts.len() {
            self.counts.reserve_exact(BYTES_MORE.max(LONGEST * counts.len()));
        }
        counts.iter().for_each(|&count| write(&mut self.counts, count.min(u32::MAX.into()).into()));
        (self.counts.len() - before) as u32
    }

    /// Whether all of it was counted in so many cells.
    pub fn has_cells(&self, cells: usize) -> bool {
        let mut rest = self.counts.as_slice();
        let sound = self.segments.iter().all(|segment| {
            let counts = rest.split_off(..segment.bytes as usize);
            segment.panes > 0 && counts.is_some_and(|counts| holds(counts, cells))
        });
        sound && rest.is_empty() && (self.segments.is_empty() || self.cells == cells)
    }

    pub fn clear(&mut self) {
        self.segments.clear();
        self.counts.clear();
    }

    /// Nothing is as old as that before the oldest segments are this long.
    fn forget(&mut self) {
        const LENGTH_MAX: u32 = PANES_MAX / (4 * SEGMENTS_PER_LENGTH as u32);
        if self.segments.first().is_none_or(|oldest| oldest.panes < LENGTH_MAX) {
            return;
        }
        while self.segments.iter().map(|segment| segment.panes).sum::<u32>() > PANES_MAX {
            let oldest = self.segments.remove(0);
            self.counts.drain(..oldest.bytes as usize);
        }
    }

    fn condense(&mut self) {
        let mut newest = self.segments.len();
        let mut length = 1;
        loop {
            let older = self.segments[..newest].iter().rposition(|segment| segment.panes != length);
            let first = older.map_or(0, |position| position + 1);
            if newest - first <= SEGMENTS_PER_LENGTH {
                return;
            }
            self.join(first);
            (newest, length) = (first + 1, 2 * length);
        }
    }

    /// Makes one of a segment and the next one.
    fn join(&mut self, first: usize) {
        let start: usize = self.segments[..first].iter().map(|segment| segment.bytes as usize).sum();
        let second = self.segments.remove(first + 1);
        let end = start + (self.segments[first].bytes + second.bytes) as usize;
        let (mut few, mut many) = ([0u64; CELLS_MAX], Vec::new());
        let sums = few.get_mut(..self.cells).unwrap_or_else(|| {
            many.resize(self.cells, 0);
            &mut many
        });
        let mut numbers = Numbers::of(&self.counts[start..end]);
        sums.iter_mut().for_each(|sum| *sum = numbers.take() as u64);
        sums.iter_mut().for_each(|sum| *sum += numbers.take() as u64);
        // A sum takes no more bytes than what it is the sum of.
        let tail = self.counts.len();
        let bytes = self.write(sums);
        self.counts.copy_within(tail.., start);
        self.counts.truncate(tail);
        self.counts.drain(start + bytes as usize..end);
        let segment = &mut self.segments[first];
        (segment.panes, segment.bytes) = (segment.panes + second.panes, bytes);
    }

    /// The segments with their counts, newest first.
    fn latest(&self) -> impl Iterator<Item = (&Segment, Numbers<'_>)> {
        let mut rest = self.counts.as_slice();
        self.segments.iter().rev().map(move |segment| {
            let (before, counts) = rest.split_at(rest.len().saturating_sub(segment.bytes as usize));
            rest = before;
            (segment, Numbers::of(counts))
        })
    }

    /// Where segments begin, oldest first.
    pub fn starts(&self) -> impl Iterator<Item = Mark> + '_ {
        self.segments.iter().map(|segment| segment.start)
    }

    /// The counts of all segments from `start` on.
    pub fn since(&self, start: Mark) -> Vec<u64> {
        let mut sums = Vec::new();
        for (_, mut numbers) in self.latest().take_while(|(segment, _)| segment.start.row >= start.row) {
            sums.resize(self.cells, 0);
            sums.iter_mut().for_each(|sum| *sum += numbers.take() as u64);
        }
        sums
    }

    /// When the change began, by the judgement of one bet.
    pub fn onset(&self, odds: &Odds, bet: usize) -> Onset {
        let mut won: Vec<f64> = Vec::with_capacity(self.segments.len());
        let (mut sum, mut counts) = (0.0, vec![0; self.cells]);
        for (_, mut numbers) in self.latest() {
            counts.iter_mut().for_each(|count| *count = numbers.take() as u64);
            sum += odds.gain(bet, &counts);
            won.push(sum);
        }
        won.reverse();
        let most = won.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let is_rival = |won: &f64| *won >= most - RIVALS;
        let Some(best) = won.iter().rposition(|&won| won == most) else { return Onset::default() };
        let earliest = won.iter().position(is_rival).unwrap_or(best).saturating_sub(1);
        let latest = won.iter().rposition(is_rival).unwrap_or(best);
        let start = |position: usize| self.segments.get(position).map_or(self.end, |segment| segment.start);
        Onset { estimate: start(best), earliest: start(earliest), latest: start(latest + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bets::{Bets, Null};
    use super::super::functions::Ranks;
    use super::*;
    use crate::sketch::Sketch;
    use crate::sketch::binning::Binning;
    use crate::sketch::bins::Bins;
    use std::sync::Arc;

    fn odds() -> Odds {
        let mut reference = Bins::new(Arc::new(Binning::discrete(&[0.0, 1.0]).unwrap()));
        reference.update(&[0.0, 1.0].repeat(5_000));
        let null = Null { tolerance: 0.0, delta: 0.01, autocorrelation_time: 1.0 };
        Odds::of(Arc::new(Bets::against(&reference, &Ranks::of(&reference), &null)), 1.0)
    }

    /// Panes of ten rows, fair until `change`, then nine of ten are ones.
    fn history(panes: u64, change: u64) -> History {
        let mut history = History::default();
        for pane in 0..panes {
            let ones = if pane < change { 5 } else { 9 };
            let mark = |pane| Mark { row: pane * 10, call: pane };
            history.push(&[0, 0, 0, 0, 0, 10 - ones, ones, 0, 0], mark(pane), mark(pane + 1));
        }
        history
    }

    fn best_bet(odds: &Odds) -> usize {
        let gains = odds.gains(&[0, 0, 0, 0, 0, 1, 9, 0, 0]);
        (0..gains.len()).max_by(|&a, &b| gains[a].total_cmp(&gains[b])).unwrap()
    }

    #[test]
    fn a_recent_change_is_dated_to_its_pane() {
        let odds = odds();
        let onset = history(40, 33).onset(&odds, best_bet(&odds));
        assert_eq!(onset.estimate, Mark { row: 330, call: 33 });
        assert!(onset.earliest.row >= 300 && onset.earliest.row <= 330, "{onset:?}");
        assert!(onset.latest.row > 330 && onset.latest.row <= 360, "{onset:?}");
    }

    #[test]
    fn an_old_change_is_dated_to_an_eighth_of_its_age_and_lies_in_the_set() {
        let odds = odds();
        for (panes, change) in [(1_000, 777), (1_000, 100), (500, 0)] {
            let onset = history(panes, change).onset(&odds, best_bet(&odds));
            let off = onset.estimate.row.abs_diff(change * 10);
            assert!(off <= (panes - change) * 10 / 8, "{onset:?}");
            assert!((onset.earliest.row..=onset.latest.row).contains(&(change * 10)), "{onset:?}");
        }
    }

    #[test]
    fn memory_grows_with_the_logarithm_of_time_and_then_not_at_all() {
        let history = history(20_000, 20_000);
        assert!(history.segments.len() <= 8 * 11, "{}", history.segments.len());
        assert!(history.segments.iter().map(|segment| segment.panes).sum::<u32>() <= PANES_MAX);
        assert!(history.segments.iter().is_sorted_by(|a, b| a.panes >= b.panes));
    }

    #[test]
    fn joined_segments_hold_what_their_panes_held() {
        let mut history = History::default();
        let mark = |pane: u64| Mark { row: pane * 10, call: pane };
        for pane in 0..777 {
            history.push(&[pane, 1_000 * pane, u64::from(u32::MAX)], mark(pane), mark(pane + 1));
        }
        assert!(history.has_cells(3) && !history.has_cells(2));
        for start in history.starts().collect::<Vec<Mark>>() {
            let (sum, thousands) = (history.since(start)[0], history.since(start)[1]);
            assert_eq!((sum, thousands), ((start.call..777).sum(), 1_000 * (start.call..777).sum::<u64>()));
        }
        let cut = History { counts: history.counts[1..].to_vec(), ..history.clone() };
        assert!(!cut.has_cells(3));
    }

    #[test]
    fn nothing_seen_has_no_date() {
        assert_eq!(History::default().onset(&odds(), 0), Onset::default());
    }
}
