-- Written from the facts of Redmine's schema as far as the mapping is about it, in words that every database takes.
CREATE TABLE users (id INTEGER PRIMARY KEY, login VARCHAR(255), firstname VARCHAR(255), lastname VARCHAR(255),
    type VARCHAR(255), hashed_password VARCHAR(40));
CREATE TABLE groups_users (group_id INTEGER NOT NULL, user_id INTEGER NOT NULL);
CREATE TABLE enumerations (id INTEGER PRIMARY KEY, name VARCHAR(30) NOT NULL, type VARCHAR(255));
CREATE TABLE time_entries (id INTEGER PRIMARY KEY, project_id INTEGER NOT NULL, user_id INTEGER NOT NULL, issue_id INTEGER,
    hours FLOAT NOT NULL, comments VARCHAR(1024), activity_id INTEGER NOT NULL, spent_on DATE NOT NULL,
    created_on /* instant */ NOT NULL, updated_on /* instant */ NOT NULL);
INSERT INTO users VALUES (1, 'ada', 'Ada', 'Lovelace', 'User', 'geheim'), (2, 'bo', 'Bo', 'Ek', 'User', 'geheim'),
    (20, '', '', 'Red', 'Group', ''), (21, '', '', 'Blue', 'Group', '');
-- Ada is in two groups.
INSERT INTO groups_users VALUES (21, 1), (20, 1);
INSERT INTO enumerations VALUES (8, 'Design', 'TimeEntryActivity'), (9, 'Development', 'TimeEntryActivity'),
    (10, 'High', 'IssuePriority');
INSERT INTO time_entries VALUES
    (1, 1, 1, NULL, 0.33, 'a third', 9, '2026-08-03', '2026-08-03 10:00:00', '2026-08-03 10:00:00'),
    -- A float of six digits is a second off.
    (2, 1, 2, 12, 150.3333333, NULL, 9, '2026-08-03', '2026-08-03 10:00:00', '2026-08-04 10:00:00'),
    (3, 1, 2, 12, 150, 'all of it', 8, '2026-03-29', '2026-08-03 10:00:00', '2026-08-04 10:00:00'),
    (4, 1, 2, 12, 0, '', 8, '2026-08-03', '2026-08-03 10:00:00', '2026-08-04 10:00:00'),
    (5, 1, 3, 12, 1, 'nobody', 8, '2026-08-03', '2026-08-03 10:00:00', '2026-08-04 10:00:00'),
    (6, 1, 2, 12, -1, 'less', 8, '2026-08-03', '2026-08-03 10:00:00', '2026-08-04 10:00:00');
