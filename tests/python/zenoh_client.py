"""A client of a Zenoh router, which prints lines of JSON with payloads in base64. Ends with its standard input.

zenoh_client.py PORT subscribe KEY...         each message
zenoh_client.py PORT alive KEY                each liveliness token that appears or disappears
zenoh_client.py PORT get KEY [PAYLOAD]        the replies of a query, and then `{}`
"""

import base64
import json
import sys
import threading

import zenoh

port, command, *keys = sys.argv[1:]
config = zenoh.Config()
for key, value in {
    "mode": '"client"',
    "connect/endpoints": f'["tcp/127.0.0.1:{port}"]',
    "connect/retry": '{"period_init_ms": 100, "period_max_ms": 100}',
    "scouting/multicast/enabled": "false",
}.items():
    config.insert_json5(key, value)
lock = threading.Lock()


def text(data):
    return None if data is None else base64.b64encode(bytes(data)).decode()


def show(line):
    with lock:
        print(json.dumps(line), flush=True)


def message(sample):
    show(
        {
            "key": str(sample.key_expr),
            "encoding": str(sample.encoding),
            "priority": str(sample.priority),
            "payload": text(sample.payload),
            "attachment": text(sample.attachment),
        }
    )


with zenoh.open(config) as session:
    if command == "subscribe":
        held = [session.declare_subscriber(key, message) for key in keys]
        show({"ready": True})
    elif command == "alive":
        changed = lambda sample: show({"key": str(sample.key_expr), "alive": sample.kind == zenoh.SampleKind.PUT})
        held = session.liveliness().declare_subscriber(keys[0], changed, history=True)
    else:
        for reply in session.get(keys[0], payload=keys[1] if len(keys) > 1 else None, timeout=20):
            if reply.ok is not None:
                show({"key": str(reply.ok.key_expr), "ok": reply.ok.payload.to_string()})
            else:
                show({"error": reply.err.payload.to_string()})
        show({})
    sys.stdin.read()
