//! Between which bounds the distances of the raw values lie, for certain, when only their bins are known.
//!
//! Within a bin a distribution function is unknown but not free: it rises from its value at one end to that at the other,
//! and the sum of the values in the bin fixes the area under it: ∫ F over [a, b) is b F(b) - a F(a) - S/n. So h = F - G
//! is confined to an interval there, with a known mean, and convex functions of it are bounded from below by Jensen's
//! inequality and from above by the chord over the interval. Where h does not change its sign, ∫ |h| is exact.
//!
//! Values are rounded to quanta (2^-36 of the range of the bins); the bounds allow for that. What is left are the rounding
//! errors of the bounds' own arithmetic, some 1e-15 of them.

use super::cramer_von_mises;
use super::{Sizes, Spread};
use crate::sketch::binning::{self, Kind, OUTSIDE_MAX};
use crate::sketch::bins::Bins;

/// Lower and upper bound of the exact value. The upper one is infinite where nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bracket {
    pub low: f64,
    pub high: f64,
}

/// The brackets of one pane against its reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Brackets {
    /// Of the statistics of order, over finite and infinite values; `None` when one side has none.
    pub ks: Option<Bracket>,
    pub cramer_von_mises: Option<Bracket>,
    /// Of the distances in the feature's unit, over finite values; `None` when one side has none.
    pub wasserstein: Option<Bracket>,
    pub energy: Option<Bracket>,
}

/// h = F - G on a stretch of the axis: between `low` and `high`.
#[derive(Clone, Copy)]
struct Gap {
    low: f64,
    high: f64,
}

// === impl Brackets ===

impl Brackets {
    /// Brackets of two counts on the same bins; `None` for categories, which have no order, and without bins.
    pub fn of(reference: &Bins, current: &Bins) -> Option<Brackets> {
        let binning = reference.binning();
        if binning.kind() == Kind::Category || binning.bins() == 0 || binning.cells() != current.cells().len()
        {
            return None;
        }
        let order = order(reference, current);
        let area = area(reference, current);
        Some(Brackets {
            ks: order.map(|(ks, _)| ks),
            cramer_von_mises: order.map(|(_, squares)| squares),
            wasserstein: area.map(|(absolute, _)| absolute),
            energy: area.map(|(_, squares)| squares.map(|square| (2.0 * square).sqrt())),
        })
    }

    /// The bracket of Wasserstein-1 in standard deviations of the reference; `None` when it has none.
    pub fn normalized(&self, spread: &Spread) -> Option<Bracket> {
        let bracket = self.wasserstein?;
        (spread.std > 0.0 && spread.std.is_finite()).then(|| bracket.map(|distance| distance / spread.std))
    }
}

// === impl Bracket ===

impl Bracket {
    const NOTHING: Bracket = Bracket { low: 0.0, high: 0.0 };

    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    fn add(&mut self, low: f64, high: f64) {
        self.low += low.max(0.0); // also for NaN, of which nothing is known
        self.high += if high.is_nan() { f64::INFINITY } else { high };
    }

    fn map(self, increasing: impl Fn(f64) -> f64) -> Bracket {
        Bracket { low: increasing(self.low), high: increasing(self.high) }
    }
}

// === impl Gap ===

impl Gap {
    /// Least and largest |h|.
    fn absolute(self) -> (f64, f64) {
        (self.low.max(-self.high).max(0.0), self.high.max(-self.low))
    }

    /// Bounds of the mean of |h| where the mean of h lies in `mean`.
    fn mean_absolute(self, mean: Gap) -> (f64, f64) {
        let (low, high) = mean.absolute();
        if self.low >= 0.0 || self.high <= 0.0 {
            return (low, high);
        }
        let (rise, fall) = (self.high, -self.low);
        let chord = |mean: f64| (2.0 * rise * fall + mean * (rise - fall)) / (rise + fall);
        (low, chord(mean.low).max(chord(mean.high)).max(high))
    }

    /// Bounds of the mean of h² where the mean of h lies in `mean`.
    fn mean_square(self, mean: Gap) -> (f64, f64) {
        let (low, high) = mean.absolute();
        let chord = |mean: f64| mean * (self.low + self.high) - self.low * self.high;
        (low * low, chord(mean.low).max(chord(mean.high)).max(high * high))
    }

    /// As far as it lies within `limits`.
    fn within(self, limits: Gap) -> Gap {
        let low = self.low.clamp(limits.low, limits.high);
        Gap { low, high: self.high.clamp(low, limits.high) }
    }
}

