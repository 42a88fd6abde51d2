//! The only crate that knows PyO3: it converts, calls and maps errors, and has nothing to understand in it.

mod backtest;
mod certificates;
mod decision;
mod detector;
mod distance;
mod engine;
mod error;
mod histogram;
mod labels;
mod message;
mod metadata;
mod multivariate;
mod performance;
mod plane;
mod profile;
mod state;

use pilotfish_core::detect::edetector::terms;
use pyo3::prelude::*;

/// `pilotfish._core`.
#[pymodule]
mod _core {
    use super::*;

    #[pymodule_export]
    use super::{
        backtest::Backtest,
        certificates::{Certificates, forwarded_client_certificate},
        decision::Decision,
        detector::Detector,
        distance::{bracket, distance, noise},
        engine::Engine,
        error::{CertificateError, ConfigurationError, ProfileError, StateError},
        histogram::Histogram,
        labels::{AttributionDetector, LossDetector, divergence},
        message::decode,
        multivariate::{CoMoments, JointBuilder, JointDetector},
        performance::{ScoreTable, performance_of_classes, profile_scores, profile_with_scores, score_edges},
        plane::NativePlane,
        profile::{Profile, ProfileBuilder, describe_profile},
        state::{describe_state, merge_states},
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("ARL", terms::ARL)?;
        module.add("TOLERANCE", terms::TOLERANCE)?;
        module.add("DELTA", terms::DELTA)?;
        module.add("CLEAR_AFTER", terms::CLEAR_AFTER)?;
        module.add("PANE_ROWS", terms::PANE_ROWS)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
