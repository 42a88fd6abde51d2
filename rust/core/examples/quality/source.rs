//! Ten shapes of data, as tables of 65,536 equally likely outcomes, independent or following each other.

use super::random::{Random, normal_quantile};
use pilotfish_core::profile::{ProfileBuilder, Reference};
use pilotfish_core::sketch::binning::{FIRST, Kind, NAN};
use pilotfish_core::sketch::bins::Bins;
use pilotfish_core::tensor::Direction;
use std::sync::Arc;

pub const OUTCOMES: usize = 65_536;

/// A shape: its outcomes, in order; of categories, their numbers.
pub struct Shape {
    pub name: &'static str,
    pub outcomes: Vec<f64>,
    pub categories: bool,
}

/// Outcomes by number, an AR(1) process beneath.
pub struct Process<'t> {
    tables: &'t Tables,
    rho: f64,
    innovation: f64,
    value: f64,
}

/// Normal quantiles, and the way back.
pub struct Tables {
    quantiles: Vec<f64>,
    outcomes: Vec<u16>,
}

const SPAN: f64 = 6.0;

pub fn shapes() -> Vec<Shape> {
    let shape = |name, quantile: &dyn Fn(f64) -> f64| Shape {
        name,
        outcomes: (0..OUTCOMES).map(|i| quantile((i as f64 + 0.5) / OUTCOMES as f64)).collect(),
        categories: false,
    };
    let normal = normal_quantile;
    let two_modes = |u: f64| if u < 0.5 { normal(2.0 * u) - 3.0 } else { normal(2.0 * u - 1.0) + 3.0 };
    let zero_inflated = |u: f64| if u < 0.7 { 0.0 } else { -((1.0 - u) / 0.3).ln() };
    let holes = |u: f64| if u < 0.05 { f64::NAN } else { normal((u - 0.05) / 0.95) };
    vec![
        shape("normal", &normal),
        shape("uniform", &|u| u),
        shape("exponential", &|u| -(1.0 - u).ln()),
        shape("lognormal", &|u| (2.0 * normal(u)).exp()),
        shape("cauchy", &|u| (std::f64::consts::PI * (u - 0.5)).tan()),
        shape("two modes", &two_modes),
        shape("zero-inflated", &zero_inflated),
        shape("5 % missing", &holes),
        shape("rare event", &|u| f64::from(u8::from(u > 0.99))),
        Shape { categories: true, ..shape("categories", &|u| (40f64.powf(u) - 1.0).floor()) },
    ]
}

// === impl Tables ===

impl Tables {
    pub fn new() -> Tables {
        let quantiles: Vec<f64> =
            (0..OUTCOMES).map(|i| normal_quantile((i as f64 + 0.5) / OUTCOMES as f64)).collect();
        let rank = |i: usize| {
            let z = (i as f64 + 0.5) / OUTCOMES as f64 * 2.0 * SPAN - SPAN;
            quantiles.partition_point(|quantile| *quantile < z).min(OUTCOMES - 1) as u16
        };
        let outcomes = (0..OUTCOMES).map(rank).collect();
        Tables { quantiles, outcomes }
    }
}

// === impl Process ===

impl<'t> Process<'t> {
    pub fn new(tables: &'t Tables, rho: f64, random: &mut Random) -> Process<'t> {
        let value = tables.quantiles[random.index()];
        Process { tables, rho, innovation: (1.0 - rho * rho).sqrt(), value }
    }

    pub fn next(&mut self, random: &mut Random) -> usize {
        let fresh = random.index();
        if self.rho == 0.0 {
            return fresh;
        }
        self.value = self.rho * self.value + self.innovation * self.tables.quantiles[fresh];
        let place = (self.value + SPAN) * (OUTCOMES as f64 / (2.0 * SPAN));
        self.tables.outcomes[(place as usize).min(OUTCOMES - 1)].into()
    }
}

// === impl Shape ===

impl Shape {
    /// The reference that so many rows make.
    pub fn reference(&self, rows: usize, process: &mut Process<'_>, random: &mut Random) -> Reference {
        let values: Vec<f64> = (0..rows).map(|_| self.outcomes[process.next(random)]).collect();
        reference(&values, self.categories)
    }

    /// The cell of every outcome.
    pub fn cells(&self, bins: &Bins) -> Vec<u8> {
        self.outcomes.iter().map(|&outcome| cell(bins, outcome) as u8).collect()
    }
}

/// The reference that rows make.
pub fn reference(values: &[f64], categories: bool) -> Reference {
    let mut builder = ProfileBuilder::new("quality", 32);
    if categories {
        let labels: Vec<Vec<u8>> = values.iter().map(|value| label(*value)).collect();
        let labels = labels.iter().map(|label| Some(&label[..]));
        builder.add_column_bytes("x", Direction::Input, labels).expect("one kind of value");
    } else {
        builder.add_column_f64("x", Direction::Input, values).expect("one kind of value");
    }
    let profile = builder.finish().expect("it has rows");
    let reference = profile.get(Direction::Input, "x").expect("it was added");
    Reference { ..(**reference).clone() }
}

/// The cell of one value.
pub fn cell(bins: &Bins, value: f64) -> usize {
    let binning = bins.binning();
    if value.is_nan() {
        return NAN;
    }
    if binning.kind() == Kind::Category {
        return binning.cell_of_label(&label(value));
    }
    let mut cells = vec![0; binning.cells()];
    Arc::clone(binning).count(&[value], &mut cells);
    cells.iter().position(|&count| count == 1).unwrap_or(FIRST)
}

fn label(value: f64) -> Vec<u8> {
    format!("{value}").into_bytes()
}
