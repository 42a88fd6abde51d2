//! Ten shapes of data, as tables of 65,536 equally likely outcomes, independent or following each other.

use super::normal::normal_quantile;
use super::random::Random;
use pilotfish_core::profile::{Profile, ProfileBuilder, Reference};
use pilotfish_core::sketch::binning::{FIRST, Kind, NAN};
use pilotfish_core::sketch::bins::Bins;
use pilotfish_core::tensor::{Data, Datatype, Direction, Tensor};
use std::sync::Arc;

pub const OUTCOMES: usize = 65_536;

/// A shape: its outcomes, in order; of categories, their numbers.
pub struct Shape {
    pub name: &'static str,
    pub outcomes: Vec<f64>,
    pub categories: bool,
}

/// The rows of a message.
#[derive(Debug, Default)]
pub struct Rows {
    bytes: Vec<u8>,
    labels: Vec<Vec<u8>>,
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
    /// The profile that so many rows make.
    pub fn profile(&self, rows: usize, process: &mut Process<'_>, random: &mut Random) -> Arc<Profile> {
        let values: Vec<f64> = (0..rows).map(|_| self.outcomes[process.next(random)]).collect();
        profile(&values, self.categories)
    }
}

// === impl Rows ===

impl Rows {
    /// So many rows of a process, in the place of those before.
    pub fn draw(&mut self, shape: &Shape, rows: usize, process: &mut Process<'_>, random: &mut Random) {
        self.bytes.clear();
        self.labels.clear();
        for _ in 0..rows {
            let value = shape.outcomes[process.next(random)];
            if shape.categories {
                self.labels.push(label(value));
            } else {
                self.bytes.extend_from_slice(&value.to_le_bytes());
            }
        }
    }

    pub fn tensor(&self) -> Tensor<'_> {
        if self.labels.is_empty() {
            let rows = self.bytes.len() / size_of::<f64>();
            return Tensor::new("x", Datatype::Fp64, vec![rows], Data::Raw(&self.bytes))
                .expect("whole values");
        }
        let labels = self.labels.iter().map(Vec::as_slice).collect();
        Tensor::new("x", Datatype::Bytes, vec![self.labels.len()], Data::Bytes(labels))
            .expect("as many labels")
    }
}

/// The reference that rows make.
pub fn reference(values: &[f64], categories: bool) -> Reference {
    let profile = profile(values, categories);
    let reference = profile.get(Direction::Input, "x").expect("it was added");
    Reference { ..(**reference).clone() }
}

/// The profile that rows make.
pub fn profile(values: &[f64], categories: bool) -> Arc<Profile> {
    let mut builder = ProfileBuilder::new("quality", 32);
    if categories {
        let labels: Vec<Vec<u8>> = values.iter().map(|value| label(*value)).collect();
        let labels = labels.iter().map(|label| Some(&label[..]));
        builder.add_column_bytes("x", Direction::Input, labels).expect("one kind of value");
    } else {
        builder.add_column_f64("x", Direction::Input, values).expect("one kind of value");
    }
    Arc::new(builder.finish().expect("it has rows"))
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

pub fn label(value: f64) -> Vec<u8> {
    format!("{value}").into_bytes()
}
