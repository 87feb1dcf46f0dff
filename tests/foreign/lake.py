"""Reads a lake with DuckDB and prints what it finds, as JSON.

usage: lake.py LAKE_FOLDER
"""

import json
import sys

import duckdb

lake = sys.argv[1]
db = duckdb.connect()

# The newest generation of each day, and the annotations beside it, joined in two ways that must agree: by key, and by
# position in the file.
db.execute(
    f"""
    CREATE TABLE base AS
    SELECT *, file_row_number AS position,
           regexp_extract(filename, 'date=([^/]+)/', 1) AS day,
           regexp_extract(filename, 'gen=([^/]+)/', 1) AS gen
    FROM read_parquet('{lake}/activities/**/*.parquet', filename = true, file_row_number = true,
                      hive_partitioning = false);
    DELETE FROM base WHERE (day, gen) NOT IN (SELECT (day, max(gen)) FROM base GROUP BY day);
    """
)
for annotator in ("classify", "scope", "automation"):
    db.execute(
        f"""
        CREATE TABLE {annotator} AS
        SELECT *, file_row_number AS position,
               regexp_extract(filename, 'date=([^/]+)/', 1) AS day,
               regexp_extract(filename, 'gen=([^/]+)/', 1) AS gen
        FROM read_parquet('{lake}/annotations/*/*/annotator={annotator}/**/*.parquet', filename = true,
                          file_row_number = true, hive_partitioning = false)
        """
    )


def one(query):
    return db.execute(query).fetchone()


def sums(using):
    return one(
        f"""
        SELECT count(*), sum(duration_seconds), sum(s.in_sprint_seconds), sum(s.out_of_sprint_seconds),
               sum(a.automatable_seconds), count(*) FILTER (c.is_work)
        FROM base b
        JOIN classify c USING ({using}) JOIN scope s USING ({using}) JOIN automation a USING ({using})
        """
    )


unordered = one(
    """
    SELECT count(*) FROM (
        SELECT (user_id, started_at, activity_id) < lag((user_id, started_at, activity_id))
                   OVER (PARTITION BY filename ORDER BY position) AS wrong
        FROM base) WHERE wrong
    """
)[0]
print(
    json.dumps(
        {
            "rows": one("SELECT count(*), sum(duration_seconds) FROM base"),
            "by_key": sums("day, gen, activity_id"),
            "by_position": sums("day, gen, position"),
            "distinct_keys": one("SELECT count(DISTINCT activity_id) FROM base")[0],
            "source_rows_that_are_objects": one("SELECT count(*) FROM base WHERE json_type(source_row) = 'OBJECT'")[0],
            "source_keys_that_differ": one("SELECT count(*) FROM base WHERE source_row ->> 'id' <> activity_id")[0],
            "unordered": unordered,
            "days_in_the_wrong_place": one(
                "SELECT count(*) FROM base WHERE strftime(timezone(time_zone, started_at), '%Y-%m-%d') <> day"
            )[0],
            "types": dict(
                db.execute("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM base)").fetchall()
            ),
            "quarantined": db.execute(
                f"SELECT reason, field, count(*) FROM read_parquet('{lake}/quarantine/activities/*/*/*.parquet') GROUP BY ALL"
            ).fetchall(),
        },
        default=str,
    )
)
