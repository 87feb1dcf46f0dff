//! The annotator contract: a declaration and one pure function.
//!
//! Output = f(base bytes, upstream annotation bytes, version, configuration). No clock, no randomness: the same input
//! gives the same bytes. Everything around the function, reading, verifying, streaming, publishing, is the [`Runner`]'s.

pub mod declaration;
pub mod register;
mod runner;
mod serve;

use arrow::{array::ArrayRef, error::ArrowError};

pub use register::{Logic, Register};
pub use runner::{AnnotatorFailure, Outcome, Runner};
pub use serve::serve;

use crate::{column::NoSuchColumn, lake::siblings::Rows};

/// Why the function of an annotator could not give an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnnotateError {
    /// It asked for a column that its inputs do not have.
    #[error(transparent)]
    Column(#[from] NoSuchColumn),
    /// Arrow refused.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// Its configuration is wrong.
    #[error("the configuration is wrong: {0}")]
    Configuration(String),
}

/// One pure function over the rows of a day.
pub trait Annotator: Send + Sync + 'static {
    /// The name in its declaration.
    const NAME: &'static str;

    /// Gives every declared column, by name, one value per row of `rows`.
    ///
    /// `rows` come in the order of the base file, by person and then by start, and hold all rows of each person in them:
    /// a function that looks at a person's day needs nothing from one call to the next.
    fn annotate(&self, rows: &Rows) -> Result<Vec<(&'static str, ArrayRef)>, AnnotateError>;
}
