//! Replaying quarantine: what a mended mapping can translate comes in without the source.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::File,
};

use shared::{
    activity::Activity,
    column::Columns,
    dimension::{self, Member},
    lake::{Entity, LakeError, LakeKey, parquet_file::Reader},
};

use super::{Intake, IntakeError, Run, Sealing, Sorting, Waiting};
use crate::{
    base::{activities, unreadable},
    mapping::{ColumnMapping, EntityMapping},
    personal::Veil,
    provenance::hidden,
    quarantine::{Row, rows},
    source::Record,
    translate::{Dimensions, Rejected, Translated, dimension as translate_dimension, key},
};

/// The newest quarantine of an entity, which can be read again and again.
pub(super) struct Refused {
    key: LakeKey,
    file: File,
}

impl Refused {
    pub(super) fn rows(&self) -> Result<impl Iterator<Item = Result<Row, LakeError>> + use<>, LakeError> {
        rows(&self.key, self.file.try_clone()?)
    }

    /// Under which key people have pseudonyms in it.
    fn hidden(&self) -> Result<Option<String>, LakeError> {
        hidden(&self.key, self.file.try_clone()?)
    }
}

/// The source record of a refused row, if the present mapping can read it at all: it has every column that is read now, and
/// what is wrong with it is not its key.
fn readable(row: &Row, section: &str, from: &EntityMapping) -> Option<Record> {
    let record =
        Record::from_json(&row.source_row).filter(|_| row.section == section && row.reason != "repeated_key")?;
    let mut read = from.columns.values().flat_map(ColumnMapping::read);
    read.all(|column| record.has(column)).then_some(record)
}

