"""Age of the picture in the page of the server, by a clock that the camera draws into it.

    cargo build --release && python3 benches/serve_age.py [PROGRAM [PART [SECONDS]]]

PART, all unless one is given:

jpeg       raw camera, as JPEG in the page
mse        camera of H.264, as fragments of MP4 in the page
whep       camera of H.264, over WebRTC
whep-raw   raw camera, encoded as H.264, over WebRTC
slow       raw camera, a client of MJPEG that reads 1 MB/s

The camera is a process of its own. It sends 640x352 at 30 frames per second, draws the number of each frame as blocks, and notes
when it begins to send the frame. H.264 is encoded before. Chromium, driven through chromedriver, opens the page and enlarges the
camera; a script in the page notes when it sees each number first: on the canvas, after each of the browser's frames; in the
element of WebRTC, when the browser presents a picture. The screen shows either at its next refresh. Needs chromedriver and
ffmpeg. While other programs use the machine, run it before them: `chrt -r 1 python3 benches/serve_age.py`, as root.

Prints the ages, and fails if a median is above its goal, or if pictures of the slow client are older than two intervals, two
pictures and the bytes in the client's own buffer take.
"""

import json
import multiprocessing
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from serve_load import Server, get_request, mjpeg_pictures

PARTS = sys.argv[2:3] or ["jpeg", "mse", "whep", "whep-raw", "slow"]
SECONDS = float(sys.argv[3]) if len(sys.argv) > 3 else 20

WIDTH, HEIGHT, FPS = 640, 352, 30

# Until the browser has compiled the page and its decoder is at the newest picture.
WARM_UP_S = 5

# Highest median in milliseconds.
GOALS_MS = {"jpeg": 40, "mse": 150, "whep": 80, "whep-raw": 80}

# The number of a frame is a row of blocks, from the highest bit on: white is 1. A second row has the inverse, so that a picture
# of which only a part is drawn counts as unreadable.
BITS = 16
BLOCK = WIDTH // BITS
ROWS = 2 * BLOCK

# Bytes that a slow client reads in a second. The pictures of the camera have more.
SLOW_BYTES_S = 1_000_000

# Frames in an encoded clip, which is repeated.
CLIP = 1200


def blocks(number):
    """Returns the rows of one plane that show a number."""
    row = b"".join((b"\xff" if number >> bit & 1 else b"\0") * BLOCK for bit in reversed(range(BITS)))
    return row * BLOCK + bytes(255 - value for value in row) * BLOCK


