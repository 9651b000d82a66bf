"""`async for frame in stream`."""

import asyncio
import time


async def next_frame(stream, timeout):
    """Returns the next frame of the stream. The event loop runs meanwhile."""
    frame = stream._poll()
    if frame is not None:
        return frame
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    while True:
        arrived = loop.create_future()

        def wake(arrived=arrived):
            # Called on a thread of the library.
            try:
                loop.call_soon_threadsafe(set_arrived, arrived)
            except RuntimeError:
                pass  # The loop was closed meanwhile.

        stream._wake(wake)
        await arrived
        frame = stream._poll()
        if frame is not None:
            return frame
        if timeout is not None and time.monotonic() - began >= timeout:
            raise stream._timeout_error(timeout)


def set_arrived(arrived):
    if not arrived.done():
        arrived.set_result(None)