impl Run<'_> {
    pub(super) async fn replay(&mut self) -> Result<(), IntakeError> {
        for entity in Entity::ALL {
            let refused = self.refused(entity).await?;
            let hidden = refused.as_ref().map(Refused::hidden).transpose()?;
            if hidden.is_some_and(|hidden| hidden != self.intake.hidden_under()) {
                return Err(IntakeError::OtherPseudonyms);
            }
        }
        let (mut captured, mut waiting) = (BTreeMap::new(), Vec::new());
        for entity in [Entity::Teams, Entity::Users, Entity::Sprints, Entity::Stereotypes] {
            let (members, changed) = self.replay_dimension(entity).await?;
            let Some(members) = members else { continue };
            if changed {
                waiting.push(Waiting { entity, sealed: self.seal_dimension(entity, &members)? });
            }
            captured.insert(entity, members);
        }
        self.replay_activities(Dimensions::new(captured), waiting).await?;
        self.quarantine().await?;
        if self.record.counts.balanced() { Ok(()) } else { Err(IntakeError::Unbalanced(self.record.counts)) }
    }

    pub(super) async fn refused(&self, entity: Entity) -> Result<Option<Refused>, LakeError> {
        let prefix = format!("quarantine/{}/", entity.name());
        let Some(newest) = self.intake.lake.list(&prefix, None).await?.pop() else { return Ok(None) };
        let file = self.intake.lake.fetch(&newest.key).await?;
        Ok(Some(Refused { key: newest.key, file }))
    }

    /// A refused row, without what the present mapping does not let through under pseudonyms.
    fn let_through(&self, row: Row) -> Row {
        let Intake { mapping, pseudonyms, .. } = self.intake;
        let from = mapping.sections().find(|(section, _)| *section == row.section).filter(|_| pseudonyms.is_some());
        let Some(((section, from), record)) = from.zip(Record::from_json(&row.source_row)) else { return row };
        let through = Veil::new(pseudonyms.as_ref(), section, from, record.columns()).again(record.clone());
        // Text that is the same to us need not be so to the byte.
        if through == record { row } else { Row { source_row: through.to_json(), ..row } }
    }

    /// The members that were captured last and those that can be translated now, and whether there are any such.
    async fn replay_dimension(&mut self, entity: Entity) -> Result<(Option<Vec<Member>>, bool), IntakeError> {
        let from = self.intake.mapping.entities.get(&entity);
        let members = dimension::newest_whole(&self.intake.lake, entity).await?.1;
        let before = members.len();
        let mut members: BTreeMap<String, Member> =
            members.into_iter().map(|member| (member.id.clone(), member)).collect();
        let refused = self.refused(entity).await?;
        for row in refused.iter().map(Refused::rows).collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
            let row = self.let_through(row?);
            let Some((from, record)) = from.and_then(|from| Some((from, readable(&row, entity.name(), from)?))) else {
                self.quarantine_row(entity, row)?;
                continue;
            };
            match translate_dimension(entity, from, self.intake.time_zone, &record) {
                Ok(member) if members.contains_key(&member.id) => {
                    self.reject(Rejected::repeated(entity, key(entity), member.id, row.source_row))?;
                }
                Ok(member) => {
                    members.insert(member.id.clone(), Member { source_row: row.source_row, ..member });
                }
                Err(rejected) => self.reject(Rejected { source_row: row.source_row, ..*rejected })?,
            }
        }
        let changed = members.len() > before;
        Ok((from.map(|_| members.into_values().collect()), changed))
    }

    async fn replay_activities(&mut self, known: Dimensions, waiting: Vec<Waiting>) -> Result<(), IntakeError> {
        let (intake, entity) = (self.intake, Entity::Activities);
        let rules = self.rules(known);
        let (Some(from), Some(translator)) = (rules.mapping.entities.get(&entity), rules.activities()) else {
            return Ok(());
        };
        let refused = self.refused(entity).await?;
        let refused: Vec<Refused> = refused.into_iter().collect();
        // Which days change, and by which keys: those that another day has may not come again.
        let (mut days, mut keys) = (BTreeSet::new(), HashSet::new());
        for row in refused.iter().map(Refused::rows).collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
            let Some(record) = readable(&self.let_through(row?), entity.name(), from) else { continue };
            if let Translated::Activity(day, activity, _) = translator.place(&record) {
                days.insert(day);
                keys.insert(activity.activity_id.into_owned());
            }
        }
        let taken = self.taken(keys).await?;

        let mut sorting = Sorting::start(intake.footer(), rules.clone());
        for row in refused.iter().map(Refused::rows).collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
            let row = self.let_through(row?);
            self.record.counts.read += 1;
            let Some(record) = readable(&row, entity.name(), from) else {
                self.quarantine_row(entity, row)?;
                continue;
            };
            match translator.place(&record) {
                Translated::Open => self.record.counts.open += 1,
                Translated::Rejected(rejected) => self.reject(Rejected { source_row: row.source_row, ..*rejected })?,
                Translated::Activity(_, activity, _) if taken.contains(&*activity.activity_id) => {
                    self.reject(Rejected::repeated(
                        entity,
                        key(entity),
                        activity.activity_id.into_owned(),
                        row.source_row,
                    ))?;
                }
                // The record as it was kept, so that the source's own next run writes the same bytes.
                Translated::Activity(day, activity, _) => {
                    let activity = Activity { source_row: row.source_row.into(), ..activity };
                    if !sorting.put(day, &activity, Some(&record)).await? {
                        break;
                    }
                }
            }
        }
        for day in days {
            let Some(captured) = self.newest.get(&day) else { continue };
            let base = captured.key(day);
            let file = intake.lake.fetch(&base).await?;
            for batch in Reader::open(&base, file)?.batches(None)? {
                for activity in activities(&base, &batch?)? {
                    self.record.counts.read += 1;
                    if !sorting.put(day, &activity, None).await? {
                        break;
                    }
                }
            }
        }
        let Sealing { sealed, sorter } = sorting.finish().await;
        self.publish_days(sealed, false, waiting).await?;
        sorter.await.map_err(|_| IntakeError::Panicked)??;
        Ok(())
    }

    /// Those of `keys` that a captured activity has, on whatever day.
    async fn taken(&self, keys: HashSet<String>) -> Result<HashSet<String>, LakeError> {
        let mut taken = HashSet::new();
        if keys.is_empty() {
            return Ok(taken);
        }
        for (day, captured) in &self.newest {
            let base = captured.key(*day);
            let file = self.intake.lake.fetch(&base).await?;
            for batch in Reader::open(&base, file)?.batches(Some(&["activity_id"]))? {
                let batch = batch?;
                let ids = batch.text("activity_id").map_err(|error| unreadable(&base, error))?;
                taken.extend(ids.iter().flatten().filter(|id| keys.contains(*id)).map(str::to_owned));
            }
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Mapping;

    #[test]
    fn a_row_without_a_column_that_is_read_now_is_not_readable() {
        let mapping = "[source]\nname = \"x\"\n[activities]\nselect = \"SELECT * FROM a\"\n[activities.columns]\n\
            activity_id = \"id\"\nuser_id = \"who\"\nstereotype_code = \"what\"\nduration_seconds = { column = \"took\", unit = \"seconds\" }\n\
            started_at = { column = \"day\", format = \"date\", minutes = \"minute\", zone = \"local\" }\n\
            note = { column = \"note\", fallback = \"remark\" }";
        let mapping = Mapping::parse("x.toml", mapping).unwrap();
        let section = Entity::Activities.name();
        let row = |without: &str| Row {
            section: section.to_owned(),
            key: "1".to_owned(),
            reason: "unreadable".to_owned(),
            field: "note".to_owned(),
            message: String::new(),
            source_row: r#"{"id":1,"who":2,"what":3,"took":4,"day":5,"minute":6,"note":7,"remark":8}"#
                .replace(without, "else"),
        };
        let is_readable = |without| readable(&row(without), section, &mapping.entities[&Entity::Activities]).is_some();
        assert!(is_readable("no such column"));
        for column in ["id", "who", "what", "took", "day", "minute", "note", "remark"] {
            assert!(!is_readable(column), "{column}");
        }
    }
}
