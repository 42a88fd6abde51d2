//! Between which bounds the distances of the raw values lie, for certain, when only their bins are known.
//!
//! Within a bin a distribution function is unknown but not free: it rises from its value at one end to that at the other,
//! and the sum of the values in the bin fixes the area under it: ∫ F over [a, b) is b F(b) - a F(a) - S/n. So h = F - G
//! is confined to an interval there, with a known mean, and convex functions of it are bounded from below by Jensen's
//! inequality and from above by the chord over the interval. Where h does not change its sign, ∫ |h| is exact.
//!
//! Values are rounded to quanta (2^-36 of the range of the bins); the bounds allow for that. What is left are the rounding
//! errors of the bounds' own arithmetic, some 1e-15 of them.

mod fine;

pub use fine::{FINE_BINS_MAX, Fine};

use super::cramer_von_mises;
use super::{Sizes, Spread};
use crate::sketch::binning::{Kind, OUTSIDE_MAX};
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

/// Counts of the reference and of now, on the same bins.
pub type Part<'a> = (&'a Bins, &'a Bins);

/// Both distributions, from the lowest to the highest edge, and what lies outside.
struct Axis<'a> {
    cells: Vec<Cell>,
    first: Part<'a>,
    last: Part<'a>,
    unseen: (u64, u64),
}

/// One bin of both.
struct Cell {
    counts: (u64, u64),
    offsets: Option<(u64, u64)>,
    /// Whether it holds a single value.
    single: bool,
    /// Up to where the next bin begins.
    width: f64,
    /// What a quantum of the offsets is; infinite where they are not known.
    quantum: f64,
}

