use shared::activity::Clock;

use super::*;
use crate::source::Cell;

/// A mapping of one table, with `columns` for the activity and whatever they need.
fn mapping(columns: &str) -> Mapping {
    let text = format!(
        "[source]\nname = \"x\"\n\
         [activities]\nselect = \"SELECT * FROM a\"\n[activities.columns]\n\
         activity_id = \"id\"\nuser_id = \"who\"\nstereotype_code = \"what\"\n{columns}\n"
    );
    Mapping::parse("x.toml", &text).unwrap()
}

/// What becomes of a record, which is the same when it is restored from what was found of it.
fn translate(mapping: &Mapping, dimensions: &Dimensions, cells: &[(&str, Cell)]) -> Translated<'static> {
    let mut cells: Vec<(&str, Cell)> = cells.to_vec();
    cells.extend([("id", Cell::Integer(1)), ("who", Cell::Text("ada")), ("what", Cell::Text("coding"))]);
    let mut record = Record::new(cells.iter().map(|(column, _)| (*column).to_owned()).collect());
    cells.iter().for_each(|(_, cell)| record.push(*cell));
    let from = &mapping.entities[&Entity::Activities];
    let translator = ActivityTranslator::new(mapping, from, dimensions, chrono_tz::Europe::Berlin);
    match translator.translate(&record) {
        Translated::Activity(day, activity, found) => {
            let mut packed = Vec::new();
            found.pack(&mut packed);
            let restored = translator.restore(&record, day, &Found::unpack(&packed).unwrap()).unwrap();
            assert_eq!(Activity { source_row: activity.source_row.clone(), ..restored }, activity);
            Translated::Activity(day, activity.into_owned(), found)
        }
        Translated::Open => Translated::Open,
        Translated::Rejected(rejected) => Translated::Rejected(rejected),
    }
}

fn nothing_else() -> Dimensions {
    Dimensions::new(BTreeMap::new())
}

fn landed(translated: Translated<'static>) -> (String, Activity<'static>) {
    match translated {
        Translated::Activity(day, activity, _) => (day.to_string(), activity),
        other => panic!("it did not land: {other:?}"),
    }
}

fn refused(translated: Translated) -> (&'static str, &'static str) {
    match translated {
        Translated::Rejected(rejected) => (rejected.reason, rejected.field),
        other => panic!("it was not refused: {other:?}"),
    }
}

fn text(text: &str) -> Cell<'_> {
    Cell::Text(text)
}

const START: &str = "started_at = { column = \"start\", format = \"rfc3339\" }";

#[test]
fn one_fact_in_many_units_is_the_same_number_of_seconds() {
    for (unit, cell, seconds) in [
        ("seconds", Cell::Integer(5_400), 5_400),
        ("minutes", Cell::Integer(90), 5_400),
        ("hours", Cell::Real(1.5), 5_400),
        ("hours", text("1.5"), 5_400),
        ("milliseconds", Cell::Integer(5_400_499), 5_400),
        ("microseconds", Cell::Integer(5_399_500_000), 5_400),
        ("nanoseconds", Cell::Integer(5_400_000_000_000), 5_400),
        ("clock", text("1:30"), 5_400),
        ("clock", text("01:30:07"), 5_407),
        // A third of an hour has no exact float; the nearest second is meant.
        ("hours", Cell::Real(1.0 / 3.0), 1_200),
        ("seconds", Cell::Integer(0), 0),
    ] {
        let mapping = mapping(&format!("{START}\nduration_seconds = {{ column = \"d\", unit = \"{unit}\" }}"));
        let cells = [("start", text("2026-08-03T07:00:00Z")), ("d", cell)];
        let (_, activity) = landed(translate(&mapping, &nothing_else(), &cells));
        assert_eq!(activity.duration_seconds, seconds, "{cell:?} {unit}");
        assert_eq!((activity.ended_at - activity.started_at).num_seconds(), seconds);
    }
}

