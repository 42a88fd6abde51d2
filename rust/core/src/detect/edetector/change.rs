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
use crate::prefetch::prefetch;
use crate::sketch::groups::{Numbers, bytes, holds, put, write, write_word};
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
#[serde(try_from = "Stored", into = "Stored")]
pub struct History {
    /// Of each segment, oldest first, how many rows and calls lie between its start and that of the next one, its counts,
    /// and how many bytes that takes, in groups of seven bits: most are small, and hardly ever read.
    bytes: Vec<u8>,
    /// How many segments there are of 1, 2, 4, … panes: the older, the longer.
    of_length: [u8; LENGTHS],
    /// Counts per segment.
    cells: usize,
    /// Where the newest segment ends.
    end: Mark,
}

/// How many lengths there are: nothing is as old as that before the oldest segments are long.
const LENGTHS: usize = (PANES_MAX / SEGMENTS_PER_LENGTH as u32).ilog2() as usize + 2;

/// A segment, as it is read.
struct Segment<'a> {
    start: Mark,
    counts: Numbers<'a>,
}

/// A history at rest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Stored {
    segments: Vec<StoredSegment>,
    counts: Vec<u8>,
    cells: usize,
    end: Mark,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct StoredSegment {
    start: Mark,
    panes: u32,
    /// How many bytes its counts take.
    bytes: u32,
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
    /// Adds a pane, of as many cells as those before it.
    pub fn push(&mut self, counts: &[u64], start: Mark, end: Mark) {
        if !self.is_empty() && start != self.end {
            self.lengthen(start);
        }
        self.cells = counts.len();
        self.condense();
        self.write(between(start, end), counts);
        self.of_length[0] += 1;
        self.end = end;
        self.forget();
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Asks for the cache lines of what is newest.
    pub fn prefetch(&self) {
        /// Of a few segments.
        const BYTES: usize = 768;
        prefetch(self.bytes.get(self.bytes.len().saturating_sub(BYTES)..).unwrap_or_default());
    }

    /// Whether all of it was counted in so many cells.
    pub fn has_cells(&self, cells: usize) -> bool {
        self.is_empty() || self.cells == cells
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.of_length = [0; LENGTHS];
    }

    /// Puts a segment behind all others. Beyond four billion rows in a cell a date is an estimate anyway.
    fn write(&mut self, span: Mark, counts: &[u64]) {
        let before = self.bytes.len();
        let longest = longest(counts);
        // Not much more than that: it is never given back.
        let most = bytes(span.row) + bytes(span.call) + longest * counts.len() + size_of::<u16>();
        if self.bytes.capacity() - before < most {
            self.bytes.reserve_exact(most);
        }
        write_word(&mut self.bytes, span.row);
        write_word(&mut self.bytes, span.call);
        if longest == 1 {
            self.bytes.extend(counts.iter().map(|&count| count as u8));
        } else {
            counts.iter().for_each(|&count| write_word(&mut self.bytes, count.min(u32::MAX.into())));
        }
        let length = self.bytes.len();
        write_word(&mut self.bytes, (length - before) as u64);
        // Read from behind.
        self.bytes[length..].reverse();
    }

    /// The newest segment goes on until `start`: rows of others were counted as well.
    #[cold]
    fn lengthen(&mut self, start: Mark) {
        let Some(segment) = self.latest().next() else { return };
        let (first, mut counts) = (segment.start, vec![0; self.cells]);
        segment.counts.add_to(&mut counts);
        self.bytes.truncate(self.before(1));
        self.write(between(first, start), &counts);
        self.end = start;
    }

    /// Nothing is as old as that before the oldest segments are this long.
    fn forget(&mut self) {
        const LENGTH_MAX: usize = PANES_MAX as usize / (4 * SEGMENTS_PER_LENGTH);
        if self.of_length[LENGTH_MAX.ilog2() as usize..].iter().all(|&segments| segments == 0) {
            return;
        }
        while self.panes() > PANES_MAX {
            let Some(oldest) = self.of_length.iter().rposition(|&segments| segments > 0) else { return };
            self.of_length[oldest] -= 1;
            let newer: u32 = self.of_length.iter().map(|&segments| u32::from(segments)).sum();
            let end = self.before(newer as usize);
            self.bytes.drain(..end);
        }
    }

    fn panes(&self) -> u32 {
        self.of_length.iter().zip(0..).map(|(&segments, length)| u32::from(segments) << length).sum()
    }

    /// Makes room for one more segment of one pane: wherever there are too many of a length then, the two oldest become one.
    fn condense(&mut self) {
        let (mut newer, mut more) = (0, 1);
        for length in 0..LENGTHS - 1 {
            let segments = usize::from(self.of_length[length]);
            if segments + more <= SEGMENTS_PER_LENGTH {
                return;
            }
            newer += segments - 2;
            more = 0;
            self.join(newer);
            self.of_length[length] -= 2;
            self.of_length[length + 1] += 1;
        }
    }

    /// How many bytes all but so many of the newest segments take.
    fn before(&self, newer: usize) -> usize {
        (0..newer).fold(self.bytes.len(), |end, _| start_of(&self.bytes[..end]).0)
    }

    /// Makes one of the two segments before so many newer ones.
    fn join(&mut self, newer: usize) {
        let end = self.before(newer);
        let (middle, second) = last(&self.bytes[..end]);
        let (start, first) = last(&self.bytes[..middle]);
        let (mut few, mut many) = ([0u64; CELLS_MAX], Vec::new());
        let sums = few.get_mut(..self.cells).unwrap_or_else(|| {
            many.resize(self.cells, 0);
            &mut many
        });
        let mut span = Mark::default();
        for mut numbers in [first, second].map(Numbers::of) {
            span.row = span.row.wrapping_add(numbers.take() as u64);
            span.call = span.call.wrapping_add(numbers.take() as u64);
            numbers.add_to(sums);
        }
        // A sum takes no more bytes than what it is the sum of.
        let both = &mut self.bytes[start..end];
        let mut at = put(both, 0, span.row);
        at = put(both, at, span.call);
        if longest(sums) == 1 {
            both[at..].iter_mut().zip(&*sums).for_each(|(byte, &sum)| *byte = sum as u8);
            at += sums.len();
        } else {
            at = sums.iter().fold(at, |at, &sum| put(both, at, sum.min(u32::MAX.into())));
        }
        let length = put(both, at, at as u64);
        both[at..length].reverse();
        self.bytes.drain(start + length..end);
    }

    /// The segments, newest first.
    fn latest(&self) -> impl Iterator<Item = Segment<'_>> {
        let (mut rest, mut next) = (self.bytes.as_slice(), self.end);
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (start, segment) = last(rest);
            rest = &rest[..start];
            let mut counts = Numbers::of(segment);
            let span = Mark { row: counts.take() as u64, call: counts.take() as u64 };
            next = between(span, next);
            Some(Segment { start: next, counts })
        })
    }

    /// Where segments begin, oldest first.
    pub fn starts(&self) -> impl Iterator<Item = Mark> + use<> {
        let latest: Vec<Mark> = self.latest().map(|segment| segment.start).collect();
        latest.into_iter().rev()
    }

    /// The counts of all segments from `start` on.
    pub fn since(&self, start: Mark) -> Vec<u64> {
        let mut sums = Vec::new();
        for segment in self.latest().take_while(|segment| segment.start.row >= start.row) {
            sums.resize(self.cells, 0);
            segment.counts.add_to(&mut sums);
        }
        sums
    }

    /// When the change began, by the judgement of one bet.
    pub fn onset(&self, odds: &Odds, bet: usize) -> Onset {
        if self.is_empty() {
            return Onset::default();
        }
        let (mut won, mut starts) = (Vec::new(), Vec::new());
        let (mut sum, mut counts) = (0.0, vec![0; self.cells]);
        for segment in self.latest() {
            counts.fill(0);
            segment.counts.add_to(&mut counts);
            sum += odds.gain(bet, &counts);
            won.push(sum);
            starts.push(segment.start);
        }
        won.reverse();
        starts.reverse();
        let most = won.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let is_rival = |won: &f64| *won >= most - RIVALS;
        let best = won.iter().rposition(|&won| won == most).unwrap_or(0);
        let earliest = won.iter().position(is_rival).unwrap_or(best).saturating_sub(1);
        let latest = won.iter().rposition(is_rival).unwrap_or(best);
        let start = |position: usize| starts.get(position).copied().unwrap_or(self.end);
        Onset { estimate: start(best), earliest: start(earliest), latest: start(latest + 1) }
    }
}

