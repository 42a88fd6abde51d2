//! What no single column shows: how columns go together.
//!
//! A [`joint::Joint`] turns a row into a few numbers that depend on all of its columns: random Fourier features, products
//! of standardised pairs, the error of a reconstruction by principal axes. Each of them is a feature like any other, with
//! bins, a reference and an e-detector, so that a change of the joint distribution is found with the same guarantee,
//! even where every column alone is distributed as before. The map is fixed with the profile and never learned live.

pub mod builder;
pub mod comoments;
pub mod detector;
pub mod fourier;
pub mod joint;
pub mod principal;

#[cfg(test)]
mod tests;
