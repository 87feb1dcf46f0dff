//! Who was in which team when. A source that keeps it says so in `[memberships]`; of any other, the lake remembers: each
//! generation of the users carries the stays of the one before, and adds one where a team is another than yesterday.
//!
//! So the team of an old day follows from the newest generation of the users alone, and later generations only add to it.

use std::collections::BTreeMap;

use shared::{
    dimension::{Member, Stay},
    time::LocalDay,
};

/// By person: what the source itself says.
pub type Memberships = BTreeMap<String, Vec<Stay>>;

/// Gives each of `users`, as the source has them on the local day `today`, their stays: the source's own if it has any of
/// that person, else those `before` and, since today, the present team.
pub fn remember(users: &mut [Member], before: Vec<Member>, mut said: Memberships, today: LocalDay) {
    let mut before: BTreeMap<String, Member> = before.into_iter().map(|member| (member.id.clone(), member)).collect();
    for user in users {
        user.stays = match (said.remove(&user.id), before.remove(&user.id)) {
            (Some(mut stays), _) => {
                stays.sort_by(|a, b| (a.from, a.to, &a.team_id).cmp(&(b.from, b.to, &b.team_id)));
                stays
            }
            (None, Some(before)) => carried_on(before, user.team_id.as_deref(), today),
            (None, None) => Vec::new(),
        };
    }
}

fn carried_on(before: Member, team: Option<&str>, today: LocalDay) -> Vec<Stay> {
    if before.team_on(today) == team {
        return before.stays;
    }
    let mut stays = before.stays;
    if stays.is_empty() {
        stays.push(Stay { team_id: before.team_id, ..Stay::default() });
    }
    // A day has one team: of several changes on one day the last one counts.
    stays.retain(|stay| stay.from != Some(today));
    let changed = Member { stays, ..Member::default() };
    let back = changed.team_on(today) == team;
    let mut stays = changed.stays;
    if !back {
        stays.push(Stay { team_id: team.map(str::to_owned), from: Some(today), ..Stay::default() });
    }
    match stays.as_slice() {
        // In one team since always: the member itself says that.
        [only] if only.from.is_none() && only.to.is_none() && only.team_id.as_deref() == team => Vec::new(),
        _ => stays,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: &str) -> LocalDay {
        day.parse().unwrap()
    }

    fn person(team: Option<&str>) -> Member {
        Member { id: "ada".into(), team_id: team.map(str::to_owned), ..Member::default() }
    }

    /// What is remembered after the source was seen with these teams on these days.
    fn seen(captures: &[(&str, Option<&str>)]) -> Member {
        captures.iter().fold(Member::default(), |before, (on, team)| {
            let mut users = [person(*team)];
            let before = if before.id.is_empty() { Vec::new() } else { vec![before] };
            remember(&mut users, before, Memberships::new(), day(on));
            let [user] = users;
            user
        })
    }

    #[test]
    fn the_team_of_an_old_day_stays_and_days_before_the_first_capture_have_the_first_team() {
        let ada = seen(&[
            ("2026-03-02", Some("red")),
            ("2026-03-03", Some("red")),
            ("2026-03-05", Some("blue")),
            ("2026-03-09", None),
            ("2026-03-12", Some("red")),
        ]);
        for (on, team) in [
            ("2020-01-01", Some("red")),
            ("2026-03-04", Some("red")),
            ("2026-03-05", Some("blue")),
            ("2026-03-08", Some("blue")),
            ("2026-03-09", None),
            ("2026-03-11", None),
            ("2026-03-12", Some("red")),
            ("2030-01-01", Some("red")),
        ] {
            assert_eq!(ada.team_on(day(on)), team, "{on}");
        }
    }

    #[test]
    fn of_several_changes_on_a_day_the_last_counts_and_a_change_that_is_taken_back_leaves_nothing() {
        let twice = seen(&[("2026-03-02", Some("red")), ("2026-03-05", Some("blue")), ("2026-03-05", Some("green"))]);
        assert_eq!(twice.team_on(day("2026-03-05")), Some("green"));
        assert_eq!(twice.team_on(day("2026-03-04")), Some("red"));
        assert_eq!(twice.stays.len(), 2);
        let back = seen(&[("2026-03-02", Some("red")), ("2026-03-05", Some("blue")), ("2026-03-05", Some("red"))]);
        assert_eq!(back.stays, []);
        let first_day = seen(&[("2026-03-02", Some("red")), ("2026-03-02", Some("blue"))]);
        assert_eq!(
            (first_day.team_on(day("2026-03-01")), first_day.team_on(day("2026-03-02"))),
            (Some("red"), Some("blue"))
        );
    }

    #[test]
    fn what_the_source_says_counts_alone_and_the_stay_that_began_last_decides() {
        let stay = |team: &str, from: &str, to: Option<&str>| Stay {
            team_id: Some(team.into()),
            from: Some(day(from)),
            to: to.map(day),
            source_row: Some("{}".into()),
        };
        let said = vec![stay("blue", "2026-03-05", None), stay("red", "2026-03-02", Some("2026-03-10"))];
        let mut users = [person(Some("green")), Member { id: "bo".into(), ..person(Some("green")) }];
        remember(&mut users, vec![person(Some("grey"))], [("ada".to_owned(), said)].into(), day("2026-04-01"));
        let [ada, bo] = users;
        for (on, team) in [
            ("2026-03-01", None),
            ("2026-03-02", Some("red")),
            ("2026-03-05", Some("blue")),
            ("2026-05-01", Some("blue")),
        ] {
            assert_eq!(ada.team_on(day(on)), team, "{on}");
        }
        assert_eq!(bo.team_on(day("2026-03-01")), Some("green"));
    }
}
