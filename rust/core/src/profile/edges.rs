//! Where to put the bins of a feature, given values of the reference.

use crate::sketch::binning::{BINS_MAX, Binning};

/// Rows of the reference that a bin should hold at least; fewer make its share too uncertain to compare with.
const ROWS_PER_BIN: usize = 10;

/// One part in so many of the reference lies beyond a tail edge, on either side. What outliers and heavy tails do, they do
/// there: within an outermost bin of an equal share it would hardly be seen.
const TAILS: [usize; 2] = [2_500, 250];

/// Part of the range of a feature by which a value may differ in 32 bits.
const SHORT_PART: f64 = 1.0 / 1_048_576.0;

/// Of the bins, at most one in so many goes to each tail.
const BINS_PER_TAIL: usize = 8;

/// Bins for a feature: one per value when there are few values, else about `bins` ranges that hold equal shares, of
/// which the outermost are finer where the reference has the rows for it. The most bins there can be are all equal, so that
/// no bin is heavier than need be.
///
/// `integral` says that the values are known to be classes or counts, so that few rows are no reason to think that
/// more values exist. Sorts `values`, all of them finite.
pub fn choose(values: &mut [f64], bins: usize, integral: bool) -> Binning {
    values.sort_unstable_by(f64::total_cmp);
    let unique = first_uniques(values);
    let repeated = integral || unique.len() * ROWS_PER_BIN <= values.len() || unique.len() < 2;
    let bins = bins.clamp(2, BINS_MAX).min((values.len() / ROWS_PER_BIN).max(2));
    let discrete = || Binning::discrete(unique.get(..BINS_MAX).unwrap_or(&unique));
    let binning = if unique.len() <= BINS_MAX && repeated {
        discrete()
    } else {
        Binning::numeric(&quantile_edges(values, bins)).or_else(discrete)
    };
    binning.expect("ascending finite values make bins")
}

/// The distinct values of a sorted slice, up to one more than there can be bins.
fn first_uniques(sorted: &[f64]) -> Vec<f64> {
    let mut unique: Vec<f64> = Vec::new();
    for &value in sorted {
        if unique.last() != Some(&value) {
            unique.push(value + 0.0); // -0.0 becomes 0.0
            if unique.len() > BINS_MAX {
                break;
            }
        }
    }
    unique
}

/// Edges at equal steps of probability, and in the tails. Where several fall on one frequent value (zero, of amounts),
/// the steps are made smaller until the other values have the bins that are left over: a change among those that are not
/// zero would else hide in the few bins that their small share gets.
fn quantile_edges(sorted: &[f64], bins: usize) -> Vec<f64> {
    let mut edges = edges_at(sorted, bins, bins);
    let (mut most, mut too_many) = (bins, sorted.len() / ROWS_PER_BIN + 1);
    while edges.len() <= bins && most + 1 < too_many {
        let middle = most.midpoint(too_many);
        let finer = edges_at(sorted, bins, middle);
        if finer.len() <= bins + 1 {
            (most, edges) = (middle, finer);
        } else {
            too_many = middle;
        }
    }
    edges
}

/// Edges at this many steps, of a feature that shall have about `bins`. A value on which several fall gets a bin of its own.
fn edges_at(sorted: &[f64], bins: usize, count: usize) -> Vec<f64> {
    let quantiles: Vec<f64> = steps(sorted.len(), bins, count)
        .into_iter()
        .map(|(step, steps)| quantile(sorted, step, steps))
        .collect();
    let (min, max) = (sorted[0], quantiles.last().copied().unwrap_or(f64::NAN));
    let mut edges: Vec<f64> = Vec::with_capacity(bins + 1);
    for run in quantiles.chunk_by(|a, b| a == b) {
        let value = run[0];
        let is_of_rows = sorted.binary_search_by(|row| row.total_cmp(&value)).is_ok();
        let (low, high) = if is_of_rows { both_widths(value, max - min) } else { (value, value) };
        let is_single = run.len() > 1;
        if value < max || is_single {
            push_above(&mut edges, low);
        }
        if value == max {
            edges.push(edges.last().map_or(high, |&last| high.max(last)));
        } else if is_single {
            push_above(&mut edges, high.next_up());
        }
    }
    edges
}

