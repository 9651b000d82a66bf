"""Compares the CPU time and the latency of `oaktap view` between two binaries, in turn, under Xvfb.

usage: view.py BEFORE AFTER [--seconds 10] [--rounds 3] [--size 640x352] [CAMERAS:FPS ...]

The cameras are simulated by AFTER in a process of its own, which is not measured. Prints one table: medians of the rounds.
Latency is the time from the last byte of a frame to its converted picture, the median and the 99th percentile of all cameras.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("before")
parser.add_argument("after")
parser.add_argument("loads", nargs="*", default=["1:40", "4:40", "40:5"], metavar="CAMERAS:FPS")
parser.add_argument("--seconds", type=int, default=10)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--size", default="640x352")
parser.add_argument("--screen", default="1400x900")
arguments = parser.parse_intermixed_args()


def free_ports(count):
    """The first of consecutive ports on which nothing listens."""
    import socket
    for first in range(20000, 60000, count):
        sockets = [socket.socket() for _ in range(count)]
        try:
            for at, each in enumerate(sockets):
                each.bind(("127.0.0.1", first + at))
            return first
        except OSError:
            continue
        finally:
            for each in sockets:
                each.close()
    sys.exit("no free ports")


def cameras_of(value):
    """The list of cameras in a summary, wherever this version has it."""
    if isinstance(value, dict):
        found = value.get("cameras")
        if isinstance(found, list):
            return found
        return next((found for found in map(cameras_of, value.values()) if found), None)
    return None


def measure(binary, first, count, display):
    """CPU seconds per second, shown frames per second, and latencies in milliseconds, of one run."""
    uris = [f"127.0.0.1:{first + at}" for at in range(count)]
    command = [binary, "view", *uris, "--duration", f"{arguments.seconds}s", "--json"]
    environment = {**os.environ, "DISPLAY": display}
    environment.pop("WAYLAND_DISPLAY", None)
    begun = time.monotonic()
    view = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    out = view.stdout.read()
    _, status, usage = os.wait4(view.pid, 0)
    seconds = time.monotonic() - begun
    # Exit code 3: a camera left out frames, because the machine was busy.
    if os.waitstatus_to_exitcode(status) not in (0, 3):
        sys.exit(f"{binary} ended with {os.waitstatus_to_exitcode(status)}")
    cameras = cameras_of(json.loads(out.splitlines()[-1]))
    assert len(cameras) == count, cameras
    shown = sum(camera["frames"]["shown"] for camera in cameras)
    latencies = [camera["latency_us"] for camera in cameras if camera["latency_us"]]
    assert shown and len(latencies) == count, "a camera was not shown"
    p50 = statistics.median(each["p50"] for each in latencies) / 1000
    p99 = statistics.median(each["p99"] for each in latencies) / 1000
    cpu = usage.ru_utime + usage.ru_stime
    return cpu / seconds, shown / seconds, cpu * 1e6 / shown, p50, p99


server = subprocess.Popen(
    ["Xvfb", "-displayfd", "1", "-screen", "0", f"{arguments.screen}x24", "-nolisten", "tcp", "-noreset"],
    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
display = ":" + server.stdout.readline().decode().strip()
print(f"{arguments.size}, {arguments.rounds} rounds of {arguments.seconds} s, load average at the start: {os.getloadavg()[0]:.1f}")
print("cameras  fps  binary  CPU %  shown/s  CPU us/shown  latency p50 ms  p99 ms")
try:
    for load in arguments.loads:
        count, fps = map(int, load.split(":"))
        first = free_ports(count)
        simulator = subprocess.Popen(
            [arguments.after, "simulate", "--listen", f"127.0.0.1:{first}", "--count", str(count), "--fps", str(fps),
             "--size", arguments.size, "--records"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(2)
        runs = {"before": [], "after": []}
        for _ in range(arguments.rounds):
            for name in runs:
                runs[name].append(measure(getattr(arguments, name), first, count, display))
        for name, results in runs.items():
            cpu, shown, each, p50, p99 = map(statistics.median, zip(*results))
            print(f"{count:7}  {fps:3}  {name:6}  {100 * cpu:5.1f}  {shown:7.1f}  {each:12.0f}  {p50:14.2f}  {p99:6.2f}")
        simulator.terminate()
        simulator.wait()
finally:
    server.terminate()
