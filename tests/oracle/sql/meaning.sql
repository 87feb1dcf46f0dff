-- Each row's part in each figure. A null is a row that cannot tell; a PTO row has no part in anything.

-- Whole activities: planned or not, automatable, defects by phase, planning, ceremonies.
CREATE TABLE meaning AS
WITH placed AS (
    -- In microseconds.
    SELECT a.*, epoch_us(a.started_at) AS t, epoch_us(a.starts_at) AS t0,
           epoch_us(a.ends_at) AS t1, epoch_us(coalesce(a.released_at, a.ends_at)) AS t2,
           epoch_us(l.planning_line) AS line
    FROM activity a LEFT JOIN planning_line l ON l.sprint_id = a.sprint_id
    WHERE is_work),
judged AS (
    SELECT *,
        CASE WHEN split IS NOT NULL THEN split
             WHEN marked IS NOT NULL THEN if(marked, 0, duration)
             WHEN in_a_sprint THEN if(t >= t0 AND t < t1, 0, duration) END AS outside,
        if(automatable, duration, 0) + if(automatable IS NULL, NULL, 0) AS by_machine,
        CASE WHEN NOT in_a_sprint THEN 'unphased'
             WHEN t < t0 THEN 'before'
             WHEN t >= t2 THEN 'after'
             WHEN t >= t1 THEN 'late'
             ELSE (['early', 'middle', 'late'])[(3 * (t - t0)) // (t1 - t0) + 1] END AS phase,
        CASE WHEN category = 'planning' AND in_a_sprint
             THEN duration - least(duration, greatest(0, line - t) // 1000000) END AS late,
        category IN ('ceremony', 'meeting') AS is_ceremony
    FROM placed)
SELECT activity_id, user_id, stereotype_code, duration, category, classified, outside, by_machine,
       late, is_ceremony, rating,
       if(classified, if(category = 'defect_investigation', duration, 0), NULL) AS investigation,
       if(classified, if(category IN ('defect_investigation', 'defect_fix'), duration, 0), NULL) AS rework,
       phase,
       -- What each kind of waste takes, if it could take from the whole row.
       CASE WHEN NOT classified THEN NULL WHEN category = 'planning' THEN late ELSE 0 END AS late_input,
       CASE WHEN NOT classified THEN NULL WHEN is_ceremony AND rating <= 2 THEN duration ELSE 0 END AS unproductive
FROM judged;

CREATE TABLE waste AS
WITH first AS (SELECT *, coalesce(by_machine, 0) AS automatable_waste FROM meaning),
second AS (SELECT *, least(coalesce(late_input, 0), duration - automatable_waste) AS planning_waste FROM first),
third AS (
    SELECT *, least(coalesce(unproductive, 0), duration - automatable_waste - planning_waste) AS ceremony_waste
    FROM second),
fourth AS (SELECT *, automatable_waste + planning_waste + ceremony_waste AS taken FROM third)
SELECT activity_id, automatable_waste, planning_waste, ceremony_waste,
       least(greatest(0, coalesce(outside, 0) - taken), duration - taken) AS sprint_waste,
       by_machine IS NOT NULL AND late_input IS NOT NULL AND unproductive IS NOT NULL
           AND outside IS NOT NULL AS covered,
       by_machine IS NOT NULL OR outside IS NOT NULL OR late IS NOT NULL
           OR (is_ceremony AND rating IS NOT NULL) AS tells
FROM fourth;

-- The order of a person's day: start, then id as text. PTO moves the latest end but is no row of its own.
CREATE TABLE sequence AS
WITH timed AS (
    SELECT activity_id, user_id, day, stereotype_code, project_id, duration, is_work, started_at,
           epoch_us(started_at) AS start, epoch_us(ended_at) AS stop,
           max(epoch_us(ended_at)) OVER (PARTITION BY user_id, day ORDER BY started_at, activity_id
               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS latest_end,
           count(*) FILTER (NOT is_work) OVER (PARTITION BY user_id, day ORDER BY started_at, activity_id
               ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS leaves
    FROM activity WHERE exact),
work AS (
    SELECT *, row_number() OVER later > 1 AS follows, greatest(0, start - latest_end) AS passed,
           stereotype_code IS DISTINCT FROM lag(stereotype_code) OVER later
               OR project_id IS DISTINCT FROM lag(project_id) OVER later AS differs,
           leaves IS DISTINCT FROM lag(leaves) OVER later AS after_leave,
           row_number() OVER (PARTITION BY user_id, day ORDER BY started_at DESC, activity_id DESC) = 1 AS is_last
    FROM timed WHERE is_work
    WINDOW later AS (PARTITION BY user_id, day ORDER BY started_at, activity_id))
SELECT *, passed // 1000000 AS gap, follows AND passed <= long_gap AS has_gap, follows AND passed > long_gap AS is_break,
       follows AND differs AS is_switch, NOT follows OR differs OR after_leave OR passed > least(300000000, long_gap) AS begins_block
FROM work, (SELECT 3600000000 * getvariable('long_gap_hours') AS long_gap);

CREATE TABLE switching AS
WITH days AS (
    SELECT user_id, day, count(DISTINCT stereotype_code) AS kinds FROM sequence GROUP BY user_id, day),
blocks AS (
    SELECT *, count(*) FILTER (begins_block) OVER (PARTITION BY user_id, day ORDER BY started_at, activity_id
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS block
    FROM sequence),
reached AS (
    SELECT *, max(stop) OVER (PARTITION BY user_id, day, block ORDER BY started_at, activity_id
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reach
    FROM blocks),
-- Each moment once, however much is done in it.
sized AS (
    SELECT *, sum(duration) OVER whole AS block_seconds,
           sum(greatest(0, stop - greatest(start, coalesce(reach, start)))) OVER whole AS block_clock
    FROM reached WINDOW whole AS (PARTITION BY user_id, day, block))
SELECT activity_id, is_switch::BIGINT AS switches, is_break::BIGINT AS breaks, has_gap::BIGINT AS gaps,
       if(has_gap, gap, 0) AS gap_seconds, if(is_break, gap, 0) AS break_seconds,
       if(has_gap AND is_switch, gap, 0) AS switch_gap_seconds,
       is_last::BIGINT AS person_days, if(is_last, kinds, 0) AS kinds,
       if(block_seconds >= 7200 AND block_clock >= 7200000000, duration, 0) AS focused
FROM sized JOIN days USING (user_id, day);

-- One line for each row of which a figure needs to know something. `about`: the row is one of those that the figure
-- counts as its own. `tells`: it has a value. `covered`: nothing of it is unknown.
CREATE TABLE fact AS
WITH m AS (FROM meaning), s AS (SELECT * FROM meaning LEFT JOIN switching USING (activity_id)),
facts AS (
    SELECT activity_id, 'out-of-sprint' AS figure, true AS about, outside AS numerator, duration AS denominator,
           outside IS NOT NULL AS tells FROM m
    UNION ALL SELECT activity_id, 'automatable', true, by_machine, duration, by_machine IS NOT NULL FROM m
    UNION ALL SELECT activity_id, 'defect-investigation', true, investigation, duration, classified FROM m
    UNION ALL SELECT activity_id, 'rework', true, rework, duration, classified FROM m
    UNION ALL SELECT activity_id, 'defects-after-release', true, if(phase = 'after', rework, 0), rework, classified
        FROM m
    UNION ALL SELECT activity_id, 'late-planning', true, late, duration, late IS NOT NULL
        FROM m WHERE category = 'planning'
    UNION ALL SELECT activity_id, 'refinement', true, if(category = 'refinement', duration, 0), duration, classified
        FROM m
    UNION ALL SELECT activity_id, 'ceremonies', true, if(rating <= 2, duration, 0), duration, rating IS NOT NULL
        FROM m WHERE is_ceremony
    UNION ALL SELECT activity_id, 'ceremony-rating', true, rating * duration, duration, rating IS NOT NULL
        FROM m WHERE is_ceremony
    UNION ALL SELECT activity_id, 'ceremony-time', true, if(is_ceremony, duration, 0), duration, classified FROM m
    -- Of an unrated ceremony it is known how many ratings it has: none.
    UNION ALL SELECT activity_id, 'ratings', true, if(rating IS NULL, 0, 1), NULL, true FROM m WHERE is_ceremony
    UNION ALL SELECT activity_id, 'juggling', person_days = 1, kinds, person_days, kinds IS NOT NULL FROM s
    UNION ALL SELECT activity_id, 'context-switching', true, switches, person_days, switches IS NOT NULL FROM s
    UNION ALL SELECT activity_id, 'time-between', gaps = 1, gap_seconds, gaps, gaps IS NOT NULL FROM s
    UNION ALL SELECT activity_id, 'time-at-switches', true, switch_gap_seconds, gap_seconds, gaps IS NOT NULL FROM s
    UNION ALL SELECT activity_id, 'breaks', true, break_seconds, breaks, breaks IS NOT NULL FROM s
    UNION ALL SELECT activity_id, 'focus', true, focused, duration, focused IS NOT NULL FROM s)
SELECT * REPLACE (if(tells, denominator, NULL) AS denominator, coalesce(about, false) AS about), tells AS covered
FROM facts
UNION ALL
SELECT activity_id, 'waste', true, automatable_waste + planning_waste + ceremony_waste + sprint_waste, duration, tells,
       covered
FROM waste JOIN meaning USING (activity_id);

-- Each row's part in what an insight consists of.
CREATE TABLE part AS
SELECT activity_id, 'defects-after-release' AS figure, phase AS label, rework AS value FROM meaning WHERE rework > 0
UNION ALL
SELECT activity_id, 'defect-investigation', phase, investigation FROM meaning WHERE investigation > 0
UNION ALL
SELECT activity_id, 'waste', label, value
FROM (UNPIVOT waste ON automatable_waste, planning_waste, ceremony_waste, sprint_waste INTO NAME label VALUE value)
WHERE value > 0;
