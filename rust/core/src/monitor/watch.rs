//! One feature being watched: its totals, and its panes against the reference.

use super::comparison::{self, Closing, Comparison};
use super::config::MonitorConfig;
use super::plans::Plans;
use super::snapshot::{BinsSnapshot, EvidenceSnapshot, FeatureSnapshot, Shown};
use super::suspicion::Suspicion;
use super::texts::{self, Texts};
use crate::detect::Change;
use crate::distance::Chance;
use crate::feature::Spec;
use crate::feature::stage::{Count, Errand};
use crate::prefetch::{Depth, prefetch};
use crate::profile::{Column, Profile, Reference};
use crate::sketch::binning::Kind;
use crate::sketch::bins::Bins;
use crate::sketch::exact::{self, Exact};
use crate::sketch::exponential::{Buckets, ExponentialSnapshot};
use crate::sketch::extent::Extent;
use crate::sketch::moments::Moments;
use crate::sketch::real::{Real, widened};
use crate::sketch::screen::{Specials, screen};
use crate::sketch::{BLOCK, Sketch};
use crate::tensor::Direction;
use crate::window::calendar::Passed;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A feature of a monitor.
#[derive(Debug)]
pub struct Watch {
    spec: Arc<Spec>,
    direction: Direction,
    /// Since the start, whatever the stage.
    sums: Exact,
    buckets: Buckets,
    specials: Specials,
    texts: Texts,
    /// Values until the pane closed last, and whether any of them were in it.
    counted: u64,
    was_seen: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The reference is being learned.
    Learning(Box<Column>),
    /// Panes are compared with the reference.
    Compared(Box<Comparison>),
    /// There is no reference: only the totals are kept.
    Unprofiled,
}

/// A feature at rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    spec: Spec,
    direction: Direction,
    sums: exact::Packed,
    buckets: Buckets,
    specials: Specials,
    texts: texts::Stored,
    counted: u64,
    was_seen: bool,
    comparison: Option<comparison::Stored>,
}

// === impl Watch ===

impl Watch {
    /// A feature whose reference is being learned.
    pub fn learning(spec: Spec, direction: Direction, column: Column) -> Watch {
        Watch::new(spec, direction, Stage::Learning(Box::new(column)))
    }

    /// A feature without a reference.
    pub fn unprofiled(spec: Spec, direction: Direction) -> Watch {
        Watch::new(spec, direction, Stage::Unprofiled)
    }

    fn new(spec: Spec, direction: Direction, stage: Stage) -> Watch {
        Watch {
            spec: Arc::new(spec),
            direction,
            sums: Exact::default(),
            buckets: Buckets::default(),
            specials: Specials::default(),
            texts: Texts::default(),
            counted: 0,
            was_seen: false,
            stage,
        }
    }

    /// What a snapshot shows of it now, its histogram only if asked for; what is still being learned is left out.
    #[must_use]
    pub fn copied(&self, histogram: bool) -> Watch {
        let stage = match &self.stage {
            Stage::Compared(comparison) => Stage::Compared(comparison.clone()),
            Stage::Learning(_) | Stage::Unprofiled => Stage::Unprofiled,
        };
        Watch {
            spec: Arc::clone(&self.spec),
            direction: self.direction,
            sums: self.sums.clone(),
            buckets: if histogram { self.buckets.clone() } else { Buckets::default() },
            specials: self.specials,
            texts: self.texts.clone(),
            counted: self.counted,
            was_seen: self.was_seen,
            stage,
        }
    }

    /// From now on, compares with `reference`; with nothing when that is none, or strings where numbers are seen.
    /// `plans` are those of all features.
    pub fn compare_with(
        &mut self,
        reference: Option<&Arc<Reference>>,
        config: &MonitorConfig,
        plans: &mut Plans,
    ) {
        let fits = reference.filter(|reference| self.is_of_kind(reference));
        self.stage = fits.map_or(Stage::Unprofiled, |reference| {
            Stage::Compared(Box::new(Comparison::new(Arc::clone(reference), config, plans)))
        });
    }