#[test]
fn a_duration_that_becomes_a_time_or_an_interval_is_the_same_number_of_seconds() {
    for (declared, cell, outcome) in [
        ("unit = \"seconds\"", Cell::Integer(93_784), Ok(93_784)),
        ("unit = \"seconds\"", text("93784"), Ok(93_784)),
        ("unit = \"seconds\"", text("93784.00"), Ok(93_784)),
        ("format = \"time\"", text("26:03:04"), Ok(93_784)),
        ("format = \"time\"", text("838:59:59"), Ok(3_020_399)),
        ("format = \"time\"", text("02:03:04.499999"), Ok(7_384)),
        ("format = \"time\"", text("02:03"), Ok(7_380)),
        ("format = \"time\"", text("-02:03:04"), Err("negative")),
        ("format = \"time\"", text("1 day 02:03:04"), Err("unreadable")),
        ("format = \"time\"", text("02:60:00"), Err("unreadable")),
        ("format = \"time\"", Cell::Integer(93_784), Err("unreadable")),
        ("format = \"interval\"", text("1 day 02:03:04"), Ok(93_784)),
        ("format = \"interval\"", text("26:03:04"), Ok(93_784)),
        ("format = \"interval\"", text("2 days"), Ok(172_800)),
        ("format = \"interval\"", text("00:00:00"), Ok(0)),
        ("format = \"interval\"", text("2 days -21:56:56"), Ok(93_784)),
        ("format = \"interval\"", text("1 day 02:03:04.5"), Ok(93_785)),
        ("format = \"interval\"", text("-1 days +02:03:04"), Err("negative")),
        ("format = \"interval\"", text("-00:00:01"), Err("negative")),
        ("format = \"interval\"", text("1 mon 02:03:04"), Err("unreadable")),
        ("format = \"interval\"", text("1 year"), Err("unreadable")),
        ("format = \"interval\"", text("P1DT2H3M4S"), Err("unreadable")),
        ("format = \"interval\"", text("02:03:04 1 day"), Err("unreadable")),
        ("format = \"interval\"", text("99999999999 days"), Err("unreadable")),
        ("format = \"interval\"", text("1 day 1:1:1:1"), Err("unreadable")),
        ("format = \"interval\"", text(" "), Err("unreadable")),
        ("format = \"interval\"", text("2147483647 days"), Err("out_of_range")),
        ("format = \"time\"", text("4294967295:00:00"), Err("out_of_range")),
        ("format = \"time\"", text("99999999999:00:00"), Err("unreadable")),
        ("format = \"time\"", text("1:2:é.ééééé"), Err("unreadable")),
    ] {
        let mapping = mapping(&format!("{START}\nduration_seconds = {{ column = \"d\", {declared} }}"));
        let cells = [("start", text("2026-08-03T07:00:00Z")), ("d", cell)];
        match (translate(&mapping, &nothing_else(), &cells), outcome) {
            (translated, Ok(seconds)) => {
                assert_eq!(landed(translated).1.duration_seconds, seconds, "{cell:?} {declared}");
            }
            (translated, Err(reason)) => {
                assert_eq!(refused(translated), (reason, "duration_seconds"), "{cell:?} {declared}");
            }
        }
    }
}

#[test]
fn what_is_unreadable_says_what_was_expected_and_found_and_no_value() {
    let mapping = mapping(&format!("{START}\nduration_seconds = {{ column = \"d\", unit = \"seconds\" }}"));
    let cells = [("start", text("2026-08-03T07:00:00Z")), ("d", text("02:03:04"))];
    let Translated::Rejected(rejected) = translate(&mapping, &nothing_else(), &cells) else { panic!("it landed") };
    let expected = "line 10 of the mapping expects a number of seconds, and this is text with `:` in it";
    assert!(rejected.message.starts_with(expected) && !rejected.message.contains("02"), "{}", rejected.message);
}

#[test]
fn a_duration_that_is_none_is_refused_and_never_guessed() {
    let mapping = mapping(&format!("{START}\nduration_seconds = {{ column = \"d\", unit = \"seconds\" }}"));
    for (cell, reason) in [
        (Cell::Integer(-1), "negative"),
        (Cell::Integer(i64::MAX), "out_of_range"),
        (Cell::Real(f64::NAN), "unreadable"),
        (Cell::Real(1e300), "unreadable"),
        (text("1,5"), "unreadable"),
        (text("eight"), "unreadable"),
        (Cell::Bytes(&[1]), "unreadable"),
    ] {
        let cells = [("start", text("2026-08-03T07:00:00Z")), ("d", cell)];
        assert_eq!(refused(translate(&mapping, &nothing_else(), &cells)), (reason, "duration_seconds"), "{cell:?}");
    }
    let cells = [("start", text("2026-08-03T07:00:00Z")), ("d", Cell::Null)];
    assert_eq!(translate(&mapping, &nothing_else(), &cells), Translated::Open);
}

