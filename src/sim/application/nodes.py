"""A Script node on this host: the queues, messages and modules that a program on a camera can use.

Reads messages for the queues from stdin and reports what the program does on stdout, both as lines of JSON. N bytes of data
follow a line with `"bytes": N`. Exits at the end of stdin.

The first line of stdin describes the node:
  {"inputs": {NAME: {"blocking": B, "size": N}}, "outputs": [NAME], "device_id": ID, "ip": IP, "port": P or null,
   "piece": N, "clock": B, "parameters": N or null, "program": N}
The program listens on `ip` instead of all addresses, and on `port` instead of the first port that it names (null: on its own
port). A socket sends at most `piece` bytes per call (0: no limit). With `clock`, time stands still between "time" messages.
The texts of the parameters and of the program, with as many bytes as `parameters` and `program` state, follow the line. The
parameters are JSON and become the value of `APP`.

Each following line is one of:
  {"deliver": [{"to": NAME, "kind": "ImgFrame", "seq": N, "us": N, "width": N, "height": N, "type": TYPE, "bytes": N},
               {"to": NAME, "kind": "ImgDetections", "seq": N, "us": N, "boxes": [[LABEL, CONFIDENCE, X, Y, X, Y]]},
               {"to": NAME, "kind": "SystemInformation", "celsius": C, "css": 0..1, "mss": 0..1}]}
  {"time": SECONDS}
  {"count": true}
"""
import builtins
import collections
import datetime
import json
import os
import socket
import sys
import threading
import time
import traceback
import types

# The modules that the vendor documents for LEON_CSS (wire.md section 7, Script node facts).
MODULES = frozenset("""
    _socket socket select selectors http http.client http.server socketserver hashlib binascii base64 random urllib
    urllib.parse logging email weakref struct json re time datetime math threading marshal collections functools enum io os
""".split())
# The vendor's own examples also use fcntl.
IMPORTABLE = MODULES | {"fcntl"}

# The methods of depthai's CameraControl (2.30) that set something.
CONTROLS = frozenset("""
    setAntiBandingMode setAutoExposureCompensation setAutoExposureEnable setAutoExposureLimit setAutoExposureLock
    setAutoExposureRegion setAutoFocusLensRange setAutoFocusMode setAutoFocusRegion setAutoFocusTrigger
    setAutoWhiteBalanceLock setAutoWhiteBalanceMode setBrightness setCaptureIntent setCaptureStill setChromaDenoise
    setContrast setControlMode setEffectMode setExternalTrigger setFrameSyncMode setLumaDenoise setManualExposure
    setManualFocus setManualFocusRaw setManualWhiteBalance setMisc setSaturation setSceneMode setSharpness
    setStartStreaming setStopStreaming
""".split())

OUT = sys.stdout
OUT_LOCK = threading.Lock()


def report(**event):
    with OUT_LOCK:
        OUT.write(json.dumps(event) + "\n")
        OUT.flush()


class Data(bytearray):
    """A frame buffer. A real camera has only a few, so tests count the ones in use."""

    alive = most = 0
    lock = threading.Lock()

    def __init__(self, size):
        super().__init__(size)
        with Data.lock:
            Data.alive += 1
            Data.most = max(Data.most, Data.alive)

    def __del__(self):
        with Data.lock:
            Data.alive -= 1


class Message:
    def __init__(self, what):
        self._seq, self._us = what.get("seq", 0), what.get("us", 0)

    def getSequenceNum(self):
        return self._seq

    def getTimestamp(self):
        return datetime.timedelta(microseconds=self._us)

    getTimestampDevice = getTimestamp


class ImgFrame(Message):
    def __init__(self, what):
        super().__init__(what)
        self._what, self._data = what, what["data"]

    def getData(self):
        return memoryview(self._data)

    def getWidth(self):
        return self._what["width"]

    def getHeight(self):
        return self._what["height"]

    def getType(self):
        return self._what["type"]


class ImgDetections(Message):
    def __init__(self, what):
        super().__init__(what)
        names = ("label", "confidence", "xmin", "ymin", "xmax", "ymax")
        self.detections = [types.SimpleNamespace(**dict(zip(names, box))) for box in what["boxes"]]


class SystemInformation(Message):
    def __init__(self, what):
        super().__init__(what)
        self.chipTemperature = types.SimpleNamespace(average=what["celsius"])
        self.leonCssCpuUsage = types.SimpleNamespace(average=what["css"])
        self.leonMssCpuUsage = types.SimpleNamespace(average=what["mss"])


KINDS = {"ImgFrame": ImgFrame, "ImgDetections": ImgDetections, "SystemInformation": SystemInformation}


class CameraControl:
    """Records the calls of its setters."""

    AutoFocusMode = types.SimpleNamespace(
        OFF="OFF", AUTO="AUTO", MACRO="MACRO", CONTINUOUS_VIDEO="CONTINUOUS_VIDEO",
        CONTINUOUS_PICTURE="CONTINUOUS_PICTURE", EDOF="EDOF")
    AutoWhiteBalanceMode = types.SimpleNamespace(OFF="OFF", AUTO="AUTO")

    def __init__(self, size=0):
        self.calls = []

    def __getattr__(self, name):
        if name not in CONTROLS:
            raise AttributeError(name)
        return lambda *values: self.calls.append([name, *values])