    /// Adds what another worker has seen of the same feature, compared with the same reference. What is compared stays so
    /// where the other one was of another kind.
    pub fn merge(&mut self, mut other: Watch) {
        self.sums.merge(&other.sums);
        self.buckets.merge(&other.buckets);
        self.specials.merge(&other.specials);
        self.texts.merge(&other.texts);
        self.counted += other.counted;
        self.was_seen |= other.was_seen;
        match (&mut self.stage, &other.stage) {
            (Stage::Compared(mine), Stage::Compared(theirs)) => mine.merge(theirs),
            (Stage::Compared(_), _) => return,
            (_, Stage::Compared(_)) => {
                self.stage = std::mem::replace(&mut other.stage, Stage::Unprofiled);
                self.spec = other.spec;
                return;
            }
            _ => {}
        }
        if other.spec < self.spec {
            self.spec = other.spec;
        }
    }

    pub fn stored(&self) -> Stored {
        let comparison = match &self.stage {
            Stage::Compared(comparison) => Some(comparison.stored()),
            Stage::Learning(_) | Stage::Unprofiled => None,
        };
        Stored {
            spec: Spec::clone(&self.spec),
            direction: self.direction,
            sums: self.sums.packed(),
            buckets: self.buckets.centred(),
            specials: self.specials,
            texts: self.texts.stored(),
            counted: self.counted,
            was_seen: self.was_seen,
            comparison,
        }
    }

    /// A stored feature, compared with `profile`; `None` when it does not belong to it.
    pub fn resumed(
        stored: Stored,
        profile: Option<&Profile>,
        config: &MonitorConfig,
        plans: &mut Plans,
    ) -> Option<Watch> {
        let Stored { spec, direction, sums, buckets, specials, texts, counted, was_seen, comparison } =
            stored;
        let (sums, texts) = (Exact::unpacked(&sums)?, Texts::resumed(&texts)?);
        let reference = profile.and_then(|profile| profile.get(direction, &spec.name)).cloned();
        let unprofiled = Watch::unprofiled(spec, direction);
        let mut feature = Watch { sums, buckets, specials, texts, counted, was_seen, ..unprofiled };
        feature.compare_with(reference.as_ref(), config, plans);
        let goes_on = match (&mut feature.stage, comparison) {
            (Stage::Compared(mine), Some(stored)) => mine.resume(stored),
            (Stage::Unprofiled, None) => true,
            _ => false,
        };
        (goes_on && feature.buckets.is_sound()).then_some(feature)
    }

    /// Ends learning; what was learned, if anything.
    pub fn learned(&mut self) -> Option<Reference> {
        match std::mem::replace(&mut self.stage, Stage::Unprofiled) {
            Stage::Learning(column) => column.finish(&self.spec.name, self.direction),
            other => {
                self.stage = other;
                None
            }
        }
    }

    pub fn name(&self) -> &str {
        &self.spec.name
    }

    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Whether it has numbers where the reference has numbers, strings where that has strings.
    pub fn is_of_kind(&self, reference: &Reference) -> bool {
        (reference.bins.binning().kind() == Kind::Category) == (self.spec.kind == Kind::Category)
    }

    /// Whether it is computed from others.
    pub fn is_derived(&self) -> bool {
        self.spec.derived
    }

    /// Whether the pane closed last had any value of it.
    pub fn was_seen(&self) -> bool {
        self.was_seen
    }

    fn values(&self) -> u64 {
        self.sums.count() + self.specials.total() + self.texts.count()
    }

    /// Whether a reference is learned, or there is one.
    pub fn is_watched(&self) -> bool {
        !matches!(self.stage, Stage::Unprofiled)
    }

    /// Whether there is a reference to compare with.
    pub fn is_compared(&self) -> bool {
        matches!(self.stage, Stage::Compared(_))
    }

    /// Values absent or NaN, those `waiting` to be counted included; none of a feature that is computed from others.
    pub fn missing(&self, waiting: u64) -> u64 {
        if self.spec.derived { 0 } else { self.specials.missing + self.specials.nan + waiting }
    }

