"""A site on one machine: three receivers with four cameras each, a router and two consumers, each in a network namespace of its own.

    sudo python site.py OAKTAP [SECONDS_OF_QUIET]
    python site.py OAKTAP --judge FOLDER            what an earlier run has left

Needs Linux, root, `ip`, `tc` and the Python package eclipse-zenoh. OAKTAP is a binary with the feature `zenoh`. The second consumer
has a link of 20 Mbit/s with a delay of 50 ms, by netem, or by a relay where the kernel has no netem. The router is killed and started again, and one receiver is cut off for a minute. Prints
the figures, and exits with 1 unless:

* the recordings of the receivers have lost nothing,
* both consumers receive every camera at the end,
* each frame of a consumer has the SHA-256 that its receiver recorded,
* the frames that a consumer counts as missing are exactly those that its receiver has recorded and it has not,
* each of them was dropped by the lane of its receiver, or between this lane and the consumer.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

BRIDGE = "zs-bridge"
ROUTER = "10.77.0.1"
PLACES = {"zs-router": 1, "zs-r1": 11, "zs-r2": 12, "zs-r3": 13, "zs-c1": 21, "zs-c2": 22}
RECEIVERS = ["zs-r1", "zs-r2", "zs-r3"]
CONSUMERS = ["zs-c1", "zs-c2"]
# One camera of each receiver needs more than the slow link has.
CAMERAS = {
    "raw": "sim:?size=320x240&fps=10&boxes=2&seed=1",
    "jpeg": "sim:?size=320x240&fps=10&format=jpeg&seed=2",
    "gray": "sim:?size=160x120&fps=10&format=gray8&seed=3",
    "small": "sim:?size=64x48&fps=20&seed=4",
}
CUT_SECONDS = 60


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def inside(place, *command, **more):
    return subprocess.Popen(["ip", "netns", "exec", place, *command], **more)


def build():
    for place in [BRIDGE, *PLACES]:
        ip("netns", "add", place)
        ip("-n", place, "link", "set", "lo", "up")
    ip("-n", BRIDGE, "link", "add", "br0", "type", "bridge")
    ip("-n", BRIDGE, "link", "set", "br0", "up")
    for place, number in PLACES.items():
        port = f"p{number}"
        ip("-n", BRIDGE, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", place)
        ip("-n", BRIDGE, "link", "set", port, "master", "br0", "up")
        ip("-n", place, "addr", "add", f"10.77.0.{number}/24", "dev", "eth0")
        ip("-n", place, "link", "set", "eth0", "up")
    slow = ["root", "netem", "delay", "50ms", "rate", "20mbit", "limit", "1000"]
    tc = ["ip", "netns", "exec", BRIDGE, "tc", "qdisc", "add", "dev", f"p{PLACES['zs-c2']}", *slow]
    if subprocess.run(tc, stderr=subprocess.DEVNULL, check=False).returncode != 0:
        return inside("zs-c2", sys.executable, __file__, "--relay")
    delay = ["root", "netem", "delay", "50ms"]
    subprocess.run(["ip", "netns", "exec", "zs-c2", "tc", "qdisc", "add", "dev", "eth0", *delay], check=True)
    return None


async def relay():
    """A link of 20 Mbit/s with a delay of 50 ms to the router, at 127.0.0.1:7447. Reads no more than what is on the link."""

    async def one_way(reader, writer):
        on_the_link = asyncio.Queue(maxsize=64)

        async def deliver():
            while (item := await on_the_link.get()) is not None:
                due, data = item
                await asyncio.sleep(max(0, due - time.monotonic()))
                writer.write(data)
                await writer.drain()
            writer.close()

        delivering = asyncio.create_task(deliver())
        free_at = time.monotonic()
        try:
            while data := await reader.read(4096):
                free_at = max(free_at, time.monotonic()) + 8 * len(data) / 20e6
                await asyncio.sleep(max(0, free_at - time.monotonic()))
                await on_the_link.put((time.monotonic() + 0.05, data))
        finally:
            await on_the_link.put(None)
            await delivering

    async def accept(reader, writer):
        try:
            router_reader, router_writer = await asyncio.open_connection(ROUTER, 7447)
        except OSError:
            writer.close()
            return
        await asyncio.gather(one_way(reader, router_writer), one_way(router_reader, writer), return_exceptions=True)

    server = await asyncio.start_server(accept, "127.0.0.1", 7447, limit=16384)
    await server.serve_forever()


def clear():
    for place in [*PLACES, BRIDGE]:
        subprocess.run(["ip", "netns", "del", place], stderr=subprocess.DEVNULL, check=False)


def start_router():
    code = (
        "import sys, zenoh\n"
        "config = zenoh.Config()\n"
        "config.insert_json5('mode', '\"router\"')\n"
        f"config.insert_json5('listen/endpoints', '[\"tcp/{ROUTER}:7447\"]')\n"
        "config.insert_json5('scouting/multicast/enabled', 'false')\n"
        "with zenoh.open(config):\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    for _ in range(50):
        router = inside(
            "zs-router", sys.executable, "-c", code, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        if router.stdout.readline().strip() == b"ready":
            return router
        router.wait()
        time.sleep(0.2)  # Its port may need a moment to be free.
    raise SystemExit("no router")


class Program:
    """A running oaktap, with the lines that it prints in files."""

    def __init__(self, place, folder, *arguments):
        self.place = place
        self.out, self.err = (os.path.join(folder, f"{place}.{end}") for end in ("json", "log"))
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = inside(place, OAKTAP, *arguments, "--json", stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    def lines(self):
        with open(self.out) as out:
            return [json.loads(line) for line in out if line.startswith("{") and line.endswith("\n")]

    def status(self):
        """The last status of each camera."""
        return {line["status"]["camera"]: line["status"] for line in self.lines() if "status" in line}

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)


def wait_for(what, is_there, seconds=120):
    begin = time.monotonic()
    while not is_there():
        if time.monotonic() - begin > seconds:
            raise SystemExit(f"waited {seconds} s for {what}")
        time.sleep(0.5)
    return time.monotonic() - begin


def received(program):
    return {camera: status["bus"]["received"] for camera, status in program.status().items() if status.get("bus")}


def recorded(folder, camera):
    """The frames of a camera in a recording: SHA-256 by the camera's own number."""
    frames = {}
    place = os.path.join(folder, camera)
    for name in sorted(os.listdir(place)):
        out = subprocess.run(
            [OAKTAP, "detections", f"file:{os.path.join(place, name)}?speed=max", "--hash", "-q"], capture_output=True, check=False, text=True
        ).stdout
        for line in out.splitlines():
            frame = json.loads(line)
            frames[frame["camera_seq"]] = frame["sha256"]
    return frames


