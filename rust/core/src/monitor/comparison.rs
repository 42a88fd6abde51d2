//! A feature's panes against its reference.

use super::NOISY_PANES;
use super::config::{AlarmConfig, DetectorKind, MonitorConfig};
use super::snapshot::{BinsSnapshot, DriftSnapshot};
use super::suspicion::Suspicion;
use crate::detect::threshold::{Limits, Threshold};
use crate::detect::{Alarm, Change, Detector, Evidence, Mark};
use crate::distance::{Chance, Distance, Distances, Sizes, Spread};
use crate::profile::Reference;
use crate::sketch::Sketch;
use crate::sketch::binning::{self, Kind};
use crate::sketch::bins::Bins;
use crate::window::Window;
use std::sync::Arc;

/// The window of a feature, the reference it is compared with, and the detectors that judge the difference.
#[derive(Debug)]
pub struct Comparison {
    reference: Arc<Reference>,
    spread: Spread,
    window: Window<Bins>,
    /// All panes closed so far.
    past: Bins,
    drift: Option<DriftSnapshot>,
    detectors: Vec<(Distance, Threshold)>,
    /// The e-detector, where that is what raises alarms.
    suspicion: Option<Suspicion>,
}

/// What closing a pane needs to know beyond the counts.
#[derive(Debug)]
pub struct Closing<'a> {
    pub alarm: &'a AlarmConfig,
    pub chance: Chance,
    /// When the pane began and ended.
    pub start: Mark,
    pub end: Mark,
    /// Its length, in the unit of the time between false alarms.
    pub stake: f64,
}

// === impl Comparison ===

impl Comparison {
    /// `features` is how many the model has: the doubt about the profile is shared among them.
    pub fn new(reference: Arc<Reference>, config: &MonitorConfig, features: usize) -> Comparison {
        let empty = Bins::new(Arc::clone(reference.bins.binning()));
        let evident = config.alarm.detector == DetectorKind::EDetector;
        Comparison {
            suspicion: evident.then(|| Suspicion::new(&reference, &config.alarm, features)),
            spread: Spread::of(&reference),
            reference,
            window: Window::new(empty.clone(), config.window_panes as usize),
            past: empty,
            drift: None,
            detectors: config.alarm.detectors(),
        }
    }

    pub fn alarm(&self) -> Option<Alarm> {
        let suspected = self.suspicion.as_ref().and_then(Suspicion::alarm);
        suspected.or_else(|| self.detectors.iter().find_map(|(_, detector)| detector.alarm().cloned()))
    }

    pub fn suspicion(&self) -> Option<&Suspicion> {
        self.suspicion.as_ref()
    }

    /// Given the evidence at which a feature is flagged, once that of all features is known.
    pub fn judge(&mut self, level: f64, closing: &Closing<'_>) -> Option<Change> {
        self.suspicion.as_mut()?.judge(level, closing)
    }

    pub fn close(&mut self, closing: &Closing<'_>, mut report: impl FnMut(&'static str, Change)) {
        self.window.close();
        let Some(pane) = self.window.last() else { return };
        self.past.merge(pane);
        if let Some(suspicion) = &mut self.suspicion {
            suspicion.update(pane.cells(), closing);
        }
        let Some(drift) = measured(&self.reference.bins, pane, &self.spread, closing) else { return };
        for (distance, detector) in &mut self.detectors {
            let Some((score, noise)) = drift.of(*distance) else { continue };
            let (reference, pane) = (self.reference.bins.cells(), pane.cells());
            let evidence = Evidence { reference, pane, score, noise, start: closing.start };
            if let Some(change) = detector.step(&evidence) {
                report(detector.method(), change);
            }
        }
        self.drift = Some(drift);
    }

    pub fn kind(&self) -> Kind {
        self.reference.bins.binning().kind()
    }

    /// The pane being filled.
    pub fn open(&self) -> &Bins {
        self.window.open()
    }

    #[inline]
    pub fn open_mut(&mut self) -> &mut Bins {
        self.window.open_mut()
    }

    /// The distances of the pane closed last.
    pub fn drift(&self) -> Option<&DriftSnapshot> {
        self.drift.as_ref()
    }

    /// All counts so far, given those of the open pane.
    pub fn totals(&self, open: &Bins) -> Bins {
        let mut totals = self.past.clone();
        totals.merge(open);
        totals
    }

    /// Reference and window bin by bin, given the counts of the open pane.
    pub fn bins(&self, open: Bins) -> BinsSnapshot {
        let mut window = open;
        window.merge(self.window.sum());
        let binning = self.reference.bins.binning();
        let values = binning.values().iter().map(f64::to_string);
        let labels = binning.labels().iter().map(|label| String::from_utf8_lossy(label).into_owned());
        BinsSnapshot {
            edges: binning.edges(),
            labels: values.chain(labels).collect(),
            reference: self.reference.bins.bins().to_vec(),
            window: window.bins().to_vec(),
        }
    }
}

/// The distances of a pane; `None` when it or the reference is empty.
fn measured(reference: &Bins, pane: &Bins, spread: &Spread, closing: &Closing<'_>) -> Option<DriftSnapshot> {
    let distances = Distances::of(reference, pane, spread, &Chance::of(NOISY_PANES))?;
    let with_noise = |distance: Distance, from: usize| {
        let sizes = Sizes::of(&reference.cells()[from..], &pane.cells()[from..])?;
        Some((distances.get(distance)?.value, distance.noise(&closing.chance, &sizes)?))
    };
    let (psi, psi_noise) = with_noise(Distance::Psi, 0)?;
    let (jensen_shannon, jensen_shannon_noise) = with_noise(Distance::JensenShannon, 0)?;
    let (ks, ks_noise) = with_noise(Distance::Ks, binning::NEG_INF).unzip();
    let mut drift = DriftSnapshot {
        psi,
        psi_noise,
        jensen_shannon,
        jensen_shannon_noise,
        ks,
        ks_noise,
        pane_rows: pane.total(),
        score: psi,
        distances,
    };
    let first = closing.alarm.thresholds().next().and_then(|(distance, _)| drift.of(distance));
    drift.score = first.map_or(psi, |(score, _)| score);
    Some(drift)
}

// === impl DriftSnapshot ===

impl DriftSnapshot {
    /// Score and noise floor of a distance.
    fn of(&self, distance: Distance) -> Option<(f64, f64)> {
        match distance {
            Distance::Psi => Some((self.psi, self.psi_noise)),
            Distance::JensenShannon => Some((self.jensen_shannon, self.jensen_shannon_noise)),
            Distance::Ks => self.ks.zip(self.ks_noise),
            _ => None,
        }
    }
}

// === impl AlarmConfig ===

impl AlarmConfig {
    /// The distances that have a threshold, with it.
    fn thresholds(&self) -> impl Iterator<Item = (Distance, f64)> + use<> {
        [(Distance::Psi, self.psi), (Distance::JensenShannon, self.jensen_shannon), (Distance::Ks, self.ks)]
            .into_iter()
            .filter_map(|(distance, threshold)| Some((distance, threshold?)))
    }

    fn detectors(&self) -> Vec<(Distance, Threshold)> {
        if self.detector != DetectorKind::Threshold {
            return Vec::new();
        }
        let detector = |(distance, threshold): (Distance, f64)| {
            let limits = Limits {
                threshold,
                raise_after: self.raise_after,
                clear_after: self.clear_after,
                clear_ratio: self.clear_ratio,
            };
            (distance, Threshold::new(distance.name(), limits))
        };
        self.thresholds().map(detector).collect()
    }
}