/// Kolmogorov-Smirnov and Cramér-von Mises.
fn order(reference: &Bins, current: &Bins) -> Option<(Bracket, Bracket)> {
    let binning = reference.binning();
    let (f, g) = (&reference.cells()[binning::NEG_INF..], &current.cells()[binning::NEG_INF..]);
    let unseen = (reference.unseen(), current.unseen());
    let sizes = Sizes {
        reference: f.iter().sum::<u64>() + unseen.0,
        current: g.iter().sum::<u64>() + unseen.1,
        cells: f.len(),
    };
    if sizes.reference == 0 || sizes.current == 0 {
        return None;
    }
    let share = |f: u64, g: u64| f as f64 / sizes.reference as f64 - g as f64 / sizes.current as f64;
    let (mut ks, mut squares) = (Bracket::NOTHING, Bracket::NOTHING);
    let mut below = (0u64, 0u64);
    let last = f.len() - 1;
    for (position, (&p, &q)) in f.iter().zip(g).enumerate() {
        let bin = position.wrapping_sub(binning::FIRST - binning::NEG_INF);
        let range = binning.range(bin);
        let above = (below.0 + p, below.1 + q);
        // Unseen values lie between the first and the last discrete value, nobody knows where.
        let hidden = if range.is_some() { unseen } else { (0, 0) };
        let at_end =
            Gap { low: share(above.0, above.1 + hidden.1), high: share(above.0 + hidden.0, above.1) };
        let single = position == 0 || position == last || range.is_some_and(|(low, high)| low == high);
        let gap =
            if single { at_end } else { Gap { low: share(below.0, above.1), high: share(above.0, below.1) } };
        let (least, most) = gap.absolute();
        ks.low = ks.low.max(at_end.absolute().0);
        ks.high = ks.high.max(most);
        let times = (p + q) as f64;
        squares.add(times * least * least, times * most * most);
        below = above;
        if bin.wrapping_add(1) == binning.bins() {
            below = (below.0 + unseen.0, below.1 + unseen.1);
            squares.add(0.0, (unseen.0 + unseen.1) as f64 * ks.high * ks.high);
        }
    }
    let weight = cramer_von_mises::weight(&sizes);
    Some((ks, squares.map(|sum| sum * weight)))
}

/// ∫ |F - G| and ∫ (F - G)² over the finite values.
fn area(reference: &Bins, current: &Bins) -> Option<(Bracket, Bracket)> {
    let binning = reference.binning();
    let finite = |bins: &Bins| bins.under() + bins.over() + bins.unseen() + bins.bins().iter().sum::<u64>();
    let (m, n) = (finite(reference), finite(current));
    if m == 0 || n == 0 {
        return None;
    }
    let (m, n) = (m as f64, n as f64);
    let (mut absolute, mut squares) = (Bracket::NOTHING, Bracket::NOTHING);
    let mut add = |width: f64, gap: Gap, mean: Gap| {
        let (low, high) = gap.mean_absolute(mean);
        absolute.add(width * low, width * high);
        let (low, high) = gap.mean_square(mean);
        squares.add(width * low, width * high);
    };
    let mut below = (reference.under(), current.under());
    let unseen = (reference.unseen() as f64 / m, current.unseen() as f64 / n);
    let quantum = 1.0 / binning.scale();
    let mut offsets = reference.certain_offsets().zip(current.certain_offsets());
    for bin in 0..binning.bins() {
        let (p, q) = (reference.bins()[bin], current.bins()[bin]);
        let above = (below.0 + p, below.1 + q);
        let (low, _) = binning.range(bin)?;
        let next = binning.next_edge(bin);
        let offset = offsets.next().and_then(|(f, g)| f.zip(g));
        let end = above.0 as f64 / m - above.1 as f64 / n;
        let single = binning.range(bin).is_some_and(|(low, high)| low == high);
        let width = next - low;
        if single {
            let gap = Gap { low: end - unseen.1, high: end + unseen.0 };
            add(width, gap, gap);
        } else if width > 0.0 {
            let gap = Gap {
                low: below.0 as f64 / m - above.1 as f64 / n,
                high: above.0 as f64 / m - below.1 as f64 / n,
            };
            // The mean of F in the bin is its value at the end, less the mean place of the values, of which each may be
            // off by half a quantum, as may the edge.
            let place = |offset: u64, count: u64, total: f64| {
                let (offset, count) = (offset as f64, count as f64);
                let part = |quanta: f64| (quanta * quantum / width).clamp(0.0, count) / total;
                (part(offset - 1.001 * count), part(offset + 1.001 * count))
            };
            let (f, g) = offset.map_or(((0.0, p as f64 / m), (0.0, q as f64 / n)), |(f, g)| {
                (place(f, p, m), place(g, q, n))
            });
            let mean = Gap { low: end - f.1 + g.0, high: end - f.0 + g.1 };
            add(width, gap, if quantum.is_finite() { mean.within(gap) } else { gap });
        }
        below = above;
    }
    for (side, (f, g)) in
        [(reference.under(), current.under()), (reference.over(), current.over())].into_iter().enumerate()
    {
        if (f, g) != (0, 0) {
            let f = tail(reference.tails()[side], f, quantum, m);
            let g = tail(current.tails()[side], g, quantum, n);
            let low = (f.low - g.high).max(g.low - f.high).max(0.0);
            let heaviest = tail_share(reference, side, m).max(tail_share(current, side, n));
            absolute.add(low, f.high + g.high);
            squares.add(0.0, heaviest * (f.high + g.high));
        }
    }
    Some((absolute, squares))
}

fn tail_share(bins: &Bins, side: usize, total: f64) -> f64 {
    [bins.under(), bins.over()][side] as f64 / total
}

/// The area under a tail of `count` values, given the sum of their distances from the edge in quanta.
fn tail(sum: u128, count: u64, quantum: f64, total: f64) -> Bracket {
    let (sum, rounding) = (sum as f64, count as f64 * 0.501 + sum as f64 * 1e-15);
    let unknown = sum >= OUTSIDE_MAX as f64 || !quantum.is_finite();
    Bracket {
        low: if quantum.is_finite() { (sum - rounding).max(0.0) * quantum / total } else { 0.0 },
        high: if unknown && count > 0 { f64::INFINITY } else { (sum + rounding) * quantum / total },
    }
}

#[cfg(test)]
mod tests;
