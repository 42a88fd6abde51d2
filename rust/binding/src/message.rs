//! Reading a message, for tests and tools.

use pilotfish_core::tensor::{Data, Direction, Tensor};
use pilotfish_wire::Message;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

pub fn direction_named(name: &str) -> PyResult<Direction> {
    match name {
        "input" => Ok(Direction::Input),
        "output" => Ok(Direction::Output),
        _ => Err(PyValueError::new_err(format!("direction '{name}': write 'input' or 'output'"))),
    }
}

#[pyfunction]
pub fn decode<'py>(
    py: Python<'py>,
    method: &str,
    direction: &str,
    message: &[u8],
) -> PyResult<Bound<'py, PyDict>> {
    let read = match direction_named(direction)? {
        Direction::Input => pilotfish_wire::request(method, message),
        Direction::Output => pilotfish_wire::response(method, message),
    };
    match read {
        Ok(message) => to_python(py, &message),
        Err(reason) => Err(PyValueError::new_err(reason.name())),
    }
}

fn to_python<'py>(py: Python<'py>, message: &Message<'_>) -> PyResult<Bound<'py, PyDict>> {
    let tensors = PyList::empty(py);
    for tensor in &message.tensors {
        let entry = PyDict::new(py);
        entry.set_item("name", tensor.name)?;
        entry.set_item("datatype", tensor.datatype.name())?;
        entry.set_item("shape", &tensor.shape)?;
        entry.set_item("values", values(py, tensor)?)?;
        tensors.append(entry)?;
    }
    let defects = PyDict::new(py);
    for (name, defect) in &message.defects {
        defects.set_item(name, defect.name())?;
    }
    let result = PyDict::new(py);
    result.set_item("model", message.model)?;
    result.set_item("version", message.model_version)?;
    result.set_item("id", message.id)?;
    result.set_item("tensors", tensors)?;
    result.set_item("defects", defects)?;
    result.set_item("error", message.error)?;
    Ok(result)
}

fn values<'py>(py: Python<'py>, tensor: &Tensor<'_>) -> PyResult<Bound<'py, PyList>> {
    if let Data::Bytes(elements) = &tensor.data {
        return PyList::new(py, elements.iter().map(|element| PyBytes::new(py, element)));
    }
    let mut values = Vec::with_capacity(tensor.len());
    tensor.for_each(|_, value| values.push(value));
    PyList::new(py, values)
}
