"""Works out scope and automation from the raw CESAW log with SQL of its own: no code and no file of wastewalk.

usage: cesaw.py TIME_FACT.csv.xz CLASSIFICATION.csv

Prints JSON: total, and per month and per team and month [rows, seconds, in, out, automatable].
"""

import json
import lzma
import sys
import tempfile

import duckdb

log, classification = sys.argv[1:]
db = duckdb.connect()
with tempfile.NamedTemporaryFile(suffix=".csv") as raw:
    with lzma.open(log) as packed:
        raw.write(packed.read())
    raw.flush()
    db.execute(
        f"""
        CREATE TABLE log AS
        SELECT team_key AS team, person_key AS person, phase_short_name AS phase,
               try_strptime(time_log_start_date, '%m/%d/%Y %H:%M') AS start,
               try_strptime(time_log_end_date, '%m/%d/%Y %H:%M') AS stop,
               60 * CAST(time_log_delta_minutes AS BIGINT) AS delta,
               60 * CAST(time_log_interrupt_minutes AS BIGINT) AS interrupt
        FROM read_csv('{raw.name}', all_varchar = true, header = true)
        """
    )
db.execute(f"CREATE TABLE classes AS SELECT * FROM read_csv('{classification}', all_varchar = true, header = true)")
db.execute(
    """
    CREATE TABLE good AS
    SELECT *, strftime(start, '%Y-%m') AS month
    FROM log JOIN classes ON classes.stereotype = log.phase
    WHERE year(start) BETWEEN 1970 AND 2100 AND year(stop) BETWEEN 1970 AND 2100 AND interrupt >= 0
    """
)
FIGURES = """
    count(*), sum(delta + interrupt), sum(delta), sum(interrupt),
    coalesce(sum(delta + interrupt) FILTER (automatable = 'true'), 0)
"""


def figures(keys):
    rows = db.execute(f"SELECT {keys}, {FIGURES} FROM good GROUP BY {keys} ORDER BY {keys}").fetchall()
    count = len(keys.split(","))
    return {"/".join(row[:count]): [int(value) for value in row[count:]] for row in rows}


print(
    json.dumps(
        {
            "read": db.execute("SELECT count(*) FROM log").fetchone()[0],
            "people": db.execute("SELECT count(DISTINCT person) FROM good").fetchone()[0],
            "total": [int(value) for value in db.execute(f"SELECT {FIGURES} FROM good").fetchone()],
            "by_month": figures("month"),
            "by_team_and_month": figures("team, month"),
        }
    )
)
