# The program of the camera's Script node: it sends pictures and detections to the hosts that connect.
#
# Runs in CPython 3.9 on LEON_CSS, with only the modules that are documented for it. The line in front of this file assigns
# the parameters to `APP`:
#   name, size (width, height), type, fps, labels: sent to the host
#   model   1 with a detection network; map (a, b, c, d) converts its x and y to a*x+b and c*y+d of the picture
#   keys    frames from one key frame to the next; 0 for raw and JPEG pictures
#   port    port on which it listens, or port of the host
#   host    host that it connects to; empty if it listens
#   udp     1 if it sends datagrams to the host instead; may be left out
#   build   identifies the package; sent to the host
#
# One thread takes frames and joins them with the results that another thread receives. Each client has its own thread and
# its own queue for the newest frames, so that a slow client does not delay the others.
import binascii
import collections
import math
import random
import select
import socket
import struct
import threading
import time

SIZE = tuple(APP["size"])
RAW = APP["type"] in ("BGR888p", "RGB888p")
CLIENTS_MAX = 3          # served at the same time
SEND_TIMEOUT_S = 5.0     # a client that accepts no data for this long is disconnected
LEND_TIMEOUT_S = 0.25    # after this, the rest of a raw frame is copied, so that the camera gets its buffer back
RESULT_TIMEOUT_S = 0.3   # a frame waits this long for its boxes
RESULT_TIMEOUTS_MAX = 3  # after this many timeouts in a row, frames do not wait until a result arrives
RESULTS_MAX = 16         # results that wait for their frames
QUEUE_MAX = 1 if not APP["keys"] else 8  # frames that wait for a client; a video must not lose a single frame
CONTROL_BYTES = 512      # control records that are read at once
LINE_BYTES = 32          # a record or a header
PART_BYTES = 1400        # of a message in each datagram; with all headers it fits into an Ethernet frame
BURST_PARTS = 16         # datagrams that are sent in one go
PACE_BYTES_S = 80e6      # datagrams are sent at this rate at most, so that the buffers of switch and host do not overflow
HELLO_S = 2.0            # the records at the beginning are repeated in datagrams, because a host may begin to listen later
NO_BUFFERS = (55, 105)   # errors of a socket whose buffers are full: FreeBSD, Linux


def plain(text):
    """Replaces characters that are not printable ASCII: the official host program ends when it reads one."""
    fits = text.isascii() and text.isprintable()
    return text if fits else "".join(c if " " <= c <= "~" else "?" for c in text)


def record(text):
    """A record of 32 bytes, sent between two frames."""
    return plain(text[:LINE_BYTES]).ljust(LINE_BYTES).encode("ascii")


def ask(get, default=None):
    """Calls a getter that some versions of the firmware do not have."""
    try:
        return get()
    except Exception:
        return default


def label_records(number, name):
    """Splits a long name: records with `+` continue it. No part ends in a space, because records are padded with spaces."""
    lead = "@L %d " % number
    while name:
        cut = min(len(name), LINE_BYTES - len(lead))
        while 1 < cut < len(name) and name[cut - 1] == " ":
            cut -= 1
        yield record(lead + name[:cut])
        name, lead = name[cut:], "@L %d +" % number


def hello():
    """The records at the beginning of a connection."""
    lines = [record("@V 1 " + APP["name"])]
    identity = ask(lambda: __device_id__)
    if identity:
        lines.append(record("@I %s" % identity))
    lines.append(record("@D %d %d %s" % (SIZE + (APP["type"],))))
    lines.append(record("@R %s" % APP["fps"]))
    if APP.get("build"):
        lines.append(record("@A " + APP["build"]))
    for number, name in enumerate(APP["labels"]):
        lines.extend(label_records(number, name))
    if APP["labels"]:
        crc = binascii.crc32("\n".join(map(plain, APP["labels"])).encode("ascii"))
        lines.append(record("@C %08x %d" % (crc, len(APP["labels"]))))
    return b"".join(lines)


