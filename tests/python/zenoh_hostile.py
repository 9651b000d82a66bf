"""Publishes on the key of a camera what is not a frame: zenoh_hostile.py PORT KEY COUNT. Prints the number of messages.

Each round is a message without an attachment, one with random bytes as its attachment, one whose stamp has a wire message of random
bytes, one with a wire message that announces more than follows, and a large one without an attachment.
"""

import random
import sys

import zenoh

port, key, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
config = zenoh.Config()
for name, value in {
    "mode": '"client"',
    "connect/endpoints": f'["tcp/127.0.0.1:{port}"]',
    "scouting/multicast/enabled": "false",
}.items():
    config.insert_json5(name, value)
random.seed(1)


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def stamp(wire):
    """Frame 5 of an unknown program."""
    return b"\x08\x05\x12" + varint(len(wire)) + wire


# The dialect `IMG`, and a payload of 2^40 bytes.
announcing = b"\x1a\x03IMG" + b"\x68" + varint(1 << 40)
raw = "application/protobuf;foxglove.RawImage"
sent = 0
with zenoh.open(config) as session:
    # The router drops nothing of it.
    publisher = session.declare_publisher(key, congestion_control=zenoh.CongestionControl.BLOCK)
    for _ in range(count):
        for payload, attachment in [
            (b"text", None),
            (b"", random.randbytes(200)),
            (random.randbytes(1000), stamp(random.randbytes(300))),
            (b"\x32\xff\xff\xff\xff\x0f", stamp(announcing)),
            (bytes(8 << 20), None),
        ]:
            publisher.put(payload, attachment=attachment, encoding=raw)
            sent += 1
print(sent, flush=True)
