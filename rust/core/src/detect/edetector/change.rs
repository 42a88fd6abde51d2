//! When did it begin? The panes so far, the older the coarser, and the start that a bet likes best.
//!
//! The capital that a bet would have won from each possible start to now is the likelihood ratio "changed there"
//! against "not changed at all". Its largest value gives the estimate, Page's CUSUM read backwards (Page, Biometrika
//! 1954). Starts that win nearly as much, within ln(2/0.05), are kept beside it: if the bet were the true likelihood
//! ratio, the true start would be left out with a probability of at most 5 %, by Ville's inequality once for the rows
//! before it and once for those after it. The set is widened by a segment at its early end and by the length of the
//! segment at its late end, because a change may lie inside one. (In the spirit of Saha and Ramdas, "Post-detection
//! inference for sequential changepoint localization", arXiv 2502.06096, whose guarantee is stronger and dearer.)

use super::bets::Bets;
use crate::detect::Mark;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

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
    segments: VecDeque<Segment>,
    /// Where the newest segment ends.
    end: Mark,
    /// Counters that can be used again.
    #[serde(skip)]
    spare: Spare,
}

/// Memory only: any two are equal.
#[derive(Clone, Debug, Default)]
struct Spare(Vec<Box<[u32]>>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Segment {
    start: Mark,
    panes: u32,
    /// Half the memory of whole counts: beyond four billion rows in a cell a date is an estimate anyway.
    counts: Box<[u32]>,
}

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
    /// Adds a pane.
    pub fn push(&mut self, counts: &[u64], start: Mark, end: Mark) {
        let counts = self.spare.holding(counts);
        self.segments.push_back(Segment { start, panes: 1, counts });
        self.end = end;
        self.condense();
        self.forget();
    }

    /// Whether all of it was counted in so many cells.
    pub fn has_cells(&self, cells: usize) -> bool {
        self.segments.iter().all(|segment| segment.counts.len() == cells && segment.panes > 0)
    }

    pub fn clear(&mut self) {
        self.spare.0.extend(self.segments.drain(..).map(|segment| segment.counts));
    }

    /// Nothing is as old as that before the oldest segments are this long.
    fn forget(&mut self) {
        const LENGTH_MAX: u32 = PANES_MAX / (4 * SEGMENTS_PER_LENGTH as u32);
        if self.segments.front().is_none_or(|oldest| oldest.panes < LENGTH_MAX) {
            return;
        }
        while self.segments.iter().map(|segment| segment.panes).sum::<u32>() > PANES_MAX {
            self.segments.pop_front().into_iter().for_each(|oldest| self.spare.0.push(oldest.counts));
        }
    }

    fn condense(&mut self) {
        let mut newest = self.segments.len();
        let mut length = 1;
        loop {
            let older = self.segments.iter().take(newest).rposition(|segment| segment.panes != length);
            let first = older.map_or(0, |position| position + 1);
            if newest - first <= SEGMENTS_PER_LENGTH {
                return;
            }
            let Some(second) = self.segments.remove(first + 1) else { return };
            let oldest = &mut self.segments[first];
            oldest.panes += second.panes;
            oldest
                .counts
                .iter_mut()
                .zip(&second.counts)
                .for_each(|(sum, count)| *sum = sum.saturating_add(*count));
            self.spare.0.push(second.counts);
            (newest, length) = (first + 1, 2 * length);
        }
    }

    /// Where segments begin, oldest first.
    pub fn starts(&self) -> impl Iterator<Item = Mark> + '_ {
        self.segments.iter().map(|segment| segment.start)
    }

    /// The counts of all segments from `start` on.
    pub fn since(&self, start: Mark) -> Vec<u64> {
        let mut sums = Vec::new();
        for segment in self.segments.iter().filter(|segment| segment.start.row >= start.row) {
            sums.resize(segment.counts.len(), 0);
            sums.iter_mut().zip(&segment.counts).for_each(|(sum, &count)| *sum += u64::from(count));
        }
        sums
    }

    /// When the change began, by the judgement of one bet.
    pub fn onset(&self, bets: &Bets, bet: usize) -> Onset {
        let mut won: Vec<f64> = Vec::with_capacity(self.segments.len());
        let (mut sum, mut counts) = (0.0, Vec::new());
        for segment in self.segments.iter().rev() {
            counts.clear();
            counts.extend(segment.counts.iter().map(|&count| u64::from(count)));
            sum += bets.gain(bet, &counts);
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

// === impl Spare ===

impl Spare {
    fn holding(&mut self, counts: &[u64]) -> Box<[u32]> {
        let fits = self.0.pop().filter(|spare| spare.len() == counts.len());
        let mut held = fits.unwrap_or_else(|| vec![0; counts.len()].into());
        held.iter_mut().zip(counts).for_each(|(mine, &count)| *mine = count.try_into().unwrap_or(u32::MAX));
        held
    }
}

impl PartialEq for Spare {
    fn eq(&self, _: &Spare) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::bets::Null;
    use super::*;
    use crate::sketch::Sketch;
    use crate::sketch::binning::Binning;
    use crate::sketch::bins::Bins;
    use std::sync::Arc;

    fn bets() -> Bets {
        let mut reference = Bins::new(Arc::new(Binning::discrete(&[0.0, 1.0]).unwrap()));
        reference.update(&[0.0, 1.0].repeat(5_000));
        Bets::against(&reference, &Null { tolerance: 0.0, delta: 0.01, autocorrelation_time: 1.0 })
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

    fn best_bet(bets: &Bets) -> usize {
        let mut gains = Vec::new();
        bets.gains(&[0, 0, 0, 0, 0, 1, 9, 0, 0], &mut gains);
        (0..gains.len()).max_by(|&a, &b| gains[a].total_cmp(&gains[b])).unwrap()
    }

    #[test]
    fn a_recent_change_is_dated_to_its_pane() {
        let bets = bets();
        let onset = history(40, 33).onset(&bets, best_bet(&bets));
        assert_eq!(onset.estimate, Mark { row: 330, call: 33 });
        assert!(onset.earliest.row >= 300 && onset.earliest.row <= 330, "{onset:?}");
        assert!(onset.latest.row > 330 && onset.latest.row <= 360, "{onset:?}");
    }

    #[test]
    fn an_old_change_is_dated_to_an_eighth_of_its_age_and_lies_in_the_set() {
        let bets = bets();
        for (panes, change) in [(1_000, 777), (1_000, 100), (500, 0)] {
            let onset = history(panes, change).onset(&bets, best_bet(&bets));
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
    fn nothing_seen_has_no_date() {
        assert_eq!(History::default().onset(&bets(), 0), Onset::default());
    }
}
