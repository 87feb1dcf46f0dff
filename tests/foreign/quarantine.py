"""Prints the newest quarantined activities of a lake, as JSON.

usage: quarantine.py LAKE_FOLDER [COLUMN...]

Beside the id of the source record it prints the columns of it that are named.
"""

import json
import sys

import duckdb

lake, *columns = sys.argv[1:]
kept = ["id", *columns]
rows = duckdb.execute(
    f"""
    WITH rejected AS (
        SELECT *, regexp_extract(filename, 'gen=([^/]+)/', 1) AS gen
        FROM read_parquet('{lake}/quarantine/activities/*/*/*.parquet', filename = true, hive_partitioning = false))
    SELECT key, reason, field, message, {', '.join(f"source_row ->> '{column}'" for column in kept)} FROM rejected WHERE gen = (SELECT max(gen) FROM rejected)
    """
).fetchall()
print(json.dumps([dict(zip(("key", "reason", "field", "message", *(f"source_{column}" for column in kept)), row)) for row in rows]))
