"""A camera as a thread: sends known frames to each client, as Luxonis' oak.py does."""

import socket
import struct
import threading

SIZE = (640, 352)


def message(number, payload, detections=b"", device_time=None):
    """Returns a frame with the header that host.py reads."""
    time = number * 0.025 if device_time is None else device_time
    return f"IMG {time:.6f} {len(payload)} {len(detections)}".ljust(32).encode() + detections + payload


def planes(number, size=SIZE):
    """Returns different pixels for each number: blue, green and red, one after another."""
    width, height = size
    row = bytes((x * 3 + number) & 0xFF for x in range(width))
    blue = b"".join(bytes([(y + number) & 0xFF]) * width for y in range(height))
    return blue + row * height + bytes(255 - value for value in blue)


class Camera:
    """Sends the messages to each client and then closes its connection, or waits."""

    def __init__(self, messages, closes=True):
        self.messages, self.closes = messages, closes
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.ended = threading.Event()
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def source(self):
        return f"tcp://127.0.0.1:{self.port}"

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.send, args=[client], daemon=True).start()

    def send(self, client):
        with client:
            try:
                for each in self.messages:
                    client.sendall(each)
                if not self.closes:
                    self.ended.wait()
                # Reset instead of waiting for a client that has stopped reading.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0) if self.ended.is_set() else struct.pack("ii", 1, 5))
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.listener.close()
