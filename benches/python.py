"""Measures the Python library beside the host program of Luxonis' standalone page, in one run.

usage: python benches/python.py [SECONDS]
Requires numpy, OpenCV and oaktap. The page is in ../shared, or in the folder that OAKTAP_SHARED names.

The same sender, a process on the other processors, sends frames as fast as they are read. The receiver runs on the first processor
alone. CPU is that of the whole process of the receiver.
"""

import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = pathlib.Path(os.environ.get("OAKTAP_SHARED", ROOT.parent / "shared")) / "seeds/002_9ab1a48b98534005.txt"
ROUNDS = 3
WARM_UP = 10
DETECTIONS = b"0;87.5;0.1;0.1;0.4;0.6|56;50.25;0.5;0.3;0.7;0.95|2;99.9;0.33;0.66;0.71;0.99"


def pin(to_first):
    processors = sorted(os.sched_getaffinity(0))
    chosen = processors[:1] if to_first else processors[1:] or processors
    os.sched_setaffinity(0, chosen)


def send(width, height, seconds):
    """Serves one client, as fast as it reads. Prints the port, and the frames that were sent."""
    pin(False)
    payload = bytes(range(256)) * (width * height * 3 // 256 + 1)
    payload = payload[: width * height * 3]
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    client, _ = listener.accept()
    number, began = 0, None
    while began is None or time.monotonic() - began < seconds:
        began = began or time.monotonic()
        head = f"IMG {number * 0.025:.6f} {len(payload)} {len(DETECTIONS)}".ljust(32).encode()
        try:
            client.sendall(head + DETECTIONS)
            client.sendall(payload)
        except OSError:
            break
        number += 1
    client.close()
    print(number, flush=True)


def receive(port, width, height, work):
    """Receives with the library, and prints the same fields as host_py.py."""
    pin(True)
    import oaktap

    frames, start, sent, skipped = 0, None, 0, 0
    # The pixels are not a picture, from which the layout could be inferred.
    for frame in oaktap.open(f"tcp://127.0.0.1:{port}", reconnect=False, size=(width, height), format="BGR888p"):
        if work == "bgr":
            assert frame.bgr.shape[2] == 3
        elif work == "planes":
            assert frame.planes.shape[0] == 3
        for d in frame.detections if work != "nothing" else ():
            d.box
        skipped += frame.skipped
        frames += 1
        if frames == WARM_UP:
            start = time.monotonic(), time.process_time()
            sent = frame.seq
    seconds, cpu = time.monotonic() - start[0], time.process_time() - start[1]
    result = {"frames": frames - WARM_UP, "seconds": seconds, "cpu_seconds": cpu, "received": frame.seq - sent, "skipped": skipped}
    print(json.dumps(result))


def with_sender(size, seconds, command, program=None):
    """Runs a receiver against a sender, and returns what it printed."""
    words = [sys.executable, __file__, "send", *map(str, size), str(seconds)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as sender:
        port = sender.stdout.readline().strip()
        result = subprocess.run(command(port), input=program, stdout=subprocess.PIPE, text=True, check=True)
        sender.wait(30)
    return json.loads(result.stdout)


def measure(size, seconds, command, program=None):
    rounds = [with_sender(size, seconds, command, program) for _ in range(ROUNDS)]
    rate = statistics.median(each["frames"] / each["seconds"] for each in rounds)
    cpu = statistics.median(each["cpu_seconds"] * 1e6 / each["frames"] for each in rounds)
    received = statistics.median(each.get("received", each["frames"]) / each["seconds"] for each in rounds)
    return rate, cpu, received, sum(each.get("skipped", 0) for each in rounds)


def overhead():
    """Measures what Python adds to each frame of a recording of tiny pictures, in microseconds: the loop, the object, its fields."""
    import tempfile

    import oaktap

    with tempfile.TemporaryDirectory() as folder, oaktap.open("sim:?size=16x16&fps=0&boxes=0", timeout=10) as stream:
        del folder
        frames = [frame for frame, _ in zip(stream, range(2000))]
        began = time.perf_counter()
        for frame in frames:
            frame.seq, frame.timestamp, frame.device_time, frame.detections
        fields = (time.perf_counter() - began) / len(frames) * 1e6
        began = time.perf_counter()
        for frame in frames:
            frame.planes
        planes = (time.perf_counter() - began) / len(frames) * 1e6
        # Frames wait already: the time of a frame is that of the call alone.
        calls = []
        while len(calls) < 3000:
            time.sleep(0.02)
            began = time.perf_counter()
            count = 0
            for _ in range(30):
                next(stream)
                count += 1
            calls.append((time.perf_counter() - began) / count * 1e6)
            if len(calls) >= 60:
                break
    print(f"a frame that waits: {min(calls):.2f} us (median {statistics.median(calls):.2f}); four fields {fields:.2f} us; planes {planes:.2f} us")


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    program = PAGE.read_text().partition("receive and visualize detections")[2].partition("```python\n")[2].partition("```")[0]
    import cv2
    import numpy

    import oaktap

    print(f"oaktap {oaktap.__version__}, numpy {numpy.__version__}, OpenCV {cv2.__version__}, Python {sys.version.split()[0]}")
    for size, longer in [((640, 352), 1), ((1920, 1080), 8)]:
        host = lambda port: [sys.executable, str(ROOT / "benches/host_py.py"), port, *map(str, size)]
        theirs = measure(size, seconds * longer, host, program)
        print(f"{size[0]}x{size[1]}, as fast as possible")
        print(f"  host.py            {theirs[0]:9.1f} frames/s {theirs[1]:9.1f} us CPU per frame")
        for work in ["bgr", "planes", "nothing"]:
            ours = measure(size, seconds, lambda port: [sys.executable, __file__, "receive", port, *map(str, size), work])
            print(
                f"  oaktap, {work:8s}   {ours[0]:9.1f} frames/s {ours[1]:9.1f} us CPU per frame: {ours[0] / theirs[0]:.1f} times as fast, "
                f"{theirs[1] / ours[1]:.1f} times less CPU; {ours[2]:.1f} received, {ours[3]} skipped"
            )
    overhead()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["send", width, height, seconds]:
            send(int(width), int(height), float(seconds))
        case ["receive", port, width, height, work]:
            receive(port, int(width), int(height), work)
        case _:
            main()
