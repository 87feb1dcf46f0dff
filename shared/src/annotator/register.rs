//! The logic register: every annotator with its version, and the fingerprints that follow from them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::declaration::{Aggregate, Column, Declaration, Insight, Kind, Ratio};
use crate::{
    activity::SCHEMA,
    contribution::FOLD_VERSION,
    lake::Sha256,
    settings::{LogicSettings, Setting},
    time::Malformed,
};

/// An annotator's declaration and the configuration that its output depends on, compiled in.
macro_rules! annotator {
    ($folder:literal) => {
        ($folder, include_str!(concat!("../../../functions/", $folder, "/annotator.toml")), "")
    };
    ($folder:literal configured by $file:literal) => {
        (
            $folder,
            include_str!(concat!("../../../functions/", $folder, "/annotator.toml")),
            include_str!(concat!("../../../functions/", $folder, "/", $file)),
        )
    };
}

/// One line per annotator, inputs first.
const ANNOTATORS: &[(&str, &str, &str)] = &[
    annotator!("annotate-classify" configured by "classification.toml"),
    annotator!("annotate-scope"),
    annotator!("annotate-automation"),
    annotator!("annotate-defects"),
    annotator!("annotate-planning"),
    annotator!("annotate-ceremonies"),
    annotator!("annotate-switching"),
    annotator!("annotate-waste"),
    annotator!("annotate-focus" configured by "focus.toml"),
];

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

const LOGIC_DIGITS: usize = 12;

impl fmt::Display for Logic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Logic {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == LOGIC_DIGITS && text.bytes().all(digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed::new(text, "a logic: twelve hexadecimal digits such as 5ee12be1dcea"))
        }
    }
}

/// One annotator as this program would run it.
#[derive(Debug, Clone)]
pub struct Registered {
    /// What it declares.
    pub declaration: Declaration,
    /// `<n>-<fp8>`: fp8 hashes its name, n, its configuration, the settings it reads and its inputs' effective versions,
    /// so that a changed setting and changed logic upstream are a new version too.
    pub effective_version: String,
    /// What its configuration says, in eight hexadecimal digits.
    pub configuration: String,
}

/// Every annotator, inputs before those that read them.
#[derive(Debug, Clone)]
pub struct Register {
    annotators: Vec<Registered>,
    settings: LogicSettings,
    logic: Logic,
}

impl Register {
    /// The register that this program was built with, under the settings of a deployment.
    ///
    /// # Errors
    /// If a declaration is wrong; a test makes sure that no build is released with one.
    pub fn built_in(settings: &LogicSettings) -> Result<Self, RegisterError> {
        Self::configured(settings, &BTreeMap::new())
    }

    /// The same, but with other configurations than those that this program was built with: the text of a configuration
    /// file, by the name of its annotator. Whoever makes the annotators has to give them the same texts.
    ///
    /// # Errors
    /// If a text is not TOML.
    pub fn configured(settings: &LogicSettings, configurations: &BTreeMap<&str, &str>) -> Result<Self, RegisterError> {
        let configured = |(folder, declaration, built_in): &(&str, &'static str, &'static str)| {
            let name = folder.trim_start_matches("annotate-");
            (*declaration, configurations.get(name).copied().unwrap_or(*built_in))
        };
        let sources: Vec<(&str, &str)> = ANNOTATORS.iter().map(configured).collect();
        Self::new(&sources, settings)
    }

