"""Load of the server: viewers of one camera of 640x352, beside a recording, and clients of the camera's own protocol.

    cargo build --release && python3 benches/serve_load.py [PROGRAM] [SECONDS]

Prints for each part: frames that the camera sent, lost by the receiver and by the recording, encoded pictures, shares of the frames
that the viewers got, memory (highest), and CPU time. Fails if the receiver or the recording lost a frame because of the viewers.
"""

import json
import os
import re
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time

PROGRAM = sys.argv[1] if len(sys.argv) > 1 else "target/release/oaktap"
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 20.0
CAMERA = "front=sim:?size=640x352&fps=30&boxes=3"


def start(*arguments):
    """Starts oaktap; returns it with its ports: of HTTP, and of the camera's own protocol."""
    program = subprocess.Popen([PROGRAM, *arguments, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    camera_port = None
    for line in program.stderr:
        found = re.search(r" at (tcp|http)://127\.0\.0\.1:(\d+)", line)
        if found and found[1] == "tcp":
            camera_port = int(found[2])
        if found and found[1] == "http":
            threading.Thread(target=program.stderr.read, daemon=True).start()
            return program, int(found[2]), camera_port
    sys.exit("the program ended")


def connect(port, request=b""):
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(request)
    return client


def read_all(clients, seconds):
    """Reads from all clients until the time is over; returns the bytes."""
    poll, by_number, total = select.epoll(), {client.fileno(): client for client in clients}, 0
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    buffer, end = bytearray(1 << 18), time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for number, _ in poll.poll(left):
            total += by_number[number].recv_into(buffer)
    return total


def finish(program, name, clients):
    """Ends the program; returns its lines of JSON."""
    status = open(f"/proc/{program.pid}/status").read()
    peak_mb = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1000
    ticks = open(f"/proc/{program.pid}/stat").read().rsplit(")", 1)[1].split()[11:13]
    cpu_s = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    program.terminate()
    lines = [json.loads(line) for line in program.stdout.read().splitlines()]
    program.wait()
    for client in clients:
        client.close()
    viewers, summary = lines[-2]["viewers"][0]["viewers"], lines[-1]["summary"]
    frames = summary["cameras"][0]["frames"]
    print(f"{name}: {frames['confirmed']} frames, {peak_mb:.0f} MB, {cpu_s:.1f} s of CPU")
    for viewer in viewers:
        share = 100 * viewer["sent"] / max(1, viewer["offered"])
        print(f"  {viewer['viewers_total']} {viewer['kind']}: {viewer['offered']} offered, {share:.1f} % sent")
        assert viewer["offered"] == viewer["sent"] + viewer["superseded"] + viewer["pending"], viewer
    assert summary["cameras"][0]["balances"] and frames["no_memory"] == 0, frames
    return summary


def get(port, path):
    client = connect(port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    parts = []
    while part := client.recv(1 << 16):
        parts.append(part)
    return b"".join(parts).split(b"\r\n\r\n", 1)[1]


REQUEST = b"GET /stream/front.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n"

with tempfile.TemporaryDirectory() as folder:
    program, port, _ = start("record", CAMERA, "-o", folder, "--serve", "127.0.0.1:0")
    viewers = [connect(port, REQUEST) for _ in range(200)]
    received = read_all(viewers, SECONDS)
    encoded = json.loads(get(port, "/api/cameras"))[0]["encoded"]
    summary = finish(program, "200 MJPEG viewers beside a recording", viewers)
    recorded = summary["recordings"][0]["cameras"][0]
    print(f"  {encoded} pictures encoded, {received / SECONDS / 1e6:.0f} MB/s read")
    print(f"  recorded {recorded['recorded']}, dropped {recorded['dropped']}, lost {recorded['lost']}")
    assert recorded["recorded"] == summary["cameras"][0]["frames"]["confirmed"], recorded
    assert encoded <= summary["cameras"][0]["frames"]["received"], "more than one encoding for each frame"

program, _, camera_port = start("serve", CAMERA, "--http", "127.0.0.1:0", "--camera-port", "0")
stuck, clients = connect(camera_port), [connect(camera_port) for _ in range(19)]
received = read_all(clients, SECONDS)
finish(program, "19 clients of the camera port, and one that never reads", [stuck, *clients])
print(f"  {received / SECONDS / 1e6:.0f} MB/s read")
