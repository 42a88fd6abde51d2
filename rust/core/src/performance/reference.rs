//! What a profile knows of a model's scores and the labels that followed: the reference of estimated performance.

use super::calibration::Calibration;
use super::scores::LabelTable;
use crate::profile::Section;
use serde::{Deserialize, Serialize};

/// Most classes: each has a table of its own.
pub const CLASSES_MAX: usize = 64;

/// Scores of one output and their labels, by class against the rest; a single table is that of the positive class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// The output tensor that holds the scores: one column per class, or a single one for the positive class.
    pub output: String,
    /// How old the labels were when they were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_age_s: Option<u64>,
    pub classes: Vec<LabelTable>,
}

// === impl Scores ===

impl Scores {
    /// How the scores of each class are to be read.
    pub fn calibrations(&self) -> Vec<Calibration> {
        self.classes.iter().map(Calibration::learn).collect()
    }
}

impl Section for Scores {
    const NAME: &'static str = "scores";
    const VERSION: u64 = 1;

    fn check(&self) -> Result<(), String> {
        match self.classes.len() {
            1..=CLASSES_MAX => Ok(()),
            found => Err(format!("it has {found} classes; 1 to {CLASSES_MAX} are possible")),
        }
    }

    fn merge(&mut self, other: &Scores) -> Result<(), String> {
        if (&self.output, self.classes.len()) != (&other.output, other.classes.len()) {
            return Err(format!(
                "one has {} classes of output {:?}, the other {} of {:?}",
                self.classes.len(),
                self.output,
                other.classes.len(),
                other.output
            ));
        }
        if self.label_age_s != other.label_age_s {
            return Err(format!(
                "labels were read at an age of {:?} s and of {:?} s, which are not comparable",
                self.label_age_s, other.label_age_s
            ));
        }
        self.classes.iter_mut().zip(&other.classes).for_each(|(mine, theirs)| mine.merge(theirs));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Profile, ProfileBuilder};
    use crate::tensor::Direction;

    fn scores(output: &str, rows: u32) -> Scores {
        let mut table = LabelTable::default();
        (0..rows).for_each(|row| table.add(f64::from(row) / f64::from(rows), row % 2 == 0, row % 3 == 0));
        Scores { output: output.to_owned(), label_age_s: Some(60), classes: vec![table] }
    }

    #[test]
    fn scores_travel_with_the_profile_and_merge() {
        let mut builder = ProfileBuilder::new("loan", 8);
        builder.add_column_f64("proba", Direction::Output, &[0.1, 0.9]).unwrap();
        let profile = builder.finish().unwrap().with_section(&scores("proba", 100)).unwrap();
        let read = Profile::from_bytes(&profile.to_bytes()).unwrap().section::<Scores>().unwrap().unwrap();
        assert_eq!(read, scores("proba", 100));
        let merged = profile.sections().merged(profile.sections()).unwrap().get::<Scores>().unwrap().unwrap();
        assert_eq!(merged.classes[0].scores().rows(), 200);
    }

    #[test]
    fn scores_of_different_outputs_do_not_add_up() {
        let error = scores("proba", 10).merge(&scores("other", 10)).unwrap_err();
        assert!(error.contains("\"proba\"") && error.contains("\"other\""), "{error}");
        let older = Scores { label_age_s: Some(3_600), ..scores("proba", 10) };
        assert!(scores("proba", 10).merge(&older).unwrap_err().contains("not comparable"));
        assert!(Scores { classes: vec![], ..older }.check().is_err());
    }
}