class Input:
    """An input queue. A full blocking queue blocks its producer, which then holds one more message and drops all later ones.
    A full non-blocking queue drops its oldest message."""

    def __init__(self, blocking, size):
        self.blocking, self.size = blocking, max(1, size)
        self.changed, self.messages = threading.Condition(), collections.deque()

    def has_room(self):
        return not self.blocking or len(self.messages) <= self.size

    def put(self, message):
        with self.changed:
            if not self.blocking and len(self.messages) >= self.size:
                self.messages.popleft()
            self.messages.append(message)
            self.changed.notify()

    def get(self):
        with self.changed:
            while not self.messages:
                self.changed.wait()
            return self.messages.popleft()

    def tryGet(self):
        with self.changed:
            return self.messages.popleft() if self.messages else None

    def getAll(self):
        return [self.get()] + self.tryGetAll()

    def tryGetAll(self):
        with self.changed:
            messages = list(self.messages)
            self.messages.clear()
            return messages

    def has(self):
        return bool(self.messages)


class Output:
    def __init__(self, name):
        self.name = name

    def send(self, message):
        report(sent=self.name, calls=getattr(message, "calls", None))

    trySend = send


class Node:
    def __init__(self, start):
        self.io = {name: Input(**how) for name, how in start["inputs"].items()}
        self.io.update((name, Output(name)) for name in start["outputs"])
        for level in ("trace", "debug", "info", "warn", "error", "critical"):
            setattr(self, level, lambda text, level=level: report(said=level, text=str(text)))


class Socket(socket.socket):
    """A socket that binds to the address of the camera and reports what it does."""

    ip, port, piece = "127.0.0.1", None, 0
    first_send = False  # Set on a connection until its first send.
    is_unbound = True   # Until the first datagram.

    def bind(self, address):
        if self.family == socket.AF_INET:
            self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            port, Socket.port = Socket.port, None
            address = (Socket.ip, address[1] if port is None else port)
        super().bind(address)

    def listen(self, *backlog):
        super().listen(*backlog)
        report(listening=list(self.getsockname()))

    def accept(self):
        connection, peer = super().accept()
        connection.first_send = True
        return connection, peer

    def connect(self, address):
        if address[0].startswith("127.") and Socket.ip.startswith("127.") and self.family == socket.AF_INET:
            super().bind((Socket.ip, 0))
        super().connect(address)
        self.first_send = True

    def sendto(self, data, address):
        if self.is_unbound and address[0].startswith("127.") and Socket.ip.startswith("127."):
            super().bind((Socket.ip, 0))
        self.is_unbound = False
        return super().sendto(data, address)

    def send(self, data, *flags):
        if self.first_send:
            self.first_send = False
            report(serving=list(self.getpeername()))
        if Socket.piece:
            data = memoryview(data)[:Socket.piece]
        return super().send(data, *flags)


def read():
    line = STDIN.readline()
    if not line:
        os._exit(0)  # sys.exit would wait for the threads of the program.
    return json.loads(line)


def read_bytes(size, into=None):
    into = bytearray(size) if into is None else into
    at, view = 0, memoryview(into)
    while at < size:
        got = STDIN.readinto(view[at:])
        if not got:
            os._exit(0)
        at += got
    return into


def deliver(node, messages):
    """Delivers the messages of one producer. If one of its outputs is blocked, the producer does not reach the others."""
    for what in messages:
        if what.get("bytes") is not None:
            what["data"] = read_bytes(what["bytes"], Data(what["bytes"]))
    if all(node.io[what["to"]].has_room() for what in messages):
        for what in messages:
            node.io[what["to"]].put(KINDS[what["kind"]](what))


def run_commands(node):
    try:
        while True:
            what = read()
            if "deliver" in what:
                deliver(node, what["deliver"])
            elif "time" in what:
                CLOCK[0] = what["time"]
            elif "count" in what:
                report(alive=Data.alive, most=Data.most, threads=threading.active_count())
    except Exception:
        traceback.print_exc()
        os._exit(1)


def main():
    start = read()
    parameters = start["parameters"] is not None and read_bytes(start["parameters"]).decode()
    program = read_bytes(start["program"]).decode()
    node = Node(start)
    Socket.ip, Socket.port, Socket.piece = start["ip"], start["port"], start["piece"]
    socket.socket = Socket
    if start["clock"]:
        stopped = types.ModuleType("time")
        stopped.__dict__.update(time.__dict__)
        stopped.monotonic = lambda: CLOCK[0]
    warned = set()

    def camera_import(name, globals=None, locals=None, fromlist=(), level=0):
        if name not in IMPORTABLE and not name.startswith("email.") and name not in warned:
            warned.add(name)
            report(said="warn", text="`import %s`: not among the documented modules of the Script node" % name)
        if name == "time" and start["clock"]:
            return stopped
        return builtins.__import__(name, globals, locals, fromlist, level)

    world = {
        "__name__": "__main__", "__builtins__": {**vars(builtins), "__import__": camera_import},
        "__device_id__": start["device_id"], "node": node, "CameraControl": CameraControl, **KINDS,
    }
    if parameters:
        world["APP"] = json.loads(parameters)  # Untrusted: parse it as a value, never execute it.
    threading.Thread(target=run_commands, args=(node,), daemon=True).start()
    try:
        exec(compile(program, "script", "exec"), world)
        report(ended=None)
    except BaseException:
        report(ended=traceback.format_exc(limit=-3))
    threading.Event().wait()  # The threads of the program may still run.


CLOCK = [0.0]
STDIN = sys.stdin.buffer
if __name__ == "__main__":
    sys.stdout = sys.stderr  # Output of the program must not mix with the JSON lines.
    main()