#[test]
fn instants_are_read_as_declared_and_days_are_local() {
    let duration = "duration_seconds = { column = \"d\", unit = \"seconds\" }";
    for (format, cell, instant, day) in [
        ("format = \"rfc3339\"", text("2026-08-03T22:30:00Z"), "2026-08-03T22:30:00Z", "2026-08-04"),
        ("format = \"rfc3339\"", text("2026-08-04T00:30:00+02:00"), "2026-08-03T22:30:00Z", "2026-08-04"),
        ("format = \"iso\", zone = \"UTC\"", text("2026-08-03 22:30:00"), "2026-08-03T22:30:00Z", "2026-08-04"),
        ("format = \"iso\", zone = \"local\"", text("2026-08-03T22:30"), "2026-08-03T20:30:00Z", "2026-08-03"),
        ("format = \"%d.%m.%Y %H:%M\", zone = \"local\"", text("3.8.2026 22:30"), "2026-08-03T20:30:00Z", "2026-08-03"),
        ("format = \"%Y-%m-%d %H:%M:%S%z\"", text("2026-08-04 06:30:00+0800"), "2026-08-03T22:30:00Z", "2026-08-04"),
        (
            "format = \"%d.%m.%Y %-H:%M\", zone = \"local\"",
            text("03.08.2026 9:30"),
            "2026-08-03T07:30:00Z",
            "2026-08-03",
        ),
        (
            "format = \"%d.%m.%Y %I:%M %p\", zone = \"UTC\"",
            text("03.08.2026 10:30 PM"),
            "2026-08-03T22:30:00Z",
            "2026-08-04",
        ),
        ("format = \"rfc3339\"", text("2026-08-03T22:30:00.0000009Z"), "2026-08-03T22:30:00Z", "2026-08-04"),
        ("format = \"rfc3339\"", text("2026-08-03 22:30:00+00"), "2026-08-03T22:30:00Z", "2026-08-04"),
        ("format = \"rfc3339\"", text("2026-08-03 22:30:00.123456+00"), "2026-08-03T22:30:00.123456Z", "2026-08-04"),
        ("format = \"rfc3339\"", text("2026-08-03 18:30:00.0-04"), "2026-08-03T22:30:00Z", "2026-08-04"),
        ("format = \"rfc3339\"", text("2026-08-04 04:00:00+05:30"), "2026-08-03T22:30:00Z", "2026-08-04"),
        ("format = \"unix_seconds\"", Cell::Integer(1_785_796_200), "2026-08-03T22:30:00Z", "2026-08-04"),
        ("format = \"unix_microseconds\"", Cell::Integer(1_785_796_200_000_000), "2026-08-03T22:30:00Z", "2026-08-04"),
        (
            "format = \"unix_nanoseconds\"",
            Cell::Integer(1_785_796_200_000_000_000),
            "2026-08-03T22:30:00Z",
            "2026-08-04",
        ),
        // Clocks go back on this night: a time that happens twice is the earlier one.
        ("format = \"iso\", zone = \"local\"", text("2026-10-25 02:30:00"), "2026-10-25T00:30:00Z", "2026-10-25"),
        // An offset without a colon, and what an editor leaves in front of a file.
        (
            "format = \"%Y-%m-%dT%H:%M:%S%.f%z\"",
            text("2026-08-03T22:30:00.5+0000"),
            "2026-08-03T22:30:00.5Z",
            "2026-08-04",
        ),
        ("format = \"rfc3339\"", text("\u{feff}2026-08-03T22:30:00Z"), "2026-08-03T22:30:00Z", "2026-08-04"),
        // Only the day of it counts, which is the local one.
        (
            "format = \"iso\", zone = \"UTC\", clock = \"day\"",
            text("2026-08-03 22:30:00"),
            "2026-08-03T22:00:00Z",
            "2026-08-04",
        ),
        // A day without a time begins at midnight there.
        ("format = \"date\", zone = \"local\"", text("2026-08-03"), "2026-08-02T22:00:00Z", "2026-08-03"),
    ] {
        let mapping = mapping(&format!("started_at = {{ column = \"start\", {format} }}\n{duration}"));
        let cells = [("start", cell), ("d", Cell::Integer(60))];
        let (landed_on, activity) = landed(translate(&mapping, &nothing_else(), &cells));
        assert_eq!((activity.started_at, &*landed_on), (instant.parse().unwrap(), day), "{format}");
        let day = ["\"date\"", "\"day\""].iter().any(|day| format.contains(day));
        assert_eq!(activity.clock, if day { Clock::Day } else { Clock::Exact });
    }
}

