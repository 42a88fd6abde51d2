//! Numbers computed from a whole row: how bright an image is, which class won.

use super::{Spec, derived};
use crate::sketch::binning::Kind;
use crate::sketch::moments::Moments;
use crate::sketch::screen::screen;
use crate::sketch::{BLOCK, Sketch};
use serde::{Deserialize, Serialize};

/// What is computed from a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Summary {
    Nothing,
    /// Mean ("brightness") and standard deviation ("contrast") of the elements, and how many there are ("size").
    Image,
    /// Index of the largest element ("class") and its value ("score").
    Scores,
}

/// A row being summarised; elements come in blocks.
#[derive(Clone, Debug)]
pub struct Row {
    summary: Summary,
    seen: usize,
    moments: Moments,
    best: Option<(usize, f64)>,
}

// === impl Summary ===

impl Summary {
    /// How many features it adds.
    pub fn width(self) -> usize {
        match self {
            Summary::Nothing => 0,
            Summary::Image => 3,
            Summary::Scores => 2,
        }
    }

    /// The features it adds to tensor `name`, in the order in which [`Row::finish`] writes them.
    pub fn specs(self, name: &str) -> Vec<Spec> {
        match self {
            Summary::Nothing => vec![],
            Summary::Image => {
                ["brightness", "contrast", "size"].map(|what| derived(name, what, Kind::Numeric)).to_vec()
            }
            Summary::Scores => {
                vec![derived(name, "class", Kind::Discrete), derived(name, "score", Kind::Numeric)]
            }
        }
    }
}

// === impl Row ===

impl Row {
    pub fn new(summary: Summary) -> Row {
        Row { summary, seen: 0, moments: Moments::default(), best: None }
    }

    /// Takes in the next elements, of any number. What is not finite has no part in means and is never the best.
    pub fn update(&mut self, values: &[f64]) {
        match self.summary {
            Summary::Nothing => {}
            Summary::Image => {
                let mut scratch = [0.0; BLOCK];
                values.chunks(BLOCK).for_each(|block| self.moments.update(screen(block, &mut scratch).0));
            }
            Summary::Scores => values.iter().enumerate().for_each(|(i, &value)| self.compare(i, value)),
        }
        self.seen += values.len();
    }

    #[inline]
    fn compare(&mut self, position: usize, value: f64) {
        if value.is_finite() && self.best.is_none_or(|(_, best)| value > best) {
            self.best = Some((self.seen + position, value));
        }
    }

    /// Writes the [`Summary::width`] numbers; NaN where the row had no finite element.
    pub fn finish(&self, out: &mut [f64]) {
        match (self.summary, out) {
            (Summary::Image, [brightness, contrast, size]) => {
                *brightness = self.moments.mean().unwrap_or(f64::NAN);
                *contrast = self.moments.std().unwrap_or(f64::NAN);
                *size = self.seen as f64;
            }
            (Summary::Scores, [class, score]) => {
                let best = self.best.map_or((f64::NAN, f64::NAN), |(class, score)| (class as f64, score));
                (*class, *score) = best;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summarised<const N: usize>(summary: Summary, blocks: &[&[f64]]) -> [f64; N] {
        let mut row = Row::new(summary);
        blocks.iter().for_each(|block| row.update(block));
        let mut out = [-1.0; N];
        row.finish(&mut out);
        out
    }

    #[test]
    fn brightness_is_the_mean_and_contrast_the_standard_deviation() {
        assert_eq!(summarised(Summary::Image, &[&[1.0, 3.0], &[1.0, 3.0]]), [2.0, 1.0, 4.0]);
    }

    #[test]
    fn a_dead_pixel_does_not_spoil_the_brightness() {
        assert_eq!(summarised(Summary::Image, &[&[1.0, f64::NAN, 3.0, f64::INFINITY]]), [2.0, 1.0, 4.0]);
    }

    #[test]
    fn the_class_is_the_first_of_the_largest_scores() {
        assert_eq!(summarised(Summary::Scores, &[&[0.1, f64::NAN], &[0.7, 0.7, 0.2]]), [2.0, 0.7]);
    }

    #[test]
    fn a_row_of_nothing_finite_has_no_summary() {
        let [class, score] = summarised(Summary::Scores, &[&[f64::NAN, f64::NEG_INFINITY]]);
        assert!(class.is_nan() && score.is_nan());
    }
}