    /// Whether an alarm is raised.
    pub fn is_alarmed(&self) -> bool {
        matches!(&self.stage, Stage::Compared(comparison) if comparison.alarm().is_some())
    }

    /// Counts numbers.
    pub fn update<R: Real>(&mut self, values: &[R]) {
        for block in values.chunks(BLOCK) {
            let extent = Extent::of(block);
            if extent.is_finite {
                self.add_finite(block, &extent);
            } else {
                self.add_screened(block);
            }
        }
    }

    #[cold]
    fn add_screened<R: Real>(&mut self, block: &[R]) {
        let mut scratch = [R::INFINITY; BLOCK];
        let (finite, specials) = screen(block, &mut scratch);
        self.add_specials(&specials);
        self.add_finite(finite, &Extent::of(finite));
    }

    fn add_finite<R: Real>(&mut self, finite: &[R], extent: &Extent<R>) {
        self.sums.add_block(finite, extent);
        self.buckets.update(finite);
        match &mut self.stage {
            Stage::Compared(comparison) => comparison.total_mut().update(finite),
            Stage::Learning(column) => {
                if let Column::Numbers(numbers) = column.as_mut() {
                    widened(finite, |block| numbers.update(block));
                }
            }
            Stage::Unprofiled => {}
        }
    }

    /// Counts values that are absent altogether.
    pub fn add_missing(&mut self, times: u64) {
        self.add_specials(&Specials { missing: times, ..Specials::default() });
    }

    /// Counts rows of which nothing came: they are missing, and the feature was not seen in them.
    pub fn leave_out(&mut self, rows: u64) {
        self.add_missing(rows);
        self.counted += rows;
    }

    #[cold]
    fn add_specials(&mut self, specials: &Specials) {
        self.specials.merge(specials);
        match &mut self.stage {
            Stage::Compared(comparison) => comparison.total_mut().add_specials(specials),
            Stage::Learning(column) => column.add_specials(specials),
            Stage::Unprofiled => {}
        }
    }

    /// Counts one string, which is not empty.
    pub fn add_label(&mut self, label: &[u8]) {
        self.texts.add(label);
        match &mut self.stage {
            Stage::Compared(comparison) => comparison.total_mut().add_label(label, 1),
            Stage::Learning(column) => {
                if let Column::Labels(labels) = column.as_mut() {
                    labels.add(Some(label));
                }
            }
            Stage::Unprofiled => {}
        }
    }

    /// Weighs the evidence of the open pane up to now, if that is `due` or worthwhile; whether it did.
    pub fn look(&mut self, so_far: &Closing<'_>, due: bool) -> bool {
        match &mut self.stage {
            Stage::Compared(comparison) => comparison.look(so_far, due),
            Stage::Learning(_) | Stage::Unprofiled => false,
        }
    }

