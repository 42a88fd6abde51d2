//! A feature's panes against its reference.

use super::NOISY_PANES;
use super::config::{AlarmConfig, DetectorKind, MonitorConfig};
use super::plans::Plans;
use super::snapshot::{BinsSnapshot, DriftSnapshot, WindowSnapshot};
use super::suspicion::{self, Look, Suspicion};
use crate::detect::threshold::{self, Limits, Threshold};
use crate::detect::{Alarm, Change, Detector, Evidence, Mark};
use crate::distance::{Chance, Distance, Distances, Sizes, Spread, compared};
use crate::feature::stage::Errand;
use crate::prefetch::{Depth, prefetch};
use crate::profile::Reference;
use crate::sketch::binning::{self, Kind};
use crate::sketch::bins::{Bins, Packed};
use crate::sketch::{Sketch, Subtract};
use crate::window::Window;
use crate::window::calendar::Passed;
use crate::window::cascade::{self, Cascade};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The window of a feature, the reference it is compared with, and the detectors that judge the difference.
///
/// A copy shares all but the counts, until a pane is closed or weighed. What a look needs comes first.
#[derive(Clone, Debug)]
pub struct Comparison {
    window: Window,
    /// The e-detector, where that is what raises alarms.
    suspicion: Option<Suspicion>,
    reference: Arc<Reference>,
    spread: Spread,
    /// The last hour, day and month.
    cascade: Arc<Cascade>,
    /// What the pane closed last may score by chance; `None` before the first one.
    chance: Option<Chance>,
    /// The distance that speaks for the feature.
    lead: Distance,
    detectors: Vec<(Distance, Threshold)>,
}

/// A comparison at rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    open: Packed,
    /// Oldest first.
    closed: Vec<Packed>,
    past: Packed,
    cascade: cascade::Stored,
    chance: Option<f64>,
    detectors: Vec<threshold::Stored>,
    suspicion: Option<suspicion::Stored>,
}

/// What closing a pane needs to know beyond the counts.
#[derive(Debug)]
pub struct Closing<'a> {
    pub alarm: &'a AlarmConfig,
    /// When the pane began and ended, or how far it has come.
    pub start: Mark,
    pub end: Mark,
    /// How long that was, and how long a full pane is, in the unit of the time between false alarms.
    pub stake: f64,
    pub unit: f64,
    /// Rows after which one looks.
    pub look_rows: u64,
}

// === impl Comparison ===

impl Comparison {
    /// `plans` are those of the monitor, which has so many features.
    pub fn new(reference: Arc<Reference>, config: &MonitorConfig, plans: &mut Plans) -> Comparison {
        let empty = Bins::new(Arc::clone(reference.bins.binning()));
        let evident = config.alarm.detector == DetectorKind::EDetector;
        Comparison {
            spread: Spread::of(&reference),
            suspicion: evident.then(|| Suspicion::new(plans.of(&reference, &config.alarm), &config.alarm)),
            reference,
            cascade: Arc::new(Cascade::new(empty.binning(), config.windows)),
            window: Window::new(empty, config.window_panes as usize),
            chance: None,
            lead: config.alarm.thresholds().next().map_or(Distance::Psi, |(distance, _)| distance),
            detectors: config.alarm.detectors(),
        }
    }

    pub fn stored(&self) -> Stored {
        let packed = |bins: &Bins| Packed::of(bins, true);
        Stored {
            open: packed(&self.window.open()),
            closed: self.window.closed().map(Packed::from).collect(),
            past: packed(self.window.past()),
            cascade: self.cascade.stored(),
            chance: self.chance.map(|chance| chance.probability()),
            detectors: self.detectors.iter().map(|(_, detector)| detector.stored()).collect(),
            suspicion: self.suspicion.as_ref().map(Suspicion::stored),
        }
    }

