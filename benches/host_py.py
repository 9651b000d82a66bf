"""Runs the host program of Luxonis' standalone page without a window, and measures it.

usage: host_py.py PORT WIDTH HEIGHT < program
Prints one JSON object: frames, seconds and CPU seconds after the first ten frames, and when each picture was finished
(CLOCK_MONOTONIC, nanoseconds). OpenCV draws boxes and names; only `imshow` and `waitKey` are replaced. The output of
the program is discarded.
"""

import json
import os
import socket
import sys
import time
import types

import cv2

PORT, WIDTH, HEIGHT = (int(argument) for argument in sys.argv[1:4])
WARM_UP = 10
out, sys.stdout = sys.stdout, open(os.devnull, "w")
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

done, start = [], None


def imshow(window, image):
    global start
    assert image.shape == (HEIGHT, WIDTH, 3), image.shape
    done.append(time.monotonic_ns())
    if len(done) == WARM_UP:
        start = (time.monotonic(), time.process_time())


cv2.imshow = imshow
cv2.waitKey = lambda delay: -1


class Socket(socket.socket):
    def connect(self, address):
        super().connect(("127.0.0.1", PORT))


shim = types.ModuleType("socket")
shim.__dict__.update(socket.__dict__)
shim.socket = Socket
sys.modules["socket"] = shim
program = sys.stdin.read().replace("reshape(3, 352, 640)", f"reshape(3, {HEIGHT}, {WIDTH})")
# At the end of the stream, `recv` returns no bytes and the program would loop for ever.
program = program.replace("header = str(sock.recv(32)", "header = str(more(sock.recv(32))")
program = program.replace("bytes += socket.recv(read)", "bytes += more(socket.recv(read))")


def more(data):
    if not data:
        raise EOFError
    return data


exec(compile(program, "program", "exec"), {"__name__": "__main__", "more": more})
frames = len(done) - WARM_UP
json.dump({
    "frames": frames,
    "seconds": done[-1] * 1e-9 - start[0],
    "cpu_seconds": time.process_time() - start[1],
    "done_ns": done,
    "opencv": cv2.__version__,
}, out)
