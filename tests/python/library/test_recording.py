import json
import pathlib
import tempfile
import unittest

import numpy

import oaktap
from sender import SIZE, Camera, message, planes

BOXES = b"0;87.5;0.5;0.1;0.9;0.25|56;50.25;0.1;0.3;0.2;0.95"


class Recordings(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.sent = [planes(number) for number in range(12)]
        cls.path = cls.folder / "a.mcap"
        with Camera([message(number, each, BOXES) for number, each in enumerate(cls.sent)], closes=False) as camera:
            with oaktap.record(f"front={camera.source}", cls.path) as recorder:
                while recorder.frames < 11:
                    camera.ended.wait(0.02)
        cls.recorder = recorder

    def test_a_recorder_counts_its_frames(self):
        recorder = self.recorder
        self.assertEqual((recorder.state, recorder.files, recorder.path), ("finished", [self.path], self.path))
        self.assertEqual(recorder.summary[0].frames, recorder.frames)
        self.assertEqual(recorder.summary[0].dropped, 0)
        self.assertEqual(recorder.cameras[0].ledger.frames.confirmed, recorder.frames)
        self.assertEqual(recorder.stop(), [self.path])
        with self.assertRaisesRegex(oaktap.RecordingError, "already exists\nhelp: name another file"):
            oaktap.record("sim:", self.path)

    def test_frames_by_number(self):
        recording = oaktap.Recording(self.path)
        count = len(recording)
        self.assertEqual((recording.cameras, count), (["front"], self.recorder.frames))
        for number in [5, 0, 3, 4, count - 1, -1, -count, 2]:
            frame = recording[number]
            self.assertEqual(frame.seq, number % count)
            pixels = numpy.frombuffer(self.sent[number % count], numpy.uint8).reshape(3, SIZE[1], SIZE[0])
            self.assertTrue(numpy.array_equal(frame.bgr, pixels.transpose(1, 2, 0)))
            self.assertEqual([d.name for d in frame.detections], ["person", "chair"])
        for wrong in [count, -count - 1, 1 << 80]:
            with self.assertRaises((IndexError, TypeError)):
                recording[wrong]

    def test_slices_and_times(self):
        recording = oaktap.Recording(self.path)
        numbers = lambda frames: [frame.seq for frame in frames]
        self.assertEqual(numbers(recording[2:5]), [2, 3, 4])
        self.assertEqual(numbers(recording[::4]), numbers(recording)[::4])
        self.assertEqual(numbers(recording[5:2]), [])
        frames = recording[3:8]
        self.assertEqual((len(frames), frames[0].seq, frames[-1].seq, numbers(frames)), (5, 3, 7, numbers(frames)))
        times = [frame.timestamp for frame in recording]
        # A float of seconds has less than nanoseconds.
        self.assertEqual(numbers(recording.between(times[4] - 1e-6)), numbers(recording)[4:])
        self.assertEqual(numbers(recording["0s":]), numbers(recording))
        self.assertEqual(numbers(recording["1h":]), [])
        self.assertEqual(numbers(recording[:"2000-01-01T00:00:00Z"]), [])
        for wrong in [slice("x", None), slice("1s", 5), slice(None, None, -1), slice("1s", "2s", 2)]:
            with self.assertRaises((ValueError, TypeError)):
                recording[wrong]

    def test_detections_as_columns(self):
        import pandas
        import pyarrow

        recording = oaktap.Recording(self.path)
        columns = recording.detections
        count = len(recording)
        frame = pandas.DataFrame(columns)
        self.assertEqual(len(frame), 2 * count)
        self.assertEqual(list(frame.name[:2]), ["person", "chair"])
        self.assertEqual((frame.confidence[0], frame.xmin[1], frame.width[0], frame.track[0]), (0.875, numpy.float32(0.1), 640, -1))
        self.assertEqual(list(frame.seq), [number for number in range(count) for _ in range(2)])
        table = pyarrow.table(columns)
        self.assertEqual(table.num_rows, 2 * count)
        self.assertEqual(table["label"].to_pylist()[:2], [0, 56])
        self.assertEqual(table["label"].type, pyarrow.uint32())
        self.assertEqual(set(oaktap.Recording(self.path, only="person").detections["name"]), {"person"})
        exported = self.folder / "boxes.parquet"
        oaktap.export(self.path, exported)
        theirs = pandas.read_parquet(exported)
        for name in ["camera", "seq", "device_time_us", "arrival_unix_ns", "label", "name", "width"]:
            self.assertEqual(list(theirs[name]), list(frame[name]), name)

    def test_exports(self):
        shares = []
        report = oaktap.export(self.path, self.folder / "boxes.jsonl", threshold=0.6, progress=shares.append)
        lines = (self.folder / "boxes.jsonl").read_text().splitlines()
        self.assertEqual(len(lines), report.written)
        self.assertEqual(json.loads(lines[0])["detections"][0]["name"], "person")
        self.assertEqual(shares, sorted(shares))
        report = oaktap.export([self.path], self.folder / "pictures", to="png", every=4)
        self.assertEqual(report.files, len(list((self.folder / "pictures").rglob("*.png"))))
        with self.assertRaisesRegex(oaktap.RecordingError, "help: oaktap does not replace files"):
            oaktap.export(self.path, self.folder / "boxes.jsonl")
        with self.assertRaisesRegex(ZeroDivisionError, "division"):
            oaktap.export(self.path, self.folder / "other.jsonl", progress=lambda share: 1 / 0)
        self.assertFalse((self.folder / "other.jsonl").exists())
        with self.assertRaisesRegex(ValueError, "help: set to="):
            oaktap.export(self.path, self.folder / "x.doc")

    def test_a_recording_is_a_source(self):
        frames = list(oaktap.open(f"file:{self.path}?speed=max", timeout=20))
        self.assertEqual(len(frames), self.recorder.frames)
        self.assertTrue(numpy.array_equal(frames[3].bgr, oaktap.Recording(self.path)[3].bgr))

    def test_damaged_and_missing_files(self):
        torn = self.folder / "torn.mcap"
        torn.write_bytes(self.path.read_bytes()[: 3 * 676000])
        frames = []
        with self.assertRaisesRegex(oaktap.RecordingError, "help: `oaktap recover"):
            for frame in oaktap.Recording(torn):
                frames.append(frame.seq)
        self.assertGreaterEqual(len(frames), 1)
        self.assertEqual(frames, list(range(len(frames))))
        with self.assertWarnsRegex(RuntimeWarning, "help: `oaktap recover"):
            self.assertEqual(len(oaktap.Recording(torn)), len(frames))
        with self.assertRaisesRegex(oaktap.RecordingError, "missing.mcap"):
            oaktap.Recording(self.folder / "missing.mcap")
        text = self.folder / "text.mcap"
        text.write_text("no recording")
        with self.assertRaisesRegex(oaktap.RecordingError, "help: `oaktap record` writes recordings"):
            oaktap.Recording(text)
        with self.assertRaisesRegex(oaktap.RecordingError, "no camera `x`; it has front"):
            oaktap.Recording(self.path, cameras="x")

    def test_the_report_of_inspect(self):
        report = oaktap.Recording(self.path).inspect()
        self.assertEqual(report.cameras[0].frames, self.recorder.frames)
        self.assertEqual(report["cameras"][0]["labels"], {"person": self.recorder.frames, "chair": self.recorder.frames})
        with self.assertRaisesRegex(AttributeError, "no field 'x': expected one of "):
            report.x


class Video(unittest.TestCase):
    def test_video_is_decoded_live_and_by_number(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "video.mcap"
            with oaktap.open("sim:?size=320x240&fps=60&format=h264", timeout=20) as stream:
                with stream.record(path) as recorder:
                    live = [frame for frame, _ in zip(stream, range(80))]
            self.assertEqual(recorder.files, [path])
            self.assertEqual({frame.bgr.shape for frame in live}, {(240, 320, 3)})
            recording = oaktap.Recording(path)
            frames = list(recording)
            self.assertGreater(len(frames), 60)
            by_time = {frame.device_time: frame for frame in frames}
            same = [(frame, by_time[frame.device_time]) for frame in live if frame.device_time in by_time]
            self.assertGreater(len(same), 50)
            for one, other in same:
                self.assertTrue(numpy.array_equal(one.bgr, other.bgr))
            for number in [40, 41, 10, 59, 35]:
                frame = recording[number]
                expected = next(each for each in frames if each.seq == number)
                self.assertTrue(numpy.array_equal(frame.bgr, expected.bgr), number)


if __name__ == "__main__":
    unittest.main()
