"""Reads a table with pandas and with pyarrow, and prints its columns and rows as JSON."""

import json
import sys

import pandas
import pyarrow.parquet

table = pyarrow.parquet.read_table(sys.argv[1])
table.validate(full=True)
frame = pandas.read_parquet(sys.argv[1])
assert frame.shape == (table.num_rows, table.num_columns)
types = {column: str(frame[column].dtype) for column in frame.columns}
schema = {field.name: str(field.type) for field in table.schema}
codec = pyarrow.parquet.read_metadata(sys.argv[1]).row_group(0).column(0).compression
print(json.dumps({"types": types, "schema": schema, "codec": codec, "rows": table.to_pylist()}))
