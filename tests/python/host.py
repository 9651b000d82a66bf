"""Runs the standalone page's host program on this computer, without a window: `cv2` notes what it would show.

usage: host.py PORT FRAMES < program
Prints one JSON object for each picture that the program shows. Uses numpy where there is one; else the few lines of it
that the program needs.
"""

import hashlib
import json
import socket
import sys
import types

PORT, FRAMES = int(sys.argv[1]), int(sys.argv[2])
OUT = sys.stdout
sys.stdout = sys.stderr  # The program prints each header.


class Array:
    """Interleaves three planes to one picture, as the program does with numpy."""

    def __init__(self, data, shape):
        self.data, self.shape = data, shape

    def reshape(self, *shape):
        planes, height, width = shape
        if planes * height * width != len(self.data):
            raise ValueError(f"cannot reshape array of size {len(self.data)} into shape {shape}")
        return Array(self.data, shape)

    def transpose(self, *order):
        assert order == (1, 2, 0)
        planes, height, width = self.shape
        data, size = bytearray(len(self.data)), height * width
        for plane in range(planes):
            data[plane::planes] = self.data[plane * size:(plane + 1) * size]
        return Array(bytes(data), (height, width, planes))

    def copy(self):
        return self

    def tobytes(self):
        return self.data


try:
    import numpy
except ImportError:
    numpy = types.ModuleType("numpy")
    numpy.uint8 = "uint8"
    numpy.frombuffer = lambda data, dtype: Array(bytes(data), (len(data),))
    sys.modules["numpy"] = numpy

shown, texts, boxes = 0, [], []


def put_text(image, text, place, font, scale, colour):
    texts.append([text, *place])


def rectangle(image, low, high, colour, thickness):
    boxes.append([*low, *high])


def imshow(window, image):
    global shown
    print(json.dumps({
        "shape": list(image.shape),
        "sha256": hashlib.sha256(image.tobytes()).hexdigest(),
        "time": program["ts"],
        "texts": texts,
        "boxes": boxes,
    }), file=OUT)
    shown += 1
    texts.clear()
    boxes.clear()


cv2 = types.ModuleType("cv2")
cv2.FONT_HERSHEY_TRIPLEX = 4
cv2.putText, cv2.rectangle, cv2.imshow = put_text, rectangle, imshow
cv2.waitKey = lambda delay: ord("q") if shown == FRAMES else -1
sys.modules["cv2"] = cv2


class Socket(socket.socket):
    def connect(self, address):
        super().connect(("127.0.0.1", PORT))


shim = types.ModuleType("socket")
shim.__dict__.update(socket.__dict__)
shim.socket = Socket
sys.modules["socket"] = shim
program = {"__name__": "__main__"}
exec(compile(sys.stdin.read(), "program", "exec"), program)