    /// Reads and checks declarations, each with its configuration, inputs first.
    pub fn new(sources: &[(&str, &str)], settings: &LogicSettings) -> Result<Self, RegisterError> {
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
            let set = |setting: &Setting| format!("{setting:?}={}", settings.value(*setting));
            identity.extend(declaration.settings.iter().map(set));
            let inputs = annotators.iter().filter(|known| declaration.inputs.contains(&known.declaration.name));
            identity.extend(inputs.map(|input| format!("{}={}", input.declaration.name, input.effective_version)));
            annotators.push(Registered {
                effective_version: format!("{}-{}", declaration.version, fingerprint(&identity, 8)),
                configuration: fingerprint(&[said.to_string()], 8),
                declaration,
            });
        }
        let mut identity = vec![format!("fold={FOLD_VERSION}")];
        identity.extend(annotators.iter().map(|a| format!("{}={}", a.declaration.name, a.effective_version)));
        Ok(Self { annotators, settings: *settings, logic: Logic(fingerprint(&identity, LOGIC_DIGITS)) })
    }

    /// Every annotator, inputs first.
    pub fn annotators(&self) -> &[Registered] {
        &self.annotators
    }

    /// The annotator called `name`.
    pub fn get(&self, name: &str) -> Option<&Registered> {
        self.annotators.iter().find(|annotator| annotator.declaration.name == name)
    }

    /// The settings that it was made under.
    pub fn settings(&self) -> &LogicSettings {
        &self.settings
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

    /// The boolean column that says what is work, if one does.
    pub fn work_column(&self) -> Option<&str> {
        let mut columns = self.annotators.iter().flat_map(|annotator| &annotator.declaration.columns);
        columns.find(|column| column.marks_work).map(|column| column.name.as_str())
    }

    /// The boolean columns that insights need to be true of some activity.
    pub fn evidence_columns(&self) -> BTreeSet<&str> {
        self.insights().filter_map(|insight| Some(insight.evidence.as_ref()?.column.as_str())).collect()
    }

    /// The names of the annotators that write these columns, what they are about, and why they cannot tell.
    pub fn writers_of<'a>(&'a self, columns: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
        let with_companions = |name: &'a str| {
            let column = self.column(name);
            let companions = column.into_iter().flat_map(|column| column.over.iter().chain(&column.reason));
            std::iter::once(name).chain(companions.map(String::as_str))
        };
        let wanted: BTreeSet<&str> = columns.into_iter().flat_map(with_companions).collect();
        let writes = |annotator: &&Registered| {
            annotator.declaration.columns.iter().any(|column| wanted.contains(column.name.as_str()))
        };
        self.annotators.iter().filter(writes).map(|annotator| annotator.declaration.name.as_str()).collect()
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
        if column.marks_work && (column.kind != Kind::Boolean || all.iter().filter(|c| c.marks_work).count() > 1) {
            return Err(format!("`{name}` marks work but is no boolean column, or another one does"));
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
    let insights: Vec<&Insight> =
        known.iter().flat_map(|other| &other.declaration.insights).chain(&new.insights).collect();
    for insight in &new.insights {
        if insights.iter().filter(|other| other.id == insight.id).count() > 1 {
            return Err(format!("its insight `{}` has an id that is taken", insight.id));
        }
        check_insight(insight, &all).map_err(|reason| format!("its insight `{}` {reason}", insight.id))?;
    }
    Ok(())
}

