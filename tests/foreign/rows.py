"""Prints columns of the activities that a lake holds now, the newest generation of each day, as JSON by key.

usage: rows.py LAKE_FOLDER COLUMN...
"""

import json
import sys

import duckdb

lake, *columns = sys.argv[1:]
rows = duckdb.execute(
    f"""
    WITH captured AS (
        SELECT *, regexp_extract(filename, 'date=([^/]+)/', 1) AS day, regexp_extract(filename, 'gen=([^/]+)/', 1) AS gen
        FROM read_parquet('{lake}/activities/**/*.parquet', filename = true, hive_partitioning = false)),
    -- A day that lost all its rows has a newest generation too, without a row.
    newest AS (
        SELECT regexp_extract(file, 'date=([^/]+)/', 1) AS day, max(regexp_extract(file, 'gen=([^/]+)/', 1)) AS gen
        FROM glob('{lake}/activities/**/*.parquet') GROUP BY ALL)
    SELECT activity_id, {", ".join(f"CAST({column} AS TEXT)" for column in columns)}
    FROM captured SEMI JOIN newest USING (day, gen)
    """
).fetchall()
assert len({key for key, *_ in rows}) == len(rows), "a key is there twice"
print(json.dumps({key: dict(zip(columns, values)) for key, *values in rows}))
