-- Written from the facts of Kimai's schema as far as the mapping is about it, with every trap of it.
CREATE TABLE kimai2_users (id INT PRIMARY KEY, username VARCHAR(180) NOT NULL, alias VARCHAR(60), password VARCHAR(255));
CREATE TABLE kimai2_teams (id INT PRIMARY KEY, name VARCHAR(100) NOT NULL);
CREATE TABLE kimai2_users_teams (user_id INT NOT NULL, team_id INT NOT NULL, teamlead TINYINT(1) NOT NULL);
CREATE TABLE kimai2_activities (id INT PRIMARY KEY, name VARCHAR(150) NOT NULL);
CREATE TABLE kimai2_timesheet (id INT PRIMARY KEY, user INT NOT NULL, activity_id INT NOT NULL, project_id INT NOT NULL,
    start_time DATETIME NOT NULL, end_time DATETIME, timezone VARCHAR(64) NOT NULL, date_tz DATE NOT NULL, duration INT,
    break INT, description TEXT, rate DOUBLE NOT NULL DEFAULT 0, billable TINYINT(1) DEFAULT 1,
    category VARCHAR(10) NOT NULL DEFAULT 'work', modified_at DATETIME);
INSERT INTO kimai2_users VALUES (1, 'ada', 'Ada L.', 'geheim'), (2, 'bo', '', 'geheim'), (3, 'cy', NULL, 'geheim');
INSERT INTO kimai2_teams VALUES (7, 'Red'), (8, 'Blue');
-- Bo is in two teams, and Cy in none.
INSERT INTO kimai2_users_teams VALUES (1, 8, 1), (2, 8, 0), (2, 7, 1);
INSERT INTO kimai2_activities VALUES (5, 'Coding'), (6, 'Meeting');
INSERT INTO kimai2_timesheet VALUES
    -- Late in the evening in UTC is the next day in Berlin, and the day before in New York.
    (1, 1, 5, 3, '2026-08-03 22:30:00', '2026-08-03 23:30:00', 'Europe/Berlin', '2026-08-04', 3600, NULL, 'größer', 80, 1,
     'work', '2026-08-04 00:00:00'),
    (2, 1, 5, 3, '2026-08-04 02:00:00', '2026-08-04 04:00:00', 'America/New_York', '2026-08-03', 5400, 1800, NULL, 0, 0,
     'work', NULL),
    -- It runs.
    (3, 2, 6, 3, '2026-08-04 08:00:00', NULL, 'Europe/Berlin', '2026-08-04', 0, NULL, NULL, 0, 1, 'work', NULL),
    -- No work.
    (4, 2, 6, 3, '2026-08-05 07:00:00', '2026-08-05 15:00:00', 'Europe/Berlin', '2026-08-05', 28800, 0, NULL, 0, 0,
     'holiday', NULL),
    (5, 2, 6, 3, '2026-08-06 07:00:00', '2026-08-06 15:00:00', 'Europe/Berlin', '2026-08-06', 28800, 0, NULL, 0, 0,
     'overtime', NULL),
    -- No duration: what is left of the span without the break, which may be NULL.
    (6, 2, 6, 3, '2026-08-07 07:00:00', '2026-08-07 08:00:00', 'Europe/Berlin', '2026-08-07', NULL, 600, NULL, 0, 1, 'work',
     NULL),
    (7, 3, 6, 3, '2026-08-07 07:00:00', '2026-08-07 08:00:00', 'Europe/Berlin', '2026-08-07', NULL, NULL, NULL, 0, 1, 'work',
     NULL),
    (8, 3, 99, 3, '2026-08-07 09:00:00', '2026-08-07 10:00:00', 'Europe/Berlin', '2026-08-07', 3600, NULL, NULL, 0, 1, 'work',
     NULL),
    (9, 3, 6, 3, '2026-08-07 09:00:00', '2026-08-07 08:00:00', 'Europe/Berlin', '2026-08-07', 0, NULL, NULL, 0, 1, 'work',
     NULL),
    (10, 3, 6, 3, '2026-08-07 11:00:00', '2026-08-07 12:00:00', 'Mars/Olympus', '2026-08-07', 3600, NULL, NULL, 0, 1, 'work',
     NULL);