fn push_above(edges: &mut Vec<f64>, edge: f64) {
    if edges.last().is_none_or(|&last| last < edge) {
        edges.push(edge);
    }
}

/// A value and what is nearest to it in 32 bits, in ascending order: rows of a table have the one, a model is often sent
/// the other, and both belong on the same side of an edge. Only the value where 32 bits are too few to tell values in this
/// `range` apart.
fn both_widths(value: f64, range: f64) -> (f64, f64) {
    let short = f64::from(value as f32);
    let is_near = (short - value).abs() <= range * SHORT_PART;
    if is_near { (value.min(short), value.max(short)) } else { (value, value) }
}

/// Where the edges lie, in ascending order, as fractions: `count` steps, of which some are those of the tails.
fn steps(rows: usize, bins: usize, count: usize) -> Vec<(usize, usize)> {
    let room = ((BINS_MAX - bins) / 2).min(bins / BINS_PER_TAIL);
    let held = TAILS.into_iter().filter(|&parts| parts > count && rows >= 2 * ROWS_PER_BIN * parts);
    let tails: Vec<usize> = held.rev().take(room).collect();
    let equal = count - 2 * tails.len();
    let low = tails.iter().rev().map(|&parts| (1, parts));
    let high = tails.iter().map(|&parts| (parts - 1, parts));
    let inner = (1..equal).map(|step| (step, equal));
    std::iter::once((0, 1)).chain(low).chain(inner).chain(high).chain([(1, 1)]).collect()
}

