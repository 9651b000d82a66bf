# What runs in the camera's Script node: it sends pictures, and what was found in them, to whoever connects.
#
# CPython 3.9 on LEON_CSS, with the modules that are documented for it and no others. `APP`, the line in front of this
# file, has the parameters:
#   name, size (width, height), type, fps, labels: what is told to the receiver
#   model   whether there is a network; map (a, b, c, d): its x and y are a*x+b and c*y+d of the picture
#   keys    frames from one key frame to the next; 0 if each picture stands alone
#   port    where it listens, or the port of the host that it connects to, if there is a host
#
# One thread takes frames and joins them with the results that another one takes. Each client has a thread of its own
# and a place for the newest frame, so that a slow one costs the others nothing.
import binascii
import collections
import math
import select
import socket
import threading
import time

SIZE = tuple(APP["size"])
RAW = APP["type"] in ("BGR888p", "RGB888p")
CLIENTS = 3      # served at once
DEADLINE = 5.0   # s: a client that takes nothing for so long is dropped
LEND = 0.25      # s: after that the camera gets its memory back, and the rest of the frame is copied
WAIT = 0.3       # s: so long a frame waits for its boxes,
PATIENCE = 3     # unless so many have waited in vain
RESULTS = 16     # of the network, that wait for their frames
BACKLOG = 1 if not APP["keys"] else 8  # frames that wait for a client; of a video none can be left out
CONTROL = 512    # bytes of control records that are looked at in one go
LINE = 32        # bytes of a record and of a header


def plain(text):
    """Only what fits into a record: the official host ends when it reads something else."""
    fits = text.isascii() and text.isprintable()
    return text if fits else "".join(c if " " <= c <= "~" else "?" for c in text)


def record(text):
    """A line between two frames."""
    return plain(text[:LINE]).ljust(LINE).encode("ascii")


def ask(get, default=None):
    """Getters differ between versions of the firmware."""
    try:
        return get()
    except Exception:
        return default


def label_records(number, name):
    """A long name goes on in a record that says `+`. Spaces at the end of a record are padding, so none is put there."""
    lead = "@L %d " % number
    while name:
        cut = min(len(name), LINE - len(lead))
        while 1 < cut < len(name) and name[cut - 1] == " ":
            cut -= 1
        yield record(lead + name[:cut])
        name, lead = name[cut:], "@L %d +" % number


def hello():
    """What is said once, when somebody connects."""
    lines = [record("@V 1 " + APP["name"])]
    identity = ask(lambda: __device_id__)
    if identity:
        lines.append(record("@I %s" % identity))
    lines.append(record("@D %d %d %s" % (SIZE + (APP["type"],))))
    lines.append(record("@R %s" % APP["fps"]))
    for number, name in enumerate(APP["labels"]):
        lines.extend(label_records(number, name))
    if APP["labels"]:
        crc = binascii.crc32("\n".join(map(plain, APP["labels"])).encode("ascii"))
        lines.append(record("@C %08x %d" % (crc, len(APP["labels"]))))
    return b"".join(lines)


