import asyncio
import gc
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import weakref

import numpy

import oaktap
from sender import SIZE, Camera, message, planes

SMALL = "sim:?size=64x48&fps=200&boxes=3"
BOXES = b"0;87.5;0.7;0.1;0.9;0.25|56;50.25;-0.1;0.3;1.2;0.95"


class Open(unittest.TestCase):
    def test_frames_have_the_pixels_and_boxes_that_were_sent(self):
        sent = [planes(number) for number in range(20)]
        with Camera([message(number, each, BOXES) for number, each in enumerate(sent)]) as camera:
            received = list(oaktap.open(camera.source, reconnect=False, timeout=10))
        self.assertEqual([frame.seq for frame in received], list(range(20)))
        for number, frame in enumerate(received):
            pixels = numpy.frombuffer(sent[number], numpy.uint8).reshape(3, SIZE[1], SIZE[0])
            self.assertTrue(numpy.array_equal(frame.planes, pixels))
            self.assertTrue(numpy.array_equal(frame.bgr, pixels.transpose(1, 2, 0)))
            self.assertTrue(numpy.array_equal(frame.rgb, pixels[::-1].transpose(1, 2, 0)))
            self.assertEqual(bytes(frame.payload), sent[number])
            self.assertEqual((frame.size, frame.format, frame.camera), (SIZE, "BGR888p", f"127.0.0.1:{camera.port}"))
            self.assertAlmostEqual(frame.device_time, number * 0.025, places=6)
            self.assertLess(abs(frame.timestamp - time.time()), 60)
            first, second = frame.detections
            self.assertEqual((first.label, first.name, first.confidence), (0, "person", 0.875))
            # In 64 bits, as host.py: 0.7 * 640 is 448.
            self.assertEqual(first.box, (448, 35, 576, 88))
            self.assertEqual((second.name, second.box), ("chair", (-64, 105, 768, 334)))
            self.assertEqual((first.x, first.track), (None, None))

    def test_planes_are_the_received_bytes_and_conversions_can_be_written(self):
        with oaktap.open(SMALL, timeout=10) as stream:
            frame = next(stream)
        one, other = frame.planes, frame.planes
        self.assertTrue(numpy.shares_memory(one, other))
        self.assertFalse(one.flags.writeable or one.flags.owndata)
        with self.assertRaises(ValueError):
            one[0, 0, 0] = 1
        self.assertTrue(frame.bgr.flags.writeable and frame.bgr.flags.c_contiguous)
        self.assertFalse(frame.bgr.flags.owndata)
        frame.bgr[:] = 7
        self.assertTrue((frame.bgr == 7).all(), "the same array each time")
        self.assertFalse((frame.planes == 7).all())
        pixels = memoryview(frame.pixels("rgb"))
        self.assertEqual((pixels.shape, pixels.format, pixels.readonly), ((48, 64, 3), "B", False))
        self.assertEqual(bytes(pixels), frame.rgb.tobytes())

    def test_arrays_outlive_frames_and_their_memory_is_used_again(self):
        with oaktap.open(SMALL, timeout=10) as stream:
            kept = [(frame.planes, frame.planes.tobytes(), frame.bgr, frame.bgr.tobytes()) for frame, _ in zip(stream, range(20))]
            for _ in zip(stream, range(50)):
                pass
            del _
            self.assertGreaterEqual(stream.kept_bytes, 20 * 64 * 48 * 3)
            for now, before, bgr, bgr_before in kept:
                self.assertEqual((now.tobytes(), bgr.tobytes()), (before, bgr_before))
            kept = now = bgr = None
            gc.collect()
            self.assertEqual(stream.kept_bytes, 0)

    def test_other_layouts(self):
        for format, shape, dtype in [
            ("BGR888i", (48, 64, 3), "u1"),
            ("NV12", (72, 64), "u1"),
            ("GRAY8", (48, 64), "u1"),
            ("RAW16", (48, 64), "u2"),
            ("RGBF16F16F16p", (3, 48, 64), "f2"),
        ]:
            with self.subTest(format), oaktap.open(f"sim:?size=64x48&fps=100&format={format}", timeout=10) as stream:
                frame = next(stream)
                self.assertEqual((frame.planes.shape, frame.planes.dtype), (shape, numpy.dtype(dtype)))
                self.assertEqual(frame.bgr.shape, (48, 64, 3))
                depth = frame.depth_mm
                self.assertEqual(depth is not None, format == "RAW16")
                if depth is not None:
                    self.assertTrue(numpy.shares_memory(depth, frame.planes))
        with oaktap.open("sim:?size=64x48&fps=100&format=YUV420p", timeout=10) as stream:
            with self.assertRaisesRegex(oaktap.FormatError, "YUV420p has no planes of equal size\nhelp: frame.bgr"):
                next(stream).planes
        with oaktap.open("sim:?size=64x48&fps=100&format=jpeg", timeout=10) as stream:
            frame = next(stream)
            self.assertEqual((frame.format, frame.bgr.shape, frame.jpeg()[:2]), ("JPEG", (48, 64, 3), b"\xff\xd8"))

    def test_the_choice_of_detections(self):
        with Camera([message(0, planes(0), BOXES)]) as camera:
            def names(**options):
                return [d.name for d in next(oaktap.open(camera.source, timeout=10, **options)).detections]

            self.assertEqual(names(), ["person", "chair"])
            self.assertEqual(names(threshold=0.6), ["person"])
            self.assertEqual(names(only="Chair"), ["chair"])
            self.assertEqual(names(only=[0]), ["person"])
            self.assertEqual(names(labels={0: "zero", 56: "seat"}), ["zero", "seat"])
            self.assertEqual(names(labels=["zero"]), ["zero", "#56"])
            self.assertEqual(names(size=(640, 352), format="bgr888p"), ["person", "chair"])

    def test_drawing_and_files(self):
        with tempfile.TemporaryDirectory() as folder, oaktap.open("sim:?size=320x240&fps=100&boxes=3", timeout=10) as stream:
            frame = next(stream)
            drawn = frame.draw()
            self.assertEqual(drawn.shape, (240, 320, 3))
            self.assertFalse(numpy.array_equal(drawn, frame.bgr))
            self.assertTrue(numpy.array_equal(frame.draw(boxes=False, labels=False), frame.bgr))
            png = frame.save(os.path.join(folder, "a.png"))
            jpg = frame.save(os.path.join(folder, "a.jpg"), draw=True)
            self.assertEqual((png.read_bytes()[1:4], jpg.read_bytes()[:2]), (b"PNG", b"\xff\xd8"))
            self.assertTrue(png.with_suffix(".json").exists())
            with self.assertRaisesRegex(FileExistsError, "cannot write"):
                frame.save(jpg)
            with self.assertRaises(oaktap.OaktapError):
                frame.save(png)

    def test_several_cameras(self):
        with oaktap.open(["front=" + SMALL, SMALL + "&seed=2"], timeout=10) as stream:
            seen = {frame.camera for frame, _ in zip(stream, range(40))}
            self.assertEqual(seen, {"front", "sim-1"})
            self.assertEqual([camera.name for camera in stream.cameras], ["front", "sim-1"])
            self.assertTrue(all(camera.ledger.frames.confirmed > 0 for camera in stream.cameras))
            with self.assertRaisesRegex(oaktap.OaktapError, "2 cameras have no common ledger"):
                stream.ledger
        with self.assertRaises(StopIteration):
            next(stream)
        self.assertEqual({camera.state for camera in stream.cameras}, {"ended"})

    def test_latest_is_new_each_time_and_leaves_no_queue(self):
        with oaktap.open(SMALL, timeout=10) as stream:
            before = -1
            for _ in range(20):
                frame = stream.latest()
                self.assertGreater(frame.seq, before)
                before = frame.seq
            lanes = {lane["name"]: lane for lane in stream.ledger.lanes}
            self.assertEqual(lanes["python"].dropped, 0, "nobody iterates")
            self.assertEqual(next(stream).camera, "sim-1")

    def test_a_slow_loop_drops_frames_and_they_are_counted(self):
        with oaktap.open("sim:?size=64x48&fps=0", timeout=10) as stream:
            skipped = last = 0
            for frame in stream:
                if frame.seq:
                    self.assertGreaterEqual(frame.seq, last + 1 + frame.skipped)
                last, skipped = frame.seq, skipped + frame.skipped
                if skipped > 1000:
                    break
                time.sleep(0.01)
            lanes = {lane["name"]: lane for lane in stream.ledger.lanes}
            self.assertGreaterEqual(lanes["python"].dropped, skipped)

    def test_connections_are_opened_again(self):
        with Camera([message(number, planes(number)) for number in range(3)]) as camera:
            with oaktap.open(camera.source, timeout=20) as stream:
                numbers = [frame.seq for frame, _ in zip(stream, range(7))]
                self.assertEqual(numbers, sorted(set(numbers)))
                self.assertGreaterEqual(stream.ledger.reconnects, 1)

    def test_timeouts_and_errors_have_the_words_of_the_program(self):
        began = time.monotonic()
        with Camera([], closes=False) as camera, oaktap.open(camera.source, timeout=0.3) as stream:
            with self.assertRaisesRegex(TimeoutError, "no frame within 0.3 s: conn"):
                next(stream)
            with self.assertRaises(TimeoutError):
                stream.latest(timeout=0.1)
        self.assertLess(time.monotonic() - began, 5)
        with self.assertRaisesRegex(oaktap.SourceError, "invalid source `rtsp://x`"):
            oaktap.open("rtsp://x")
        with self.assertRaisesRegex(oaktap.RecordingError, "missing.mcap"):
            next(oaktap.open("file:missing.mcap"))
        with Camera([b"HTTP/1.1 200 OK\r\n\r\n" + bytes(5000)]) as camera:
            with self.assertRaisesRegex(oaktap.SourceError, "HTTP server answered"):
                next(oaktap.open(camera.source, timeout=10))

    def test_interrupts_end_a_waiting_loop(self):
        for call in ["next(stream)", "stream.latest()"]:
            with Camera([], closes=False) as camera:
                program = f"import oaktap; stream = oaktap.open('{camera.source}'); print('ready', flush=True); {call}"
                command = [sys.executable, "-c", program]
                with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                    self.assertEqual(process.stdout.readline(), "ready\n")
                    began = time.monotonic()
                    process.send_signal(signal.SIGINT)
                    _, errors = process.communicate(timeout=10)
            self.assertIn("KeyboardInterrupt", errors)
            self.assertLess(time.monotonic() - began, 3)

    def test_other_threads_run_while_one_waits(self):
        with Camera([], closes=False) as camera, oaktap.open(camera.source) as stream:
            ended = threading.Event()
            thread = threading.Thread(target=lambda: (list(stream), ended.set()))
            thread.start()
            self.assertFalse(ended.wait(0.2))
            stream.close()
            self.assertTrue(ended.wait(5))
            thread.join()

    def test_a_dropped_stream_ends_its_sessions(self):
        with Camera([message(0, planes(0))], closes=False) as camera:
            stream = oaktap.open(camera.source, timeout=10)
            next(stream)
            watch = weakref.ref(stream)
            sessions = stream.cameras[0]
            del stream
            gc.collect()
            self.assertIsNone(watch())
            self.assertEqual(sessions.state, "streaming", "the camera object still uses it")
            del sessions

    def test_a_forked_process_gets_an_error_and_ends(self):
        program = """
import gc, multiprocessing, oaktap, sys
stream = oaktap.open("sim:", timeout=10)
recorder = stream.record("x.mcap")
next(stream)
def child():
    global stream, recorder
    try:
        next(stream)
    except oaktap.OaktapError as error:
        print(error, flush=True)
    del stream, recorder
    gc.collect()
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join(20)
next(stream)
print(process.exitcode, len(recorder.stop()))
"""
        with tempfile.TemporaryDirectory() as folder:
            ended = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=60)
        self.assertEqual(ended.stdout, "a stream receives nothing in a forked process\nhelp: open the source in that process\n0 1\n", ended.stderr)

    def test_every_order_of_shutdown(self):
        for program in [
            "stream = oaktap.open('sim:'); frame = next(stream)",
            "stream = oaktap.open('sim:'); frame = next(stream); array = frame.planes; del stream, frame",
            "import threading; stream = oaktap.open('sim:'); threading.Thread(target=lambda: list(stream), daemon=True).start(); next(stream)",
            "import atexit; stream = oaktap.open('sim:'); atexit.register(lambda: next(stream))",
            "import builtins; builtins.kept = oaktap.open('sim:'); builtins.frame = next(builtins.kept).bgr",
            "oaktap.open('sim:')",
        ]:
            ended = subprocess.run([sys.executable, "-X", "dev", "-c", "import oaktap; " + program], capture_output=True, text=True, timeout=60)
            self.assertEqual((ended.returncode, ended.stderr), (0, ""), program)