def seconds(micros, decimals):
    """Formats without floats, which would give `5e-05`."""
    parts = abs(micros) // 10 ** (6 - decimals)
    return "%s%d.%0*d" % ("-" if micros < 0 else "", parts // 10 ** decimals, decimals, parts % 10 ** decimals)


def header(micros, length, text):
    """A frame's header, and its text for raw pictures. The header ends in a space, which ends the last number."""
    if not RAW:
        stamp = seconds(micros, 6)
        stamp = stamp if len(stamp) < 18 else seconds(micros, 3)
        return ("ABCDE " + stamp.ljust(18) + str(length).ljust(8)).encode("ascii")
    for decimals in (6, 3):
        line = "IMG %s %d %d" % (seconds(micros, decimals), length, len(text))
        if len(line) < LINE_BYTES:
            return line.ljust(LINE_BYTES).encode("ascii") + text
    return ("IMG %s %d 0" % (seconds(micros, 3), length)).ljust(LINE_BYTES).encode("ascii")


class Frame:
    """A picture and its detections. Raw pictures stay in the camera's buffer."""

    def __init__(self, message, boxes):
        self.number, self.message = message.getSequenceNum(), message
        stamp = ask(message.getTimestamp)
        self.micros = (stamp.days * 86400 + stamp.seconds) * 1000000 + stamp.microseconds if stamp is not None \
            else int(time.monotonic() * 1e6)
        self.data = message.getData()
        self.size = SIZE
        if RAW:
            size = ask(lambda: (int(message.getWidth()), int(message.getHeight())), self.size)
            if 3 * size[0] * size[1] == len(self.data):
                self.size = size
        else:
            self.data, self.message = bytes(self.data), None
        a, b, c, d = APP["map"]
        self.boxes = []
        for box in boxes or ():
            edges = (a * box.xmin + b, c * box.ymin + d, a * box.xmax + b, c * box.ymax + d)
            if all(map(math.isfinite, edges + (box.confidence,))):
                self.boxes.append((box.label, box.confidence) + edges)
        texts = ["%d;%.1f;%.4f;%.4f;%.4f;%.4f" % ((label, 100 * confidence) + tuple(edges))
                 for label, confidence, *edges in self.boxes] if RAW else ()
        self.text = "|".join(texts).encode("ascii")

    def lines(self):
        """The boxes as records: confidence in 1/1000, edges in 1/10000 of width and height."""
        for label, confidence, *edges in self.boxes:
            edges = [min(9999, max(0, int(10000 * edge + 0.5))) for edge in edges]
            line = "@B %d %d %04d %04d %04d %04d" % tuple([label, int(1000 * confidence + 0.5)] + edges)
            if len(line) <= LINE_BYTES:
                yield record(line)

    def is_decodable_start(self):
        """Whether a decoder can begin here: the frame begins with a parameter set or a key frame."""
        if not APP["keys"]:
            return True
        start = self.data[:256]
        at = start.find(b"\0\0\1")
        while 0 <= at < len(start) - 3:
            unit = start[at + 3]
            if (unit & 31 in (5, 7)) if APP["type"] == "H264" else (unit >> 1 & 63 in (19, 20, 21, 32, 33)):
                return True
            at = start.find(b"\0\0\1", at + 3)
        return False


class Results:
    """Results of the network, by sequence number of their frame, because results can be missing."""

    def __init__(self):
        self.changed = threading.Condition()
        self.found = {}
        self.newest = None
        self.timeouts = 0

    def receive(self):
        while True:
            message = node.io["detections"].get()
            number, boxes = ask(message.getSequenceNum), ask(lambda: list(message.detections), [])
            with self.changed:
                self.found[number] = boxes
                while len(self.found) > RESULTS_MAX:
                    del self.found[next(iter(self.found))]
                self.newest, self.timeouts = number, 0
                self.changed.notify_all()

    def result_for(self, number):
        """None without a result: the network skipped this frame, or sends nothing."""
        def known():
            return number in self.found or (self.newest is not None and self.newest >= number)
        with self.changed:
            if self.timeouts < RESULT_TIMEOUTS_MAX and not self.changed.wait_for(known, RESULT_TIMEOUT_S):
                self.timeouts += 1
            return self.found.pop(number, None)


class Health:
    """Temperature and load from the newest message of the SystemLogger."""

    def __init__(self):
        self.lock = threading.Lock()
        self.line = b""

    def latest(self):
        with self.lock:
            message = ask(node.io["system"].tryGet)
            if message is not None:
                values = (("t=%.1f", 1, lambda: message.chipTemperature.average),
                          ("css=%.0f", 100, lambda: message.leonCssCpuUsage.average),
                          ("mss=%.0f", 100, lambda: message.leonMssCpuUsage.average))
                found = [(text, scale * ask(get, math.nan)) for text, scale, get in values]
                words = [text % value for text, value in found if math.isfinite(value)]
                self.line = record("@T " + " ".join(words)) if words else b""
            return self.line


def control(set_it):
    """Sends a command to the camera node."""
    try:
        message = CameraControl()
    except TypeError:
        message = CameraControl(100)  # Older firmware needs a size.
    set_it(message)
    node.io["control"].send(message)


def expose(place, value):
    """Exposure time and ISO are set together: the other one keeps its last value."""
    with LOCK:
        EXPOSURE[place] = value
        both = tuple(EXPOSURE)
    control(lambda message: message.setManualExposure(*both))


def number(text, low, high, kind=int):
    try:
        value = kind(text)
    except ValueError:
        raise ValueError("not a number")
    if not low <= value <= high:
        raise ValueError("not %d to %d" % (low, high))  # An answer has 32 bytes.
    return value


class Client:
    """A connected host. All methods but `offer` run in its own thread."""

    def __init__(self, connection):
        self.socket = connection
        self.changed = threading.Condition()
        self.waiting = collections.deque()
        self.needs_start = True  # A video begins, and resumes after a drop, with a key frame.
        self.skipped = 0         # frames while it waits for that
        self.paused, self.once, self.stream = False, False, "all"
        self.step, self.next = 0, None   # us between frames, and the time of the next one
        self.size = SIZE
        self.last = None         # number of the last frame that was sent
        self.dropped = 0         # frames of the camera that were not sent, after the first that was
        self.received, self.received_at = b"", 0.0
        self.notes = []
        self.picture = b"", None             # sent next
        self.rest, self.message = b"", None  # being sent

    def offer(self, frame):
        """Queues the newest frame. If the queue is full, it replaces all that wait."""
        with self.changed:
            if not self.once:
                if self.paused or (self.step and self.next is not None and frame.micros < self.next):
                    return
            if len(self.waiting) >= QUEUE_MAX:
                self.waiting.clear()
                self.needs_start = True
            if self.needs_start and not frame.is_decodable_start():
                self.skipped += 1
                if self.skipped < 2 * APP["keys"]:
                    return
            self.needs_start, self.skipped, self.once = False, 0, False
            if self.step:
                self.next = frame.micros + self.step if self.next is None else max(self.next + self.step, frame.micros)
            self.waiting.append(frame)
            self.changed.notify()

    def serve(self):
        try:
            self.socket.setblocking(False)
            ask(lambda: self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1))
            self.write(hello())
            beat = time.monotonic()
            while True:
                with self.changed:
                    if not self.waiting:
                        self.changed.wait(0.05)
                self.listen()
                lines, now = [record("@N " + note) for note in self.notes], time.monotonic()
                self.notes.clear()
                frame = None
                with self.changed:
                    if self.waiting:
                        frame = self.waiting.popleft()
                if frame is not None and self.last is not None:
                    self.dropped += max(0, frame.number - self.last - 1)
                if now - beat >= 1.0:
                    beat = now
                    lines += [HEALTH.latest(), record("@Q drop=%d" % self.dropped)]
                if frame is not None:
                    lines.append(self.compose(frame))
                del frame
                self.write(b"".join(lines))
                (self.rest, self.message), self.picture = self.picture, (b"", None)
                self.write_rest()
        except Exception as error:
            why = str(error)
        finally:
            self.leave()
        node.warn("client left: " + why)

    def leave(self):
        self.rest = self.message = self.picture = None
        self.socket.close()
        with LOCK:
            SERVED.remove(self)

    def compose(self, frame):
        """The records and the header before the picture, for one write."""
        lines = []
        if frame.size != self.size:
            self.size = frame.size
            lines.append(record("@D %d %d %s" % (frame.size + (APP["type"],))))
        self.last = frame.number
        lines.append(record("@F %d %d" % (frame.number, frame.micros)))
        boxes = self.stream != "picture"
        if boxes and (self.stream == "boxes" or not RAW):
            lines.extend(frame.lines())
        if self.stream != "boxes":
            lines.append(header(frame.micros, len(frame.data), frame.text if boxes else b""))
            self.picture = memoryview(frame.data), frame.message
        return b"".join(lines)

    def write(self, data):
        self.rest = memoryview(data)
        self.write_rest()

    def write_rest(self):
        """Sends to the last byte, in as many calls as the socket needs."""
        start = time.monotonic()
        while self.rest:
            timeout = LEND_TIMEOUT_S if self.message is not None else SEND_TIMEOUT_S
            ready = select.select([], [self.socket], [], timeout)[1]
            if ready:
                try:
                    self.rest = self.rest[self.socket.send(self.rest):]
                except (BlockingIOError, InterruptedError):
                    pass
            if self.message is not None and (not ready or time.monotonic() - start > LEND_TIMEOUT_S):
                # The camera has few buffers, and the other clients need them.
                self.rest, self.message = memoryview(bytes(self.rest)), None
            elif not ready:
                raise OSError("it accepted no data for %g s" % SEND_TIMEOUT_S)
        self.rest, self.message = b"", None

    def listen(self):
        """Reads control records of 32 bytes. Invalid ones are answered with a note; the stream continues."""
        if select.select([self.socket], [], [], 0)[0]:
            try:
                data = self.socket.recv(CONTROL_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            if not data:
                raise OSError("it closed the connection")
            self.received += data
            self.received_at = time.monotonic()
        elif self.received and time.monotonic() - self.received_at > 1.0:
            # A host writes a record at once, so these bytes are not the beginning of one.
            self.received = b""
            self.notes.append("an unfinished record")
        while len(self.received) >= LINE_BYTES:
            line, self.received = self.received[:LINE_BYTES], self.received[LINE_BYTES:]
            try:
                note = self.execute(line.decode("ascii").strip())
            except Exception as error:
                note = "no: %s" % error
            self.notes = self.notes[-7:] + [note]

    def execute(self, text):
        """`120,` and `AUT,` are the commands of the official hosts; `@K` has all others, several in one record."""
        if text.startswith("@K "):
            words = dict(word.partition("=")[::2] for word in text[3:].split())
        else:
            value, comma, _ = text.partition(",")
            if not comma:
                raise ValueError("not understood")
            words = {"focus": "auto"} if value.strip() == "AUT" else {"lens": value}
        # Every command is checked before the first one runs.
        for run in [self.command(key, value) for key, value in words.items()]:
            run()
        return " ".join(key + "=" + value.strip() if value else key for key, value in words.items())

    def command(self, key, value):
        """The function that runs the command."""
        if key == "lens":
            lens = number(value, 0, 255)
            return lambda: control(lambda message: message.setManualFocus(lens))
        if key == "focus" and value == "auto":
            return lambda: control(
                lambda message: message.setAutoFocusMode(CameraControl.AutoFocusMode.CONTINUOUS_VIDEO))
        if key == "exposure" and value == "auto":
            return lambda: control(lambda message: message.setAutoExposureEnable())
        if key == "exposure":
            micros = number(value, 1, 500000)
            return lambda: expose(0, micros)
        if key == "iso":
            iso = number(value, 100, 1600)
            return lambda: expose(1, iso)
        if key == "wb" and value == "auto":
            return lambda: control(
                lambda message: message.setAutoWhiteBalanceMode(CameraControl.AutoWhiteBalanceMode.AUTO))
        if key == "wb":
            kelvin = number(value, 1000, 12000)
            return lambda: control(lambda message: message.setManualWhiteBalance(kelvin))
        if key == "fps" and not APP["keys"]:
            fps = number(value, 0, 1000, float)
            return lambda: self.set(step=int(1e6 / fps) if fps else 0, next=None)
        if key == "pause" and value in ("on", "off"):
            return lambda: self.set(paused=value == "on", needs_start=True)
        if key == "still":
            return lambda: self.set(once=True, needs_start=True)
        if key == "stream" and value in ("all", "picture", "boxes"):
            return lambda: self.set(stream=value)
        raise ValueError("not understood")

    def set(self, **values):
        with self.changed:
            self.__dict__.update(values)


class DatagramHost(Client):
    """The host that gets datagrams, whether it listens or not. It sends nothing back."""

    def __init__(self):
        super().__init__(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.number = random.getrandbits(32)  # A host recognizes a restart by it.

    def serve(self):
        try:
            introduced = beat = -HELLO_S
            while True:
                with self.changed:
                    while not self.waiting:
                        self.changed.wait()
                    frame = self.waiting.popleft()
                if self.last is not None:
                    self.dropped += max(0, frame.number - self.last - 1)
                lines, now = [], time.monotonic()
                if now - introduced >= HELLO_S:
                    introduced, self.size = now, SIZE
                    lines.append(hello())
                if now - beat >= 1.0:
                    beat = now
                    lines += [HEALTH.latest(), record("@Q drop=%d" % self.dropped)]
                lines.append(self.compose(frame))
                del frame
                self.send_message(b"".join(lines), self.picture[0])
                self.picture = b"", None
        finally:
            self.leave()

    def send_message(self, head, picture):
        """Sends a message in parts, at the pace of the network."""
        total, start = len(head) + len(picture), time.monotonic()
        parts = -(-total // PART_BYTES)
        for part in range(parts):
            at = part * PART_BYTES
            piece = head[at:at + PART_BYTES]
            if len(piece) < PART_BYTES:
                begin = max(0, at - len(head))
                piece += picture[begin:begin + PART_BYTES - len(piece)]
            self.send_datagram(struct.pack(">3sxIHHI", b"OT1", self.number, part, parts, total) + piece)
            if part % BURST_PARTS == BURST_PARTS - 1:
                ahead = start + at / PACE_BYTES_S - time.monotonic()
                if ahead > 0.0005:
                    time.sleep(ahead)
        self.number = (self.number + 1) % 2 ** 32

    def send_datagram(self, datagram):
        """Waits a little for room. The host counts a datagram that it does not get."""
        for _ in range(50):
            try:
                self.socket.sendto(datagram, (APP["host"], APP["port"]))
                return
            except OSError as error:
                if error.errno not in NO_BUFFERS:
                    raise
            time.sleep(0.001)


def admit(connection):
    """The new client, or None if too many are connected."""
    client = Client(connection)
    with LOCK:
        if len(SERVED) < CLIENTS_MAX:
            SERVED.append(client)
            return client
    # 32 bytes fit into the send buffer of a new connection.
    ask(lambda: connection.send(record("@N busy: %d clients are served" % CLIENTS_MAX)))
    connection.close()
    return None


def accept():
    """Serves the hosts that connect."""
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        ask(lambda: server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1))
        server.bind(("0.0.0.0", APP["port"]))
        server.listen(CLIENTS_MAX)
        node.warn("listening at port %d" % APP["port"])
        while True:
            client = admit(server.accept()[0])
            if client is None:
                continue
            try:
                threading.Thread(target=client.serve, daemon=True).start()
            except RuntimeError:
                client.leave()  # No more threads.
    finally:
        server.close()


def connect():
    """Connects to the host and serves it."""
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        connection.settimeout(SEND_TIMEOUT_S)
        connection.connect((APP["host"], APP["port"]))
        admit(connection).serve()
    finally:
        connection.close()


def send():
    """Sends datagrams to the host."""
    host = DatagramHost()
    with LOCK:
        SERVED.append(host)
    host.serve()


def serve_forever():
    """Listens, connects or sends again after every error."""
    reported, run = None, send if APP.get("udp") else connect if APP["host"] else accept
    while True:
        try:
            run()
        except Exception as error:
            if str(error) != reported:
                reported = str(error)
                node.warn("network: %s" % error)
        time.sleep(0.5)


def stream():
    frames = node.io["frame"]
    while True:
        message = frame = None  # The camera has few buffers.
        message = frames.get()
        with LOCK:
            clients = list(SERVED)
        if not clients:
            continue  # A client that connects gets new frames only.
        try:
            boxes = ()
            while APP["model"]:
                boxes = NETWORK.result_for(message.getSequenceNum())
                newer = frames.tryGet() if boxes is None and RAW else None
                if newer is None:
                    break
                message = newer  # The network skipped the frame before.
            frame = Frame(message, boxes)
            for client in clients:
                client.offer(frame)
        except Exception as error:
            node.warn("frame skipped: %s" % error)


LOCK = threading.Lock()
SERVED = []
EXPOSURE = [10000, 400]  # us and ISO, until a command changes them
NETWORK, HEALTH = Results(), Health()
if APP["model"]:
    threading.Thread(target=NETWORK.receive, daemon=True).start()
threading.Thread(target=serve_forever, daemon=True).start()
stream()
