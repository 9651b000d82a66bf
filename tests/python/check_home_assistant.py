"""Checks discovery messages of MQTT with the schema of their component, and prints their number."""

import json
import sys
from pathlib import Path

import jsonschema_rs  # Comes with schemathesis.

schema = json.loads(Path(sys.argv[1]).read_text())
jsonschema_rs.meta.validate(schema)
messages = json.loads(Path(sys.argv[2]).read_text())
for topic, config in messages:
    component = topic.split("/")[1]
    rules = {"$schema": schema["$schema"], "$defs": schema["$defs"], "$ref": f"#/$defs/{component}"}
    jsonschema_rs.validator_for(rules).validate(config)
print(len(messages))
