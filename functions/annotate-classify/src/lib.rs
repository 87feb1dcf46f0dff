//! What an activity is: its category, whether a machine could do it, whether it is work.
//!
//! `classification.toml` decides by stereotype code, else the source's own claim, else it is `other`, with a reason.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef};
use serde::Deserialize;
use shared::{
    annotator::{AnnotateError, Annotator},
    column::{Columns, flags, text},
    lake::siblings::Rows,
};

/// The categories of work. Source: the definition of the `category` column in `annotator.toml`.
pub const CATEGORIES: [&str; 16] = [
    "coding",
    "review",
    "testing",
    "meeting",
    "ceremony",
    "planning",
    "refinement",
    "defect_investigation",
    "defect_fix",
    "deployment",
    "environment",
    "support",
    "learning",
    "admin",
    "pto",
    "other",
];

/// The category that is not work.
const PAID_TIME_OFF: &str = "pto";

/// What we say of one stereotype; what is left out, the source says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Judgement {
    category: Option<String>,
    automatable: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Classification {
    #[serde(default)]
    stereotypes: BTreeMap<String, Judgement>,
}

/// The classifier with its table.
pub struct Classify {
    judgements: BTreeMap<String, Judgement>,
}

impl Classify {
    /// Classifies by the `classification.toml` that this program was built with.
    pub fn built_in() -> Result<Self, AnnotateError> {
        Self::parse(include_str!("../classification.toml"))
    }

    /// Classifies by the text of a classification.
    ///
    /// # Errors
    /// If it is not TOML of the documented form, or names a category that we do not have.
    pub fn parse(text: &str) -> Result<Self, AnnotateError> {
        let wrong = |reason: String| AnnotateError::Configuration(format!("classification.toml: {reason}"));
        let judgements = toml::from_str::<Classification>(text).map_err(|error| wrong(error.to_string()))?.stereotypes;
        for (code, judgement) in &judgements {
            if let Some(category) = judgement.category.as_deref().filter(|category| !CATEGORIES.contains(category)) {
                return Err(wrong(format!("`{code}` has the category `{category}`; use {}", CATEGORIES.join(", "))));
            }
        }
        Ok(Self { judgements })
    }

    /// The category of one row, and why it is only `other`.
    fn category<'a>(&'a self, code: &str, claim: Option<&'a str>) -> (&'a str, Option<&'static str>) {
        let judged = self.judgements.get(code).and_then(|judgement| judgement.category.as_deref());
        match (judged, claim) {
            (Some(category), _) => (category, None),
            (None, Some(claim)) if CATEGORIES.contains(&claim) => (claim, None),
            (None, Some(_)) => ("other", Some("unknown_claim")),
            (None, None) => ("other", Some("unclassified")),
        }
    }
}

impl Annotator for Classify {
    const NAME: &'static str = "classify";

    fn annotate(&self, rows: &Rows) -> Result<Vec<(&'static str, ArrayRef)>, AnnotateError> {
        let codes = rows.base.text("stereotype_code")?;
        let claims = rows.base.text("claimed_category")?;
        let claimed_automatable = rows.base.flag("claimed_automatable")?;
        let classified: Vec<(&str, Option<&str>)> = (0..rows.len())
            .map(|row| self.category(codes.value(row), claims.is_valid(row).then(|| claims.value(row))))
            .collect();
        let automatable = (0..rows.len()).map(|row| {
            let judged = self.judgements.get(codes.value(row)).and_then(|judgement| judgement.automatable);
            judged.or_else(|| claimed_automatable.is_valid(row).then(|| claimed_automatable.value(row)))
        });
        Ok(vec![
            ("category", text(classified.iter().map(|(category, _)| Some(*category)))),
            ("category_reason", text(classified.iter().map(|(_, reason)| *reason))),
            ("automatable", flags(automatable)),
            ("is_work", flags(classified.iter().map(|(category, _)| Some(*category != PAID_TIME_OFF)))),
        ])
    }
}

#[cfg(test)]
mod tests;