    /// Closes the pane; tells `report` of every alarm that is raised or cleared by it.
    pub fn close(
        &mut self,
        closing: &Closing<'_>,
        chance: Chance,
        mut report: impl FnMut(&str, &'static str, Change),
    ) {
        let counted = self.values();
        self.was_seen = counted > std::mem::replace(&mut self.counted, counted);
        if let Stage::Compared(comparison) = &mut self.stage {
            comparison.close(closing, chance, |method, change| report(&self.spec.name, method, change));
        }
    }

    /// Slices of the windows are over.
    pub fn advance(&mut self, passed: Passed) {
        if let Stage::Compared(comparison) = &mut self.stage {
            comparison.advance(passed);
        }
    }

    /// What its e-detector has gathered, if it has one.
    pub fn evidence(&self) -> Option<f64> {
        match &self.stage {
            Stage::Compared(comparison) => comparison.suspicion().map(Suspicion::evidence),
            Stage::Learning(_) | Stage::Unprofiled => None,
        }
    }

    /// Given the evidence at which a feature is flagged, whether its alarm is raised or cleared.
    pub fn judge(&mut self, level: f64, closing: &Closing<'_>) -> Option<Change> {
        match &mut self.stage {
            Stage::Compared(comparison) => comparison.judge(level, closing),
            Stage::Learning(_) | Stage::Unprofiled => None,
        }
    }

    /// What is seen of the feature; `staged` are values not handed to [`Watch::update`] yet.
    pub fn snapshot(&self, staged: &[f64], shown: Shown<'_>) -> FeatureSnapshot {
        let detail = shown.detail;
        let (mut sums, mut specials) = (self.sums.clone(), self.specials);
        let mut buckets = detail.then(|| self.buckets.clone());
        let comparison = match &self.stage {
            Stage::Compared(comparison) => Some(comparison),
            Stage::Learning(_) | Stage::Unprofiled => None,
        };
        let mut counts = comparison.map(|comparison| comparison.total().clone());
        let mut scratch = [0.0; BLOCK];
        for block in staged.chunks(BLOCK) {
            let (finite, others) = screen(block, &mut scratch);
            sums.update(finite);
            specials.merge(&others);
            buckets.iter_mut().for_each(|buckets| buckets.update(finite));
            counts.iter_mut().for_each(|counts| counts.update(finite));
        }
        let compared = comparison.zip(counts.as_ref());
        let windows = compared.map(|(comparison, counts)| comparison.windows(counts, shown.windows, detail));
        let bins = compared.filter(|_| detail).map(|(comparison, counts)| comparison.bins(counts));
        let totals = Totals { moments: sums.moments(), specials, counts };
        let histogram = buckets.map(|buckets| totals.histogram(&buckets));
        let evidence = comparison.and_then(|comparison| comparison.suspicion()?.snapshot(detail));
        FeatureSnapshot {
            windows: windows.unwrap_or_default(),
            texts: detail.then(|| self.texts.snapshot()).flatten(),
            ..self.assemble(totals, comparison.map(Box::as_ref), evidence, bins, histogram)
        }
    }

    fn assemble(
        &self,
        totals: Totals,
        comparison: Option<&Comparison>,
        evidence: Option<EvidenceSnapshot>,
        bins: Option<BinsSnapshot>,
        histogram: Option<Option<ExponentialSnapshot>>,
    ) -> FeatureSnapshot {
        let Totals { moments, specials, counts } = totals;
        let of_counts = |count: fn(&Bins) -> u64| counts.as_ref().map_or(0, count);
        FeatureSnapshot {
            name: self.spec.name.clone(),
            direction: self.direction,
            kind: comparison.map_or(self.spec.kind, Comparison::kind),
            count: moments.count() + specials.total() + self.texts.count(),
            missing: specials.missing + specials.nan,
            nan: specials.nan,
            pos_inf: specials.pos_inf,
            neg_inf: specials.neg_inf,
            under: of_counts(Bins::under),
            over: of_counts(Bins::over),
            unseen: of_counts(Bins::unseen),
            others: of_counts(Bins::others),
            mean: moments.mean(),
            std: moments.std(),
            min: moments.min(),
            max: moments.max(),
            drift: comparison.and_then(Comparison::drift),
            evidence,
            windows: Vec::new(),
            alarm: comparison.and_then(Comparison::alarm),
            bins,
            histogram,
            cardinality: self.texts.cardinality(),
            texts: None,
        }
    }
}

impl Count for Watch {
    fn count<R: Real>(&mut self, values: &[R]) {
        self.update(values);
    }

    fn prefetch(&self, depth: Depth, errand: Errand) {
        if depth == Depth::Own {
            prefetch(&self.sums);
            prefetch(&self.stage);
            self.buckets.prefetch();
        } else if let Stage::Compared(comparison) = &self.stage {
            comparison.prefetch(depth, errand);
        }
    }
}

/// Everything a feature has counted, staged values included.
struct Totals {
    moments: Moments,
    specials: Specials,
    counts: Option<Bins>,
}

impl Totals {
    fn histogram(&self, buckets: &Buckets) -> Option<ExponentialSnapshot> {
        buckets.snapshot(self.moments.sum(), self.moments.min()?, self.moments.max()?)
    }
}
