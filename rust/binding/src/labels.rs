//! What labels tell once they are known, as Python sees it: harm, and whether it is X or Y given X.

use std::sync::{Mutex, PoisonError};

use numpy::PyReadonlyArray1;
use pilotfish_core::attribution::detector::{self, Attribution, Part, Split};
use pilotfish_core::attribution::{Cells, Divergence};
use pilotfish_core::detect::AlarmState;
use pilotfish_core::detect::edetector::Finding;
use pilotfish_core::detect::edetector::terms::Terms;
use pilotfish_core::detect::harm::{self, HarmDetector};
use pilotfish_core::detect::loss::Losses;
use pilotfish_core::profile::autocorrelation::Series;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::Error;

type Numbers<'py> = PyReadonlyArray1<'py, f64>;
type Labels<'py> = PyReadonlyArray1<'py, i64>;

#[pyclass(frozen, module = "pilotfish._core")]
#[derive(Debug)]
pub struct LossDetector {
    inner: Mutex<HarmDetector>,
}

#[pymethods]
impl LossDetector {
    #[new]
    fn new(
        reference: Numbers<'_>,
        bound: f64,
        tolerance: f64,
        arl: f64,
        delta: f64,
        pane_rows: u64,
        clear_after: u32,
    ) -> PyResult<LossDetector> {
        let values = reference.as_array().to_vec();
        let mut losses = Losses::new(bound).map_err(Error::from)?;
        losses.update(&values);
        let terms = Terms { pane_rows, arl, tolerance, delta, clear_after };
        let detector = HarmDetector::new(&losses, terms, Some(time_of(&values))).map_err(Error::from)?;
        Ok(LossDetector { inner: Mutex::new(detector) })
    }

    fn update<'py>(&self, py: Python<'py>, losses: Numbers<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let losses = losses.as_array().to_vec();
        let alarms = py.detach(|| self.inner.lock().unwrap_or_else(PoisonError::into_inner).update(&losses));
        let to_python = |alarm: &harm::HarmAlarm| {
            let event = event(py, alarm.state, alarm.row, alarm.finding)?;
            event.set_item("evidence_bits", alarm.evidence_bits)?;
            event.set_item("threshold_bits", alarm.threshold_bits)?;
            Ok(event)
        };
        alarms.iter().map(to_python).collect()
    }

    #[getter]
    fn evidence_bits(&self) -> f64 {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).evidence_bits()
    }
}

#[pyclass(frozen, module = "pilotfish._core")]
#[derive(Debug)]
pub struct AttributionDetector {
    inner: Mutex<Attribution>,
}

#[pymethods]
impl AttributionDetector {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "the Python wrapper names and checks them")]
    fn new(
        scores: Numbers<'_>,
        labels: Labels<'_>,
        classes: usize,
        tolerance: f64,
        arl: f64,
        delta: f64,
        pane_rows: u64,
        clear_after: u32,
    ) -> PyResult<AttributionDetector> {
        let cells = counted(&scores, &labels, classes)?;
        let numbers: Vec<f64> = labels.as_array().iter().map(|&label| label as f64).collect();
        let time = time_of(&numbers).max(time_of(&scores.as_array().to_vec()));
        let terms = Terms { pane_rows, arl, tolerance, delta, clear_after };
        let attribution = Attribution::new(&cells, terms, Some(time)).map_err(Error::from)?;
        Ok(AttributionDetector { inner: Mutex::new(attribution) })
    }

    fn update<'py>(
        &self,
        py: Python<'py>,
        scores: Numbers<'py>,
        labels: Labels<'py>,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let rows = rows_of(&scores, &labels)?;
        let alarms = py.detach(|| self.inner.lock().unwrap_or_else(PoisonError::into_inner).update(rows));
        let to_python = |alarm: &detector::Alarm| {
            let event = event(py, alarm.state, alarm.row, alarm.finding)?;
            event.set_item("part", part_name(alarm.part))?;
            event.set_item("split", split_of(py, &alarm.split)?)?;
            Ok(event)
        };
        alarms.iter().map(to_python).collect()
    }

    fn split<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        split_of(py, &self.inner.lock().unwrap_or_else(PoisonError::into_inner).split())
    }

    fn evidence_bits(&self) -> (f64, f64) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).evidence_bits()
    }
}

/// Relative entropy of the live rows from the reference: of the scores, of the labels given the score, joint.
#[pyfunction]
pub fn divergence(
    reference_scores: Numbers<'_>,
    reference_labels: Labels<'_>,
    scores: Numbers<'_>,
    labels: Labels<'_>,
    classes: usize,
) -> PyResult<(f64, f64, f64)> {
    let reference = counted(&reference_scores, &reference_labels, classes)?;
    let live = counted(&scores, &labels, classes)?;
    let found = reference.divergence(&live);
    found.map(parts).ok_or_else(|| PyValueError::new_err("no row on one side: both need scores and labels"))
}

fn counted(scores: &Numbers<'_>, labels: &Labels<'_>, classes: usize) -> PyResult<Cells> {
    let cells = Cells::new(classes);
    let mut cells =
        cells.ok_or_else(|| PyValueError::new_err(format!("{classes} labels: 2 to 16 are possible")))?;
    rows_of(scores, labels)?.into_iter().for_each(|(score, label)| cells.add(score, label));
    Ok(cells)
}

/// Labels below zero become one that is none.
fn rows_of(scores: &Numbers<'_>, labels: &Labels<'_>) -> PyResult<Vec<(f64, usize)>> {
    let (scores, labels) = (scores.as_array(), labels.as_array());
    if scores.len() != labels.len() {
        return Err(PyValueError::new_err(format!(
            "{} scores, {} labels: one of each per row",
            scores.len(),
            labels.len()
        )));
    }
    let number = |&label: &i64| usize::try_from(label).unwrap_or(usize::MAX);
    Ok(scores.iter().copied().zip(labels.iter().map(number)).collect())
}

/// Rows that are worth one independent row.
fn time_of(values: &[f64]) -> f64 {
    let mut series = Series::default();
    values.iter().filter(|value| value.is_finite()).for_each(|&value| series.push(value));
    series.time()
}

fn event<'py>(
    py: Python<'py>,
    state: AlarmState,
    row: u64,
    finding: Option<Finding>,
) -> PyResult<Bound<'py, PyDict>> {
    let event = PyDict::new(py);
    event.set_item("state", if state == AlarmState::Raised { "raised" } else { "cleared" })?;
    event.set_item("row", row)?;
    event.set_item("shape", finding.map(|finding| finding.shape.to_string()))?;
    event.set_item("change_row", finding.map(|finding| finding.onset.estimate.row))?;
    event.set_item("change_from_row", finding.map(|finding| finding.onset.earliest.row))?;
    event.set_item("change_to_row", finding.map(|finding| finding.onset.latest.row))?;
    Ok(event)
}

fn split_of<'py>(py: Python<'py>, split: &Split) -> PyResult<Bound<'py, PyDict>> {
    let result = PyDict::new(py);
    result.set_item("since_row", split.since.row)?;
    result.set_item("score_bits", split.score_bits)?;
    result.set_item("label_given_score_bits", split.label_given_score_bits)?;
    result.set_item("joint_bits", split.joint_bits)?;
    result.set_item("divergence", split.divergence.map(parts))?;
    Ok(result)
}

fn parts(divergence: Divergence) -> (f64, f64, f64) {
    (divergence.score, divergence.label_given_score, divergence.joint)
}

fn part_name(part: Part) -> &'static str {
    match part {
        Part::Score => "score",
        Part::LabelGivenScore => "label_given_score",
    }
}
