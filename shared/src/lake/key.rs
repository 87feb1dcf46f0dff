//! Keys of the lake, as types. A key parses to exactly one value and a value prints as exactly one key.

use std::{fmt, str::FromStr};

use super::digest::Sha256;
use crate::time::{Generation, LocalDay, Malformed};

/// One local day as it stood at one generation: the unit that is written, annotated, folded and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The local day.
    pub day: LocalDay,
    /// When it was captured.
    pub generation: Generation,
}

impl Partition {
    /// Under which the base object of this partition lies.
    pub fn activities_prefix(&self) -> String {
        format!("activities/date={}/gen={}/", self.day, self.generation)
    }

    /// Under which every annotation of this partition lies: one LIST tells which siblings it has.
    pub fn annotations_prefix(&self) -> String {
        format!("annotations/date={}/gen={}/", self.day, self.generation)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (generation {})", self.day, self.generation)
    }
}

/// What is captured whole beside the activities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// The activities themselves; only quarantine uses it as a name.
    Activities,
    /// Teams.
    Teams,
    /// People.
    Users,
    /// Sprints.
    Sprints,
    /// Kinds of activity.
    Stereotypes,
}

impl Entity {
    /// Every entity, activities last.
    pub const ALL: [Entity; 5] =
        [Entity::Teams, Entity::Users, Entity::Sprints, Entity::Stereotypes, Entity::Activities];

    /// Its name in keys, mappings and messages.
    pub fn name(self) -> &'static str {
        match self {
            Entity::Activities => "activities",
            Entity::Teams => "teams",
            Entity::Users => "users",
            Entity::Sprints => "sprints",
            Entity::Stereotypes => "stereotypes",
        }
    }
}

impl FromStr for Entity {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        Self::ALL
            .into_iter()
            .find(|entity| entity.name() == text)
            .ok_or_else(|| Malformed::new(text, "one of activities, teams, users, sprints, stereotypes"))
    }
}

/// The key of any object in the lake. Every key but those under `runs/` names the SHA-256 of the object's bytes.
#[allow(missing_docs, reason = "the fields are the segments of the key, by their types' names")]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LakeKey {
    /// Every activity of one partition.
    Activities { partition: Partition, sha256: Sha256 },
    /// One annotator's columns for one partition, row for row beside the base.
    Annotation { partition: Partition, annotator: String, version: String, sha256: Sha256 },
    /// One dimension, whole.
    Dimension { entity: Entity, generation: Generation, sha256: Sha256 },
    /// The records of one entity that could not be translated.
    Quarantine { entity: Entity, generation: Generation, sha256: Sha256 },
    /// What one intake run did.
    Run { generation: Generation },
    /// What one rewind asked for.
    Rewind { generation: Generation },
}

impl LakeKey {
    /// The digest that the key promises, where it promises one.
    pub fn sha256(&self) -> Option<Sha256> {
        match self {
            Self::Activities { sha256, .. }
            | Self::Annotation { sha256, .. }
            | Self::Dimension { sha256, .. }
            | Self::Quarantine { sha256, .. } => Some(*sha256),
            Self::Run { .. } | Self::Rewind { .. } => None,
        }
    }

    /// The partition it belongs to, for a base object or an annotation.
    pub fn partition(&self) -> Option<Partition> {
        match self {
            Self::Activities { partition, .. } | Self::Annotation { partition, .. } => Some(*partition),
            Self::Dimension { .. } | Self::Quarantine { .. } | Self::Run { .. } | Self::Rewind { .. } => None,
        }
    }
}

