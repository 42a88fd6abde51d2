//! Errors of the core as Python exceptions, each mapped here and nowhere else.

use pilotfish_core::{error, profile, state};
use pilotfish_proxy::{self as proxy, StartError};
use pyo3::create_exception;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

create_exception!(_core, CertificateError, PyValueError, "A file of a certificate cannot be used.");
create_exception!(_core, ConfigurationError, PyValueError, "The engine's configuration cannot be used.");
create_exception!(_core, ProfileError, PyValueError, "A profile cannot be read or built.");
create_exception!(_core, StateError, PyValueError, "A state file cannot be read, or not be added to others.");

/// Everything that can go wrong behind the binding.
#[derive(Debug)]
pub enum Error {
    Configuration(error::ConfigurationError),
    Profile(profile::ProfileError),
    Thread(std::io::Error),
    Plane(StartError),
    Certificate(proxy::CertificateError),
    State(state::StateError),
}

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        match error {
            Error::Configuration(error) => ConfigurationError::new_err(error.to_string()),
            Error::Profile(error) => ProfileError::new_err(error.to_string()),
            Error::State(error) => StateError::new_err(error.to_string()),
            Error::Thread(error) => PyOSError::new_err(format!("no thread for the observer: {error}")),
            Error::Certificate(proxy::CertificateError { version, setting, what }) => {
                CertificateError::new_err((version, setting, what))
            }
            Error::Plane(StartError::Configuration(error)) => ConfigurationError::new_err(error.to_string()),
            Error::Plane(error @ (StartError::Listen { .. } | StartError::Thread(_))) => {
                PyOSError::new_err(error.to_string())
            }
        }
    }
}

impl From<error::ConfigurationError> for Error {
    fn from(error: error::ConfigurationError) -> Error {
        Error::Configuration(error)
    }
}

impl From<profile::ProfileError> for Error {
    fn from(error: profile::ProfileError) -> Error {
        Error::Profile(error)
    }
}

impl From<state::StateError> for Error {
    fn from(error: state::StateError) -> Error {
        Error::State(error)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        Error::Thread(error)
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Error {
        Error::Plane(error)
    }
}

impl From<proxy::ConfigurationError> for Error {
    fn from(error: proxy::ConfigurationError) -> Error {
        Error::Plane(StartError::Configuration(error))
    }
}

impl From<proxy::CertificateError> for Error {
    fn from(error: proxy::CertificateError) -> Error {
        Error::Certificate(error)
    }
}