def seconds(micros, decimals):
    """From whole numbers: a float would turn into `5e-05`."""
    parts = abs(micros) // 10 ** (6 - decimals)
    return "%s%d.%0*d" % ("-" if micros < 0 else "", parts // 10 ** decimals, decimals, parts % 10 ** decimals)


def header(micros, length, text):
    """A header and what belongs into the same write. It always ends in a space, so that nobody reads on."""
    if not RAW:
        stamp = seconds(micros, 6)
        stamp = stamp if len(stamp) < 18 else seconds(micros, 3)
        return ("ABCDE " + stamp.ljust(18) + str(length).ljust(8)).encode("ascii")
    for decimals in (6, 3):
        line = "IMG %s %d %d" % (seconds(micros, decimals), length, len(text))
        if len(line) < LINE:
            return line.ljust(LINE).encode("ascii") + text
    return ("IMG %s %d 0" % (seconds(micros, 3), length)).ljust(LINE).encode("ascii")


class Frame:
    """A picture, and the text of what was found in it. Raw pictures stay in the camera's memory."""

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
        """The boxes as records: per mille, and ten-thousandths of the picture's sides."""
        for label, confidence, *edges in self.boxes:
            edges = [min(9999, max(0, int(10000 * edge + 0.5))) for edge in edges]
            line = "@B %d %d %04d %04d %04d %04d" % tuple([label, int(1000 * confidence + 0.5)] + edges)
            if len(line) <= LINE:
                yield record(line)

    def starts_video(self):
        """Whether a decoder can begin here: a parameter set or a picture that needs no other stands in front."""
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
    """What the network found, by the number of the frame in which it did: never by the order in which it comes."""

    def __init__(self):
        self.news = threading.Condition()
        self.found = {}
        self.newest = None
        self.in_vain = 0

    def take(self):
        while True:
            message = node.io["detections"].get()
            number, boxes = ask(message.getSequenceNum), ask(lambda: list(message.detections), [])
            with self.news:
                self.found[number] = boxes
                while len(self.found) > RESULTS:
                    del self.found[next(iter(self.found))]
                self.newest, self.in_vain = number, 0
                self.news.notify_all()

    def of(self, number):
        """None if they do not come: the network left this frame out, or it is silent."""
        def known():
            return number in self.found or (self.newest is not None and self.newest >= number)
        with self.news:
            if self.in_vain < PATIENCE and not self.news.wait_for(known, WAIT):
                self.in_vain += 1
            return self.found.pop(number, None)


class Health:
    """Temperature and load, out of the newest message of the SystemLogger."""

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
    """Tells the sensor something."""
    try:
        message = CameraControl()
    except TypeError:
        message = CameraControl(100)  # Older firmwares want a size.
    set_it(message)
    node.io["control"].send(message)


def expose(place, value):
    """Time and sensitivity go together: what is not given is as it was given last."""
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
        raise ValueError("%s is not %d to %d" % (text.strip(), low, high))
    return value


class Client:
    """Somebody who is served. All but `offer` runs in its own thread."""

    def __init__(self, connection):
        self.socket = connection
        self.news = threading.Condition()
        self.waiting = collections.deque()
        self.behind = True       # A video has to begin with a key frame.
        self.left_out = 0        # frames, while it waits for that
        self.paused, self.once, self.stream = False, False, "all"
        self.step, self.next = 0, None   # us between frames, and when the next one is due
        self.size = SIZE
        self.last = None         # number of the last frame that was sent
        self.dropped = 0         # frames of the camera that were not sent since the first one that was
        self.heard, self.heard_at = b"", 0.0
        self.notes = []
        self.picture = b"", None       # what is to be sent next
        self.rest, self.message = b"", None  # what is being sent

    def offer(self, frame):
        """The newest frame. It takes the place of one that was not sent yet."""
        with self.news:
            if not self.once:
                if self.paused or (self.step and self.next is not None and frame.micros < self.next):
                    return
            if len(self.waiting) >= BACKLOG:
                self.waiting.clear()
                self.behind = True
            if self.behind and not frame.starts_video():
                self.left_out += 1
                if self.left_out < 2 * APP["keys"]:
                    return
            self.behind, self.left_out, self.once = False, 0, False
            if self.step:
                self.next = frame.micros + self.step if self.next is None else max(self.next + self.step, frame.micros)
            self.waiting.append(frame)
            self.news.notify()

    def serve(self):
        try:
            self.socket.setblocking(False)
            ask(lambda: self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1))
            self.write(hello())
            beat = time.monotonic()
            while True:
                with self.news:
                    if not self.waiting:
                        self.news.wait(0.05)
                self.listen()
                lines, now = [record("@N " + note) for note in self.notes], time.monotonic()
                self.notes.clear()
                frame = None
                with self.news:
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
        """What goes out before the picture, in one write."""
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
        """To the last byte, however little the network takes at once."""
        begun = time.monotonic()
        while self.rest:
            patience = LEND if self.message is not None else DEADLINE
            ready = select.select([], [self.socket], [], patience)[1]
            if ready:
                try:
                    self.rest = self.rest[self.socket.send(self.rest):]
                except (BlockingIOError, InterruptedError):
                    pass
            if self.message is not None and (not ready or time.monotonic() - begun > LEND):
                # The camera has few buffers, and the others need them.
                self.rest, self.message = memoryview(bytes(self.rest)), None
            elif not ready:
                raise OSError("it took nothing for %g s" % DEADLINE)
        self.rest, self.message = b"", None

    def listen(self):
        """Control records of 32 bytes. Whatever they are, the stream goes on."""
        if select.select([self.socket], [], [], 0)[0]:
            try:
                heard = self.socket.recv(CONTROL)
            except (BlockingIOError, InterruptedError):
                return
            if not heard:
                raise OSError("it closed the connection")
            self.heard += heard
            self.heard_at = time.monotonic()
        elif self.heard and time.monotonic() - self.heard_at > 1.0:
            # Records are written in one piece: this was none, and the next one begins at its own beginning.
            self.heard = b""
            self.notes.append("an unfinished record")
        while len(self.heard) >= LINE:
            line, self.heard = self.heard[:LINE], self.heard[LINE:]
            try:
                note = self.obey(line.decode("ascii").strip())
            except Exception as error:
                note = "no: %s" % error
            self.notes = self.notes[-7:] + [note]

    def obey(self, text):
        """`120,` and `AUT,` are those of the official hosts; `@K` has all the others, several in one record."""
        if text.startswith("@K "):
            words = dict(word.partition("=")[::2] for word in text[3:].split())
        else:
            value, comma, _ = text.partition(",")
            if not comma:
                raise ValueError("not understood")
            words = {"focus": "auto"} if value.strip() == "AUT" else {"lens": value}
        # Everything is looked at before anything is done.
        for act in [self.order(key, value) for key, value in words.items()]:
            act()
        return " ".join(key + "=" + value.strip() if value else key for key, value in words.items())

    def order(self, key, value):
        """What is to be done, if it can be understood."""
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
            return lambda: self.set(paused=value == "on", behind=True)
        if key == "still":
            return lambda: self.set(once=True, behind=True)
        if key == "stream" and value in ("all", "picture", "boxes"):
            return lambda: self.set(stream=value)
        raise ValueError("not understood")

    def set(self, **values):
        with self.news:
            self.__dict__.update(values)


