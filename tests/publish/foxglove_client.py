"""A client of the Foxglove protocol, as the app is one.

Usage: foxglove_client.py ws://ADDRESS. Prints each message of the server as one line of JSON, and takes lines of JSON on its
standard input: {"subscribe": TOPIC}, {"send": MESSAGE}, {"call": SERVICE}, {"playback": [COMMAND, SPEED, SEEK_NS or null, ID]},
{"stop_reading": true}.
"""

import base64
import hashlib
import json
import struct
import sys
import threading

from mcap.records import Schema
from mcap_protobuf.decoder import DecoderFactory
from websockets.sync.client import connect

STATES = ["playing", "paused", "buffering", "ended"]
channels, services, subscriptions = {}, {}, {}
reading = threading.Event()
reading.set()


def say(**values):
    print(json.dumps(values), flush=True)


def orders(socket):
    for line in sys.stdin:
        ((order, value),) = json.loads(line).items()
        if order == "subscribe":
            number = len(subscriptions) + 1
            subscriptions[number] = channels[value]
            subscription = {"id": number, "channelId": channels[value]["id"]}
            socket.send(json.dumps({"op": "subscribe", "subscriptions": [subscription]}))
        elif order == "send":
            socket.send(json.dumps(value))
        elif order == "call":
            socket.send(struct.pack("<BIII", 2, services[value], 7, 4) + b"json{}")
        elif order == "playback":
            command, speed, seek_ns, name = value
            head = struct.pack("<BBfBQI", 3, command == "pause", speed, seek_ns is not None, seek_ns or 0, len(name))
            socket.send(head + name.encode())
        elif order == "stop_reading":
            reading.clear()


def decoded(channel, data):
    if channel["encoding"] == "json":
        return json.loads(data)
    message = channel["decode"](data)
    if channel["schemaName"] == "foxglove.ImageAnnotations":
        stamp = message.timestamp
        return {"boxes": len(message.points), "texts": [text.text for text in message.texts], "ns": stamp.ToNanoseconds()}
    known = {"frame_id": message.frame_id, "sha256": hashlib.sha256(message.data).hexdigest(), "ns": message.timestamp.ToNanoseconds()}
    shape = ["width", "height", "step", "encoding"] if channel["schemaName"] == "foxglove.RawImage" else ["format"]
    return known | {name: getattr(message, name) for name in shape}


def receive(message):
    if isinstance(message, str):
        message = json.loads(message)
        for channel in message.get("channels", []) if message["op"] == "advertise" else []:
            if channel["encoding"] == "protobuf":
                schema = Schema(id=1, name=channel["schemaName"], encoding="protobuf", data=base64.b64decode(channel["schema"]))
                channel["decode"] = DecoderFactory().decoder_for("protobuf", schema)
                channel["schema"] = hashlib.sha256(schema.data).hexdigest()
            channels[channel["topic"]] = channel
        for service in message.get("services", []):
            services[service["name"]] = service["id"]
        print(json.dumps(message, default=lambda _: None), flush=True)
    elif message[0] == 1:
        number, ns = struct.unpack_from("<IQ", message, 1)
        channel = subscriptions[number]
        say(op="message", topic=channel["topic"], ns=ns, message=decoded(channel, message[13:]))
    elif message[0] == 2:
        say(op="time", ns=struct.unpack_from("<Q", message, 1)[0])
    elif message[0] == 3:
        length = struct.unpack_from("<I", message, 9)[0]
        say(op="answer", message=json.loads(message[13 + length :]))
    elif message[0] == 5:
        state, ns, speed, sought, length = struct.unpack_from("<BQfBI", message, 1)
        name = message[19 : 19 + length].decode()
        say(op="playback", state=STATES[state], ns=ns, speed=speed, sought=bool(sought), id=name)


with connect(sys.argv[1], subprotocols=["foxglove.sdk.v1"], max_size=None, max_queue=1, compression=None) as socket:
    assert socket.subprotocol == "foxglove.sdk.v1"
    threading.Thread(target=orders, args=[socket], daemon=True).start()
    for message in socket:
        receive(message)
        reading.wait()
say(op="closed")
