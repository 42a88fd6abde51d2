//! How well a model does: estimated while labels are missing, realised once they are there, and the gap in between.
//!
//! All of it from counts. A [`scores::ScoreTable`] counts rows by score bin and predicted class; with a
//! [`calibration::Calibration`] from the profile, the share of each cell that is positive is known as long as the labels
//! still follow the scores as they did in the reference, and with it the expected confusion matrix (confidence-based
//! performance estimation, CBPE: Białek, Kuberski, Perrakis and Bifet, "Estimating model performance under covariate
//! shift without labels", arXiv 2401.08348). A [`scores::LabelTable`] counts the labels as well, and gives what was
//! realised by the same formulas.
//!
//! **Blind to concept drift**: what is expected here is what the scores promise. When the labels no longer follow the
//! scores, the estimate stays where it is and only the [`Gap`] to what is realised shows it.
//!
//! A model of many classes is one table per class, that class against the rest.

pub mod calibration;
pub mod maturity;
pub mod reference;
pub mod scores;

use calibration::Calibration;
use scores::{Cell, LabelTable, SCORE_BINS, ScoreTable};
use serde::Serialize;

/// Expected or counted outcomes; expectations are no whole numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Confusion {
    pub true_positive: f64,
    pub false_positive: f64,
    pub false_negative: f64,
    pub true_negative: f64,
}

/// The measures of a classifier. One that has no denominator (no positive was predicted, say) is none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Performance {
    pub rows: u64,
    pub accuracy: Option<f64>,
    pub precision: Option<f64>,
    pub recall: Option<f64>,
    pub specificity: Option<f64>,
    pub f1: Option<f64>,
    pub roc_auc: Option<Area>,
    /// Of an estimate: standard deviation by which accuracy may be off while labels follow the scores, because so few
    /// rows are looked at and so few were calibrated with. Zero of what was realised.
    pub accuracy_noise: f64,
}

/// Area under the ROC curve. Rows of one bin count as ties; `low` and `high` are what it is if within every bin they are
/// in the worst and in the best order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Area {
    pub low: f64,
    pub value: f64,
    pub high: f64,
}

/// What was estimated and what was realised, on the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gap {
    pub estimated: Performance,
    pub realised: Performance,
    /// Realised minus estimated accuracy: below zero by more than a few `accuracy_noise`, labels no longer follow the
    /// scores.
    pub accuracy: Option<f64>,
}

/// Rows and positive rows of every cell.
type Masses = [[Mass; 2]; SCORE_BINS];

#[derive(Clone, Copy, Debug, Default)]
struct Mass {
    rows: f64,
    positive: f64,
}

/// What to expect of rows whose labels are not known.
pub fn estimate(table: &ScoreTable, calibration: &Calibration) -> Performance {
    let mut masses = Masses::from([[Mass::default(); 2]; SCORE_BINS]);
    table.cells().for_each(|cell| {
        let positive = calibration.positives(&cell);
        masses[cell.bin][usize::from(cell.predicted)] = Mass { rows: cell.rows as f64, positive };
    });
    let accuracy_noise = calibration.accuracy_noise(table);
    Performance { accuracy_noise, ..Performance::of(&masses, table.rows()) }
}

/// What was realised on rows whose labels are known.
pub fn realised(table: &LabelTable) -> Performance {
    let mut masses = Masses::from([[Mass::default(); 2]; SCORE_BINS]);
    table.cells().for_each(|(Cell { bin, predicted, rows, .. }, positive)| {
        masses[bin][usize::from(predicted)] = Mass { rows: rows as f64, positive: positive as f64 };
    });
    Performance::of(&masses, table.scores().rows())
}

/// Both, on the same rows.
pub fn gap(table: &LabelTable, calibration: &Calibration) -> Gap {
    let (estimated, realised) = (estimate(table.scores(), calibration), realised(table));
    let accuracy =
        realised.accuracy.zip(estimated.accuracy).map(|(realised, estimated)| realised - estimated);
    Gap { estimated, realised, accuracy }
}

/// The measures of a model of many classes, from those of each class against the rest: accuracy is the share of rows
/// whose class is right, all others are means over the classes that have them ("macro").
pub fn of_classes(classes: &[Performance]) -> Option<Performance> {
    let rows = classes.first()?.rows;
    let mean = |of: &dyn Fn(&Performance) -> Option<f64>| {
        let known: Vec<f64> = classes.iter().filter_map(of).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    let area = |of: fn(Area) -> f64| mean(&|class| class.roc_auc.map(of));
    // Every wrong row is a false negative of one class and a false positive of another: two errors against the rest.
    let errors: f64 = classes.iter().map(|class| 1.0 - class.accuracy.unwrap_or(1.0)).sum();
    let noise: f64 = classes.iter().map(|class| class.accuracy_noise.powi(2)).sum();
    Some(Performance {
        rows,
        accuracy: (rows > 0).then_some(1.0 - 0.5 * errors),
        precision: mean(&|class| class.precision),
        recall: mean(&|class| class.recall),
        specificity: mean(&|class| class.specificity),
        f1: mean(&|class| class.f1),
        roc_auc: area(|area| area.low)
            .zip(area(|area| area.value))
            .zip(area(|area| area.high))
            .map(|((low, value), high)| Area { low, value, high }),
        // As every error is one of two classes, half of the variances add up (exactly for two, nearly for rare errors).
        accuracy_noise: (0.5 * noise).sqrt(),
    })
}

// === impl Confusion ===

impl Confusion {
    fn of(masses: &Masses) -> Confusion {
        let sum = |predicted: usize, of: fn(&Mass) -> f64| -> f64 {
            masses.iter().map(|bin| of(&bin[predicted])).sum()
        };
        Confusion {
            true_positive: sum(1, |mass| mass.positive),
            false_positive: sum(1, |mass| mass.rows - mass.positive),
            false_negative: sum(0, |mass| mass.positive),
            true_negative: sum(0, |mass| mass.rows - mass.positive),
        }
    }
}

// === impl Performance ===

impl Performance {
    fn of(masses: &Masses, rows: u64) -> Performance {
        let Confusion { true_positive, false_positive, false_negative, true_negative } =
            Confusion::of(masses);
        let right = true_positive + true_negative;
        Performance {
            rows,
            accuracy: ratio(right, right + false_positive + false_negative),
            precision: ratio(true_positive, true_positive + false_positive),
            recall: ratio(true_positive, true_positive + false_negative),
            specificity: ratio(true_negative, true_negative + false_positive),
            f1: ratio(2.0 * true_positive, 2.0 * true_positive + false_positive + false_negative),
            roc_auc: Area::of(masses),
            accuracy_noise: 0.0,
        }
    }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| (part / whole).clamp(0.0, 1.0))
}

// === impl Area ===

impl Area {
    /// Pairs of a positive and a negative row in the right order, of all such pairs (Mann and Whitney, 1947).
    fn of(masses: &Masses) -> Option<Area> {
        let (mut below, mut ordered, mut tied, mut positives) = (0.0, 0.0, 0.0, 0.0);
        for bin in masses {
            let positive: f64 = bin.iter().map(|mass| mass.positive).sum();
            let negative = bin.iter().map(|mass| mass.rows).sum::<f64>() - positive;
            ordered += positive * below;
            tied += positive * negative;
            below += negative;
            positives += positive;
        }
        let pairs = positives * below;
        let value = |credit: f64| ((ordered + credit * tied) / pairs).clamp(0.0, 1.0);
        (pairs > 0.0).then(|| Area { low: value(0.0), value: value(0.5), high: value(1.0) })
    }
}

#[cfg(test)]
mod tests;