def admit(connection):
    """The client, if there is room for one more."""
    client = Client(connection)
    with LOCK:
        if len(SERVED) < CLIENTS:
            SERVED.append(client)
            return client
    # 32 bytes always fit into the buffer of a new connection.
    ask(lambda: connection.send(record("@N busy: %d clients are served" % CLIENTS)))
    connection.close()
    return None


def accept():
    """The camera as a server."""
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        ask(lambda: server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1))
        server.bind(("0.0.0.0", APP["port"]))
        server.listen(CLIENTS)
        node.warn("listening at port %d" % APP["port"])
        while True:
            client = admit(server.accept()[0])
            if client is None:
                continue
            try:
                threading.Thread(target=client.serve, daemon=True).start()
            except RuntimeError:
                client.leave()  # There are no more threads.
    finally:
        server.close()


def connect():
    """The camera as a client of its host."""
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        connection.settimeout(DEADLINE)
        connection.connect((APP["host"], APP["port"]))
        admit(connection).serve()
    finally:
        connection.close()


def stay_on_the_network():
    """Whatever happens there."""
    told = None
    while True:
        try:
            connect() if APP["host"] else accept()
        except Exception as error:
            if str(error) != told:
                told = str(error)
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
            continue  # Nothing is kept for later: who connects sees what is, not what was.
        try:
            boxes = ()
            while APP["model"]:
                boxes = NETWORK.of(message.getSequenceNum())
                newer = frames.tryGet() if boxes is None and RAW else None
                if newer is None:
                    break
                message = newer  # The network left the other one out, and this one is fresher.
            frame = Frame(message, boxes)
            for client in clients:
                client.offer(frame)
        except Exception as error:
            node.warn("a frame was left out: %s" % error)


LOCK = threading.Lock()
SERVED = []
EXPOSURE = [10000, 400]  # us and ISO, until somebody says something else
NETWORK, HEALTH = Results(), Health()
if APP["model"]:
    threading.Thread(target=NETWORK.take, daemon=True).start()
threading.Thread(target=stay_on_the_network, daemon=True).start()
stream()