FAILURES = []


def expect(is_so, text):
    print(("ok    " if is_so else "FAILED"), text, flush=True)
    if not is_so:
        FAILURES.append(text)


def main():
    folder = tempfile.mkdtemp(prefix="site-")
    relaying, router, receivers, consumers = None, None, [], []
    try:
        relaying = build()
        print("the slow link is", "a relay" if relaying else "netem", flush=True)
        router = start_router()
        for place in RECEIVERS:
            cameras = [f"{name}{place[-1]}={uri}" for name, uri in CAMERAS.items()]
            there = os.path.join(folder, place)
            os.mkdir(there)
            target = f"zenoh://{ROUTER}/{place}"
            receivers.append(Program(place, folder, "record", *cameras, "-o", there, "--publish", target, "--status", "1s"))
        cameras = {f"{name}{place[-1]}": place for place in RECEIVERS for name in CAMERAS}
        wait_for("all cameras", lambda: sum(len(receiver.status()) for receiver in receivers) == len(cameras))
        time.sleep(3)
        for place in CONSUMERS:
            here = os.path.join(folder, place)
            os.mkdir(here)
            address = "127.0.0.1" if relaying and place == "zs-c2" else ROUTER
            consumers.append(Program(place, folder, "record", f"zenoh://{address}/*/*", "-o", here, "--status", "1s"))

        def all_received_since(before, names):
            return all(
                counts.get(camera, 0) > old.get(camera, 0)
                for counts, old in zip([received(consumer) for consumer in consumers], before)
                for camera in names
            )

        wait_for("the first frames", lambda: all_received_since([{}, {}], cameras))
        time.sleep(QUIET)

        router.kill()
        router.wait()
        print("the router is killed", flush=True)
        time.sleep(10)
        before = [received(consumer) for consumer in consumers]
        router = start_router()
        seconds = wait_for("all cameras after the router returned", lambda: all_received_since(before, cameras))
        print(f"      all 12 cameras at both consumers {seconds:.1f} s after the router returned", flush=True)
        time.sleep(QUIET)

        ip("-n", BRIDGE, "link", "set", f"p{PLACES['zs-r2']}", "down")
        print(f"{RECEIVERS[1]} is cut off", flush=True)
        time.sleep(CUT_SECONDS)
        cut = [camera for camera, place in cameras.items() if place == RECEIVERS[1]]
        states = {consumer.place: {consumer.status()[camera]["state"] for camera in cut} for consumer in consumers}
        print(f"      states of its cameras: {states}", flush=True)
        before = [received(consumer) for consumer in consumers]
        ip("-n", BRIDGE, "link", "set", f"p{PLACES['zs-r2']}", "up")
        seconds = wait_for("all cameras after the cut", lambda: all_received_since(before, cameras))
        print(f"      all 12 cameras at both consumers {seconds:.1f} s after the link returned", flush=True)
        time.sleep(QUIET)
        states = {status["state"] for consumer in consumers for status in consumer.status().values()}
        expect(states == {"streaming"}, f"every camera streams at the end: {states}")

        for program in consumers + receivers:
            program.stop()
    finally:
        for program in receivers + consumers:
            program.process.kill()
        for process in filter(None, [router, relaying]):
            process.kill()
        clear()

    judge(folder)


