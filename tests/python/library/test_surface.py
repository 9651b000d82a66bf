"""Wrong arguments, and frames that are kept and dropped at random."""

import contextlib
import gc
import os
import pickle
import random
import resource
import threading
import unittest
import warnings

import oaktap

WRONG = [
    None, True, -1, 0, 1 << 70, 0.5, float("nan"), float("inf"), "", "x", "sim:?", "\0", "\ud800", b"x", [], [None], ["sim:", 5], {}, {1: 2},
    {"a": "b"}, (), (1,), (0, 0), (-1, 5), object(), lambda *_: None, slice(None), range(3), type, Exception("x"),
]
FRAMES = int(os.environ.get("OAKTAP_FRAMES", "4000"))


def resident():
    """Returns the memory of this process in MiB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


class Surface(unittest.TestCase):
    def setUp(self):
        random.seed(7)
        self.folder = self.enterContext(contextlib.chdir(self.enterContext(__import__("tempfile").TemporaryDirectory())))

    def attempt(self, call, *arguments, **named):
        """Calls a function, which may raise exceptions only. A panic of Rust is a BaseException."""
        try:
            result = call(*arguments, **named)
        except Exception:
            return
        if isinstance(result, (oaktap.Stream,)):
            result.close()
        elif isinstance(result, oaktap.Recorder):
            result.stop()

    def test_wrong_arguments_raise_exceptions_only(self):
        names = ["threshold", "only", "labels", "timeout", "size", "format", "stride", "stream", "idle_timeout", "reconnect"]
        for wrong in WRONG:
            self.attempt(oaktap.open, wrong)
            for name in names:
                self.attempt(oaktap.open, "sim:?size=16x16&fps=1000", **{name: wrong})
            self.attempt(oaktap.Recording, wrong)
            self.attempt(oaktap.record, wrong, "x.mcap")
            self.attempt(oaktap.record, "sim:?size=16x16", wrong)
            for name in ["split", "keep", "compression", "trigger", "pre", "post", "sync", "labels"]:
                self.attempt(oaktap.record, "sim:?size=16x16", "y.mcap", **{name: wrong})
            self.attempt(oaktap.export, wrong, "x")
            self.attempt(oaktap.export, "x.mcap", wrong)
            for name in ["to", "cameras", "only", "threshold", "start", "end", "every", "boxes", "quality", "progress"]:
                self.attempt(oaktap.export, "x.mcap", "x.csv", **{name: wrong})
            for name in ["wait", "addresses", "subnets", "port"]:
                if not (name == "wait" and wrong in (1 << 70, float("inf"))):
                    self.attempt(oaktap.discover, **{"broadcast": False, "wait": 0.01, name: wrong})
            for kind in [oaktap.Frame, oaktap.Detection, oaktap.Pixels, oaktap.Camera, oaktap.Stream, oaktap.Recorder, oaktap.Frames]:
                with self.assertRaises(TypeError):
                    kind(wrong)

    def test_random_combinations_raise_exceptions_only(self):
        with oaktap.open("sim:?size=64x48&fps=1000&boxes=2", timeout=10) as stream:
            frame = next(stream)
            objects = [stream, frame, frame.detections[0], frame.payload, stream.cameras[0], stream.ledger]
            for _ in range(3000):
                target = random.choice(objects)
                name = random.choice([name for name in map(str, dir(target)) if name not in ("close", "__class__", "__exit__", "save", "record", "clear", "pop", "popitem", "__anext__")])
                try:
                    value = getattr(target, name)
                    if callable(value):
                        value(*random.choices(WRONG, k=random.randrange(3)))
                except Exception:
                    pass
        for each in [stream, frame, frame.payload]:
            with self.assertRaises(TypeError):
                pickle.dumps(each)

    def test_memory_is_flat_while_frames_are_kept_and_dropped_at_random(self):
        kept, levels = [], []
        with oaktap.open("sim:?size=320x240&fps=0&boxes=5", timeout=30) as stream:
            for number, frame in enumerate(stream):
                what = random.randrange(6)
                kept.append([frame, frame.planes, frame.bgr, frame.detections, frame.payload, memoryview(frame.pixels())][what] if what else None)
                if len(kept) > 60:
                    del kept[random.randrange(len(kept))]
                if number % (FRAMES // 8) == 0:
                    gc.collect()
                    levels.append(resident())
                if number >= FRAMES:
                    break
            self.assertLess(stream.kept_bytes, 61 * 2 * 320 * 240 * 3)
            kept.clear()
            del frame
            gc.collect()
            self.assertEqual(stream.kept_bytes, 0)
        print(f"memory of {FRAMES} frames in MiB: {[round(level) for level in levels]}")
        self.assertLess(max(levels[4:]) - max(levels[1:4]), 16, levels)

    def test_streams_and_threads_are_closed(self):
        threads = lambda: len(os.listdir("/proc/self/task"))
        with oaktap.open("sim:", timeout=10) as stream:
            next(stream)
        before, memory = threads(), 0
        for number in range(40):
            stream = oaktap.open("sim:?size=320x240&fps=200", timeout=10)
            next(stream), stream.latest()
            if number % 2:
                stream.close()
            del stream
            if number == 20:
                memory = resident()
        self.assertLessEqual(threads(), before)
        self.assertLess(resident() - memory, 24)

    def test_much_kept_memory_is_reported(self):
        with oaktap.open("sim:?size=2048x1536&fps=0", timeout=30) as stream, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            kept = []
            for frame in stream:
                kept.append(frame)
                if caught or len(kept) > 400:
                    break
        self.assertIn("of frames are kept", str(caught[0].message))
        self.assertIs(caught[0].category, ResourceWarning)

    def test_several_threads_take_from_one_stream(self):
        seen, lock = [], threading.Lock()
        with oaktap.open("sim:?size=64x48&fps=500", timeout=10) as stream:
            def take():
                for frame, _ in zip(stream, range(50)):
                    frame.bgr, frame.draw()
                    with lock:
                        seen.append(frame.seq)

            threads = [threading.Thread(target=take) for _ in range(4)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
        self.assertEqual((len(seen), len(set(seen))), (200, 200))


if __name__ == "__main__":
    unittest.main()
