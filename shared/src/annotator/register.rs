//! The logic register: every annotator with its version, and the fingerprints that follow from them.

use std::{collections::BTreeMap, fmt, sync::LazyLock};

use serde::{Deserialize, Serialize};

use super::declaration::{Aggregate, Column, Declaration, Denominator, Insight, Kind};
use crate::{activity::SCHEMA, contribution::FOLD_VERSION, lake::Sha256};

/// An annotator's declaration and the configuration that its output depends on, compiled in.
macro_rules! annotator {
    ($folder:literal) => {
        (include_str!(concat!("../../../functions/", $folder, "/annotator.toml")), "")
    };
    ($folder:literal configured by $file:literal) => {
        (
            include_str!(concat!("../../../functions/", $folder, "/annotator.toml")),
            include_str!(concat!("../../../functions/", $folder, "/", $file)),
        )
    };
}

/// One line per annotator, inputs first.
const ANNOTATORS: &[(&str, &str)] = &[
    annotator!("annotate-classify" configured by "classification.toml"),
    annotator!("annotate-scope"),
    annotator!("annotate-automation"),
];

/// The register that this program was built with.
pub static REGISTER: LazyLock<Result<Register, RegisterError>> = LazyLock::new(|| Register::new(ANNOTATORS));

/// A declaration that contradicts itself or another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("annotator.toml of {annotator}: {reason}")]
pub struct RegisterError {
    annotator: String,
    reason: String,
}

/// Names the whole of the logic behind a result: every annotator's effective version, and the fold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Logic(String);

impl fmt::Display for Logic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One annotator as this program would run it.
#[derive(Debug, Clone)]
pub struct Registered {
    /// What it declares.
    pub declaration: Declaration,
    /// `<n>-<fp8>`: fp8 hashes its name, n, its configuration and its inputs' effective versions, so that changed
    /// thresholds and changed logic upstream are a new version too.
    pub effective_version: String,
}

/// Every annotator, inputs before those that read them.
#[derive(Debug, Clone)]
pub struct Register {
    annotators: Vec<Registered>,
    logic: Logic,
}

impl Register {
    /// The register that this program was built with.
    ///
    /// # Errors
    /// If a declaration is wrong; a test makes sure that no build is released with one.
    pub fn built_in() -> Result<&'static Register, RegisterError> {
        REGISTER.as_ref().map_err(Clone::clone)
    }

    /// Reads and checks declarations, each with its configuration, inputs first.
    pub fn new(sources: &[(&str, &str)]) -> Result<Self, RegisterError> {
        let mut annotators: Vec<Registered> = Vec::new();
        for (text, configuration) in sources {
            let declaration: Declaration = toml::from_str(text).map_err(|error| RegisterError {
                annotator: text.lines().next().unwrap_or_default().to_owned(),
                reason: error.to_string(),
            })?;
            // What a configuration says counts, not how it is laid out or commented.
            let said = toml::from_str::<toml::Table>(configuration)
                .map_err(|error| RegisterError { annotator: declaration.name.clone(), reason: error.to_string() })?;
            check(&declaration, &annotators)
                .map_err(|reason| RegisterError { annotator: declaration.name.clone(), reason })?;
            let mut identity = vec![declaration.name.clone(), declaration.version.to_string(), said.to_string()];
            let inputs = annotators.iter().filter(|known| declaration.inputs.contains(&known.declaration.name));
            identity.extend(inputs.map(|input| format!("{}={}", input.declaration.name, input.effective_version)));
            annotators.push(Registered {
                effective_version: format!("{}-{}", declaration.version, fingerprint(&identity, 8)),
                declaration,
            });
        }
        let mut identity = vec![format!("fold={FOLD_VERSION}")];
        identity.extend(annotators.iter().map(|a| format!("{}={}", a.declaration.name, a.effective_version)));
        Ok(Self { annotators, logic: Logic(fingerprint(&identity, 12)) })
    }

    /// Every annotator, inputs first.
    pub fn annotators(&self) -> &[Registered] {
        &self.annotators
    }

    /// The annotator called `name`.
    pub fn get(&self, name: &str) -> Option<&Registered> {
        self.annotators.iter().find(|annotator| annotator.declaration.name == name)
    }

    /// The fingerprint of everything that results depend on besides the data.
    pub fn logic(&self) -> &Logic {
        &self.logic
    }

    /// Every declared insight, in register order.
    pub fn insights(&self) -> impl Iterator<Item = &Insight> {
        self.annotators.iter().flat_map(|annotator| &annotator.declaration.insights)
    }

    /// The declaration of a column.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.annotators.iter().flat_map(|annotator| &annotator.declaration.columns).find(|column| column.name == name)
    }

    /// The columns that are folded, by name.
    pub fn folded_columns(&self) -> BTreeMap<&str, (&Column, Aggregate)> {
        let columns = self.annotators.iter().flat_map(|annotator| &annotator.declaration.columns);
        columns.filter_map(|column| Some((column.name.as_str(), (column, column.aggregate?)))).collect()
    }
}

/// The first `digits` hexadecimal digits of the SHA-256 of `parts`, each terminated so that parts never run together.
fn fingerprint(parts: &[String], digits: usize) -> String {
    let text: String = parts.iter().map(|part| format!("{}:{part};", part.len())).collect();
    Sha256::of(text).to_string().chars().take(digits).collect()
}