    /// Goes on with what was stored; false when that belongs to another reference or other detectors.
    pub fn resume(&mut self, stored: Stored) -> bool {
        let unpacked = |packed: &Packed| self.window.unpacked(packed.bytes());
        let closed: Vec<Bins> = stored.closed.iter().map(unpacked).collect();
        let (past, open) = (unpacked(&stored.past), unpacked(&stored.open));
        self.chance = stored.chance.map(Chance::of);
        self.window.resume(&past, &closed, &open);
        let same = stored.detectors.len() == self.detectors.len();
        for ((_, detector), stored) in self.detectors.iter_mut().zip(stored.detectors) {
            detector.resume(stored);
        }
        let suspected = match (&mut self.suspicion, stored.suspicion) {
            (Some(suspicion), Some(stored)) => suspicion.resume(stored),
            (None, None) => true,
            _ => false,
        };
        same && suspected && Arc::make_mut(&mut self.cascade).resume(stored.cascade)
    }

    /// Adds the counts of another worker that was compared with the same reference, pane by pane and slice by slice,
    /// the latest beside the latest.
    pub fn merge(&mut self, other: &Comparison) {
        self.window.merge(&other.window);
        Arc::make_mut(&mut self.cascade).merge(&other.cascade);
        let chances = self.chance.into_iter().chain(other.chance);
        self.chance = chances.min_by(|one, next| one.probability().total_cmp(&next.probability()));
        for ((_, mine), (_, theirs)) in self.detectors.iter_mut().zip(&other.detectors) {
            mine.merge(theirs.stored());
        }
        if let (Some(mine), Some(theirs)) = (&mut self.suspicion, &other.suspicion) {
            mine.merge(theirs);
        }
    }

    pub fn alarm(&self) -> Option<Alarm> {
        let suspected = self.suspicion().and_then(Suspicion::alarm);
        suspected.or_else(|| self.detectors.iter().find_map(|(_, detector)| detector.alarm().cloned()))
    }

    pub fn suspicion(&self) -> Option<&Suspicion> {
        self.suspicion.as_ref()
    }

    /// Given the evidence at which a feature is flagged, once that of all features is known.
    pub fn judge(&mut self, level: f64, closing: &Closing<'_>) -> Option<Change> {
        self.suspicion.as_mut()?.judge(level, closing)
    }

    /// Weighs the evidence of the open pane up to now, if that is `due` or worthwhile; whether it did.
    pub fn look(&mut self, so_far: &Closing<'_>, due: bool) -> bool {
        let look = Look { window: &self.window, so_far };
        self.suspicion.as_mut().is_some_and(|suspicion| suspicion.look(&look, due))
    }

