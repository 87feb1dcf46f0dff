-- Written from the facts of ActivityWatch's schema: one fact, in the unit and the words of each server.
CREATE TABLE buckets (id INTEGER PRIMARY KEY, name TEXT, type TEXT NOT NULL, client TEXT NOT NULL, hostname TEXT NOT NULL);
CREATE TABLE events (id INTEGER PRIMARY KEY, bucketrow INTEGER NOT NULL, starttime INTEGER NOT NULL, endtime INTEGER NOT NULL,
    data TEXT NOT NULL);
INSERT INTO buckets VALUES (1, 'aw-watcher-window_pc', 'currentwindow', 'aw-watcher-window', 'pc'),
    (2, 'aw-watcher-afk_pc', 'afkstatus', 'aw-watcher-afk', 'pc');
INSERT INTO events VALUES
    (1, 1, 1785796200123456789, 1785801600123456789, '{"app": "editor", "title": "größer"}'),
    (2, 1, 1785801600000000000, 1785801600000000000, '{"title": "no app"}'),
    (3, 1, 1785801600000000000, 1785801660900000000, 'no JSON'),
    -- Somebody was there all the time.
    (4, 2, 1785796200000000000, 1785801660000000000, '{"status": "not-afk"}');