/// Whether an insight can be computed from `columns`.
fn check_insight(insight: &Insight, columns: &[&Column]) -> Result<(), String> {
    let column = |name: &str| columns.iter().find(|column| column.name == *name);
    let folded = |name: &&String| column(name).is_some_and(|column| column.aggregate.is_some());
    let used = |ratio: Ratio<'_>| -> Vec<String> { [ratio.numerator, ratio.divisor()].concat() };
    let mut names = used(insight.ratio());
    names.extend(insight.breakdown.iter().flat_map(|part| part.columns.clone()));
    names.extend(insight.beside.iter().flat_map(|beside| used(beside.ratio())));
    names.extend(insight.recovers().iter().cloned());
    if let Some(name) = names.iter().find(|name| !folded(name)) {
        return Err(format!("uses `{name}`, which is not a folded column"));
    }
    if insight.numerator.is_empty() || insight.beside.iter().any(|beside| beside.numerator.is_empty()) {
        return Err("has a figure without a numerator".to_owned());
    }
    if let Some(twice) = insight.beside.iter().find(|one| insight.beside.iter().filter(|b| b.id == one.id).count() > 1)
    {
        return Err(format!("has two figures `{}` beside it", twice.id));
    }
    let stated = insight.finding.as_ref().and_then(|finding| finding.rests_on.as_ref());
    if let Some(name) = stated.filter(|name| !insight.beside.iter().any(|beside| beside.id == **name)) {
        return Err(format!("has a finding that rests on `{name}`, which is no figure beside it"));
    }
    if insight.finding.is_some() && insight.recovers().is_empty() {
        return Err("has a finding that recovers no seconds".to_owned());
    }
    let histogram =
        |name: &&String| column(name).is_none_or(|c| !matches!(c.aggregate, Some(Aggregate::Histogram { .. })));
    let distributions = insight.beside.iter().filter_map(|beside| beside.distribution.as_ref());
    if let Some(name) = insight.distribution.iter().chain(distributions).find(histogram) {
        return Err(format!("distributes `{name}`, which has no histogram"));
    }
    let no_flag = |name: &&String| column(name).is_none_or(|column| column.kind != Kind::Boolean);
    if let Some(name) = insight.evidence.iter().map(|evidence| &evidence.column).find(no_flag) {
        return Err(format!("needs `{name}`, which is no boolean column"));
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

    fn register(sources: &[(&str, &str)]) -> Result<Register, RegisterError> {
        Register::new(sources, &LogicSettings::default())
    }

    #[test]
    fn what_ships_is_sound() {
        let register = Register::built_in(&LogicSettings::default()).unwrap();
        assert_eq!(register.logic().to_string().len(), 12);
        assert!(register.insights().count() >= 2);
    }

    #[test]
    fn a_new_configuration_upstream_is_a_new_version_downstream_and_a_new_logic() {
        let old = register(&[(A, "x = 1"), (B, "")]).unwrap();
        let new = register(&[(A, "x = 2"), (B, "")]).unwrap();
        for name in ["a", "b"] {
            assert_ne!(old.get(name).unwrap().effective_version, new.get(name).unwrap().effective_version);
        }
        assert_ne!(old.logic(), new.logic());
        let changed_below = register(&[(A, "# a comment\nx  =  1"), (B, "y = 1")]).unwrap();
        assert_eq!(old.get("a").unwrap().effective_version, changed_below.get("a").unwrap().effective_version);
    }

    #[test]
    fn a_setting_of_what_ships_changes_exactly_what_depends_on_it() {
        let usual = Register::built_in(&LogicSettings::default()).unwrap();
        let changed = |settings: LogicSettings| -> Vec<String> {
            let other = Register::built_in(&settings).unwrap();
            let pairs = usual.annotators().iter().zip(other.annotators());
            let changed = pairs.filter(|(old, new)| old.effective_version != new.effective_version);
            changed.map(|(old, _)| old.declaration.name.clone()).collect()
        };
        let usual = LogicSettings::default();
        assert_eq!(changed(LogicSettings { grace_days: 2, ..usual }), ["planning", "waste"]);
        assert_eq!(changed(LogicSettings { long_gap_hours: 2, ..usual }), ["switching", "focus"]);
        let zone = LogicSettings { organisation_time_zone: chrono_tz::Tz::Europe__Berlin, ..usual };
        assert_eq!(changed(zone), ["planning", "waste"]);
    }

    #[test]
    fn a_setting_changes_the_versions_of_those_that_read_it_and_of_nothing_else() {
        let reads_grace = A.replace("reads = []", "reads = []\nsettings = [\"grace_days\"]");
        let other = B.replace("inputs = [\"a\"]", "").replace("\"b", "\"c");
        let under = |grace_days| {
            let settings = LogicSettings { grace_days, ..LogicSettings::default() };
            Register::new(&[(&reads_grace, ""), (B, ""), (&other, "")], &settings).unwrap()
        };
        let (one, two) = (under(1), under(2));
        let version = |register: &Register, name: &str| register.get(name).unwrap().effective_version.clone();
        assert_ne!(version(&one, "a"), version(&two, "a"));
        assert_ne!(version(&one, "b"), version(&two, "b"), "it builds on a");
        assert_eq!(version(&one, "c"), version(&two, "c"));
        assert_ne!(one.logic(), two.logic());
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
            let error = register(&sources).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
