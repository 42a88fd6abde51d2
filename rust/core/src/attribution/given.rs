//! Bets on labels given the score.
//!
//! For a label and some groups of scores: that the label follows them more often, or less, than the reference leaves
//! possible. In every group the limit is Chernoff's bound on the label's share among the reference's rows of that group,
//! and the tolerance; a row of any other group is not bet on. So the expectation of the factor *given the score* is at
//! most one for every score, and it does not matter how often which score comes.

use super::{Cells, Groups};
use crate::detect::edetector::Plan;
use crate::detect::edetector::bets::{Bets, CELLS_MAX, on_less, on_more};
use crate::detect::edetector::directions::{Aspect, Sense, Shape};
use crate::detect::edetector::slack;
use crate::detect::edetector::tempo::Probe;

const STAKES: [f64; 6] = [0.02, 0.06, 0.15, 0.35, 0.65, 0.92];

/// Most groups of scores.
const GROUPS_MAX: usize = 16;

/// Labels given groups of scores.
#[derive(Clone, Debug)]
pub struct Given {
    pub groups: Groups,
    labels: usize,
    /// Bounds of the share of each label in each group, the tolerance included.
    least: Vec<f64>,
    most: Vec<f64>,
}

// === impl Given ===

impl Given {
    /// What `reference` leaves possible, up to an error with probability `delta`, and `tolerance`, a relative entropy in
    /// nats, of the labels of each group. So many rows are worth one independent row.
    pub fn new(reference: &Cells, tolerance: f64, delta: f64, autocorrelation_time: Option<f64>) -> Given {
        let labels = reference.labels();
        let groups = Groups::of(reference, GROUPS_MAX.min(CELLS_MAX / labels));
        let counts = reference.grouped(&groups);
        let log_odds = (2.0 * counts.len() as f64 / delta).ln();
        let (mut least, mut most) = (Vec::new(), Vec::new());
        for of_group in counts.chunks_exact(labels) {
            let rows = of_group.iter().sum::<u64>() as f64;
            let size = rows / autocorrelation_time.unwrap_or(1.0).max(1.0);
            for &count in of_group {
                let share = if rows > 0.0 { count as f64 / rows } else { 0.5 };
                // Without rows, anything is possible.
                let radius = if rows > 0.0 { log_odds } else { f64::INFINITY };
                let above = slack::share_above(share, size, radius).min(1.0);
                let below = slack::share_below(share, size, radius).max(0.0);
                most.push(slack::tolerated_above(above, tolerance).min(1.0));
                least.push(slack::tolerated_below(below, tolerance).max(0.0));
            }
        }
        Given { groups, labels, least, most }
    }

    /// What an e-detector of these labels needs.
    pub fn plan(&self, reference: &Cells, autocorrelation_time: Option<f64>) -> Plan {
        let counts = reference.grouped(&self.groups);
        let means = (0..self.labels).map(|label| self.indicator(label));
        let probe = Probe::on(means.collect(), &counts, 1.0);
        Plan::placed(Bets::placed(counts.len(), 1.0, &self.bets()), probe, autocorrelation_time)
    }

    fn indicator(&self, label: usize) -> Vec<f64> {
        (0..self.most.len()).map(|cell| f64::from(u8::from(cell % self.labels == label))).collect()
    }

    fn bets(&self) -> Vec<(Shape, f64, Vec<f64>)> {
        // Of two labels the second says what the first does.
        let watched = if self.labels == 2 { 1..2 } else { 0..self.labels };
        let mut bets = Vec::new();
        for label in watched {
            for (first, last, weight) in self.ranges() {
                for sense in [Sense::Up, Sense::Down] {
                    let of_group = |group: usize| (first..=last).contains(&group).then_some(sense);
                    self.place(&mut bets, self.shape(label, first, last, sense), weight, label, &of_group);
                }
            }
            self.place_slopes(&mut bets, label);
        }
        bets
    }

    /// Groups that are bet on together: all, halves, quarters, each; with their weight.
    fn ranges(&self) -> Vec<(usize, usize, f64)> {
        let count = self.groups.len();
        let mut ranges = Vec::new();
        for parts in [1, 2, 4, count] {
            let is_new = parts <= count && !ranges.iter().any(|&(_, _, weight)| weight == 1.0 / parts as f64);
            if is_new {
                let end = |part: usize| part * count / parts;
                ranges.extend((0..parts).map(|part| (end(part), end(part + 1) - 1, 1.0 / parts as f64)));
            }
        }
        ranges
    }

    fn shape(&self, label: usize, first: usize, last: usize, sense: Sense) -> Shape {
        let (first, last) = self.groups.bins(first, last);
        Shape { aspect: Aspect::Label(label as u8, first, last), sense }
    }