/// How many bytes the largest count takes.
fn longest(counts: &[u64]) -> usize {
    bytes(counts.iter().fold(0, |all, count| all | count).min(u32::MAX.into()))
}

/// The segment that bytes end with, without its length behind it, and where it begins.
fn last(bytes: &[u8]) -> (usize, &[u8]) {
    let (start, end) = start_of(bytes);
    (start, &bytes[start..end])
}

/// Where the segment begins, and where it ends, that bytes end with.
fn start_of(bytes: &[u8]) -> (usize, usize) {
    let (mut length, mut groups) = (0, 0);
    for &byte in bytes.iter().rev() {
        length |= usize::from(byte & 0x7f) << (7 * groups);
        groups += 1;
        if byte < 0x80 {
            break;
        }
    }
    let end = bytes.len() - groups;
    (end.saturating_sub(length), end)
}

/// How far it is from one mark to another; modulo 2^64.
fn between(from: Mark, to: Mark) -> Mark {
    Mark { row: to.row.wrapping_sub(from.row), call: to.call.wrapping_sub(from.call) }
}

// === impl Stored ===

impl From<History> for Stored {
    fn from(history: History) -> Stored {
        let lengths = history.of_length.iter().enumerate();
        let panes = lengths.flat_map(|(length, &segments)| std::iter::repeat_n(1 << length, segments.into()));
        let mut latest: Vec<(Segment<'_>, u32)> = history.latest().zip(panes).collect();
        let mut counts = Vec::new();
        let segments = latest.iter_mut().rev().map(|(segment, panes)| {
            let before = counts.len();
            (0..history.cells).for_each(|_| write(&mut counts, segment.counts.take()));
            StoredSegment { start: segment.start, panes: *panes, bytes: (counts.len() - before) as u32 }
        });
        Stored { segments: segments.collect(), counts, cells: history.cells, end: history.end }
    }
}

impl TryFrom<Stored> for History {
    type Error = &'static str;

