//! What a profile holds about the model as a whole, beside its features: one named, versioned section per statistic.
//!
//! A section is optional. One that this pilotfish does not know is kept as it is, in the file and under the checksum, so
//! that an older pilotfish still reads the features; only asking for a section of a later version is refused.
//!
//! # To add a section
//!
//! 1. Write a plain struct with `serde` (`deny_unknown_fields`; finite floats, integers up to 64 bits) in a file of its
//!    own, and implement [`Section`] for it: its name in the file, its version, how it is checked, how two of them merge.
//! 2. Add its line to [`KNOWN`]; without one, profiles that hold it cannot be merged.
//! 3. Read it with [`Profile::section`](super::Profile::section), put it into a profile with
//!    [`Profile::with_section`](super::Profile::with_section).
//!
//! When its content changes, raise its `VERSION`: fields that are added are `#[serde(default, skip_serializing_if)]`, so
//! that earlier versions are still read. The file's own version stays.

use super::ProfileError;
use crate::multivariate::joint::Joints;
use crate::performance::reference::Scores;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A statistic of the model as a whole that travels in its profile.
pub trait Section: Serialize + DeserializeOwned {
    /// Its key in the file.
    const NAME: &'static str;
    /// Of its content; earlier ones are read too.
    const VERSION: u64;

    /// What is wrong with it, as a sentence without its end: shapes that do not agree, numbers out of range.
    ///
    /// # Errors
    /// A reason.
    fn check(&self) -> Result<(), String>;

    /// Adds what was counted elsewhere, in any order to the same result.
    ///
    /// # Errors
    /// Why the two do not add up, such as different edges.
    fn merge(&mut self, other: &Self) -> Result<(), String>;
}

/// The sections of one profile, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sections(BTreeMap<String, Stored>);

/// A section as it is in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u64,
    content: Value,
}

/// Adds up two stored sections.
type Merge = fn(&Stored, &Stored) -> Result<Stored, ProfileError>;

/// The sections that can be merged.
const KNOWN: &[(&str, Merge)] = &[(Joints::NAME, merge::<Joints>), (Scores::NAME, merge::<Scores>)];

// === impl Sections ===

impl Sections {
    /// One of them; `None` when the profile does not have it.
    ///
    /// # Errors
    /// [`ProfileError::NewerSection`], or [`ProfileError::Malformed`] when it does not hold what it should.
    pub fn get<S: Section>(&self) -> Result<Option<S>, ProfileError> {
        self.0.get(S::NAME).map(Stored::read).transpose()
    }

    /// Puts one in, in place of another of that name.
    ///
    /// # Errors
    /// [`ProfileError::Malformed`] when it does not pass its own check.
    pub fn set<S: Section>(&mut self, section: &S) -> Result<(), ProfileError> {
        self.0.insert(S::NAME.to_owned(), Stored::of(section)?);
        Ok(())
    }

    /// Names and versions.
    pub fn list(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, stored)| (name.as_str(), stored.version))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All sections of both added up; one that only one of them has is taken over.
    ///
    /// # Errors
    /// Those of [`Sections::get`]; [`ProfileError::Unmergeable`] when two do not add up, or nobody knows how.
    pub fn merged(&self, other: &Sections) -> Result<Sections, ProfileError> {
        self.merged_as(other, KNOWN)
    }

    fn merged_as(&self, other: &Sections, known: &[(&str, Merge)]) -> Result<Sections, ProfileError> {
        let mut merged = self.clone();
        for (name, theirs) in &other.0 {
            let sum = match self.0.get(name) {
                None => theirs.clone(),
                Some(mine) => {
                    let merge = known.iter().find(|(known, _)| known == name).map(|(_, merge)| merge);
                    merge.ok_or_else(|| {
                        unmergeable(name, "this pilotfish does not know it; upgrade pilotfish")
                    })?(mine, theirs)?
                }
            };
            merged.0.insert(name.clone(), sum);
        }
        Ok(merged)
    }
}

// === impl Stored ===

impl Stored {
    fn of<S: Section>(section: &S) -> Result<Stored, ProfileError> {
        section.check().map_err(|reason| malformed(S::NAME, &reason))?;
        let content =
            serde_json::to_value(section).map_err(|error| malformed(S::NAME, &error.to_string()))?;
        Ok(Stored { version: S::VERSION, content })
    }

    fn read<S: Section>(&self) -> Result<S, ProfileError> {
        if self.version > S::VERSION {
            return Err(ProfileError::NewerSection {
                name: S::NAME.to_owned(),
                found: self.version,
                known: S::VERSION,
            });
        }
        let section =
            S::deserialize(&self.content).map_err(|error| malformed(S::NAME, &error.to_string()))?;
        section.check().map_err(|reason| malformed(S::NAME, &reason))?;
        Ok(section)
    }
}