/// The value below which `step` of `steps` equal shares lie, by linear interpolation (NumPy's default).
fn quantile(sorted: &[f64], step: usize, steps: usize) -> f64 {
    let position = step as f64 * (sorted.len() - 1) as f64 / steps as f64;
    let below = (position.floor() as usize).min(sorted.len() - 1);
    let above = (below + 1).min(sorted.len() - 1);
    let share = position - below as f64;
    let between = sorted[below] * (1.0 - share) + sorted[above] * share;
    between.clamp(sorted[below], sorted[above]) + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::binning::Kind;
    use proptest::prelude::*;

    #[test]
    fn few_repeated_values_get_a_bin_each() {
        let mut values: Vec<f64> = (0..200).map(|i| f64::from(i % 17)).collect();
        let binning = choose(&mut values, 32, false);
        assert_eq!((binning.kind(), binning.bins()), (Kind::Discrete, 17));
    }

    #[test]
    fn few_rows_of_a_continuous_feature_are_not_taken_for_discrete_ones() {
        let mut values: Vec<f64> = (0..50).map(f64::from).collect();
        let binning = choose(&mut values, 32, false);
        assert_eq!((binning.kind(), binning.bins()), (Kind::Numeric, 5));
        assert_eq!(choose(&mut values, 32, true).kind(), Kind::Discrete);
    }

    #[test]
    fn ranges_hold_equal_shares() {
        let mut values: Vec<f64> = (0..=1000).map(|i| f64::from(i) * 0.5).collect();
        let edges = choose(&mut values, 4, false).edges();
        assert_eq!(edges, [0.0, 125.0, 250.0, 375.0, 500.0]);
    }

    #[test]
    fn tails_are_finer_where_the_reference_has_the_rows() {
        let shares = |rows: u32, bins: usize| {
            let mut values: Vec<f64> = (0..rows).map(f64::from).collect();
            let binning = choose(&mut values, bins, false);
            let mut cells = vec![0; binning.cells()];
            binning.count(&values, &mut cells);
            cells[crate::sketch::binning::FIRST..binning.over()].to_vec()
        };
        let many = shares(60_000, 32);
        assert_eq!((many.len(), &many[..3], &many[29..]), (32, &[24, 216, 1_903][..], &[1_903, 216, 24][..]));
        let few = shares(6_000, 32);
        assert_eq!((few.len(), few[0], few[31], few[15]), (32, 24, 24, 200));
        assert!(shares(60_000, 64).iter().all(|&rows| (937..=938).contains(&rows)));
    }

    #[test]
    fn a_frequent_value_gets_a_bin_of_its_own() {
        for frequent in [0.0, 500.0, 1000.0] {
            let mut values: Vec<f64> =
                (0..2000).map(|i| if i % 2 == 0 { frequent } else { f64::from(i) / 2.0 }).collect();
            let binning = choose(&mut values, 8, false);
            let mut cells = vec![0; binning.cells()];
            binning.count(&values, &mut cells);
            assert_eq!(
                cells.iter().max(),
                Some(&values.iter().filter(|&&v| v == frequent).count().try_into().unwrap())
            );
        }
    }

    #[test]
    fn bins_that_a_frequent_value_leaves_over_go_to_the_others() {
        for rare in [5, 20, 100] {
            let mut values: Vec<f64> =
                (0..60_000).map(|i| if i % rare == 0 { f64::from(i % 7_919) + 1.0 } else { 0.0 }).collect();
            let binning = choose(&mut values, 32, false);
            let mut cells = vec![0; binning.cells()];
            binning.count(&values, &mut cells);
            let shares = &cells[crate::sketch::binning::FIRST..binning.over()];
            assert!((30..=32).contains(&shares.len()), "{shares:?}");
            let heaviest = shares.iter().filter(|&&rows| rows < 30_000).max().unwrap();
            assert!(*heaviest <= 60_000 / rare as u64 / 20, "{shares:?}");
            assert_eq!(shares.iter().filter(|&&rows| rows >= 30_000).count(), 1);
        }
    }

    #[test]
    fn in_32_bits_values_fall_where_they_fell_in_64() {
        // Many decimals, of which one is frequent; and the ends.
        let decimals = |frequent: f64| -> Vec<f64> {
            (0..4_000).map(|i| if i % 3 == 0 { frequent } else { f64::from(i % 997 + 1) / 10.0 }).collect()
        };
        for frequent in [0.1, 33.3, 99.7] {
            let values = decimals(frequent);
            let binning = choose(&mut values.clone(), 32, false);
            let (mut long, mut short) = (vec![0; binning.cells()], vec![0; binning.cells()]);
            binning.count(&values, &mut long);
            binning.count(&values.iter().map(|&value| value as f32).collect::<Vec<f32>>(), &mut short);
            assert_eq!((binning.kind(), long), (Kind::Numeric, short));
        }
    }

    #[test]
    fn values_that_32_bits_do_not_tell_apart_keep_edges_of_64() {
        let mut values: Vec<f64> = (0..1_000).map(|i| 1e9 + f64::from(i) / 8.0).collect();
        assert_eq!(choose(&mut values, 32, false).bins(), 32);
    }

    #[test]
    fn a_constant_and_nothing_at_all_have_bins_too() {
        assert_eq!(choose(&mut [3.0], 32, false).values(), [3.0]);
        assert_eq!(choose(&mut [], 32, false).bins(), 0);
    }

    proptest! {
        #[test]
        fn every_value_of_the_reference_falls_into_a_bin(
            mut values in prop::collection::vec(prop_oneof![Just(0.0), Just(0.1), Just(0.100_000_001), Just(4.9), -5f64..5.0], 1..500),
            bins in 2usize..64, integral: bool,
        ) {
            let binning = choose(&mut values, bins, integral);
            let mut cells = vec![0; binning.cells()];
            binning.count(&values, &mut cells);
            let beside = cells[..crate::sketch::binning::FIRST].iter().sum::<u64>() + cells[binning.over()];
            // Among up to 64 unique values, integral or not, none is left out; beyond that ranges take over.
            prop_assert_eq!(beside, 0);
        }
    }
}