impl fmt::Display for LakeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Activities { partition, sha256 } => {
                write!(f, "{}sha256={sha256}/activities.parquet", partition.activities_prefix())
            }
            Self::Annotation { partition, annotator, version, sha256 } => write!(
                f,
                "{}annotator={annotator}/v={version}/sha256={sha256}/{annotator}.parquet",
                partition.annotations_prefix()
            ),
            Self::Dimension { entity, generation, sha256 } => {
                let entity = entity.name();
                write!(f, "dimensions/{entity}/gen={generation}/sha256={sha256}/{entity}.parquet")
            }
            Self::Quarantine { entity, generation, sha256 } => {
                write!(f, "quarantine/{}/gen={generation}/sha256={sha256}/rejected.parquet", entity.name())
            }
            Self::Run { generation } => write!(f, "runs/gen={generation}/run.json"),
            Self::Rewind { generation } => write!(f, "runs/gen={generation}/rewind.json"),
        }
    }
}

const EXPECTED: &str = "a key of the lake, such as activities/date=D/gen=G/sha256=H/activities.parquet";

impl FromStr for LakeKey {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = || Malformed::new(text, EXPECTED);
        let segments: Vec<&str> = text.split('/').collect();
        let value = |index: usize, name: &str| -> Result<&str, Malformed> {
            segments.get(index).and_then(|segment| segment.strip_prefix(name)?.strip_prefix('=')).ok_or_else(malformed)
        };
        let partition =
            || Ok::<_, Malformed>(Partition { day: value(1, "date")?.parse()?, generation: value(2, "gen")?.parse()? });
        let key = match segments.first().copied() {
            Some("activities") => Self::Activities { partition: partition()?, sha256: value(3, "sha256")?.parse()? },
            Some("annotations") => Self::Annotation {
                partition: partition()?,
                annotator: value(3, "annotator")?.to_owned(),
                version: value(4, "v")?.to_owned(),
                sha256: value(5, "sha256")?.parse()?,
            },
            Some(root @ ("dimensions" | "quarantine")) => {
                let entity = segments.get(1).ok_or_else(malformed)?.parse()?;
                let (generation, sha256) = (value(2, "gen")?.parse()?, value(3, "sha256")?.parse()?);
                match root {
                    "dimensions" => Self::Dimension { entity, generation, sha256 },
                    _ => Self::Quarantine { entity, generation, sha256 },
                }
            }
            Some("runs") => {
                let generation = value(1, "gen")?.parse()?;
                if text.ends_with("/rewind.json") { Self::Rewind { generation } } else { Self::Run { generation } }
            }
            _ => return Err(malformed()),
        };
        // Printing it again settles the rest: the number of segments and the file's name.
        if key.to_string() == text { Ok(key) } else { Err(malformed()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_key_reads_back_as_itself() {
        let sha256 = Sha256::of("x");
        let generation: Generation = "20260131T060000Z".parse().unwrap();
        let partition = Partition { day: "2026-01-30".parse().unwrap(), generation };
        for key in [
            LakeKey::Activities { partition, sha256 },
            LakeKey::Annotation { partition, annotator: "scope".into(), version: "1-0a1b2c3d".into(), sha256 },
            LakeKey::Dimension { entity: Entity::Teams, generation, sha256 },
            LakeKey::Quarantine { entity: Entity::Activities, generation, sha256 },
            LakeKey::Run { generation },
            LakeKey::Rewind { generation },
        ] {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
    }

    #[test]
    fn a_key_that_is_nearly_right_is_refused() {
        let digest = Sha256::of("x");
        for wrong in [
            format!("activities/date=2026-01-30/gen=20260131T060000Z/sha256={digest}/other.parquet"),
            format!("activities/date=2026-01-30/gen=20260131T060000Z/sha256={digest}/activities.parquet/"),
            format!("activities/date=2026-1-30/gen=20260131T060000Z/sha256={digest}/activities.parquet"),
            format!("activities/gen=20260131T060000Z/date=2026-01-30/sha256={digest}/activities.parquet"),
            "runs/gen=20260131T060000Z".into(),
            "elsewhere/x".into(),
            String::new(),
        ] {
            assert!(wrong.parse::<LakeKey>().is_err(), "{wrong}");
        }
    }
}