#[test]
fn instants_that_are_none_are_refused() {
    let duration = "duration_seconds = { column = \"d\", unit = \"seconds\" }";
    for (format, cell, reason) in [
        ("format = \"rfc3339\"", text("2026-08-03 22:30:00"), "unreadable"),
        ("format = \"rfc3339\"", text("\\N"), "unreadable"),
        ("format = \"rfc3339\"", text("2026-08-03"), "unreadable"),
        ("format = \"rfc3339\"", text("2026-08-03 22:30-04:00:07"), "unreadable"),
        // What is whole without the offset that PostgreSQL writes, and what is not.
        ("format = \"rfc3339\"", text("2026-08-03+00"), "unreadable"),
        ("format = \"rfc3339\"", text("2026-08-03 22:30+00"), "unreadable"),
        ("format = \"rfc3339\"", text("2026-08-03T22:30:00Z+00"), "unreadable"),
        ("format = \"rfc3339\"", text("2026-08-03 22:30:00 -05+00"), "unreadable"),
        ("format = \"rfc3339\"", text("2026-08-03 22:30:00.+00"), "unreadable"),
        ("format = \"rfc3339\"", text("2026-08-32 22:30:00+00"), "unreadable"),
        ("format = \"rfc3339\"", text("infinity"), "unreadable"),
        ("format = \"rfc3339\"", Cell::Boolean(true), "unreadable"),
        ("format = \"rfc3339\"", Cell::Integer(7), "unreadable"),
        ("format = \"unix_seconds\"", text("1785796200"), "unreadable"),
        ("format = \"unix_seconds\"", Cell::Integer(i64::MAX), "unreadable"),
        ("format = \"rfc3339\"", text("0016-01-11T16:22:26Z"), "out_of_range"),
        ("format = \"rfc3339\"", text("2101-01-01T00:00:00Z"), "out_of_range"),
        // Clocks skip this hour.
        ("format = \"iso\", zone = \"local\"", text("2026-03-29 02:30:00"), "nonexistent_local_time"),
        ("format = \"rfc3339\"", Cell::Null, "missing"),
        ("format = \"rfc3339\"", text("2026-08-03T22:30:00+0800"), "unreadable"),
        // Microseconds and seconds that are taken for nanoseconds and milliseconds, and no date at all.
        ("format = \"unix_nanoseconds\"", Cell::Integer(1_785_796_200_000_000), "out_of_range"),
        ("format = \"unix_milliseconds\"", Cell::Integer(1_785_796_200), "out_of_range"),
        ("format = \"unix_seconds\"", Cell::Integer(0), "out_of_range"),
        ("format = \"unix_seconds\"", Cell::Integer(1_785_796_200_000), "out_of_range"),
        ("format = \"iso\", zone = \"UTC\"", text("0000-00-00 00:00:00"), "unreadable"),
    ] {
        let mapping = mapping(&format!("started_at = {{ column = \"start\", {format} }}\n{duration}"));
        let cells = [("start", cell), ("d", Cell::Integer(60))];
        assert_eq!(refused(translate(&mapping, &nothing_else(), &cells)), (reason, "started_at"), "{cell:?}");
    }
}

