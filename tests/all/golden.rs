//! The golden day: `tests/golden/day.json`, and beside it what each annotator says of it, as `<annotator>.csv`.
//!
//! A figure that moves because an annotator was changed, under the same version, could not be told from one that moved
//! because the work did. So an output that changes needs a raised version, and every branch needs a row in that day.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use shared::{
    activity::{Activity, SCHEMA, to_batch},
    annotator::{
        declaration::{Declaration, Kind},
        register::Registered,
    },
    column::Columns,
    lake::{
        LakeKey, Partition,
        parquet_file::{Reader, Writer},
        siblings::Siblings,
    },
};
use wastewalk::stack::Stack;
use wastewalk_tests::House;

/// Set to anything, it writes the files that are missing, and those whose annotator has another version now.
const BLESS: &str = "WASTEWALK_BLESS";

/// Every text column, and every value that it has on the golden day: all that it can have.
const VALUES: &[(&str, &[&str])] = &[
    (
        "category",
        &[
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
        ],
    ),
    ("category_reason", &["unclassified", "unknown_claim"]),
    ("scope_basis", &["split", "marked", "derived", "none", "pto"]),
    ("scope_reason", &["no_mark_and_no_sprint"]),
    ("automation_reason", &["automatable_not_stated"]),
    ("defect_phase", &["before", "early", "middle", "late", "after", "unphased"]),
    ("defects_reason", &["unclassified", "unknown_claim"]),
    ("planning_reason", &["no_sprint", "unclassified", "unknown_claim"]),
    ("ceremony_reason", &["unrated", "unclassified", "unknown_claim"]),
    ("switching_reason", &["date_only"]),
    (
        "waste_reason",
        &[
            "nothing_known",
            "automatable_not_stated",
            "no_sprint",
            "unclassified",
            "unknown_claim",
            "no_mark_and_no_sprint",
        ],
    ),
    ("focus_reason", &["date_only"]),
];

/// What an annotator says of the golden day: a value per declared column, `None` where the row cannot tell.
struct Output {
    rows: Vec<(String, Vec<Option<String>>)>,
}

impl Output {
    /// Reads it from the lake.
    async fn read(stack: &Stack, partition: Partition, annotator: &Registered) -> anyhow::Result<Self> {
        let Registered { declaration, effective_version, .. } = annotator;
        let siblings = Siblings::find(&stack.lake, partition).await?;
        let key = siblings.get(&declaration.name, effective_version)?;
        let key = key.with_context(|| format!("annotate-{} did not write the golden day", declaration.name))?;
        let mut rows = Vec::new();
        for batch in Reader::open(key, stack.lake.fetch(key).await?)?.batches(None)? {
            let batch = batch?;
            let mut columns: Vec<Vec<Option<String>>> = Vec::new();
            for column in &declaration.columns {
                let name = &column.name;
                columns.push(match column.kind {
                    Kind::Integer => batch.integer(name)?.iter().map(|value| Some(value?.to_string())).collect(),
                    Kind::Text => batch.text(name)?.iter().map(|value| Some(value?.to_owned())).collect(),
                    Kind::Boolean => batch.flag(name)?.iter().map(|value| Some(value?.to_string())).collect(),
                });
            }
            let ids = batch.text("activity_id")?.iter().flatten().enumerate();
            rows.extend(ids.map(|(row, id)| (id.to_owned(), columns.iter().map(|c| c[row].clone()).collect())));
        }
        Ok(Self { rows })
    }

    /// As the golden file has it: the version, the names of the columns, the rows.
    fn render(&self, declaration: &Declaration) -> String {
        let names: Vec<&str> = declaration.columns.iter().map(|column| column.name.as_str()).collect();
        let mut text = format!("# version {}\nactivity_id,{}\n", declaration.version, names.join(","));
        for (id, values) in &self.rows {
            let values: Vec<&str> = values.iter().map(|value| value.as_deref().unwrap_or_default()).collect();
            text += &format!("{id},{}\n", values.join(","));
        }
        text
    }
}

/// What is to be thought of an output beside its golden file.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It is the same.
    Same,
    /// There is no file.
    New,
    /// The annotator has another version than the file.
    Raised,
    /// It changed under the same version; this is the first line that did.
    Unversioned(String),
}

