"""The stubs and docstrings agree with the module, and a program with every call passes mypy in strict mode."""

import inspect
import pathlib
import subprocess
import sys
import tempfile
import unittest

import oaktap

PROGRAM = '''
import asyncio
from pathlib import Path

import numpy
from numpy.typing import NDArray

import oaktap


def show(frame: oaktap.Frame) -> NDArray[numpy.uint8]:
    names: list[str] = [d.name for d in frame.detections if d.confidence > 0.5 and d.box[2] > d.box[0]]
    depth = frame.depth_mm
    if depth is not None:
        print(depth.max(), names, memoryview(frame.payload).nbytes)
    return frame.bgr


async def watch() -> None:
    async for frame in oaktap.open("192.168.1.50", only=["person", 3], labels=["a", "b"], size=(640, 352)):
        show(frame)


def main() -> None:
    with oaktap.open(["front=192.168.1.50", "sim:"], threshold=0.5, timeout=2.0) as stream:
        for frame in stream:
            show(frame)
        latest = stream.latest(timeout=1)
        if latest is not None:
            latest.save(Path("x.png"), draw=True)
        confirmed: int = stream.cameras[0].ledger.frames.confirmed
    with oaktap.record("sim:", "x.mcap", split="10min", compression="zstd") as recorder:
        print(recorder.frames, confirmed)
    recording = oaktap.Recording("x.mcap", cameras="front")
    frames: oaktap.Frames = recording[2:5]
    one: oaktap.Frame = recording[0]
    print(len(frames), frames[0].seq, one.size, recording.detections["label"], recorder.summary[0].frames)
    print(oaktap.export(["x.mcap"], Path("x.csv"), progress=print).written, [c.id for c in oaktap.discover(wait=1)])
    try:
        asyncio.run(watch())
    except (oaktap.SourceError, oaktap.RecordingError, TimeoutError) as error:
        print(error)
'''
WRONG = '''
import oaktap

oaktap.open(5)
oaktap.open("sim:", treshold=0.5)
for frame in oaktap.open("sim:"):
    frame.seq = 5
    frame.brg
'''


class Stubs(unittest.TestCase):
    def run_module(self, *arguments):
        return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=300)

    def mypy(self, program):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "program.py"
            path.write_text(program)
            return self.run_module("mypy", "--strict", "--no-incremental", "--cache-dir", folder, str(path))

    def test_the_stubs_describe_the_module(self):
        # The others are internal. Python 3.12 shows the buffer protocol.
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as allowed:
            allowed.write("oaktap\\._.*\noaktap\\.Stream\\._[a-z].*\noaktap\\.Pixels\\.__(release_)?buffer__\n")
            allowed.flush()
            result = self.run_module("mypy.stubtest", "oaktap", "--allowlist", allowed.name, "--ignore-unused-allowlist")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_a_program_with_every_call_is_typed(self):
        result = self.mypy(PROGRAM)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_mistakes_are_found(self):
        result = self.mypy(WRONG)
        self.assertEqual(result.stdout.count("error:"), 4, result.stdout)

    def test_everything_has_a_docstring(self):
        for name in oaktap.__all__:
            value = getattr(oaktap, name)
            if name == "__version__":
                continue
            self.assertTrue(inspect.getdoc(value), name)
            self.assertTrue(value.__module__.startswith("oaktap") or name in ("open", "record", "export", "discover"), value.__module__)
            if not inspect.isclass(value) or issubclass(value, (BaseException, dict)):
                continue
            for member, thing in vars(value).items():
                if not member.startswith("_"):
                    self.assertTrue(inspect.getdoc(thing), f"{name}.{member}")


if __name__ == "__main__":
    unittest.main()