fn check(new: &Declaration, known: &[Registered]) -> Result<(), String> {
    let safe = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if !safe(&new.name) || known.iter().any(|other| other.declaration.name == new.name) {
        return Err(format!("`{}` is not a free name of letters, digits, `-` and `_`", new.name));
    }
    if let Some(input) = new.inputs.iter().find(|input| !known.iter().any(|other| other.declaration.name == **input)) {
        return Err(format!("its input `{input}` is not registered before it"));
    }
    if let Some(column) = new.reads.iter().find(|name| SCHEMA.field_with_name(name).is_err()) {
        return Err(format!("it reads `{column}`, which is no column of an activity"));
    }
    if new.history.last().map(|change| change.version) != Some(new.version) {
        return Err(format!("the last line of its history is not about version {}", new.version));
    }
    let all: Vec<&Column> = known.iter().flat_map(|other| &other.declaration.columns).chain(&new.columns).collect();
    let readable: Vec<&Column> = known
        .iter()
        .filter(|other| new.inputs.contains(&other.declaration.name))
        .flat_map(|other| &other.declaration.columns)
        .chain(&new.columns)
        .collect();
    let readable = |name: &str, kind: Kind| readable.iter().any(|column| column.name == name && column.kind == kind);
    for column in &new.columns {
        let name = &column.name;
        if !safe(name) || all.iter().filter(|other| other.name == *name).count() > 1 {
            return Err(format!("`{name}` is not a column name that is free among all annotators"));
        }
        if column.aggregate.is_some() && column.kind != Kind::Integer {
            return Err(format!("`{name}` aggregates but is not an integer"));
        }
        if matches!(column.aggregate, Some(Aggregate::Histogram { bin, limit }) if bin <= 0 || limit < bin) {
            return Err(format!("`{name}` needs a histogram with bin > 0 and limit >= bin"));
        }
        if let Some(over) = column.over.as_deref().filter(|over| !readable(over, Kind::Boolean)) {
            return Err(format!("`{name}` is over `{over}`, which is no boolean column of it or its inputs"));
        }
        if let Some(reason) = column.reason.as_deref().filter(|reason| !readable(reason, Kind::Text)) {
            return Err(format!(
                "`{name}` takes its reason from `{reason}`, which is no text column of it or its inputs"
            ));
        }
    }
    let folded = |name: &String| all.iter().any(|column| column.name == *name && column.aggregate.is_some());
    for insight in &new.insights {
        let divisor = match &insight.denominator {
            Denominator::Covered(column) => std::slice::from_ref(column),
            Denominator::Sum(columns) => columns.as_slice(),
        };
        if let Some(column) = insight.numerator.iter().chain(divisor).find(|column| !folded(column)) {
            return Err(format!("its insight `{}` uses `{column}`, which is not a folded column", insight.id));
        }
        let taken = known.iter().flat_map(|other| &other.declaration.insights).chain(&new.insights);
        if insight.numerator.is_empty() || taken.filter(|other| other.id == insight.id).count() > 1 {
            return Err(format!("its insight `{}` has no numerator, or its id is taken", insight.id));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = r#"
        name = "a"
        version = 1
        reads = []
        column = [{ name = "a_seconds", type = "integer", description = "d", aggregate = "sum" }]
        history = [{ version = 1, note = "first" }]"#;
    const B: &str = r#"
        name = "b"
        version = 3
        reads = ["duration_seconds"]
        inputs = ["a"]
        column = [{ name = "b_seconds", type = "integer", description = "d" }]
        history = [{ version = 3, note = "third" }]"#;

    #[test]
    fn what_ships_is_sound() {
        let register = Register::built_in().unwrap();
        assert_eq!(register.logic().to_string().len(), 12);
        assert!(register.insights().count() >= 2);
    }

    #[test]
    fn a_new_configuration_upstream_is_a_new_version_downstream_and_a_new_logic() {
        let old = Register::new(&[(A, "x = 1"), (B, "")]).unwrap();
        let new = Register::new(&[(A, "x = 2"), (B, "")]).unwrap();
        for name in ["a", "b"] {
            assert_ne!(old.get(name).unwrap().effective_version, new.get(name).unwrap().effective_version);
        }
        assert_ne!(old.logic(), new.logic());
        let changed_below = Register::new(&[(A, "# a comment\nx  =  1"), (B, "y = 1")]).unwrap();
        assert_eq!(old.get("a").unwrap().effective_version, changed_below.get("a").unwrap().effective_version);
    }

    #[test]
    fn contradictions_are_refused_with_a_reason() {
        for (sources, reason) in [
            (vec![(B, "")], "not registered before it"),
            (vec![(A, ""), (A, "")], "not a free name"),
            (vec![(&*A.replace("\"integer\"", "\"text\""), "")], "not an integer"),
            (vec![(&*A.replace("reads = []", "reads = [\"hours\"]"), "")], "no column of an activity"),
            (vec![(&*A.replace("history = [{ version = 1", "history = [{ version = 2"), "")], "version 1"),
        ] {
            let error = Register::new(&sources).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