    /// A label that follows high scores less and low ones more than it did, and the other way round.
    fn place_slopes(&self, bets: &mut Vec<(Shape, f64, Vec<f64>)>, label: usize) {
        let half = self.groups.len() / 2;
        if half == 0 {
            return;
        }
        let flipped = |sense| if sense == Sense::Up { Sense::Down } else { Sense::Up };
        for sense in [Sense::Up, Sense::Down] {
            let of_group = |group: usize| Some(if group < half { flipped(sense) } else { sense });
            self.place(bets, Shape { aspect: Aspect::Slope(label as u8), sense }, 1.0, label, &of_group);
        }
    }

    fn place(
        &self,
        bets: &mut Vec<(Shape, f64, Vec<f64>)>,
        shape: Shape,
        weight: f64,
        label: usize,
        of_group: &dyn Fn(usize) -> Option<Sense>,
    ) {
        for stake in STAKES {
            let factor = |cell: usize| {
                let (group, is_label) = (cell / self.labels, cell % self.labels == label);
                let place = group * self.labels + label;
                let (inside, outside) = match of_group(group) {
                    // A label that may always follow is no evidence when it does.
                    Some(Sense::Up) if self.most[place] < 1.0 => on_more(stake, self.most[place]),
                    Some(Sense::Down) if self.least[place] > 0.0 => on_less(stake, self.least[place]),
                    _ => (1.0, 1.0),
                };
                if is_label { inside.ln() } else { outside.ln() }
            };
            let row: Vec<f64> = (0..self.most.len()).map(factor).collect();
            if row.iter().any(|&factor| factor != 0.0) {
                bets.push((shape, weight, row));
            }
        }
    }

    /// Bounds of the share of a label given a score bin.
    pub fn bounds(&self, bin: usize, label: usize) -> (f64, f64) {
        let place = self.groups.of_bin(bin) * self.labels + label;
        (self.least[place], self.most[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reference(counts: &[(u16, u16)]) -> Cells {
        let mut cells = Cells::new(2).unwrap();
        for (place, &(zeros, ones)) in counts.iter().enumerate() {
            let score = (place as f64 + 0.5) / counts.len() as f64;
            (0..zeros).for_each(|_| cells.add(score, 0));
            (0..ones).for_each(|_| cells.add(score, 1));
        }
        cells
    }

    proptest! {
        #[test]
        fn no_bet_gains_whatever_the_scores_while_labels_stay_within_the_bounds(
            counts in prop::collection::vec((0u16..300, 0u16..300), 1..20),
            tolerance in prop_oneof![Just(0.0), 1e-4f64..0.05],
            place in 0.0f64..=1.0,
        ) {
            let reference = reference(&counts);
            prop_assume!(reference.rows() > 0);
            let given = Given::new(&reference, tolerance, 0.01, None);
            for (_, _, row) in given.bets() {
                for (group, factors) in row.chunks_exact(2).enumerate() {
                    let (least, most) = (given.least[2 * group + 1], given.most[2 * group + 1]);
                    let share = least + place * (most - least);
                    let expected = share * factors[1].exp() + (1.0 - share) * factors[0].exp();
                    prop_assert!(expected <= 1.0 + 1e-9, "{} in group {}", expected, group);
                }
            }
        }

        #[test]
        fn groups_cover_all_scores_and_have_rows(counts in prop::collection::vec((0u16..300, 0u16..300), 1..64)) {
            let reference = reference(&counts);
            prop_assume!(reference.rows() > 0);
            let groups = Groups::of(&reference, 16);
            prop_assert!((1..=16).contains(&groups.len()));
            prop_assert_eq!((groups.of_bin(0), groups.of_bin(63)), (0, groups.len() - 1));
            for of_group in reference.grouped(&groups).chunks_exact(2) {
                prop_assert!(of_group[0] + of_group[1] > 0);
            }
            let grouped: u64 = reference.grouped(&groups).iter().sum();
            prop_assert_eq!(grouped, reference.rows());
        }
    }

    #[test]
    fn bounds_hold_the_share_of_the_reference() {
        let reference = reference(&[(90, 10), (50, 50), (10, 90)]);
        let given = Given::new(&reference, 0.0, 0.01, None);
        for (bin, share) in [(10, 0.1), (32, 0.5), (55, 0.9)] {
            let (least, most) = given.bounds(bin, 1);
            assert!(least < share && share < most && most - least < 0.5, "{least} {most}");
        }
        assert_eq!(given.groups.bins(0, given.groups.len() - 1), (0, 63));
    }
}
