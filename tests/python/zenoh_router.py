"""A Zenoh router: zenoh_router.py PORT. Prints `ready` once it listens, and ends with its standard input."""

import sys

import zenoh

config = zenoh.Config()
for key, value in {
    "mode": '"router"',
    "listen/endpoints": f'["tcp/127.0.0.1:{sys.argv[1]}"]',
    "scouting/multicast/enabled": "false",
}.items():
    config.insert_json5(key, value)
with zenoh.open(config):
    print("ready", flush=True)
    sys.stdin.read()
