"""Runs a Script node's program on this computer: a `node` that has frames and detections, and a socket module that
listens on a free port of the loopback interface. Only the standard library.

usage: camera.py FRAMES PIECE < program
PIECE is the number of bytes in which the program's writes leave this computer; 0 leaves them as they are.
Prints the port, then one JSON object for each frame that the program took.
"""

import datetime
import hashlib
import json
import random
import socket
import struct
import sys
import types

FRAMES, PIECE = int(sys.argv[1]), int(sys.argv[2])
WIDTH, HEIGHT = 640, 352
# Microseconds since boot: with and without a fraction, with an exponent, and with every digit.
TIMES = [50, 12_420_000, 13_000_000, 13_025_001, 86_400_000_000, 1_234_567_890_123_456]


class Connection:
    """A socket that sends each write in pieces."""

    def __init__(self, connection):
        self.connection = connection
        if PIECE:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        if not PIECE:
            return self.connection.send(data)
        for at in range(0, len(data), PIECE):
            self.connection.sendall(data[at:at + PIECE])
        return len(data)


class Server(socket.socket):
    def bind(self, address):
        super().bind(("127.0.0.1", 0))

    def listen(self):
        super().listen()
        print(self.getsockname()[1])

    def accept(self):
        connection, client = super().accept()
        return Connection(connection), client


def as_float32(value):
    """Rounds to a 32-bit float, as a camera's boxes are; Python stores it with 64 bits."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


class Node:
    def __init__(self):
        self.random = random.Random(1)
        self.taken = 0
        self.io = {"detection_in": self.input(self.detections), "frame_in": self.input(self.frame)}

    def input(self, get):
        return types.SimpleNamespace(get=get)

    def warn(self, text):
        pass

    def detections(self):
        if self.taken == FRAMES:
            sys.exit()  # The program catches every Exception; this is none.
        boxes = []
        for _ in range(self.taken % 5 * 7):  # None at all in the first frame.
            # Some are slightly outside of the picture.
            values = [as_float32(self.random.uniform(-0.1, 1.1)) for _ in range(4)]
            boxes.append(types.SimpleNamespace(
                label=self.random.randrange(100),
                confidence=as_float32(self.random.random()),
                **dict(zip(["xmin", "ymin", "xmax", "ymax"], values)),
            ))
        self.boxes = boxes
        return types.SimpleNamespace(detections=boxes)

    def frame(self):
        data = self.random.randbytes(WIDTH * HEIGHT * 3)
        micros = TIMES[self.taken % len(TIMES)] + self.taken // len(TIMES) * 25_000
        self.taken += 1
        print(json.dumps({
            "sha256": hashlib.sha256(data).hexdigest(),
            "device_time_us": micros,
            "detections": [[b.label, b.confidence, b.xmin, b.ymin, b.xmax, b.ymax] for b in self.boxes],
        }))
        return types.SimpleNamespace(
            getData=lambda: data,
            getTimestamp=lambda: datetime.timedelta(microseconds=micros),
        )


shim = types.ModuleType("socket")
shim.__dict__.update(socket.__dict__)
shim.socket = Server
sys.modules["socket"] = shim
exec(compile(sys.stdin.read(), "program", "exec"), {"node": Node(), "__name__": "__main__"})
