//! Performance without labels and with them, as Python sees it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use numpy::{PyArray2, PyReadonlyArray1};
use pilotfish_core::performance::calibration::Calibration;
use pilotfish_core::performance::reference::Scores;
use pilotfish_core::performance::scores::{self, LabelTable};
use pilotfish_core::performance::{self, Performance};
use pilotfish_core::profile::Profile;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::error::Error;

/// Rows by score bin, predicted class and label; without labels, all of them count as negative and are never asked for.
#[pyclass(frozen, module = "pilotfish._core")]
#[derive(Debug, Default)]
pub struct ScoreTable {
    inner: Mutex<LabelTable>,
}

type Flags<'py> = PyReadonlyArray1<'py, bool>;

#[pymethods]
impl ScoreTable {
    #[new]
    fn new() -> ScoreTable {
        ScoreTable::default()
    }

    #[pyo3(signature = (scores, predicted, labels = None))]
    fn update(
        &self,
        py: Python<'_>,
        scores: PyReadonlyArray1<'_, f64>,
        predicted: Flags<'_>,
        labels: Option<Flags<'_>>,
    ) -> PyResult<()> {
        let (scores, predicted) = (scores.as_array().to_vec(), predicted.as_array().to_vec());
        let labels = labels.map_or_else(|| vec![false; scores.len()], |labels| labels.as_array().to_vec());
        if scores.len() != predicted.len() || scores.len() != labels.len() {
            return Err(PyValueError::new_err(format!(
                "{} scores, {} predictions, {} labels: one of each per row",
                scores.len(),
                predicted.len(),
                labels.len()
            )));
        }
        py.detach(|| {
            let mut table = self.lock();
            for ((&score, predicted), label) in scores.iter().zip(predicted).zip(labels) {
                table.add(score, predicted, label);
            }
        });
        Ok(())
    }

    fn merge(&self, other: &ScoreTable) {
        let other = other.lock().clone();
        self.lock().merge(&other);
    }

    #[getter]
    fn rows(&self) -> u64 {
        self.lock().scores().rows()
    }

    #[getter]
    fn beside(&self) -> u64 {
        self.lock().scores().beside()
    }

    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<u64>>> {
        let rows: Vec<Vec<u64>> = self.lock().scores().counts().iter().map(|bin| bin.to_vec()).collect();
        Ok(PyArray2::from_vec2(py, &rows)?)
    }

    /// What to expect; with labels learned from `reference`.
    fn estimated<'py>(&self, py: Python<'py>, reference: &ScoreTable) -> PyResult<Bound<'py, PyDict>> {
        let calibration = Calibration::learn(&reference.lock());
        to_python(py, &performance::estimate(self.lock().scores(), &calibration))
    }

    fn realised<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        to_python(py, &performance::realised(&self.lock()))
    }

    /// Isotonic probabilities by bin, where they are used, and both calibration errors.
    fn calibration(&self) -> (Option<Vec<f64>>, Option<f64>, Option<f64>) {
        let calibration = Calibration::learn(&self.lock());
        let (before, after) = calibration.errors();
        (calibration.probabilities().map(<[f64]>::to_vec), before, after)
    }

    fn to_json(&self) -> PyResult<String> {
        serde_json::to_string(&*self.lock()).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    #[staticmethod]
    fn from_json(text: &str) -> PyResult<ScoreTable> {
        let read: Result<LabelTable, _> = serde_json::from_str(text);
        let table = read.map_err(|error| PyValueError::new_err(format!("no score table: {error}")))?;
        Ok(ScoreTable { inner: Mutex::new(table) })
    }
}

impl ScoreTable {
    fn lock(&self) -> MutexGuard<'_, LabelTable> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Output, age of the labels in seconds, tables by class.
type StoredScores = (String, Option<u64>, Vec<ScoreTable>);

/// The edges of the score bins.
#[pyfunction]
pub fn score_edges() -> Vec<f64> {
    (0..=scores::SCORE_BINS).map(scores::edge).collect()
}

/// A model's figures from those of its classes against the rest.
#[pyfunction]
pub fn performance_of_classes<'py>(
    py: Python<'py>,
    live: Vec<PyRef<'py, ScoreTable>>,
    reference: Option<Vec<PyRef<'py, ScoreTable>>>,
) -> PyResult<Bound<'py, PyDict>> {
    let classes: Vec<Performance> = match reference {
        None => live.iter().map(|table| performance::realised(&table.lock())).collect(),
        Some(reference) => live
            .iter()
            .zip(reference)
            .map(|(live, reference)| {
                let calibration = Calibration::learn(&reference.lock());
                performance::estimate(live.lock().scores(), &calibration)
            })
            .collect(),
    };
    let all = performance::of_classes(&classes);
    to_python(py, &all.ok_or_else(|| PyValueError::new_err("no class: one table per class is needed"))?)
}

/// The profile file with the scores of an output and their labels.
#[pyfunction]
pub fn profile_with_scores<'py>(
    py: Python<'py>,
    profile: &[u8],
    output: String,
    label_age_s: Option<u64>,
    classes: Vec<PyRef<'py, ScoreTable>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let scores =
        Scores { output, label_age_s, classes: classes.iter().map(|table| table.lock().clone()).collect() };
    let profile = Profile::from_bytes(profile).and_then(|profile| profile.with_section(&scores));
    Ok(PyBytes::new(py, &profile.map_err(Error::from)?.to_bytes()))
}

/// The output whose scores a profile knows, the age of their labels, and their tables by class.
#[pyfunction]
pub fn profile_scores(profile: &[u8]) -> PyResult<Option<StoredScores>> {
    let profile = Profile::from_bytes(profile).map_err(Error::from)?;
    let scores = profile.section::<Scores>().map_err(Error::from)?;
    Ok(scores.map(|scores| {
        let tables = scores.classes.into_iter().map(|table| ScoreTable { inner: Mutex::new(table) });
        (scores.output, scores.label_age_s, tables.collect())
    }))
}

fn to_python<'py>(py: Python<'py>, performance: &Performance) -> PyResult<Bound<'py, PyDict>> {
    let result = PyDict::new(py);
    result.set_item("rows", performance.rows)?;
    result.set_item("accuracy", performance.accuracy)?;
    result.set_item("precision", performance.precision)?;
    result.set_item("recall", performance.recall)?;
    result.set_item("specificity", performance.specificity)?;
    result.set_item("f1", performance.f1)?;
    let area = performance.roc_auc.map(|area| (area.low, area.value, area.high));
    result.set_item("roc_auc", area)?;
    result.set_item("accuracy_noise", performance.accuracy_noise)?;
    Ok(result)
}