def scene():
    """Returns the rest of a plane, as often as it takes to scroll: patches of noise, of which JPEG has some 40 KB."""
    source, patch = random.Random(7), 8
    row_of = lambda: b"".join(bytes([source.randrange(64, 192)]) * patch for _ in range(WIDTH // patch))
    noise = lambda row: bytes(value + source.randrange(-12, 13) for value in row)
    rows = [noise(row) for row in (row_of() for _ in range((HEIGHT - ROWS) // patch)) for _ in range(patch)]
    return b"".join(rows) * 2


SCENE = scene()


def plane(number):
    first = 2 * number % (HEIGHT - ROWS) * WIDTH
    return blocks(number) + SCENE[first:first + (HEIGHT - ROWS) * WIDTH]


def access_units():
    """Encodes a clip of H.264 and returns its access units."""
    command = ["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS), "-i", "-"]
    command += ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-profile:v", "main", "-tune", "zerolatency", "-bf", "0"]
    command += ["-g", str(FPS), "-bsf:v", "h264_metadata=aud=insert", "-f", "h264", "-"]
    clip = b"".join(plane(number) for number in range(CLIP))
    stream = subprocess.run(command, input=clip, stdout=subprocess.PIPE, check=True).stdout
    # Each begins with a delimiter.
    units = re.split(rb"(?=\x00\x00\x00\x01\x09)", stream)[1:]
    assert len(units) == CLIP, f"{len(units)} access units"
    return units


class Camera:
    """A camera that sends pictures with their numbers, and knows when."""

    def __init__(self, units=None):
        self.units = units
        # The time at which each number was last sent, in seconds since 1970.
        self.sent = multiprocessing.Array("d", 1 << BITS, lock=False)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.process = multiprocessing.Process(target=self.run, daemon=True)
        self.process.start()

    def message(self, number):
        if self.units:
            unit = self.units[number]
            return b"ABCDE " + f"{time.monotonic():.6f}".ljust(18).encode() + str(len(unit)).ljust(8).encode() + unit
        gray = plane(number)
        return f"IMG {time.monotonic():.6f} {3 * len(gray)} 0".ljust(32).encode() + gray * 3

    def run(self):
        number, numbers = 0, len(self.units) if self.units else 1 << BITS
        while True:
            client, _ = self.listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            due = time.monotonic()
            try:
                while True:
                    message = self.message(number)
                    time.sleep(max(0, due - time.monotonic()))
                    self.sent[number] = time.time()
                    client.sendall(message)
                    number, due = (number + 1) % numbers, due + 1 / FPS
            except OSError:
                client.close()

    def stop(self):
        self.process.terminate()
        self.process.join()


class Browser:
    """Chromium with one page."""

    def __init__(self, profile):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.driver.stdout:
            if found := re.search(r"successfully on port (\d+)", line):
                break
        else:
            sys.exit("chromedriver ended")
        threading.Thread(target=self.driver.stdout.read, daemon=True).start()
        self.base = f"http://127.0.0.1:{found[1]}/session"
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,800"]
        options = {"args": arguments + [f"--user-data-dir={profile}"]}
        session = self.request("", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
        self.base += "/" + session["sessionId"]

    def request(self, path, body=None, method="POST"):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["value"]

    def open(self, address):
        self.request("/url", {"url": address})

    def run(self, script):
        return self.request("/execute/sync", {"script": script, "args": []})

    def wait_for(self, script):
        deadline = time.monotonic() + 60
        while not (value := self.run(script)):
            assert time.monotonic() < deadline, f"{script}: {self.run('return document.body.innerText')}"
            time.sleep(0.05)
        return value

    def check_clock(self):
        """Fails if the clock of the page differs from that of this process."""
        began, page, ended = 1000 * time.time(), self.run("return performance.timeOrigin + performance.now()"), 1000 * time.time()
        assert began - 1 < page < ended + 1, f"the page's clock differs: {began} {page} {ended}"

    def close(self):
        try:
            self.request("", method="DELETE")
        finally:
            self.driver.terminate()
            self.driver.wait()


# Reads the number in a picture, and keeps the time at which each was seen first.
READ = """
    const [BITS, ROWS] = [%d, %f];
    window.seen = [];
    window.unreadable = 0;
    const small = document.createElement('canvas');
    [small.width, small.height] = [BITS, 2];
    const context = small.getContext('2d', { willReadFrequently: true });
    // The middle of each block.
    context.imageSmoothingEnabled = false;
    let last = -1;
    window.see = (source, width, height, more) => {
        const time = performance.timeOrigin + performance.now();
        context.drawImage(source, 0, 0, width, height * ROWS, 0, 0, BITS, 2);
        const { data } = context.getImageData(0, 0, BITS, 2);
        const bit = (at) => Number(data[4 * at] > 127);
        let number = 0;
        for (let at = 0; at < BITS; at += 1) {
            if (bit(at) === bit(at + BITS)) {
                window.unreadable += 1;
                return;
            }
            number = 2 * number + bit(at);
        }
        if (number !== last) window.seen.push([number, time, more]);
        last = number;
    };
""" % (BITS, ROWS / HEIGHT)

# The canvas of the page, in a task after each frame of the browser: other functions of the frame have drawn by then.
SEE_CANVAS = """
    const canvas = document.querySelector('canvas.frame');
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => window.see(canvas, canvas.width, canvas.height);
    const each = () => {
        requestAnimationFrame(each);
        port2.postMessage(null);
    };
    requestAnimationFrame(each);
"""

# A player of /whep/NAME.
SEE_WHEP = """
    const connection = new RTCPeerConnection();
    connection.addTransceiver('video', { direction: 'recvonly' });
    const video = document.createElement('video');
    video.muted = true;
    document.body.prepend(video);
    connection.ontrack = ({ track, receiver }) => {
        receiver.jitterBufferTarget = 0;
        video.srcObject = new MediaStream([track]);
        video.play();
    };
    const show = (_, { width, height, receiveTime }) => {
        video.requestVideoFrameCallback(show);
        window.see(video, width, height, performance.timeOrigin + receiveTime);
    };
    video.requestVideoFrameCallback(show);
    (async () => {
        await connection.setLocalDescription();
        const response = await fetch('/whep/front', {
            method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: connection.localDescription.sdp });
        await connection.setRemoteDescription({ type: 'answer', sdp: await response.text() });
    })();
"""


def share_of(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def summary(values):
    return f"median {share_of(values, 0.5):.1f} ms, p99 {share_of(values, 0.99):.1f} ms, highest {max(values):.1f} ms"


def load():
    return f"load average {os.getloadavg()[0]:.1f}"


def page(part):
    """Measures one way into a page. Returns whether the median is below its goal."""
    camera = Camera(access_units() if part in ("mse", "whep") else None)
    server = Server("serve", f"front={camera.address}", "--http", "127.0.0.1:0")
    server.wait_for_frames()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(profile)
        # WHEP in a page of this origin that shows nothing else.
        whep = part.startswith("whep")
        browser.open(f"http://127.0.0.1:{server.port}/{'healthz' if whep else ''}")
        if whep:
            browser.run(READ + SEE_WHEP)
        else:
            form = "video" if part == "mse" else "jpeg"
            browser.wait_for(f"return document.querySelector('canvas.frame')?.dataset.form === '{form}'")
            browser.run("document.querySelector('.tile .picture').click()")
            browser.run(READ + SEE_CANVAS)
        browser.wait_for("return window.seen.length > 0")
        time.sleep(WARM_UP_S)
        browser.run("window.seen = []; window.unreadable = 0")
        cpu, began = server.cpu_s(), time.time()
        time.sleep(SECONDS)
        cpu, ended = server.cpu_s() - cpu, time.time()
        # The last ones that were sent are on the way.
        time.sleep(1)
        seen, unreadable = browser.run("return [window.seen, window.unreadable]")
        browser.check_clock()
        browser.close()
    sent = {number: time for number, time in enumerate(camera.sent) if began <= time < ended}
    first = {}
    for number, time_ms, more in seen:
        first.setdefault(number, (time_ms, more))
    ages = [first[number][0] - 1000 * at for number, at in sent.items() if number in first]
    server.process.terminate()
    server.process.wait()
    camera.stop()
    print(f"{part}: {len(sent)} frames sent, {len(ages)} seen, {unreadable} readings of a part of a picture")
    print(f"  age {summary(ages)}; goal {GOALS_MS[part]} ms; oaktap {100 * cpu / (ended - began):.1f} % of a core; {load()}")
    received = [first[number][1] - 1000 * at for number, at in sent.items() if number in first and first[number][1]]
    if received:
        print(f"  age when the last packet arrived in the browser: {summary(received)}")
    sys.stdout.flush()
    return share_of(ages, 0.5) <= GOALS_MS[part]


def queued(server, client):
    """Returns the bytes that the system keeps for a client: to be sent or acknowledged, and to be read."""
    at, queues = {server: "send", client: "receive"}, {}
    for line in open("/proc/net/tcp").readlines()[1:]:
        fields = line.split()
        local, remote = (int(fields[column].split(":")[1], 16) for column in (1, 2))
        if {local, remote} == {server, client}:
            sending, receiving = (int(number, 16) for number in fields[4].split(":"))
            queues[at[local]] = sending if local == server else receiving
    return queues.get("send", 0), queues.get("receive", 0)


def slow(_):
    """Measures a client of MJPEG that is slower than the camera. Returns whether its pictures are as new as its link allows."""
    camera = Camera()
    server = Server("serve", f"front={camera.address}", "--http", "127.0.0.1:0")
    server.wait_for_frames()
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    client.connect(("127.0.0.1", server.port))
    client.sendall(get_request("/stream/front.mjpg"))
    ports, ages, sizes, queues = (server.port, client.getsockname()[1]), [], [], []
    began = time.monotonic()
    for picture, age in mjpeg_pictures(client, SLOW_BYTES_S):
        since = time.monotonic() - began
        if since > WARM_UP_S:
            ages.append(age)
            sizes.append(len(picture))
            queues.append(queued(*ports))
        if since > WARM_UP_S + SECONDS:
            break
    client.close()
    server.process.terminate()
    server.process.wait()
    camera.stop()
    size = share_of(sizes, 0.5)
    sending, receiving = (share_of([each[at] for each in queues], 0.5) for at in (0, 1))
    # A busy machine may be slower than asked for.
    bytes_s = sum(sizes) / SECONDS
    in_ms = lambda count: 1000 * count / bytes_s
    limit = 2000 / FPS + in_ms(2 * size + receiving)
    print(f"slow: {len(ages) / SECONDS:.1f} pictures/s of {size / 1000:.0f} KB, {bytes_s / 1e6:.2f} MB/s; {load()}")
    print(f"  age at the last byte {summary(ages)}")
    print(f"  two intervals, two pictures and what waits in the client's own buffer: {limit:.0f} ms")
    print(f"  waits in the server's buffer: {sending / 1000:.0f} KB, {in_ms(sending):.0f} ms; in the client's: {receiving / 1000:.0f} KB")
    sys.stdout.flush()
    return share_of(ages, 0.99) <= limit


if __name__ == "__main__":
    good = [(slow if part == "slow" else page)(part) for part in PARTS]
    sys.exit(None if all(good) else "an age is above its goal")
