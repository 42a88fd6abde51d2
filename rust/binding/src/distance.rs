//! Distances between samples, as Python sees them.

use std::sync::Arc;

use numpy::PyReadonlyArray1;
use pilotfish_core::distance::{
    Bracket, Brackets, Chance, Distance, Distances, Fine, Library, Measured, Spread,
};
use pilotfish_core::profile::Reference;
use pilotfish_core::sketch::binning::{BINS_MAX, Binning};
use pilotfish_core::sketch::moments::Moments;
use pilotfish_core::sketch::screen::screen;
use pilotfish_core::sketch::{BLOCK, Sketch, bins::Bins};
use pilotfish_core::tensor::Direction;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

type Values<'py> = PyReadonlyArray1<'py, f64>;

#[pyfunction]
#[pyo3(signature = (name, reference, current, compat = None))]
pub fn distance(name: &str, reference: Vec<u64>, current: Vec<u64>, compat: Option<&str>) -> PyResult<f64> {
    let distance = named(name)?;
    if let Some(library) = compat.map(library_named).transpose()? {
        return library.between(distance, &reference, &current).ok_or_else(|| {
            let known: Vec<_> = library.distances().iter().map(|distance| distance.name()).collect();
            if library.distances().contains(&distance) {
                return incomparable(&reference, &current);
            }
            PyValueError::new_err(format!(
                "{} has no '{name}' of bins: write one of {}",
                library.name(),
                known.join(", ")
            ))
        });
    }
    if distance.needs_places() {
        return Err(PyValueError::new_err(format!(
            "distance '{name}' needs values, counts are not enough: use bracket() or Histogram.distances()"
        )));
    }
    distance.between(&reference, &current).ok_or_else(|| incomparable(&reference, &current))
}

/// What undrifted samples of these sizes score on average and exceed with the probability `chance`, where that depends
/// on nothing but the counts.
#[pyfunction]
#[pyo3(signature = (name, reference, current, chance = 0.001))]
pub fn noise(
    name: &str,
    reference: Vec<u64>,
    current: Vec<u64>,
    chance: f64,
) -> PyResult<(Option<f64>, Option<f64>)> {
    let distance = named(name)?;
    let measured = Measured::of_counts(distance, &reference, &current, &Chance::of(chance));
    let measured = measured.ok_or_else(|| incomparable(&reference, &current))?;
    Ok((measured.expected, measured.noise))
}

fn incomparable(reference: &[u64], current: &[u64]) -> PyErr {
    PyValueError::new_err(format!(
        "{} reference bins against {}: both must have the same number of bins and at least one count",
        reference.len(),
        current.len()
    ))
}

fn library_named(name: &str) -> PyResult<Library> {
    Library::from_name(name).ok_or_else(|| {
        let names: Vec<_> = Library::ALL.iter().map(|library| library.name()).collect();
        PyValueError::new_err(format!("compat '{name}': write one of {}", names.join(", ")))
    })
}

#[pyfunction]
#[pyo3(signature = (name, edges, reference, current, discrete = false))]
pub fn bracket(
    name: &str,
    edges: Values<'_>,
    reference: Values<'_>,
    current: Values<'_>,
    discrete: bool,
) -> PyResult<(f64, f64)> {
    let distance = named(name)?;
    let edges = edges.as_array().to_vec();
    let (reference, current) = (finite(&reference), finite(&current));
    let (brackets, spread) = if edges.len() > BINS_MAX + 1 && !discrete {
        let empty = Fine::new(&edges).ok_or_else(|| wrong_edges(&edges))?;
        let (mut f, mut g) = (empty.clone(), empty);
        f.update(&reference);
        g.update(&current);
        let mut moments = Moments::default();
        reference.chunks(BLOCK).for_each(|block| moments.update(block));
        (f.brackets(&g), Spread { std: moments.std().unwrap_or(0.0), ..Spread::default() })
    } else {
        let binning = binned(&edges, discrete)?;
        let (f, g) = (counted("x", &binning, &reference), counted("x", &binning, &current));
        (Brackets::of(&f.bins, &g.bins), Spread::of(&f))
    };
    let found = match distance {
        Distance::Ks => brackets.and_then(|found| found.ks),
        Distance::CramerVonMises => brackets.and_then(|found| found.cramer_von_mises),
        Distance::Wasserstein => brackets.and_then(|found| found.wasserstein),
        Distance::WassersteinNormalized => brackets.and_then(|found| found.normalized(&spread)),
        Distance::Energy => brackets.and_then(|found| found.energy),
        _ => {
            return Err(PyValueError::new_err(format!(
                "distance '{name}' has no bracket: it is exact on bins"
            )));
        }
    };
    let Bracket { low, high } = found.ok_or_else(nothing)?;
    Ok((low, high))
}

pub fn to_python<'py>(py: Python<'py>, distances: &Distances) -> PyResult<Bound<'py, PyDict>> {
    let result = PyDict::new(py);
    for (distance, measured) in distances.iter() {
        let entry = PyDict::new(py);
        entry.set_item("value", measured.value)?;
        entry.set_item("expected", measured.expected)?;
        entry.set_item("noise", measured.noise)?;
        entry.set_item("low", measured.low)?;
        entry.set_item("high", measured.high)?;
        result.set_item(distance.name(), entry)?;
    }
    Ok(result)
}

fn named(name: &str) -> PyResult<Distance> {
    Distance::from_name(name).ok_or_else(|| {
        let names: Vec<_> = Distance::ALL.iter().map(|distance| distance.name()).collect();
        PyValueError::new_err(format!("distance '{name}': write one of {}", names.join(", ")))
    })
}

fn binned(edges: &[f64], discrete: bool) -> PyResult<Arc<Binning>> {
    let found = if discrete { Binning::discrete(edges) } else { Binning::numeric(edges) };
    found.map(Arc::new).ok_or_else(|| wrong_edges(edges))
}

fn wrong_edges(edges: &[f64]) -> PyErr {
    PyValueError::new_err(format!(
        "{} edges: write 2 to 65 finite numbers in ascending order (for a bracket to 257, discrete: up to 64 values)",
        edges.len()
    ))
}

fn finite(values: &Values<'_>) -> Vec<f64> {
    values.as_array().iter().copied().filter(|value| value.is_finite()).collect()
}

fn counted(name: &str, binning: &Arc<Binning>, values: &[f64]) -> Reference {
    let (mut bins, mut moments) = (Bins::new(Arc::clone(binning)), Moments::default());
    let mut scratch = [0.0; BLOCK];
    for block in values.chunks(BLOCK) {
        let (finite, specials) = screen(block, &mut scratch);
        bins.update(finite);
        bins.add_specials(&specials);
        moments.update(finite);
    }
    Reference {
        name: name.to_owned(),
        direction: Direction::Input,
        bins,
        moments,
        sums: None,
        distinct: None,
        autocorrelation_time: None,
    }
}

fn nothing() -> PyErr {
    PyValueError::new_err("one side has no value: both samples must hold at least one number")
}