/// What a line of [`KNOWN`] holds: `(Scores::NAME, merge::<Scores>)`.
fn merge<S: Section>(mine: &Stored, theirs: &Stored) -> Result<Stored, ProfileError> {
    let (mut sum, other) = (mine.read::<S>()?, theirs.read::<S>()?);
    sum.merge(&other).map_err(|reason| unmergeable(S::NAME, &reason))?;
    Stored::of(&sum)
}

fn malformed(name: &str, reason: &str) -> ProfileError {
    ProfileError::Malformed { reason: format!("section {name:?}: {reason}") }
}

fn unmergeable(name: &str, reason: &str) -> ProfileError {
    ProfileError::Unmergeable { what: format!("section {name:?}"), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::{Profile, ProfileBuilder};
    use super::*;
    use crate::tensor::Direction;

    /// Calls by class.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Classes {
        counts: Vec<u64>,
        threshold: f64,
    }

    impl Section for Classes {
        const NAME: &'static str = "classes";
        const VERSION: u64 = 2;

        fn check(&self) -> Result<(), String> {
            if self.counts.is_empty() { Err("it has no class".into()) } else { Ok(()) }
        }

        fn merge(&mut self, other: &Classes) -> Result<(), String> {
            if self.counts.len() != other.counts.len() {
                return Err(format!("it has {} classes and {}", self.counts.len(), other.counts.len()));
            }
            self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
            Ok(())
        }
    }

    const CLASSES: &[(&str, Merge)] = &[(Classes::NAME, merge::<Classes>)];

    fn classes(counts: &[u64]) -> Classes {
        Classes { counts: counts.to_vec(), threshold: 0.1 + 0.2 }
    }

    fn sections(counts: &[u64]) -> Sections {
        let mut sections = Sections::default();
        sections.set(&classes(counts)).unwrap();
        sections
    }

    fn profile() -> Profile {
        let mut builder = ProfileBuilder::new("digits", 8);
        builder.add_column_f64("x", Direction::Input, &[1.0, 2.0]).unwrap();
        builder.finish().unwrap()
    }

    #[test]
    fn a_section_survives_the_file_and_is_part_of_the_hash() {
        let plain = profile();
        let with = plain.clone().with_section(&classes(&[3, 4])).unwrap();
        assert_ne!(with.hash(), plain.hash());
        let read = Profile::from_bytes(&with.to_bytes()).unwrap();
        assert_eq!(read, with);
        assert_eq!(read.section::<Classes>().unwrap(), Some(classes(&[3, 4])));
        assert_eq!(plain.section::<Classes>().unwrap(), None);
    }

    #[test]
    fn a_changed_section_is_noticed() {
        let with = profile().with_section(&classes(&[3, 4])).unwrap();
        let text = String::from_utf8(with.to_bytes()).unwrap();
        let altered = text.replace("[3,4]", "[3,5]");
        assert_ne!(altered, text);
        assert!(matches!(Profile::from_bytes(altered.as_bytes()), Err(ProfileError::Altered { .. })));
    }

    #[test]
    fn sections_add_up_in_any_order_and_a_single_one_is_taken_over() {
        let (a, b) = (sections(&[1, 2]), sections(&[10, 20]));
        let sum = a.merged_as(&b, CLASSES).unwrap();
        assert_eq!(sum, sections(&[11, 22]));
        assert_eq!(b.merged_as(&a, CLASSES).unwrap(), sum);
        assert_eq!(Sections::default().merged(&a).unwrap(), a);
        assert_eq!(a.merged(&Sections::default()).unwrap(), a);
    }

    #[test]
    fn sections_that_do_not_add_up_are_refused_by_name() {
        let error = sections(&[1]).merged_as(&sections(&[1, 2]), CLASSES).unwrap_err();
        assert!(error.to_string().contains("section \"classes\": it has 1 classes and 2"), "{error}");
        let error = sections(&[1]).merged(&sections(&[1])).unwrap_err();
        assert!(error.to_string().contains("does not know it"), "{error}");
    }

    #[test]
    fn a_section_of_a_later_version_is_kept_but_not_read() {
        let mut later = sections(&[1]);
        later.0.get_mut("classes").unwrap().version = 3;
        let error = later.get::<Classes>().unwrap_err();
        assert_eq!(error, ProfileError::NewerSection { name: "classes".into(), found: 3, known: 2 });
        assert!(error.to_string().contains("upgrade"));
    }

    #[test]
    fn a_section_that_holds_something_else_is_malformed() {
        let mut broken = sections(&[1]);
        broken.0.get_mut("classes").unwrap().content = serde_json::json!({"counts": "many"});
        assert!(matches!(broken.get::<Classes>(), Err(ProfileError::Malformed { .. })));
        assert!(matches!(Sections::default().set(&classes(&[])), Err(ProfileError::Malformed { .. })));
    }
}