#[test]
fn minutes_after_midnight_make_a_day_an_instant_where_the_record_has_them() {
    let mapping = mapping(
        "started_at = { column = \"day\", format = \"date\", minutes = \"m\", zone = \"local\" }\n\
         duration_seconds = { column = \"d\", unit = \"seconds\" }\ntime_zone = \"zone\"",
    );
    let translate = |day: &str, minutes: Cell, zone: &str| {
        let cells = [("day", text(day)), ("m", minutes), ("d", Cell::Integer(60)), ("zone", text(zone))];
        translate(&mapping, &nothing_else(), &cells)
    };
    for (minutes, zone, instant, clock) in [
        (Cell::Integer(570), "America/New_York", "2026-08-03T13:30:00Z", Clock::Exact),
        (text("570"), "", "2026-08-03T07:30:00Z", Clock::Exact),
        (Cell::Integer(0), "", "2026-08-02T22:00:00Z", Clock::Exact),
        (Cell::Integer(1_439), "", "2026-08-03T21:59:00Z", Clock::Exact),
        (text(" \u{feff}90 ".trim_start()), "", "2026-08-02T23:30:00Z", Clock::Exact),
        (Cell::Null, "America/New_York", "2026-08-03T04:00:00Z", Clock::Day),
        (text(""), "America/New_York", "2026-08-03T04:00:00Z", Clock::Day),
    ] {
        let (day, activity) = landed(translate("2026-08-03", minutes, zone));
        assert_eq!((activity.started_at, activity.clock), (instant.parse().unwrap(), clock), "{minutes:?}");
        assert_eq!(day, "2026-08-03");
    }
    for (day, minutes, reason) in [
        ("2026-08-03", Cell::Integer(1_440), "out_of_range"),
        ("2026-08-03", Cell::Integer(-1), "out_of_range"),
        ("2026-08-03", text("9:30"), "out_of_range"),
        ("2026-08-03", Cell::Real(9.5), "out_of_range"),
        ("2026-03-29", Cell::Integer(150), "nonexistent_local_time"),
    ] {
        assert_eq!(refused(translate(day, minutes, "")), (reason, "started_at"), "{minutes:?}");
    }
}

#[test]
fn the_records_own_zone_comes_before_the_persons_and_theirs_before_the_organisations() {
    let mapping =
        mapping(&format!("{START}\nduration_seconds = {{ column = \"d\", unit = \"seconds\" }}\ntime_zone = \"zone\""));
    let person = Member { id: "ada".into(), time_zone: Some("Asia/Kolkata".into()), ..Member::default() };
    let known = Dimensions::new([(Entity::Users, vec![person])].into());
    let cells =
        |zone: Cell<'static>| [("start", text("2026-08-03T20:00:00Z")), ("d", Cell::Integer(60)), ("zone", zone)];
    let day = |dimensions: &Dimensions, zone: Cell<'static>| {
        let (day, activity) = landed(translate(&mapping, dimensions, &cells(zone)));
        (day, activity.time_zone)
    };
    assert_eq!(day(&known, text("America/New_York")), ("2026-08-03".into(), "America/New_York".into()));
    assert_eq!(day(&known, Cell::Null), ("2026-08-04".into(), "Asia/Kolkata".into()));
    assert_eq!(day(&nothing_else(), text("")), ("2026-08-03".into(), "Europe/Berlin".into()));
    let unknown = translate(&mapping, &known, &cells(text("Mars/Olympus")));
    assert_eq!(refused(unknown), ("unknown_time_zone", "time_zone"));
}

#[test]
fn a_sum_needs_all_its_parts_and_a_split_fits_its_whole() {
    let mapping = mapping(&format!(
        "{START}\nduration_seconds = {{ sum = [\"a\", \"b\"], unit = \"minutes\" }}\n\
         out_of_sprint_seconds = {{ column = \"b\", unit = \"minutes\" }}"
    ));
    let cells = |a: Cell<'static>, b: Cell<'static>| [("start", text("2026-08-03T20:00:00Z")), ("a", a), ("b", b)];
    let whole = translate(&mapping, &nothing_else(), &cells(Cell::Integer(8), Cell::Integer(2)));
    let (_, activity) = landed(whole);
    assert_eq!((activity.duration_seconds, activity.out_of_sprint_seconds), (600, Some(120)));
    let open = translate(&mapping, &nothing_else(), &cells(Cell::Null, Cell::Integer(2)));
    assert_eq!(open, Translated::Open);
    let negative = translate(&mapping, &nothing_else(), &cells(Cell::Integer(8), Cell::Integer(-2)));
    assert_eq!(refused(negative), ("negative", "out_of_sprint_seconds"));
    let larger = translate(&mapping, &nothing_else(), &cells(Cell::Integer(-1), Cell::Integer(2)));
    assert_eq!(refused(larger), ("exceeds_duration", "out_of_sprint_seconds"));
}