class Asyncio(unittest.IsolatedAsyncioTestCase):
    async def test_frames_of_an_async_loop(self):
        seen, ticks = [], 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.001)

        ticking = asyncio.create_task(tick())
        with oaktap.open("sim:?size=64x48&fps=100", timeout=10) as stream:
            async for frame in stream:
                seen.append(frame.seq)
                if len(seen) == 20:
                    break
        ticking.cancel()
        self.assertEqual(seen, list(range(20)))
        self.assertGreater(ticks, 20)

    async def test_the_end_a_timeout_and_a_cancellation(self):
        with Camera([message(number, planes(number)) for number in range(3)]) as camera:
            frames = [frame.seq async for frame in oaktap.open(camera.source, reconnect=False, timeout=10)]
        self.assertEqual(frames, [0, 1, 2])
        with Camera([], closes=False) as camera, oaktap.open(camera.source, timeout=0.3) as stream:
            with self.assertRaises(TimeoutError):
                await anext(stream)
        with Camera([], closes=False) as camera, oaktap.open(camera.source) as stream:
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(anext(stream), 0.2)
        with Camera([b"HTTP/1.1 200 OK\r\n\r\n" + bytes(5000)]) as camera:
            with self.assertRaisesRegex(oaktap.SourceError, "HTTP server answered"):
                await anext(oaktap.open(camera.source, timeout=10))


if __name__ == "__main__":
    unittest.main()
