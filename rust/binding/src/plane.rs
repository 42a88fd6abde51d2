//! The native data plane, as Python sees it: started, looked at, drained. No call of a client comes through here.

use std::collections::BTreeMap;
use std::time::Duration;

use pilotfish_core::call::Decision;
use pilotfish_proxy::{KeptCall, Message, Plane, PlaneConfig, Reachability};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::certificates::Certificates;
use crate::engine::Engine;
use crate::error::Error;

#[pyclass(frozen, module = "pilotfish._core")]
#[derive(Debug)]
pub struct NativePlane {
    inner: Plane,
}

#[pymethods]
impl NativePlane {
    #[new]
    #[pyo3(signature = (engine, configuration, certificates=None))]
    fn new(
        py: Python<'_>,
        engine: &Engine,
        configuration: &str,
        certificates: Option<&Certificates>,
    ) -> PyResult<NativePlane> {
        let engine = engine.shared();
        let certificates = certificates.map(Certificates::shared).unwrap_or_default();
        let started = py.detach(|| {
            let config = PlaneConfig::from_json(configuration)?;
            Ok::<_, Error>(Plane::start(engine, config, certificates)?)
        });
        Ok(NativePlane { inner: started? })
    }

    #[getter]
    fn address(&self) -> String {
        self.inner.listen()
    }

    #[getter]
    fn serving(&self) -> bool {
        self.inner.is_serving()
    }

    fn refresh(&self) {
        self.inner.refresh();
    }

    fn upstreams(&self) -> BTreeMap<String, &'static str> {
        self.inner.upstreams().into_iter().map(|(name, reach)| (name, reachability(reach))).collect()
    }

    fn drain(&self, py: Python<'_>, seconds: f64) -> bool {
        py.detach(|| self.inner.drain(duration(seconds)))
    }

    fn flush(&self, py: Python<'_>, timeout: f64) -> bool {
        py.detach(|| self.inner.flush(duration(timeout)))
    }

    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        match serde_json::to_vec(&self.inner.counters()) {
            Ok(bytes) => Ok(PyBytes::new(py, &bytes)),
            Err(error) => Err(PyRuntimeError::new_err(format!("the counters could not be encoded: {error}"))),
        }
    }

    fn kept<'py>(&self, py: Python<'py>, most: usize, timeout: f64) -> PyResult<Bound<'py, PyList>> {
        let calls = py.detach(|| self.inner.kept(most, duration(timeout)));
        let list = PyList::empty(py);
        for call in &calls {
            list.append(self.kept_call(py, call)?)?;
        }
        Ok(list)
    }
}

impl NativePlane {
    fn kept_call<'py>(&self, py: Python<'py>, call: &KeptCall) -> PyResult<Bound<'py, PyDict>> {
        let (ruling, version) = (&call.ruling, call.ruling.answering());
        let Decision { call_id, method, role, strategy, traceparent, version: _, route: _, shadow: _ } =
            &**ruling;
        let bytes =
            |message: &Option<Message>| message.as_ref().map(|message| PyBytes::new(py, &message.joined()));
        let fields = PyDict::new(py);
        fields.set_item("call_id", &**call_id)?;
        fields.set_item("reason", call.reason.name())?;
        fields.set_item("route", &ruling.route().name)?;
        fields.set_item("version", &*version.name)?;
        fields.set_item("role", role.name())?;
        fields.set_item("strategy", strategy.name())?;
        fields.set_item("method", &**method)?;
        fields.set_item("code", call.code)?;
        fields.set_item("message", &call.message)?;
        fields.set_item("started_unix_ns", call.started_unix_ns)?;
        fields.set_item("duration_ns", call.duration)?;
        fields.set_item("upstream_ns", call.upstream)?;
        fields.set_item("request", bytes(&call.request))?;
        fields.set_item("response", bytes(&call.response))?;
        fields.set_item("request_bytes", call.request_bytes)?;
        fields.set_item("response_bytes", call.response_bytes)?;
        fields.set_item("metadata", metadata(py, call)?)?;
        fields.set_item("traceparent", traceparent.as_deref())?;
        fields.set_item("peer", &*call.peer)?;
        fields.set_item("upstream", &*version.upstream)?;
        Ok(fields)
    }
}

/// Pairs as grpcio has them: values of `-bin` names are `bytes`, all others `str`.
fn metadata<'py>(py: Python<'py>, call: &KeptCall) -> PyResult<Bound<'py, PyTuple>> {
    let pair = |(name, value): &(String, bytes::Bytes)| {
        let value = if name.ends_with("-bin") {
            PyBytes::new(py, value).into_any()
        } else {
            PyString::new(py, &String::from_utf8_lossy(value)).into_any()
        };
        (PyString::new(py, name), value)
    };
    PyTuple::new(py, call.metadata.iter().map(pair))
}

fn reachability(reach: Reachability) -> &'static str {
    match reach {
        Reachability::Connecting => "connecting",
        Reachability::Ready => "ready",
        Reachability::Unreachable => "unreachable",
    }
}

/// What is no time at all, negative or not a number, is none.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
}