    pub fn close(
        &mut self,
        closing: &Closing<'_>,
        chance: Chance,
        mut report: impl FnMut(&'static str, Change),
    ) {
        if let Some(suspicion) = &mut self.suspicion {
            suspicion.close(&Look { window: &self.window, so_far: closing });
        }
        self.window.close();
        self.chance = Some(chance);
        if self.detectors.is_empty() {
            return;
        }
        let Some(pane) = &self.window.last() else { return };
        for (distance, detector) in &mut self.detectors {
            let reference = &self.reference.bins;
            let Some((score, noise)) = score(*distance, reference, pane, &chance) else { continue };
            let (reference, pane) = (reference.cells(), pane.cells());
            let evidence = Evidence { reference, pane, score, noise, start: closing.start };
            if let Some(change) = detector.step(&evidence) {
                report(detector.method(), change);
            }
        }
    }

    pub fn kind(&self) -> Kind {
        self.reference.bins.binning().kind()
    }

    /// Asks for the cache lines that counting needs, and the errand.
    pub fn prefetch(&self, depth: Depth, errand: Errand) {
        if depth == Depth::Near {
            prefetch(&self.window);
            prefetch(&self.suspicion);
            return;
        }
        self.window.total().prefetch(depth);
        if let Errand::Close(_) = errand {
            self.window.prefetch_closed(depth);
        }
        if let Some(suspicion) = &self.suspicion {
            suspicion.prefetch(depth, errand);
        }
    }

    /// Everything counted so far.
    pub fn total(&self) -> &Bins {
        self.window.total()
    }

    #[inline]
    pub fn total_mut(&mut self) -> &mut Bins {
        self.window.total_mut()
    }

    /// The distances of the pane closed last. Computed when asked for: panes close far more often.
    pub fn drift(&self) -> Option<DriftSnapshot> {
        measured(&self.reference.bins, &self.window.last()?, &self.spread, &self.chance?, self.lead)
    }

    /// Slices of the windows are over.
    pub fn advance(&mut self, passed: Passed) {
        Arc::make_mut(&mut self.cascade).advance(passed, self.window.total());
    }

    /// The windows that hold rows, by name, given all counts so far.
    pub fn windows(&self, totals: &Bins, names: &[String], detail: bool) -> Vec<WindowSnapshot> {
        let Some(chance) = self.chance else { return Vec::new() };
        let measured = names.iter().enumerate().filter_map(|(level, name)| {
            let window = self.cascade.window(level, totals)?;
            windowed(name, &self.reference.bins, &window, &chance, detail.then_some(&self.spread))
        });
        measured.collect()
    }

    /// Reference and window bin by bin, given all counts so far.
    pub fn bins(&self, totals: &Bins) -> BinsSnapshot {
        let mut window = totals.clone();
        window.subtract(self.window.past());
        window.merge(&self.window.sum());
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

/// A distance of a pane with its noise floor; `None` when the pane or the reference is empty, or categories have no
/// order.
fn score(distance: Distance, reference: &Bins, pane: &Bins, chance: &Chance) -> Option<(f64, f64)> {
    if distance.needs_order() && reference.binning().kind() == Kind::Category {
        return None;
    }
    let from = if distance.needs_order() { binning::NEG_INF } else { 0 };
    let (reference, pane) = (&compared(reference)[from..], &compared(pane)[from..]);
    let noise = distance.noise(chance, &Sizes::of(reference, pane)?)?;
    Some((distance.between(reference, pane)?, noise))
}

/// The distances of a window, all of them where the spread is given; `None` when it or the reference is empty.
fn windowed(
    name: &str,
    reference: &Bins,
    window: &Bins,
    chance: &Chance,
    spread: Option<&Spread>,
) -> Option<WindowSnapshot> {
    let (psi, psi_noise) = score(Distance::Psi, reference, window, chance)?;
    let (jensen_shannon, jensen_shannon_noise) = score(Distance::JensenShannon, reference, window, chance)?;
    let (ks, ks_noise) = score(Distance::Ks, reference, window, chance).unzip();
    Some(WindowSnapshot {
        window: name.to_owned(),
        rows: window.total(),
        psi,
        psi_noise,
        jensen_shannon,
        jensen_shannon_noise,
        ks,
        ks_noise,
        distances: spread.and_then(|it| Distances::of(reference, window, it, &Chance::of(NOISY_PANES))),
    })
}

/// All distances of a pane; `None` when it or the reference is empty.
fn measured(
    reference: &Bins,
    pane: &Bins,
    spread: &Spread,
    chance: &Chance,
    lead: Distance,
) -> Option<DriftSnapshot> {
    let distances = Distances::of(reference, pane, spread, &Chance::of(NOISY_PANES))?;
    let (psi, psi_noise) = score(Distance::Psi, reference, pane, chance)?;
    let (jensen_shannon, jensen_shannon_noise) = score(Distance::JensenShannon, reference, pane, chance)?;
    let (ks, ks_noise) = score(Distance::Ks, reference, pane, chance).unzip();
    let score = score(lead, reference, pane, chance).map_or(psi, |(score, _)| score);
    Some(DriftSnapshot {
        psi,
        psi_noise,
        jensen_shannon,
        jensen_shannon_noise,
        ks,
        ks_noise,
        pane_rows: pane.total(),
        score,
        distances,
    })
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