#[test]
fn the_end_decides_where_there_is_no_duration_and_never_lies_before_the_start() {
    let mapping = mapping(&format!("{START}\nended_at = {{ column = \"end\", format = \"rfc3339\" }}"));
    let cells = |end: &'static str| [("start", text("2026-08-03T20:00:00Z")), ("end", text(end))];
    let (_, activity) = landed(translate(&mapping, &nothing_else(), &cells("2026-08-03T21:00:00.999Z")));
    assert_eq!(activity.duration_seconds, 3_600);
    let backwards = translate(&mapping, &nothing_else(), &cells("2026-08-03T19:59:59Z"));
    assert_eq!(refused(backwards), ("ends_before_start", "ended_at"));
}

#[test]
fn the_sprint_is_the_records_own_else_the_latest_of_the_team_that_contains_the_start() {
    let mapping = mapping(&format!(
        "{START}\nduration_seconds = {{ column = \"d\", unit = \"seconds\" }}\nsprint_id = \"sprint\"\nteam_id = \"team\""
    ));
    let sprint = |id: &str, from: &str, to: &str| Member {
        id: id.into(),
        team_id: Some("red".into()),
        starts_at: Some(from.parse().unwrap()),
        ends_at: Some(to.parse().unwrap()),
        ..Member::default()
    };
    let sprints = vec![
        sprint("long", "2026-08-01T00:00:00Z", "2026-09-01T00:00:00Z"),
        sprint("late", "2026-08-10T00:00:00Z", "2026-08-20T00:00:00Z"),
    ];
    let known = Dimensions::new([(Entity::Sprints, sprints)].into());
    let sprint_of = |start: &str, sprint: Cell, team: Cell| {
        let cells = [("start", text(start)), ("d", Cell::Integer(60)), ("sprint", sprint), ("team", team)];
        landed(translate(&mapping, &known, &cells)).1.sprint_id
    };
    assert_eq!(sprint_of("2026-08-12T08:00:00Z", text("long"), text("red")).as_deref(), Some("long"));
    assert_eq!(sprint_of("2026-08-12T08:00:00Z", Cell::Null, text("red")).as_deref(), Some("late"));
    assert_eq!(sprint_of("2026-08-20T00:00:00Z", Cell::Null, text("red")).as_deref(), Some("long"));
    assert_eq!(sprint_of("2026-09-01T00:00:00Z", Cell::Null, text("red")), None);
    assert_eq!(sprint_of("2026-08-12T08:00:00Z", Cell::Null, Cell::Null), None);
}

#[test]
fn values_are_translated_by_the_list_and_by_nothing_else() {
    let mapping = mapping(&format!(
        "{START}\nduration_seconds = {{ column = \"d\", unit = \"seconds\" }}\n\
         claimed_category = {{ column = \"kind\", values = {{ holiday = \"pto\", work = \"other\" }} }}"
    ));
    let cells =
        |kind: &'static str| [("start", text("2026-08-03T20:00:00Z")), ("d", Cell::Integer(60)), ("kind", text(kind))];
    let (_, activity) = landed(translate(&mapping, &nothing_else(), &cells("holiday")));
    assert_eq!(activity.claimed_category.as_deref(), Some("pto"));
    assert_eq!(refused(translate(&mapping, &nothing_else(), &cells("golf"))), ("unknown_value", "claimed_category"));
}

#[test]
fn the_source_record_is_kept_whole_with_columns_that_nobody_knows() {
    let mapping = mapping(&format!("{START}\nduration_seconds = {{ column = \"d\", unit = \"seconds\" }}"));
    let cells = [
        ("start", text("2026-08-03T20:00:00Z")),
        ("d", Cell::Integer(60)),
        ("unknown", text("“kept” \u{0}")),
        ("real", Cell::Real(0.1)),
        ("infinite", Cell::Real(f64::INFINITY)),
        ("blob", Cell::Bytes(&[0, 255])),
        ("nothing", Cell::Null),
    ];
    let (_, activity) = landed(translate(&mapping, &nothing_else(), &cells));
    let kept: serde_json::Value = serde_json::from_str(&activity.source_row).unwrap();
    let expected = serde_json::json!({
        "start": "2026-08-03T20:00:00Z", "d": 60, "unknown": "“kept” \u{0}", "real": 0.1, "infinite": "inf",
        "blob": "\\x00ff", "nothing": null, "id": 1, "who": "ada", "what": "coding",
    });
    assert_eq!(kept, expected);
}

