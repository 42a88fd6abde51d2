//! Why a profile cannot be read or built.

use std::fmt;

/// A profile cannot be used. The message says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileError {
    /// Some other file.
    NotAProfile,
    /// The file ends too early.
    Truncated,
    /// The file is JSON, but not what a profile holds.
    Malformed { reason: String },
    /// Written by a later pilotfish.
    Newer { found: u64, known: u64 },
    /// Written by an earlier pilotfish, and without what this one needs.
    Older { found: u64, known: u64 },
    /// The content does not match its checksum.
    Altered { expected: String, found: String },
    /// There was nothing to build it from.
    Empty,
    /// A column was added as numbers and as categories.
    KindConflict { name: String },
    /// A section was written by a later pilotfish.
    NewerSection { name: String, found: u64, known: u64 },
    /// The profile whose bins are used does not have this feature.
    NoEdges { name: String, category: bool },
    /// The profile whose bins are used has it as the other of numbers and categories.
    OtherKind { name: String, category: bool },
    /// A feature of the profile whose bins are used was not added.
    NoRows { name: String },
    /// Two profiles do not add up.
    Unmergeable { what: String, reason: String },
}

// === impl ProfileError ===

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProfileError::NotAProfile => {
                write!(f, "this is not a pilotfish profile; make one with `pilotfish profile build`")
            }
            ProfileError::Truncated => {
                write!(
                    f,
                    "the profile is truncated; copy it again or rebuild it with `pilotfish profile build`"
                )
            }
            ProfileError::Malformed { reason } => {
                write!(f, "the profile is malformed ({reason}); rebuild it with `pilotfish profile build`")
            }
            ProfileError::Newer { found, known } => write!(
                f,
                "the profile has format version {found}, this pilotfish reads up to {known}; \
                 upgrade pilotfish or rebuild the profile with this version"
            ),
            ProfileError::Older { found, known } => write!(
                f,
                "the profile has format version {found}, this pilotfish needs {known}; \
                 rebuild it with `pilotfish profile build`"
            ),
            ProfileError::Altered { expected, found } => write!(
                f,
                "the profile was altered after it was built (its checksum says {expected}, its content is {found}); \
                 restore the original or rebuild it with `pilotfish profile build`"
            ),
            ProfileError::Empty => write!(f, "a profile needs at least one row; nothing was added"),
            ProfileError::KindConflict { name } => write!(
                f,
                "column {name:?} was added both as numbers and as categories; add all of its rows the same way"
            ),
            ProfileError::NewerSection { name, found, known } => write!(
                f,
                "section {name:?} of the profile has version {found}, this pilotfish reads up to {known}; \
                 upgrade pilotfish or rebuild the profile with this version"
            ),
            ProfileError::NoEdges { name, category } => write!(
                f,
                "column {name:?} holds {}, and the profile that gives the edges has no such feature; \
                 leave the column out, or build a new profile without --edges-from",
                if *category { "categories" } else { "numbers" }
            ),
            ProfileError::OtherKind { name, category } => {
                let (here, there) = if *category { ("texts", "numbers") } else { ("numbers", "texts") };
                write!(
                    f,
                    "column {name:?} holds {here} here and {there} in the profile that gives the edges; \
                     correct it, leave it out, or build a new profile without --edges-from"
                )
            }
            ProfileError::NoRows { name } => write!(
                f,
                "feature {name:?} of the profile that gives the edges has no rows here; \
                 add its column, or build a new profile without --edges-from"
            ),
            ProfileError::Unmergeable { what, reason } => {
                write!(f, "the profiles cannot be merged, {what}: {reason}")
            }
        }
    }
}

impl std::error::Error for ProfileError {}
