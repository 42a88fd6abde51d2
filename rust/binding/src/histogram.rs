//! Histograms on fixed bins, as Python sees them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use numpy::{PyArray1, PyReadonlyArray1};
use pilotfish_core::distance::{Chance, Distances, Spread};
use pilotfish_core::profile::Reference;
use pilotfish_core::sketch::binning::{Binning, Kind};
use pilotfish_core::sketch::screen::{Specials, screen};
use pilotfish_core::sketch::{BLOCK, Sketch, bins::Bins, exact::Exact};
use pilotfish_core::tensor::Direction;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::distance::to_python;
use crate::profile::category;

#[pyclass(frozen, module = "pilotfish._core")]
#[derive(Debug)]
pub struct Histogram {
    inner: Mutex<Counted>,
}

/// Counts, and what moments are rounded from.
#[derive(Clone, Debug)]
struct Counted {
    bins: Bins,
    sums: Exact,
}

#[pymethods]
impl Histogram {
    #[staticmethod]
    fn of_edges(edges: Vec<f64>) -> PyResult<Histogram> {
        let binning = Binning::numeric(&edges).ok_or_else(|| {
            PyValueError::new_err(format!(
                "{} edges: write 2 to 65 finite numbers in ascending order",
                edges.len()
            ))
        })?;
        Ok(Histogram::on(Arc::new(binning)))
    }

    #[staticmethod]
    fn of_values(values: Vec<f64>) -> PyResult<Histogram> {
        let binning = Binning::discrete(&values).ok_or_else(|| {
            PyValueError::new_err(format!(
                "{} values: write up to 64 finite numbers in ascending order",
                values.len()
            ))
        })?;
        Ok(Histogram::on(Arc::new(binning)))
    }

    #[staticmethod]
    fn of_labels(labels: Vec<Bound<'_, PyAny>>) -> PyResult<Histogram> {
        let read = labels.iter().map(|label| category(label).map(Vec::into_boxed_slice));
        let binning = Binning::category(read.collect::<PyResult<_>>()?).ok_or_else(|| {
            PyValueError::new_err(format!("{} labels: write up to 64 different texts", labels.len()))
        })?;
        Ok(Histogram::on(Arc::new(binning)))
    }

    fn add_numbers(&self, py: Python<'_>, values: PyReadonlyArray1<'_, f64>) -> PyResult<()> {
        if self.kind() == Kind::Category.name() {
            return Err(PyValueError::new_err("the bins are categories: add texts, or make bins of numbers"));
        }
        let view = values.as_array();
        match view.as_slice() {
            Some(values) => py.detach(|| self.lock().add(values)),
            // A column of a row-major table: not contiguous.
            None => {
                let values = view.to_vec();
                py.detach(|| self.lock().add(&values));
            }
        }
        Ok(())
    }

    fn add_categories(&self, values: Vec<Option<Bound<'_, PyAny>>>) -> PyResult<()> {
        if self.kind() != Kind::Category.name() {
            return Err(PyValueError::new_err("the bins are numbers: add numbers, or make bins of labels"));
        }
        let values = values.iter().map(|value| value.as_ref().map(category).transpose());
        let values = values.collect::<PyResult<Vec<_>>>()?;
        let mut counted = self.lock();
        let mut missing = 0;
        for value in values {
            match value.filter(|label| !label.is_empty()) {
                Some(label) => counted.bins.add_label(&label, 1),
                None => missing += 1,
            }
        }
        counted.bins.add_specials(&Specials { missing, ..Specials::default() });
        Ok(())
    }

    /// The counts of both; on other bins there is no such thing.
    fn merged(&self, other: &Histogram) -> PyResult<Histogram> {
        let (mut sum, other) = (self.copy(), other.copy());
        if sum.bins.binning() != other.bins.binning() {
            return Err(other_bins());
        }
        sum.bins.merge(&other.bins);
        sum.sums.merge(&other.sums);
        Ok(Histogram { inner: Mutex::new(sum) })
    }