/// F - G while one walks up the axis.
struct Steps {
    sizes: Sizes,
    ks: Bracket,
    squares: Bracket,
    below: (u64, u64),
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
        Brackets::of_parts(&[(reference, current)])
    }

    /// Brackets of counts on more bins than one [`Bins`] has: each part begins at the edge where the one before it ends,
    /// and values on that edge are counted in the later one.
    pub fn of_parts(parts: &[Part<'_>]) -> Option<Brackets> {
        let fits = |&(reference, current): &Part<'_>| {
            let binning = reference.binning();
            binning.kind() != Kind::Category && binning.bins() > 0 && binning.cells() == current.cells().len()
        };
        if !parts.iter().all(fits) {
            return None;
        }
        let axis = Axis::of(parts)?;
        let order = axis.order();
        let area = axis.area();
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

// === impl Axis ===

impl<'a> Axis<'a> {
    fn of(parts: &[Part<'a>]) -> Option<Axis<'a>> {
        let (first, last) = (*parts.first()?, *parts.last()?);
        let mut cells = Vec::new();
        for &(reference, current) in parts {
            let binning = reference.binning();
            let mut offsets = reference.certain_offsets().zip(current.certain_offsets());
            for bin in 0..binning.bins() {
                let (low, high) = binning.range(bin)?;
                cells.push(Cell {
                    counts: (reference.bins()[bin], current.bins()[bin]),
                    offsets: offsets.next().and_then(|(f, g)| f.zip(g)),
                    single: low == high,
                    width: binning.next_edge(bin) - low,
                    quantum: 1.0 / binning.scale(),
                });
            }
        }
        let sum =
            |of: fn(&Bins) -> u64| parts.iter().fold((0, 0), |sum, (f, g)| (sum.0 + of(f), sum.1 + of(g)));
        Some(Axis { cells, first, last, unseen: sum(Bins::unseen) })
    }

    /// Values counted at finite places, and at places nobody knows.
    fn finite(&self) -> (u64, u64) {
        let of = |side: fn(&Part<'a>) -> &'a Bins, cells: u64, unseen: u64| {
            side(&self.first).under() + side(&self.last).over() + cells + unseen
        };
        let cells =
            self.cells.iter().fold((0, 0), |sum, cell| (sum.0 + cell.counts.0, sum.1 + cell.counts.1));
        (of(|part| part.0, cells.0, self.unseen.0), of(|part| part.1, cells.1, self.unseen.1))
    }

    /// Kolmogorov-Smirnov and Cramér-von Mises.
    fn order(&self) -> Option<(Bracket, Bracket)> {
        let ((first_f, first_g), (last_f, last_g)) = (self.first, self.last);
        let neg_inf = (first_f.specials().neg_inf, first_g.specials().neg_inf);
        let pos_inf = (last_f.specials().pos_inf, last_g.specials().pos_inf);
        let finite = self.finite();
        let sizes = Sizes {
            reference: finite.0 + neg_inf.0 + pos_inf.0,
            current: finite.1 + neg_inf.1 + pos_inf.1,
            cells: self.cells.len(),
        };
        if sizes.reference == 0 || sizes.current == 0 {
            return None;
        }
        let mut steps = Steps { sizes, ks: Bracket::NOTHING, squares: Bracket::NOTHING, below: (0, 0) };
        steps.add(neg_inf, true, (0, 0));
        steps.add((first_f.under(), first_g.under()), false, (0, 0));
        for cell in &self.cells {
            // Unseen values lie between the first and the last discrete value, nobody knows where.
            steps.add(cell.counts, cell.single, self.unseen);
        }
        steps.add_hidden(self.unseen);
        steps.add((last_f.over(), last_g.over()), false, (0, 0));
        steps.add(pos_inf, true, (0, 0));
        let weight = cramer_von_mises::weight(&steps.sizes);
        Some((steps.ks, steps.squares.map(|sum| sum * weight)))
    }

    /// ∫ |F - G| and ∫ (F - G)² over the finite values.
    fn area(&self) -> Option<(Bracket, Bracket)> {
        let (m, n) = self.finite();
        if m == 0 || n == 0 {
            return None;
        }
        let (m, n) = (m as f64, n as f64);
        let (mut absolute, mut squares) = (Bracket::NOTHING, Bracket::NOTHING);
        let mut below = (self.first.0.under(), self.first.1.under());
        let unseen = (self.unseen.0 as f64 / m, self.unseen.1 as f64 / n);
        for cell in &self.cells {
            let (p, q) = cell.counts;
            let above = (below.0 + p, below.1 + q);
            let end = above.0 as f64 / m - above.1 as f64 / n;
            let (gap, mean) = if cell.single {
                let gap = Gap { low: end - unseen.1, high: end + unseen.0 };
                (gap, gap)
            } else {
                let gap = Gap {
                    low: below.0 as f64 / m - above.1 as f64 / n,
                    high: above.0 as f64 / m - below.1 as f64 / n,
                };
                (gap, cell.mean(gap, end, (m, n)))
            };
            if cell.width > 0.0 {
                let (low, high) = gap.mean_absolute(mean);
                absolute.add(cell.width * low, cell.width * high);
                let (low, high) = gap.mean_square(mean);
                squares.add(cell.width * low, cell.width * high);
            }
            below = above;
        }
        for (side, (reference, current)) in [self.first, self.last].into_iter().enumerate() {
            let outside = |bins: &Bins| [bins.under(), bins.over()][side];
            let (f, g) = (outside(reference), outside(current));
            if (f, g) != (0, 0) {
                let quantum = 1.0 / reference.binning().scale();
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
}

// === impl Cell ===

impl Cell {
    /// The mean of h over a range. That of F is its value at the end, less the mean place of the values, of which each
    /// may be off by half a quantum, as may the edge.
    fn mean(&self, gap: Gap, end: f64, (m, n): (f64, f64)) -> Gap {
        if !self.quantum.is_finite() || self.width <= 0.0 {
            return gap;
        }
        let (p, q) = (self.counts.0 as f64, self.counts.1 as f64);
        let place = |offset: u64, count: f64, total: f64| {
            let part = |quanta: f64| (quanta * self.quantum / self.width).clamp(0.0, count) / total;
            (part(offset as f64 - 1.001 * count), part(offset as f64 + 1.001 * count))
        };
        let (f, g) =
            self.offsets.map_or(((0.0, p / m), (0.0, q / n)), |(f, g)| (place(f, p, m), place(g, q, n)));
        Gap { low: end - f.1 + g.0, high: end - f.0 + g.1 }.within(gap)
    }
}

// === impl Steps ===

impl Steps {
    fn share(&self, f: u64, g: u64) -> f64 {
        f as f64 / self.sizes.reference as f64 - g as f64 / self.sizes.current as f64
    }

    /// The next cell; `hidden` values may lie below its end, or above.
    fn add(&mut self, (p, q): (u64, u64), single: bool, hidden: (u64, u64)) {
        let above = (self.below.0 + p, self.below.1 + q);
        let at_end = Gap {
            low: self.share(above.0, above.1 + hidden.1),
            high: self.share(above.0 + hidden.0, above.1),
        };
        let within = Gap { low: self.share(self.below.0, above.1), high: self.share(above.0, self.below.1) };
        let (least, most) = if single { at_end } else { within }.absolute();
        self.ks.low = self.ks.low.max(at_end.absolute().0);
        self.ks.high = self.ks.high.max(most);
        let times = (p + q) as f64;
        self.squares.add(times * least * least, times * most * most);
        self.below = above;
    }

    /// Values of which only is known that all of them lie below.
    fn add_hidden(&mut self, (p, q): (u64, u64)) {
        self.below = (self.below.0 + p, self.below.1 + q);
        self.squares.add(0.0, (p + q) as f64 * self.ks.high * self.ks.high);
    }
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
