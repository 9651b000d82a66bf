"""Load of the server: many viewers, clients of the camera's own protocol, video, and an hour of everything.

    cargo build --release && python3 benches/serve_load.py [PROGRAM [PART [SECONDS]]]

PART, with all but `hour` and `cycles` unless one is given:

viewers      200 MJPEG viewers of a camera of 640x352 beside a recording, one of them slow
camera-port  19 clients of the protocol of a camera of 640x352, and one that never reads
video        six cameras of 1920x1080 at 30 frames per second (H.264), each with one player (RTSP)
hour         8 cameras, 20 viewers of every kind, others that come and go, and recordings that start, end and are verified
cycles       clients of each kind that come, get something and leave, one kind after the other: SECONDS is the number of each, with
             fewer recordings and reconnects. Shows the kind that leaks

The cameras are processes of their own. Prints frames, losses, the shares of the frames that the viewers got, CPU time, memory over
time, and the age of pictures at clients: from their arrival at the program to that of their last byte. Fails if the receiver or a
recording lost a frame, if a ledger does not balance, or if memory grows.
"""

import io
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PROGRAM = sys.argv[1] if len(sys.argv) > 1 else "target/release/oaktap"
PARTS = sys.argv[2:3] or ["viewers", "camera-port", "video"]
SECONDS = float(sys.argv[3]) if len(sys.argv) > 3 else None

# Growth of memory in the second half that is not a leak: caches of the allocator, and buffers of the system's clients.
GROWTH_MAX = 1.1
GROWTH_MAX_MB = 4

# Bytes that a slow client reads in a second: half of those that there are.
SLOW_BYTES_S = 300_000


