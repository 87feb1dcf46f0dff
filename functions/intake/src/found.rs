//! What a record was found to say as an activity, but for its texts: what it costs to translate it, in 56 bytes.

use chrono::{DateTime, Utc};
use itertools::Itertools;
use shared::activity::Clock;

/// All of an [`Activity`](shared::activity::Activity) that is no text, and which members of the dimensions it refers to. Field for
/// field what the activity has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Start.
    pub started_at: DateTime<Utc>,
    /// End.
    pub ended_at: DateTime<Utc>,
    /// Whether the time of day is known.
    pub clock: Clock,
    /// Effort.
    pub duration_seconds: i64,
    /// The part out of sprint.
    pub out_of_sprint_seconds: Option<i64>,
    /// The person's own mark.
    pub marked_in_sprint: Option<bool>,
    /// Whether the source itself claims that a machine could do it.
    pub claimed_automatable: Option<bool>,
    /// How well spent the time was.
    pub rating: Option<i8>,
    /// When the source last changed the record.
    pub updated_at: Option<DateTime<Utc>>,
    /// Which member the person is; likewise below.
    pub user: Option<usize>,
    /// The sprint.
    pub sprint: Option<usize>,
    /// The kind of activity.
    pub stereotype: Option<usize>,
}

/// No instant, no number of seconds.
const NO_NUMBER: i64 = i64::MIN;
const NO_MEMBER: u32 = u32::MAX;
const NO_FLAG: u8 = 2;
const NO_RATING: u8 = 0;

impl Found {
    /// Appends it as [`Found::unpack`] reads it.
    pub fn pack(&self, to: &mut Vec<u8>) {
        let flag = |flag: Option<bool>| flag.map_or(NO_FLAG, u8::from);
        let numbers = [
            self.started_at.timestamp_micros(),
            self.ended_at.timestamp_micros(),
            self.duration_seconds,
            self.out_of_sprint_seconds.unwrap_or(NO_NUMBER),
            self.updated_at.map_or(NO_NUMBER, |at| at.timestamp_micros()),
        ];
        // They are in memory, so that there are not as many.
        let member = |index: Option<usize>| index.map_or(NO_MEMBER, |index| index as u32);
        let members = [self.user, self.sprint, self.stereotype].map(member);
        to.extend_from_slice(numbers.map(i64::to_le_bytes).as_flattened());
        to.extend_from_slice(members.map(u32::to_le_bytes).as_flattened());
        to.extend_from_slice(&[
            u8::from(self.clock == Clock::Day),
            flag(self.marked_in_sprint),
            flag(self.claimed_automatable),
            self.rating.map_or(NO_RATING, i8::cast_unsigned),
        ]);
    }

    /// What was packed; `None` if it was damaged.
    pub fn unpack(packed: &[u8]) -> Option<Self> {
        let (numbers, packed) = packed.split_first_chunk::<40>()?;
        let (members, rest) = packed.split_first_chunk::<12>()?;
        let [day, marked, claimed, rating] = *rest else { return None };
        let flag = |flag: u8| match flag {
            0 => Some(Some(false)),
            1 => Some(Some(true)),
            NO_FLAG => Some(None),
            _ => None,
        };
        let [started, ended, duration_seconds, out_of_sprint, updated] =
            numbers.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect_array()?;
        let [user, sprint, stereotype] = members
            .as_chunks()
            .0
            .iter()
            .map(|bytes| {
                Some(u32::from_le_bytes(*bytes)).filter(|index| *index != NO_MEMBER).map(|index| index as usize)
            })
            .collect_array()?;
        let known = |number: i64| Some(number).filter(|number| *number != NO_NUMBER);
        Some(Self {
            started_at: DateTime::from_timestamp_micros(started)?,
            ended_at: DateTime::from_timestamp_micros(ended)?,
            clock: if day == 1 { Clock::Day } else { Clock::Exact },
            duration_seconds,
            out_of_sprint_seconds: known(out_of_sprint),
            marked_in_sprint: flag(marked)?,
            claimed_automatable: flag(claimed)?,
            rating: Some(rating.cast_signed()).filter(|_| rating != NO_RATING),
            updated_at: match known(updated) {
                Some(micros) => Some(DateTime::from_timestamp_micros(micros)?),
                None => None,
            },
            user,
            sprint,
            stereotype,
        })
    }
}

#[cfg(test)]
impl Found {
    /// Of an activity that refers to no member.
    pub fn of(activity: &shared::activity::Activity<'_>) -> Self {
        Self {
            started_at: activity.started_at,
            ended_at: activity.ended_at,
            clock: activity.clock,
            duration_seconds: activity.duration_seconds,
            out_of_sprint_seconds: activity.out_of_sprint_seconds,
            marked_in_sprint: activity.marked_in_sprint,
            claimed_automatable: activity.claimed_automatable,
            rating: activity.rating,
            updated_at: activity.updated_at,
            user: None,
            sprint: None,
            stereotype: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_comes_back_as_it_was_packed_and_not_at_all_if_that_was_damaged() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let all = Found {
            started_at: at("2026-03-02T08:00:00.000001Z"),
            ended_at: at("1970-01-01T00:00:00Z"),
            clock: Clock::Day,
            duration_seconds: i64::MAX,
            out_of_sprint_seconds: Some(0),
            marked_in_sprint: Some(true),
            claimed_automatable: Some(false),
            rating: Some(5),
            updated_at: Some(at("2100-12-31T23:59:59.999999Z")),
            user: Some(0),
            sprint: Some(1),
            stereotype: Some(1_000_000_000),
        };
        let none = Found {
            clock: Clock::Exact,
            out_of_sprint_seconds: None,
            marked_in_sprint: None,
            claimed_automatable: None,
            rating: None,
            updated_at: None,
            user: None,
            sprint: None,
            stereotype: None,
            ..all
        };
        for found in [all, none] {
            let mut packed = Vec::new();
            found.pack(&mut packed);
            assert_eq!(packed.len(), 56);
            assert_eq!(Found::unpack(&packed), Some(found));
            assert_eq!(Found::unpack(&packed[..55]), None);
            assert_eq!(Found::unpack(&[packed.as_slice(), &[0]].concat()), None);
            packed[53] = 3;
            assert_eq!(Found::unpack(&packed), None, "there is no such flag");
        }
    }
}