def printed(folder, place, name):
    with open(os.path.join(folder, f"{place}.json")) as out:
        return next(line[name] for line in map(json.loads, out) if name in line)


def judge(folder):
    """Compares the recordings and summaries in a folder, and exits."""
    originals = {}
    for place in RECEIVERS:
        summary, published = printed(folder, place, "summary"), printed(folder, place, "published")[0]
        print(f"{place}: {published['connections']} connections, {published['messages']} messages, {published['bytes'] >> 20} MiB")
        expect(summary["recordings"][0]["complete"], f"{place}: its own recording is complete")
        for camera in summary["cameras"]:
            lanes = {lane["name"]: lane for lane in camera["lanes"]}
            frames = recorded(os.path.join(folder, place), camera["camera"])
            numbers = sorted(frames)
            is_whole = numbers == list(range(numbers[0], numbers[-1] + 1)) and camera["lossless"]
            expect(is_whole, f"{place}: {camera['camera']}: {len(frames)} frames without a gap")
            originals[camera["camera"]] = (frames, lanes["publish pictures"])
    total = {}
    for place in CONSUMERS:
        for camera in printed(folder, place, "summary")["cameras"]:
            name, bus = camera["camera"], camera["bus"]
            frames, lane = originals[name]
            mine = recorded(os.path.join(folder, place), name)
            wrong = [number for number, hashed in mine.items() if frames.get(number) != hashed]
            expect(not wrong, f"{place}: {name}: {len(mine)} frames with the receiver's hashes")
            gaps = max(mine) - min(mine) + 1 - len(mine)
            expect(
                gaps == bus["missing"] and bus["restarts"] == 0 and bus["invalid"] == 0 and camera["balances"],
                f"{place}: {name}: {gaps} frames are missing, {bus['missing']} counted, {bus['dropped_here']} of them here; "
                f"{lane['dropped']} dropped in the lane of the receiver",
            )
            total[place] = total.get(place, 0) + gaps
            if place == CONSUMERS[0]:
                # On a fast link only the lane drops, and what was on its way when a link was lost.
                on_the_way = lane["taken"] - bus["received"]
                expect(gaps <= lane["dropped"] + max(on_the_way, 0), f"{place}: {name}: each missing frame was dropped somewhere")
    print(f"missing at the consumers: {total}; figures and logs in {folder}")
    sys.exit(1 if FAILURES else 0)


if __name__ == "__main__":
    if sys.argv[1] == "--relay":
        asyncio.run(relay())
    OAKTAP = os.path.abspath(sys.argv[1])
    if sys.argv[2:3] == ["--judge"]:
        judge(sys.argv[3])
    QUIET = int(sys.argv[2]) if len(sys.argv) > 2 else 15
    main()
