//! The reference profile: what a model's inputs and outputs looked like when all was well.
//!
//! Made once, from training data or from the first live rows, and from then on fixed: it decides where the bins lie
//! and is what every pane is compared with. Its hash travels with every number that was computed from it.
//!
//! ```
//! use pilotfish_core::profile::{Profile, ProfileBuilder};
//! use pilotfish_core::tensor::Direction;
//!
//! let mut builder = ProfileBuilder::new("churn", 32);
//! builder.add_column_f64("age", Direction::Input, &[31.0, 47.0, f64::NAN])?;
//! builder.add_column_bytes("plan", Direction::Input, [Some(&b"basic"[..]), Some(b"gold"), None])?;
//! let file = builder.finish()?.to_bytes();
//! assert_eq!(Profile::from_bytes(&file)?.rows(), 3);
//! # Ok::<(), pilotfish_core::profile::ProfileError>(())
//! ```

pub mod autocorrelation;
mod builder;
mod column;
mod description;
mod difference;
mod edges;
mod error;
mod file;
mod kept;
mod merge;
pub mod section;

pub use builder::ProfileBuilder;
pub use column::{Column, LABEL_BYTES_MAX, Labels, Numbers, Plan};
pub use description::{BinsDescription, Description, FeatureDescription, Quantiles};
pub use difference::Difference;
pub use error::ProfileError;
pub use kept::Limits;
pub use section::{Section, Sections};

use crate::sketch::bins::Bins;
use crate::sketch::distinct::Distinct;
use crate::sketch::exact;
use crate::sketch::moments::Moments;
use crate::tensor::Direction;
use std::sync::Arc;

/// The reference of one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    model: String,
    rows: u64,
    /// In order of direction and name.
    references: Vec<Arc<Reference>>,
    /// What is known of the model as a whole.
    sections: Sections,
    hash: String,
}

/// The reference of one feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    pub name: String,
    pub direction: Direction,
    pub bins: Bins,
    /// Of the finite values; empty for categories.
    pub moments: Moments,
    /// What the moments were rounded from, so that parts add up to the same bytes in any order; `None` in older files, and
    /// where they are only [watched](Profile::watched) against.
    pub sums: Option<Box<exact::Packed>>,
    /// Different values; `None` likewise.
    pub distinct: Option<Box<Distinct>>,
    /// Rows that are worth one independent row (of the values in `bins`, where only some were looked at). `None` when
    /// the order of the rows is not known, or says nothing.
    pub autocorrelation_time: Option<f64>,
}

// === impl Profile ===

impl Profile {
    /// A profile of these features.
    ///
    /// # Errors
    /// [`ProfileError::Empty`] when no feature has a row; [`ProfileError::Malformed`] when two have the same direction
    /// and name.
    pub fn new(model: &str, references: Vec<Reference>) -> Result<Profile, ProfileError> {
        Profile::with_sections(model, references, Sections::default())
    }

    pub(crate) fn with_sections(
        model: &str,
        mut references: Vec<Reference>,
        sections: Sections,
    ) -> Result<Profile, ProfileError> {
        references.sort_by(|a, b| a.key().cmp(&b.key()));
        if let Some(pair) = references.windows(2).find(|pair| pair[0].key() == pair[1].key()) {
            return Err(ProfileError::Malformed {
                reason: format!("feature {:?} occurs twice", pair[0].name),
            });
        }
        let rows = references.iter().map(|reference| reference.bins.total()).max().unwrap_or(0);
        if rows == 0 {
            return Err(ProfileError::Empty);
        }
        let references = references.into_iter().map(Arc::new).collect();
        let hash = String::new();
        Ok(Profile { model: model.to_owned(), rows, references, sections, hash }.hashed())
    }

    fn hashed(mut self) -> Profile {
        self.hash = prefixed(&file::checksum(&self));
        self
    }

    /// The same profile with this section, in place of another of its name.
    ///
    /// # Errors
    /// [`ProfileError::Malformed`] when the section does not pass its own check.
    pub fn with_section<S: Section>(mut self, section: &S) -> Result<Profile, ProfileError> {
        self.sections.set(section)?;
        Ok(self.hashed())
    }

    /// A section; `None` when the profile does not have it.
    ///
    /// # Errors
    /// [`ProfileError::NewerSection`], or [`ProfileError::Malformed`] when it does not hold what it should.
    pub fn section<S: Section>(&self) -> Result<Option<S>, ProfileError> {
        self.sections.get()
    }

    /// All sections.
    pub fn sections(&self) -> &Sections {
        &self.sections
    }

    /// Reads a profile file.
    ///
    /// # Errors
    /// Any [`ProfileError`] about files: not a profile, truncated, malformed, newer, altered.
    pub fn from_bytes(bytes: &[u8]) -> Result<Profile, ProfileError> {
        file::from_bytes(bytes)
    }

    /// The profile file.
    pub fn to_bytes(&self) -> Vec<u8> {
        file::to_bytes(self)
    }

    /// `sha256:` and 64 hexadecimal digits: the identity of what the profile holds.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Name of the model it was made for; may be empty.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Most rows of any feature.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The same profile with these features alone, without sections; `None` when there are none of them.
    pub fn only(&self, chosen: impl Fn(&Reference) -> bool) -> Option<Profile> {
        let references = self.references.iter().filter(|reference| chosen(reference));
        Profile::new(&self.model, references.map(|reference| (**reference).clone()).collect()).ok()
    }

    /// The same profile, under the same hash, without what no live value is compared with: exact sums, and how many
    /// different values there were, which takes more memory than all that is. It is no file any more.
    #[must_use]
    pub fn watched(self) -> Profile {
        let lean = |reference| Reference { sums: None, distinct: None, ..Arc::unwrap_or_clone(reference) };
        let references = self.references.into_iter().map(|reference| Arc::new(lean(reference))).collect();
        Profile { references, ..self }
    }

    /// All features, in order of direction and name.
    pub fn references(&self) -> &[Arc<Reference>] {
        &self.references
    }

    /// One feature.
    pub fn get(&self, direction: Direction, name: &str) -> Option<&Arc<Reference>> {
        let found = self.references.binary_search_by(|reference| reference.key().cmp(&(direction, name)));
        found.ok().map(|position| &self.references[position])
    }
}

fn prefixed(checksum: &str) -> String {
    format!("sha256:{checksum}")
}

// === impl Reference ===

impl Reference {
    fn key(&self) -> (Direction, &str) {
        (self.direction, &self.name)
    }

    /// The same in live values: more of them, where the reference looked only at some of each row.
    pub fn live_autocorrelation_time(&self) -> Option<f64> {
        let specials = self.bins.specials().total();
        let thinning = self.moments.count() as f64 / (self.bins.total() - specials).max(1) as f64;
        self.autocorrelation_time.map(|time| time * thinning.max(1.0))
    }
}
