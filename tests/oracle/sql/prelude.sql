-- Words that the sources' statements share. The session's zone is UTC, so a timestamp without a zone is read as UTC.

CREATE MACRO flag(value) AS CASE
    WHEN lower(value) IN ('1', 'true', 't', 'yes', 'y') THEN true
    WHEN lower(value) IN ('0', 'false', 'f', 'no', 'n') THEN false END;

-- The instants, a quarter of an hour apart, among which a wall clock's must be: no zone is further than 15 h from UTC.
CREATE MACRO instants_around(wall) AS
    list_transform(range(-60, 61), lambda quarter: wall::TIMESTAMP::TIMESTAMPTZ + to_minutes((15 * quarter)::INTEGER));

-- The earlier instant where a wall clock shows a time twice, null where it skips it.
CREATE MACRO wall_clock(zone, wall) AS
    list_min(list_filter(instants_around(wall), lambda moment: timezone(zone, moment) = wall::TIMESTAMP));

-- The first instant of a local day, also where its midnight is skipped.
CREATE MACRO first_instant(zone, day) AS
    list_min(list_filter(instants_around(day::DATE), lambda moment: timezone(zone, moment)::DATE = day::DATE));

CREATE MACRO local_day(zone, moment) AS timezone(zone, moment)::DATE;