def cameras(count, *options):
    """Starts simulated cameras; returns their process and addresses."""
    command = [PROGRAM, "simulate", "--records", "--count", str(count), "--listen", f"127.0.0.1:{free_ports(count)}", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    found = []
    while len(found) < count:
        line = process.stderr.readline() or sys.exit("the simulated cameras ended")
        found += re.findall(r"tcp://127\.0\.0\.1:\d+", line)
    threading.Thread(target=process.stderr.read, daemon=True).start()
    return process, found[:count]


def free_ports(count):
    """Returns the first of so many free ports."""
    for first in range(20_000, 30_000, count):
        sockets = []
        try:
            for port in range(first, first + count):
                sockets.append(socket.create_server(("127.0.0.1", port)))
            return first
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    sys.exit("no free ports")


class Server:
    """The program, with its ports."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([PROGRAM, *arguments, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.camera_ports, self.rtsp, self.port = [], [], None
        for line in self.process.stderr:
            self.camera_ports += [int(port) for port in re.findall(r" at tcp://127\.0\.0\.1:(\d+)", line)]
            self.rtsp += re.findall(r" at (rtsp://\S+)", line)
            if found := re.search(r" at http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                break
        else:
            sys.exit("the program ended")
        self.log = []
        threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True).start()

    def get(self, path, method="GET"):
        client = connect(self.port, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(1 << 16), b""))
        head, body = answer.split(b"\r\n\r\n", 1)
        assert b" 20" in head.split(b"\r\n")[0], answer
        return body

    def cameras(self):
        return json.loads(self.get("/api/cameras"))

    def recordings(self):
        return json.loads(self.get("/api/recordings"))["recordings"]

    def wait_for_frames(self):
        while not all(camera["counts"]["frames"]["confirmed"] for camera in self.cameras()):
            time.sleep(0.1)

    def memory_mb(self):
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{self.process.pid}/status").read())[1]) / 1000

    def cpu_s(self):
        ticks = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    def finish(self):
        """Ends the program, checks its ledgers and prints the losses; returns its summary."""
        self.process.send_signal(signal.SIGTERM)
        lines = [json.loads(line) for line in self.process.stdout.read().splitlines()]
        self.process.wait()
        kinds, summary = {}, lines[-1]["summary"]
        for camera in lines[-2]["viewers"]:
            for viewer in camera["viewers"]:
                assert viewer["offered"] == viewer["sent"] + viewer["superseded"] + viewer["pending"], viewer
                kind = kinds.setdefault(viewer["kind"], dict.fromkeys(["viewers_total", "offered", "sent", "superseded"], 0))
                for name in kind:
                    kind[name] += viewer[name]
        for kind, sums in kinds.items():
            share = 100 * sums["sent"] / max(1, sums["offered"])
            print(f"  {sums['viewers_total']} {kind}: {sums['offered']} frames offered, {share:.2f} % sent, the rest superseded")
        for camera in summary["cameras"]:
            frames = camera["frames"]
            print(f"  {camera['camera']}: {frames['confirmed']} frames received, {frames['lost']} lost, {frames['withdrawn']} damaged")
            assert camera["balances"] and not frames["lost"] and not frames["withdrawn"] and not frames["no_memory"], camera
        recorded = [camera for recording in summary.get("recordings", []) for camera in recording["cameras"]]
        sums = {name: sum(camera[name] for camera in recorded) for name in ["recorded", "dropped", "lost"]}
        if recorded:
            print(f"  recordings: {sums['recorded']} frames, {sums['dropped']} dropped, {sums['lost']} lost")
            assert sums["dropped"] == sums["lost"] == 0, recorded
        return summary


def connect(port, request=b""):
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(request)
    return client


def get_request(path):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def play(url):
    """Starts to play a camera over its RTSP connection; returns the connection."""
    client = connect(int(re.search(r":(\d+)/", url)[1]))
    session = ""
    for number, (method, target, header) in enumerate([
        ("DESCRIBE", url, ""),
        ("SETUP", url + "/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"),
        ("PLAY", url, ""),
    ]):
        client.sendall(f"{method} {target} RTSP/1.0\r\nCSeq: {number}\r\n{session}{header}\r\n".encode())
        answer = b""
        # Byte by byte: packets follow the last answer.
        while not answer.endswith(b"\r\n\r\n"):
            answer += client.recv(1)
        assert answer.startswith(b"RTSP/1.0 200"), answer
        if length := re.search(rb"Content-Length: (\d+)", answer):
            client.recv(int(length[1]), socket.MSG_WAITALL)
        if found := re.search(rb"Session: (\w+)", answer):
            session = f"Session: {found[1].decode()}\r\n"
    return client


class Drain(threading.Thread):
    """Reads and discards from connections, without copying."""

    def __init__(self, clients):
        super().__init__(daemon=True)
        self.clients, self.bytes, self.ended, self.stopped = {client.fileno(): client for client in clients}, 0, 0, False
        self.start()

    def run(self):
        poll, buffer = select.epoll(), bytearray(1 << 20)
        for number in self.clients:
            poll.register(number, select.EPOLLIN)
        while not self.stopped:
            for number, _ in poll.poll(0.5):
                read = self.clients[number].recv_into(buffer, 0, socket.MSG_TRUNC)
                self.bytes += read
                if not read:
                    self.ended += 1
                    poll.unregister(number)

    def stop(self):
        self.stopped = True
        self.join()
        assert not self.ended, f"the program closed {self.ended} connections"


class Throttled(io.RawIOBase):
    """Reads from a connection no faster than this, in small steps, so that the last byte of a picture is late, too."""

    STEP_BYTES = 8 << 10

    def __init__(self, client, bytes_per_s):
        self.client, self.bytes_per_s, self.due = client, bytes_per_s, time.monotonic()

    def readable(self):
        return True

    def readinto(self, buffer):
        time.sleep(max(0, self.due - time.monotonic()))
        read = self.client.recv_into(buffer, min(len(buffer), self.STEP_BYTES))
        # Makes up for delays of this process, but not for a long time without data.
        self.due = max(self.due, time.monotonic() - 0.2) + read / self.bytes_per_s
        return read


def mjpeg_pictures(client, bytes_per_s=None):
    """Yields each picture with its age in milliseconds when its last byte has arrived. `bytes_per_s`: reads no faster."""
    if bytes_per_s:
        stream = io.BufferedReader(Throttled(client, bytes_per_s), Throttled.STEP_BYTES)
    else:
        stream = client.makefile("rb", 1 << 16)
    while line := stream.readline():
        # A chunk of HTTP that is not a picture, or the end of one.
        if not line.startswith(b"Content-Length: "):
            continue
        length, stamp = int(line[16:]), float(stream.readline()[13:])
        stream.readline(), stream.readline()
        # The picture is a chunk of its own.
        stream.readline()
        picture = stream.read(length)
        assert len(picture) == length
        yield picture, (time.time() - stamp) * 1000


def mjpeg_ages(client, bytes_per_s=None):
    """Yields the age of each picture in milliseconds when it has arrived. `bytes_per_s`: reads no faster."""
    for _, age in mjpeg_pictures(client, bytes_per_s):
        yield age


def rtsp_ages(client):
    """Yields the age of each picture in milliseconds when it has arrived. Sender reports say when a picture arrived."""
    stream, report = client.makefile("rb", 1 << 16), None
    while head := stream.read(4):
        packet = stream.read(int.from_bytes(head[2:], "big"))
        if head[1] == 1:
            word = lambda at: int.from_bytes(packet[at:at + 4], "big")
            report = word(8) - 2_208_988_800 + word(12) / 2**32, word(16)
        # The last packet of a picture.
        elif packet[1] & 0x80 and report:
            step = (int.from_bytes(packet[4:8], "big") - report[1] + 2**31) % 2**32 - 2**31
            yield (time.time() - report[0] - step / 90_000) * 1000


class Ages:
    """Measures the age of pictures at clients, in a process of its own."""

    def __init__(self, measure, clients):
        self.reader, writer = os.pipe()
        self.process = os.fork()
        if self.process:
            os.close(writer)
            return
        ages = []
        signal.signal(signal.SIGUSR1, lambda *_: (os.write(writer, json.dumps(ages).encode()), os._exit(0)))
        def run(client):
            for age in measure(client):
                ages.append(age)
        for client in clients:
            threading.Thread(target=run, args=[client], daemon=True).start()
        while True:
            time.sleep(1)

    def finish(self, name):
        os.kill(self.process, signal.SIGUSR1)
        ages = sorted(json.loads(b"".join(iter(lambda: os.read(self.reader, 1 << 16), b""))))
        os.waitpid(self.process, 0)
        at = lambda share: ages[min(len(ages) - 1, int(share * len(ages)))]
        print(f"  age of {len(ages)} pictures at {name}: median {at(0.5):.1f} ms, p99 {at(0.99):.1f} ms, highest {ages[-1]:.1f} ms")
        return ages


def watch(server, seconds, name):
    """Waits; prints CPU time and memory. Fails if memory grows in the second half."""
    memory, before, began = [], server.cpu_s(), time.monotonic()
    while time.monotonic() < began + seconds:
        time.sleep(min(0.5, seconds / 20))
        memory.append(server.memory_mb())
    share = 100 * (server.cpu_s() - before) / (time.monotonic() - began)
    parts = [max(memory[len(memory) * at // 4:][:len(memory) // 4]) for at in range(4)]
    print(f"{name}: {seconds:.0f} s, {share:.1f} % of a core, memory in each quarter", *(f"{mb:.0f}" for mb in parts), "MB")
    assert parts[3] <= max(parts[1] * GROWTH_MAX, parts[1] + GROWTH_MAX_MB), "memory grows"


def viewers(seconds=30):
    camera, [address] = cameras(1, "--size", "640x352", "--fps", "30")
    with tempfile.TemporaryDirectory() as folder:
        server = Server("record", f"front={address}", "-o", folder, "--serve", "127.0.0.1:0")
        server.wait_for_frames()
        request = get_request("/stream/front.mjpg")
        measured = [connect(server.port, request) for _ in range(5)]
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        slow.connect(("127.0.0.1", server.port))
        slow.sendall(request)
        ages, slow_ages = Ages(mjpeg_ages, measured), Ages(lambda client: mjpeg_ages(client, SLOW_BYTES_S), [slow])
        drained = Drain([connect(server.port, request) for _ in range(194)])
        watch(server, seconds, "200 MJPEG viewers beside a recording")
        front = server.cameras()[0]
        drained.stop()
        ages.finish("5 of the viewers")
        slow_ages.finish(f"one that reads {SLOW_BYTES_S / 1e6:.1f} MB/s")
        summary = server.finish()
        frames = summary["cameras"][0]["frames"]
        print(f"  {front['encoded']} pictures encoded, {drained.bytes / seconds / 1e6:.0f} MB/s read")
        assert 0 < front["encoded"] <= frames["received"], "more than one encoding for each frame"
        assert summary["recordings"][0]["cameras"][0]["recorded"] == frames["confirmed"], "frames are not recorded"
    camera.terminate()


def camera_port(seconds=20):
    camera, [address] = cameras(1, "--size", "640x352", "--fps", "30")
    server = Server("serve", f"front={address}", "--http", "127.0.0.1:0", "--camera-port", "0")
    server.wait_for_frames()
    [port] = server.camera_ports
    stuck, drained = connect(port), Drain([connect(port) for _ in range(19)])
    watch(server, seconds, "19 clients of the camera port, and one that never reads")
    each = server.cameras()[0]["viewers"]
    drained.stop()
    server.finish()
    late = [viewer for viewer in each if viewer["superseded"]]
    print(f"  {drained.bytes / seconds / 1e6:.0f} MB/s read; {len(late)} of {len(each)} clients missed frames")
    assert len(each) == 20 and len(late) == 1, each
    stuck.close()
    camera.terminate()


def video(seconds=30):
    camera, addresses = cameras(6, "--size", "1920x1080", "--fps", "30", "--format", "H264")
    named = [f"cam{number}={address}" for number, address in enumerate(addresses)]
    server = Server("serve", *named, "--http", "127.0.0.1:0", "--rtsp", "0")
    server.wait_for_frames()
    ages = Ages(rtsp_ages, [play(url) for url in server.rtsp])
    watch(server, seconds, "6 cameras of 1920x1080 (H.264), each with one player")
    mbit_s = sum(camera["counts"]["mbit_s"] for camera in server.cameras())
    ages.finish("the players")
    server.finish()
    print(f"  {mbit_s:.0f} Mbit/s of video")
    camera.terminate()


class Passers(threading.Thread):
    """Clients that come, get one picture or event, and leave."""

    def __init__(self, server, names):
        super().__init__(daemon=True)
        self.server, self.names, self.count, self.stopped = server, names, 0, False
        self.start()

    def run(self):
        while not self.stopped:
            name = self.names[self.count % len(self.names)]
            path = [f"/stream/{name}.mjpg", f"/snapshot/{name}.jpg?boxes=1&h=90", f"/events/{name}", "/metrics"][self.count // 8 % 4]
            client = connect(self.server.port, get_request(path))
            client.recv(1 << 14)
            client.close()
            self.count += 1
            time.sleep(0.5)


def hour(seconds=3600):
    sets = [
        cameras(3, "--size", "320x176", "--fps", "5"),
        cameras(3, "--size", "320x176", "--fps", "10", "--format", "JPEG"),
        cameras(2, "--size", "320x176", "--fps", "15", "--format", "H264"),
    ]
    addresses = [address for _, some in sets for address in some]
    names = [f"{kind}{number}" for kind, many in [("raw", 3), ("jpeg", 3), ("video", 2)] for number in range(many)]
    with tempfile.TemporaryDirectory() as folder:
        named = [f"{name}={address}" for name, address in zip(names, addresses)]
        server = Server("serve", *named, "--http", "127.0.0.1:0", "--rtsp", "0", "--camera-port", "0", "--recordings", folder)
        server.wait_for_frames()
        streams = [connect(server.port, get_request(f"/stream/{name}.mjpg")) for name in names]
        events = [connect(server.port, get_request(f"/events/{name}")) for name in names[1::2]]
        players = [play(server.rtsp[number]) for number in (0, 3, 6, 7)]
        clients = [connect(server.camera_ports[number]) for number in (0, 3, 6)]
        stuck = connect(server.port, get_request("/stream/raw0.mjpg"))
        drained, passers = Drain(streams + events + players + clients), Passers(server, names)
        began, memory, verified = time.monotonic(), [], 0
        round_s = min(300, seconds / 4)
        print(f"8 cameras, 20 viewers, recordings of {round_s:.0f} s", flush=True)
        while time.monotonic() < began + seconds:
            ends = time.monotonic() + round_s
            for name in names:
                server.get(f"/api/cameras/{name}/recording", "POST")
            while time.monotonic() < ends:
                time.sleep(1)
                memory.append(server.memory_mb())
            for name in names:
                server.get(f"/api/cameras/{name}/recording", "DELETE")
            while not all(recording["finished"] for recording in server.recordings()):
                time.sleep(0.2)
            files = [os.path.join(folder, recording["name"]) for recording in server.recordings()]
            assert len(files) == len(names), files
            checked = subprocess.run([PROGRAM, "verify", *files], capture_output=True, text=True)
            assert checked.returncode == 0, checked.stdout + checked.stderr
            for file in files:
                os.remove(file)
            verified += len(files)
            now = server.cameras()
            received = sum(camera["counts"]["frames"]["confirmed"] for camera in now)
            lost = sum(camera["counts"]["frames"]["lost"] + camera["counts"]["frames"]["withdrawn"] for camera in now)
            balanced = all(camera["counts"]["balances"] for camera in now)
            minutes = (time.monotonic() - began) / 60
            print(
                f"  {minutes:5.1f} min: {memory[-1]:.1f} MB, {server.cpu_s():.0f} s of CPU, {received} frames, {lost} lost, "
                f"{'' if balanced else 'NOT '}balanced, {verified} recordings verified, {passers.count} clients came and left",
                flush=True,
            )
            assert balanced
        passers.stopped = True
        drained.stop()
        stuck.close()
        parts = [max(memory[len(memory) * at // 4:][:len(memory) // 4]) for at in range(4)]
        print("  memory in each quarter", *(f"{mb:.1f}" for mb in parts), "MB")
        server.finish()
        assert parts[3] <= max(parts[1] * GROWTH_MAX, parts[1] + GROWTH_MAX_MB), "memory grows"
    for process, _ in sets:
        process.terminate()


# An offer of a viewer over WebRTC that does not connect.
OFFER = "\r\n".join([
    "v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1",
    "m=video 9 UDP/TLS/RTP/SAVPF 102", "c=IN IP4 0.0.0.0", "a=ice-ufrag:abcd", "a=ice-pwd:abcdefghijklmnopqrstuvwx",
    "a=fingerprint:sha-256 " + ":".join(["A0"] * 32), "a=setup:actpass", "a=mid:0", "a=recvonly", "a=rtcp-mux",
    "a=rtpmap:102 H264/90000", "a=rtcp-fb:102 nack", "a=rtcp-fb:102 nack pli",
    "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", "a=ice-ufrag:abcd",
    "a=ice-pwd:abcdefghijklmnopqrstuvwx", "a=fingerprint:sha-256 " + ":".join(["A0"] * 32), "a=setup:actpass", "a=mid:1",
    "a=sctp-port:5000", "",
])

# Clients of one kind at a time. More would wait for each other in this program.
TOGETHER = 4


def read_some(client, least=1):
    """Reads at least this many bytes, and leaves."""
    read = 0
    while read < least:
        part = client.recv(1 << 16)
        assert part, f"the program closed a connection after {read} bytes"
        read += len(part)
    client.close()


def page(server, message):
    """Opens the socket of the page, sends a message, and leaves after the first picture."""
    client = connect(server.port, (
        "GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ).encode())
    stream = client.makefile("rb")
    while stream.readline().strip():
        pass
    # With a mask of zeros, and long enough for a length of two bytes.
    text = json.dumps(message).ljust(126).encode()
    client.sendall(bytes([0x81, 0xFE]) + len(text).to_bytes(2, "big") + bytes(4) + text)
    while head := stream.read(2):
        length = {126: 2, 127: 8}.get(head[1])
        length = int.from_bytes(stream.read(length), "big") if length else head[1]
        stream.read(length)
        if head[0] & 15 == 2:
            break
    else:
        sys.exit("the program closed the socket of a page")
    stream.close()
    client.close()


def watching(name, video):
    watched = [{"camera": name, "width": 64, "video": video}, *({"camera": f"unknown{number}", "width": 64} for number in range(3))]
    return {"watch": watched}


def whep(server, name):
    """Adds a viewer over WebRTC, and ends it before it is connected."""
    body = OFFER.encode()
    head = f"POST /whep/{name} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n"
    # Viewers that have ended keep their places until the task of all viewers has its turn.
    while True:
        client = connect(server.port, head.encode() + body)
        answer = client.recv(1 << 16)
        if not answer.startswith(b"HTTP/1.1 503"):
            break
        client.close()
        time.sleep(0.05)
    assert answer.startswith(b"HTTP/1.1 201"), answer
    place = re.search(rb"(?i)location: (\S+)", answer)[1].decode()
    client.close()
    server.get(place, "DELETE")


def record(server, name, folder):
    """Records a few frames. Removes the file, unless the folder has none besides."""
    server.get(f"/api/cameras/{name}/recording", "POST")
    camera = lambda: next(camera for camera in server.cameras() if camera["name"] == name)
    while not any(camera()["recording"][frames] for frames in ["frames_written", "frames_waiting"]):
        pass
    server.get(f"/api/cameras/{name}/recording", "DELETE")
    place = os.path.join(folder, name)
    files = sorted(os.listdir(place))
    while any(file.endswith(".partial") for file in files):
        files = sorted(os.listdir(place))
    for file in files[1:]:
        os.remove(os.path.join(place, file))


def reconnect(server):
    """Waits for the next connection of the camera."""
    connections = lambda: server.cameras()[0]["counts"]["connections"]
    before = connections()
    while connections() == before:
        time.sleep(0.01)


def cycle(server, name, count, run, together=TOGETHER):
    """Runs clients of a kind. Prints the memory after each tenth of them, and returns its growth in the second half in MB."""
    memory, began, left = [server.memory_mb()], time.monotonic(), iter(range(count))
    failed = []

    def some(number):
        try:
            for _ in range(number):
                run()
        except BaseException as error:
            failed.append(error)

    for part in range(10):
        each = max(1, count // 10 // together)
        threads = [threading.Thread(target=some, args=[each]) for _ in range(together)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]
        memory.append(server.memory_mb())
    growth = memory[10] - memory[5]
    figures = " ".join(f"{mb:.1f}" for mb in memory)
    bytes_each = 1e6 * growth / (each * together * 5)
    print(f"  {each * together * 10} {name}: {figures} MB, {bytes_each:.0f} bytes each in the second half, {time.monotonic() - began:.0f} s", flush=True)
    return growth


def cycles(count=5000):
    """Every kind of client, one after the other."""
    count = int(count)
    raw, [raw_address] = cameras(1, "--size", "64x48", "--fps", "60")
    coded, [coded_address] = cameras(1, "--size", "64x48", "--fps", "60", "--format", "H264")
    grown = {}
    with tempfile.TemporaryDirectory() as folder:
        named = [f"raw={raw_address}", f"video={coded_address}"]
        server = Server("serve", *named, "--http", "127.0.0.1:0", "--rtsp", "0", "--camera-port", "0", "--recordings", folder)
        server.wait_for_frames()
        print("memory after each tenth of the clients", flush=True)
        open_stream = lambda path: read_some(connect(server.port, get_request(path)), 1000)
        rtsp = lambda url: read_some(play(url), 200)
        record(server, "raw", folder)
        replayed = {"play": {"recording": server.recordings()[0]["name"], "camera": "raw", "width": 64}}
        kinds = [
            ("requests", count, lambda: (server.get("/api/cameras"), server.get("/metrics"), server.get("/"))),
            ("snapshots", count, lambda: server.get("/snapshot/raw.jpg?boxes=1")),
            ("MJPEG streams", count, lambda: open_stream("/stream/raw.mjpg")),
            ("MJPEG streams of video", count, lambda: open_stream("/stream/video.mjpg")),
            ("event streams", count, lambda: open_stream("/events/raw")),
            ("pages with JPEG", count, lambda: page(server, watching("raw", False))),
            ("pages with video", count, lambda: page(server, watching("video", True))),
            ("camera-port clients", count, lambda: read_some(connect(server.camera_ports[0]), 1000)),
            ("RTSP players of video", count, lambda: rtsp(server.rtsp[1])),
            ("RTSP players of raw pictures", count, lambda: rtsp(server.rtsp[0])),
            ("WHEP offers", count, lambda: whep(server, "video")),
            ("refused requests", count, lambda: read_some(connect(server.port, b"GET /none HTTP/1.1\r\nHost: a.example\r\n\r\n"))),
            ("recordings", count // 3, lambda: record(server, "raw", folder)),
            ("replays", count // 3, lambda: page(server, replayed)),
        ]
        for name, number, run in kinds:
            # Players of video wait for a key frame, which comes once in a second.
            together = {"recordings": 1, "replays": 2, "pages with video": 30, "RTSP players of video": 30}.get(name, TOGETHER)
            grown[name] = cycle(server, name, number, run, together)
        server.finish()
    raw.terminate()
    coded.terminate()
    broken, [address] = cameras(1, "--size", "64x48", "--fps", "500", "--fault", "reset:0.3")
    server = Server("serve", f"broken={address}", "--http", "127.0.0.1:0")
    grown["connections"] = cycle(server, "connections of a camera", count // 10, lambda: reconnect(server), 1)
    server.process.kill()
    broken.terminate()
    leaks = {name: growth for name, growth in grown.items() if growth > GROWTH_MAX_MB}
    assert not leaks, f"memory grows: {leaks}"


if __name__ == "__main__":
    for part in PARTS:
        run = {"viewers": viewers, "camera-port": camera_port, "video": video, "hour": hour, "cycles": cycles}[part]
        run(*([SECONDS] if SECONDS else []))
