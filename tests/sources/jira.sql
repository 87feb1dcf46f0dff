-- Written from the facts of Jira Server's schema as far as the mapping is about it, in words that every database takes.
CREATE TABLE worklog (ID DECIMAL(18) PRIMARY KEY, issueid DECIMAL(18), AUTHOR VARCHAR(255), worklogbody TEXT,
    CREATED /* instant */, UPDATED /* instant */, STARTDATE /* instant */, timeworked DECIMAL(18));
CREATE TABLE jiraissue (ID DECIMAL(18) PRIMARY KEY, PROJECT DECIMAL(18), issuetype VARCHAR(255));
CREATE TABLE issuetype (ID VARCHAR(60) PRIMARY KEY, pname VARCHAR(60));
CREATE TABLE app_user (ID DECIMAL(18) PRIMARY KEY, user_key VARCHAR(255), lower_user_name VARCHAR(255));
CREATE TABLE cwd_user (ID DECIMAL(18) PRIMARY KEY, lower_user_name VARCHAR(255), display_name VARCHAR(255));
INSERT INTO issuetype VALUES ('10001', 'Bug'), ('10002', 'Story');
INSERT INTO jiraissue VALUES (100000000000000001, 10000, '10001'), (2, 10000, '10002');
INSERT INTO app_user VALUES (1, 'JIRAUSER1', 'ada'), (2, 'bo', 'bo');
-- Ada is in two directories.
INSERT INTO cwd_user VALUES (1, 'ada', 'Ada'), (2, 'ada', 'Ada L.');
INSERT INTO worklog VALUES
    (100000000000000001, 100000000000000001, 'JIRAUSER1', 'found it', '2026-08-03 20:30:00', '2026-08-03 22:30:00',
     '2026-08-03 23:30:00', 5400),
    (2, 2, 'bo', NULL, '2026-08-04 12:00:00', NULL, '2026-08-04 12:00:00', 60),
    (3, 2, 'bo', NULL, '2026-08-04 12:00:00', NULL, NULL, 60),
    (4, 2, NULL, NULL, '2026-08-04 12:00:00', NULL, '2026-08-04 12:00:00', 60);