    /// The same bins, empty.
    fn empty(&self) -> Histogram {
        Histogram::on(Arc::clone(self.lock().bins.binning()))
    }

    #[getter]
    fn kind(&self) -> &'static str {
        self.lock().bins.binning().kind().name()
    }

    #[getter]
    fn edges(&self) -> Vec<f64> {
        self.lock().bins.binning().edges()
    }

    #[getter]
    fn values(&self) -> Vec<f64> {
        self.lock().bins.binning().values().to_vec()
    }

    #[getter]
    fn labels(&self) -> Vec<String> {
        let counted = self.lock();
        let labels = counted.bins.binning().labels().iter();
        labels.map(|label| String::from_utf8_lossy(label).into_owned()).collect()
    }

    #[getter]
    fn counts<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u64>> {
        PyArray1::from_slice(py, self.lock().bins.bins())
    }

    #[getter]
    fn rows(&self) -> u64 {
        self.lock().bins.total()
    }

    /// Counts beside the bins, by name.
    fn beside<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counted = self.lock();
        let (bins, specials) = (&counted.bins, counted.bins.specials());
        let found = PyDict::new(py);
        for (name, count) in [
            ("missing", specials.missing),
            ("nan", specials.nan),
            ("neg_inf", specials.neg_inf),
            ("under", bins.under()),
            ("over", bins.over()),
            ("pos_inf", specials.pos_inf),
            ("unseen", bins.unseen()),
            ("others", bins.others()),
        ] {
            found.set_item(name, count)?;
        }
        Ok(found)
    }

    /// Mean, standard deviation, smallest and largest of the finite values.
    fn moments(&self) -> (Option<f64>, Option<f64>, Option<f64>, Option<f64>) {
        let moments = self.lock().sums.moments();
        (moments.mean(), moments.std(), moments.min(), moments.max())
    }

    fn quantile(&self, share: f64) -> Option<f64> {
        self.copy().reference().quantile(share)
    }

    #[pyo3(signature = (current, chance = 0.001))]
    fn distances<'py>(
        &self,
        py: Python<'py>,
        current: &Histogram,
        chance: f64,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (reference, current) = (self.copy().reference(), current.copy());
        if reference.bins.binning() != current.bins.binning() {
            return Err(other_bins());
        }
        let found = py.detach(|| {
            let spread = Spread::of(&reference);
            Distances::of(&reference.bins, &current.bins, &spread, &Chance::of(chance))
        });
        let empty = || PyValueError::new_err("one of the histograms is empty: add values to both");
        to_python(py, &found.ok_or_else(empty)?)
    }
}

impl Histogram {
    fn on(binning: Arc<Binning>) -> Histogram {
        let counted = Counted { bins: Bins::new(binning), sums: Exact::default() };
        Histogram { inner: Mutex::new(counted) }
    }

    /// The counts of a feature of a profile. Moments of one that an earlier pilotfish wrote are not known.
    pub fn of_reference(reference: &Reference) -> Histogram {
        let sums = reference.sums.as_deref().and_then(Exact::unpacked);
        let counted = Counted { bins: reference.bins.clone(), sums: sums.unwrap_or_default() };
        Histogram { inner: Mutex::new(counted) }
    }

    fn copy(&self) -> Counted {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn add(&mut self, values: &[f64]) {
        let mut scratch = [0.0; BLOCK];
        for block in values.chunks(BLOCK) {
            let (finite, specials) = screen(block, &mut scratch);
            self.bins.update(finite);
            self.bins.add_specials(&specials);
            self.sums.update(finite);
        }
    }

    fn reference(self) -> Reference {
        Reference {
            name: String::new(),
            direction: Direction::Input,
            moments: self.sums.moments(),
            sums: None,
            distinct: None,
            autocorrelation_time: None,
            bins: self.bins,
        }
    }
}

fn other_bins() -> PyErr {
    PyValueError::new_err("the bins differ: count both on the same ones, such as those of `empty()`")
}
