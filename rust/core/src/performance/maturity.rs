//! Labels of equal age: one table per maturity class, and no comparison between different ones.
//!
//! Late labels are not a sample of all labels: a click comes within minutes, its absence is known after a day, so young
//! labels are mostly positive. Every row is therefore counted once in every class, by what was known of it when it had
//! that age (not clicked yet is no click), and the reference's table of one class is compared with the live table
//! of the same class only.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Most classes.
const CLASSES_MAX: usize = 16;

/// Something of each maturity class, youngest labels first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored<T>", bound(deserialize = "T: Deserialize<'de>"))]
pub struct Maturing<T> {
    /// Seconds from the call to when its label is read, by class; ascending.
    ages_s: Vec<u64>,
    tables: Vec<T>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<T> {
    ages_s: Vec<u64>,
    tables: Vec<T>,
}

/// Why labels cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaturityError {
    /// Ages that are no classes.
    Ages(Vec<u64>),
    /// The reference's labels were read at other ages.
    Different { reference: Vec<u64>, live: Vec<u64> },
    /// No class of that age.
    Unknown { age_s: u64, known: Vec<u64> },
}

// === impl Maturing ===

impl<T> Maturing<T> {
    /// Classes of labels that are read so many seconds after the call.
    ///
    /// # Errors
    /// [`MaturityError::Ages`] unless there are 1 to 16, in ascending order.
    pub fn new(ages_s: Vec<u64>, mut table: impl FnMut() -> T) -> Result<Maturing<T>, MaturityError> {
        let tables = ages_s.iter().map(|_| table()).collect();
        Maturing::try_from(Stored { ages_s, tables })
    }

    pub fn ages_s(&self) -> &[u64] {
        &self.ages_s
    }

    /// The table of labels of exactly this age.
    ///
    /// # Errors
    /// [`MaturityError::Unknown`] when there is no class of it.
    pub fn at(&mut self, age_s: u64) -> Result<&mut T, MaturityError> {
        match self.ages_s.binary_search(&age_s) {
            Ok(class) => Ok(&mut self.tables[class]),
            Err(_) => Err(MaturityError::Unknown { age_s, known: self.ages_s.clone() }),
        }
    }

    /// Each class with the same class of another model or time.
    ///
    /// # Errors
    /// [`MaturityError::Different`] when the ages are not the same.
    pub fn beside<'a, U>(
        &'a self,
        live: &'a Maturing<U>,
    ) -> Result<impl Iterator<Item = (u64, &'a T, &'a U)>, MaturityError> {
        if self.ages_s != live.ages_s {
            let (reference, live) = (self.ages_s.clone(), live.ages_s.clone());
            return Err(MaturityError::Different { reference, live });
        }
        let tables = self.tables.iter().zip(&live.tables);
        Ok(self.ages_s.iter().copied().zip(tables).map(|(age_s, (reference, live))| (age_s, reference, live)))
    }

    /// Something else of each class.
    pub fn map<U>(&self, of: impl FnMut(&T) -> U) -> Maturing<U> {
        Maturing { ages_s: self.ages_s.clone(), tables: self.tables.iter().map(of).collect() }
    }
}

impl<T> TryFrom<Stored<T>> for Maturing<T> {
    type Error = MaturityError;

    fn try_from(Stored { ages_s, tables }: Stored<T>) -> Result<Maturing<T>, MaturityError> {
        let ordered = ages_s.is_sorted_by(|a, b| a < b);
        if ordered && (1..=CLASSES_MAX).contains(&ages_s.len()) && tables.len() == ages_s.len() {
            return Ok(Maturing { ages_s, tables });
        }
        Err(MaturityError::Ages(ages_s))
    }
}

// === impl MaturityError ===

impl fmt::Display for MaturityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaturityError::Ages(ages) => {
                write!(f, "label ages {ages:?}: write 1 to {CLASSES_MAX} ages in seconds, youngest first")
            }
            MaturityError::Different { reference, live } => write!(
                f,
                "the reference's labels were read at ages of {reference:?} s, these at {live:?} s: labels of \
                 different age are not comparable, read them at the same ages"
            ),
            MaturityError::Unknown { age_s, known } => {
                write!(
                    f,
                    "a label of {age_s} s: labels are read at ages of {known:?} s; read it at one of them"
                )
            }
        }
    }
}

impl std::error::Error for MaturityError {}

#[cfg(test)]
mod tests {
    use super::super::scores::LabelTable;
    use super::*;

    #[test]
    fn labels_of_different_age_are_not_compared() {
        let reference = Maturing::new(vec![60, 86_400], LabelTable::default).unwrap();
        let live = Maturing::new(vec![60, 3_600], LabelTable::default).unwrap();
        let error = reference.beside(&live).err().unwrap();
        assert!(error.to_string().contains("different age are not comparable"), "{error}");
        assert_eq!(reference.beside(&reference.clone()).unwrap().count(), 2);
    }

    #[test]
    fn a_label_belongs_to_the_class_of_exactly_its_age() {
        let mut tables = Maturing::new(vec![60, 86_400], LabelTable::default).unwrap();
        tables.at(60).unwrap().add(0.7, true, false);
        tables.at(86_400).unwrap().add(0.7, true, true);
        let shares = tables.map(|table| table.of_bin(super::super::scores::bin_of(0.7).unwrap()));
        assert_eq!(shares.tables, [(1, 0), (1, 1)]);
        assert!(tables.at(61).unwrap_err().to_string().contains("read it at one of them"));
    }

    #[test]
    fn ages_are_few_and_ascending() {
        for ages in [vec![], vec![5, 5], vec![9, 1], (0..17).collect()] {
            assert!(Maturing::new(ages, LabelTable::default).is_err());
        }
        let text = r#"{"ages_s": [2, 1], "tables": [0, 0]}"#;
        assert!(serde_json::from_str::<Maturing<u8>>(text).is_err());
    }
}