    fn try_from(stored: Stored) -> Result<History, &'static str> {
        const UNSOUND: &str = "the segments of a history do not hold what they should";
        let mut history = History { cells: stored.cells, end: stored.end, ..History::default() };
        let mut rest = stored.counts.as_slice();
        let longest_first = stored.segments.is_sorted_by(|one, next| one.panes >= next.panes);
        let ends = stored.segments.iter().skip(1).map(|next| next.start).chain([stored.end]);
        for (segment, end) in stored.segments.iter().zip(ends) {
            let counts =
                rest.split_off(..segment.bytes as usize).filter(|counts| holds(counts, stored.cells));
            let numbers = Numbers::of(counts.ok_or(UNSOUND)?);
            let mut counts = vec![0; stored.cells];
            numbers.add_to(&mut counts);
            history.write(between(segment.start, end), &counts);
            let length = segment.panes.is_power_of_two().then(|| segment.panes.ilog2() as usize);
            *length.and_then(|length| history.of_length.get_mut(length)).ok_or(UNSOUND)? += 1;
            if history.of_length.iter().any(|&segments| usize::from(segments) > SEGMENTS_PER_LENGTH) {
                return Err(UNSOUND);
            }
        }
        if longest_first && rest.is_empty() { Ok(history) } else { Err(UNSOUND) }
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
        assert!(history.starts().count() <= 8 * 11 && history.bytes.capacity() < 2_000, "{history:?}");
        assert!((PANES_MAX / 2..=PANES_MAX).contains(&history.panes()));
        let segments = Stored::from(history).segments;
        assert!(segments.is_sorted_by(|a, b| a.panes >= b.panes));
        let panes = segments.windows(2).map(|pair| (pair[1].start.call - pair[0].start.call, pair[0].panes));
        panes.for_each(|(between, panes)| assert_eq!(between, u64::from(panes)));
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
    }

    #[test]
    fn what_is_stored_goes_on_as_it_was_and_is_refused_where_it_does_not_hold_together() {
        let mut history = history(777, 700);
        let last = history.starts().last();
        // Rows of others came in between.
        let [start, end] = [9_000, 9_010].map(|row| Mark { row, call: row });
        history.push(&[1; 9], start, end);
        let starts: Vec<Mark> = history.starts().collect();
        assert_eq!(starts[starts.len() - 2..], [last.unwrap(), start]);
        let stored = Stored::from(history.clone());
        assert_eq!(History::try_from(stored.clone()), Ok(history));
        let refused = |change: fn(&mut Stored)| {
            let mut stored = stored.clone();
            change(&mut stored);
            History::try_from(stored).is_err()
        };
        assert!(refused(|stored| _ = stored.counts.remove(0)) && refused(|stored| stored.counts.push(0)));
        assert!(refused(|stored| stored.cells = 3) && refused(|stored| stored.segments[0].panes = 3));
        assert!(
            refused(|stored| stored.segments[0].panes = 1) && refused(|stored| _ = stored.segments.pop())
        );
        assert!(refused(|stored| stored.segments.iter_mut().for_each(|segment| segment.panes = 1)));
        assert!(refused(|stored| stored.segments[0].panes = 1 << 31));
    }

    #[test]
    fn nothing_seen_has_no_date() {
        assert_eq!(History::default().onset(&odds(), 0), Onset::default());
    }
}