fn judge(golden: Option<&str>, output: &str) -> Verdict {
    let Some(golden) = golden else {
        return Verdict::New;
    };
    if golden == output {
        return Verdict::Same;
    }
    if golden.lines().next() != output.lines().next() {
        return Verdict::Raised;
    }
    let changed = output.lines().zip(golden.lines()).find(|(now, before)| now != before);
    Verdict::Unversioned(match changed {
        Some((now, before)) => format!("`{now}` was `{before}`"),
        None => format!("{} lines were {}", output.lines().count(), golden.lines().count()),
    })
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// Lets every annotator of a stack work out the golden day.
async fn golden_day() -> anyhow::Result<(House, Stack, Partition)> {
    let mut activities: Vec<Activity> = serde_json::from_str(&std::fs::read_to_string(folder().join("day.json"))?)?;
    activities.sort_by(|a, b| {
        let order = a.user_id.cmp(&b.user_id).then(a.started_at.cmp(&b.started_at));
        order.then_with(|| a.activity_id.cmp(&b.activity_id))
    });
    let mut writer = Writer::new(SCHEMA.clone(), &BTreeMap::new())?;
    writer.write(&to_batch(&activities)?)?;
    let sealed = writer.finish()?;

    let house = House::of("").await?;
    let stack = house.stack(None).await?;
    let partition = Partition { day: "2026-03-29".parse()?, generation: "20260330T060000Z".parse()? };
    stack.lake.create(&LakeKey::Activities { partition, sha256: sealed.sha256 }, &sealed).await?;
    stack.bus.idle().await;
    ensure!(stack.bus.dead_letters().is_empty(), "a function failed: {:?}", stack.bus.dead_letters());
    Ok((house, stack, partition))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_output_of_an_annotator_changes_with_its_version_only() -> anyhow::Result<()> {
    let (_house, stack, partition) = golden_day().await?;
    let bless = std::env::var_os(BLESS).is_some();
    let again = format!("look at what it says, then run {BLESS}=1 cargo test -p wastewalk-tests golden");
    let mut complaints = Vec::new();
    for annotator in stack.register.annotators() {
        let declaration = &annotator.declaration;
        let name = &declaration.name;
        let file = folder().join(format!("{name}.csv"));
        let golden = std::fs::read_to_string(&file).ok();
        let output = Output::read(&stack, partition, annotator).await?.render(declaration);
        match judge(golden.as_deref(), &output) {
            Verdict::Same => {}
            Verdict::New | Verdict::Raised if bless => std::fs::write(&file, output)?,
            Verdict::New => complaints.push(format!("{name} has no golden file; {again}")),
            Verdict::Raised => complaints.push(format!("{name} has a new version; {again}")),
            Verdict::Unversioned(change) => complaints.push(format!(
                "the output of {name} changed without a version: {change}. Raise `version` in \
                 functions/annotate-{name}/annotator.toml and say why in its history. If it is the golden day, a \
                 configuration or an input that was changed, delete tests/golden/{name}.csv; {again}"
            )),
        }
    }
    for entry in std::fs::read_dir(folder())? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.extension().is_some_and(|kind| kind == "csv") && stack.register.get(&name).is_none() {
            complaints.push(format!("tests/golden/{name}.csv belongs to no annotator; delete it"));
        }
    }
    ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_golden_day_reaches_every_value_of_every_column() -> anyhow::Result<()> {
    let (_house, stack, partition) = golden_day().await?;
    for annotator in stack.register.annotators() {
        let output = Output::read(&stack, partition, annotator).await?;
        for (index, column) in annotator.declaration.columns.iter().enumerate() {
            let name = &column.name;
            let values = output.rows.iter().filter_map(|(_, values)| values[index].as_deref());
            let seen: BTreeSet<&str> = values.collect();
            match column.kind {
                Kind::Text => {
                    let known = VALUES.iter().find(|(column, _)| column == name);
                    let (_, known) = known.with_context(|| format!("list the values of `{name}` in VALUES"))?;
                    ensure!(seen == known.iter().copied().collect(), "`{name}` has {seen:?}, and may have {known:?}");
                }
                Kind::Boolean => ensure!(seen == BTreeSet::from(["true", "false"]), "`{name}` is always {seen:?}"),
                Kind::Integer => ensure!(seen.len() > 1, "`{name}` is never anything but {seen:?}"),
            }
            if let Some(reason) = &column.reason {
                let nulls = output.rows.iter().any(|(_, values)| values[index].is_none());
                ensure!(nulls, "`{name}` can always tell, so `{reason}` is never needed");
            }
        }
    }
    stack.stop().await
}

#[test]
fn a_changed_line_is_forgiven_only_under_another_version() {
    let golden = "# version 1\nactivity_id,x\na,1\n";
    assert_eq!(judge(Some(golden), golden), Verdict::Same);
    assert_eq!(judge(None, golden), Verdict::New);
    assert_eq!(judge(Some(golden), &golden.replace("version 1", "version 2")), Verdict::Raised);
    assert_eq!(judge(Some(golden), "# version 2\nactivity_id,x\na,2\n"), Verdict::Raised);
    let changed = judge(Some(golden), "# version 1\nactivity_id,x\na,2\n");
    assert_eq!(changed, Verdict::Unversioned("`a,2` was `a,1`".to_owned()));
    let longer = judge(Some(golden), "# version 1\nactivity_id,x\na,1\nb,1\n");
    assert_eq!(longer, Verdict::Unversioned("4 lines were 3".to_owned()));
}
