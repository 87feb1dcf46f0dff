"""Copies the table `activities` of a PostgreSQL database to Parquet by dlt, for `make bench-intake`.

usage: intake_dlt.py URL

Prints how many rows the files hold and the peak of this process's memory in KiB.
"""

import pathlib
import resource
import sys
import tempfile

import dlt
import pyarrow.parquet
from dlt.sources.sql_database import sql_table


def main():
    url = sys.argv[1].replace("postgres://", "postgresql+psycopg2://", 1)
    with tempfile.TemporaryDirectory() as folder:
        files = pathlib.Path(folder, "files")
        pipeline = dlt.pipeline(
            "bench", pipelines_dir=f"{folder}/state", dataset_name="lake",
            destination=dlt.destinations.filesystem(bucket_url=files.as_uri()),
        )
        table = sql_table(credentials=url, table="activities", backend="pyarrow", chunk_size=50_000)
        pipeline.run(table, loader_file_format="parquet", write_disposition="replace")
        parts = files.glob("lake/activities/*.parquet")
        rows = sum(pyarrow.parquet.ParquetFile(part).metadata.num_rows for part in parts)
    print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


main()
