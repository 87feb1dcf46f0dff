"""Prints the newest quarantined activities of a lake, as JSON.

usage: quarantine.py LAKE_FOLDER
"""

import json
import sys

import duckdb

rows = duckdb.execute(
    f"""
    WITH rejected AS (
        SELECT *, regexp_extract(filename, 'gen=([^/]+)/', 1) AS gen
        FROM read_parquet('{sys.argv[1]}/quarantine/activities/*/*/*.parquet', filename = true, hive_partitioning = false))
    SELECT key, reason, field, message, source_row ->> 'id' FROM rejected WHERE gen = (SELECT max(gen) FROM rejected)
    """
).fetchall()
print(json.dumps([dict(zip(("key", "reason", "field", "message", "source_id"), row)) for row in rows]))