#[test]
fn an_empty_text_says_as_little_as_null() {
    let all = format!(
        "{START}\nended_at = {{ column = \"end\", fallback = \"until\", format = \"rfc3339\" }}\n\
         duration_seconds = {{ column = \"took\", unit = \"clock\" }}\nupdated_at = {{ column = \"at\", format = \"rfc3339\" }}"
    );
    let start = ("start", text("2026-03-02T08:00:00Z"));
    let cells =
        [start, ("end", text("")), ("until", text("2026-03-02T09:00:00Z")), ("took", text("")), ("at", text(""))];
    let (_, activity) = landed(translate(&mapping(&all), &nothing_else(), &cells));
    assert_eq!((activity.duration_seconds, activity.updated_at), (3_600, None));
    let open = [start, ("end", text("")), ("until", text("\u{feff}")), ("took", Cell::Null), ("at", Cell::Null)];
    assert!(matches!(translate(&mapping(&all), &nothing_else(), &open), Translated::Open));
    let values = format!(
        "{START}\nduration_seconds = {{ column = \"took\", unit = \"seconds\" }}\n\
        claimed_category = {{ column = \"kind\", values = {{ \"\" = \"coding\" }} }}"
    );
    let cells = [("start", text("2026-03-02T08:00:00Z")), ("took", Cell::Integer(1)), ("kind", text(""))];
    let (_, activity) = landed(translate(&mapping(&values), &nothing_else(), &cells));
    assert_eq!(activity.claimed_category.as_deref(), Some("coding"), "where the mapping says what it means");
    let others = values.replace("\"\" =", "c =").replace("\"kind\",", "\"kind\", fallback = \"or\",");
    let cells = [cells[0], cells[1], cells[2], ("or", text("c"))];
    let (_, activity) = landed(translate(&mapping(&others), &nothing_else(), &cells));
    assert_eq!(
        activity.claimed_category.as_deref(),
        Some("coding"),
        "by the fallback, as nothing is said of empty text"
    );
    let sum = mapping(&format!("{START}\nduration_seconds = {{ sum = [\"a\", \"b\"], unit = \"seconds\" }}"));
    let part = [cells[0], ("a", text("")), ("b", Cell::Integer(2))];
    assert!(matches!(translate(&sum, &nothing_else(), &part), Translated::Open));
}

#[test]
fn the_cursor_is_when_a_record_changed_whatever_became_of_the_record() {
    let at = |hour: u32| format!("2026-08-03T{hour:02}:00:00Z").parse::<DateTime<Utc>>().unwrap();
    let cursor = |columns: &str, start: &str| {
        let mapping =
            mapping(&format!("{START}\nduration_seconds = {{ column = \"d\", unit = \"seconds\" }}\n{columns}"));
        let cells = [
            ("id", "1"),
            ("who", "ada"),
            ("what", "coding"),
            ("start", start),
            ("d", "60"),
            ("u", "2026-08-03 09:00:00"),
            ("c", "2026-08-03 11:00:00"),
        ];
        let mut record = Record::new(cells.iter().map(|(column, _)| (*column).to_owned()).collect());
        cells.iter().for_each(|(_, cell)| record.push(text(cell)));
        let dimensions = nothing_else();
        let translator = ActivityTranslator::new(
            &mapping,
            &mapping.entities[&Entity::Activities],
            &dimensions,
            chrono_tz::Asia::Tokyo,
        );
        let translated = translator.translate(&record);
        assert_eq!(matches!(translated, Translated::Activity(..)), start != "never");
        translator.cursor(&record, &translated)
    };
    let field = |name: &str, column: &str, zone: &str| {
        format!("{name} = {{ column = \"{column}\", format = \"iso\", zone = \"{zone}\" }}\n")
    };
    for start in ["2026-08-03T07:00:00Z", "never"] {
        let cursor = |columns: String| cursor(&columns, start);
        assert_eq!(cursor(field("updated_at", "u", "UTC") + &field("cursor", "u", "UTC")), Some(at(9)));
        assert_eq!(cursor(field("updated_at", "u", "UTC") + &field("cursor", "c", "UTC")), Some(at(11)));
        assert_eq!(cursor(field("updated_at", "u", "local") + &field("cursor", "u", "UTC")), Some(at(9)));
        assert_eq!(cursor(field("cursor", "c", "UTC")), Some(at(11)));
        assert_eq!(cursor(field("updated_at", "u", "UTC")), None);
    }
}
