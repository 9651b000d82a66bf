"""Programs of others that take frames: OpenCV, and the job of Luxonis' host.py in ten lines."""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

import cv2
import numpy

import oaktap
from sender import Camera, message, planes

PAGE = "seeds/002_9ab1a48b98534005.txt"
COLOR = (127, 255, 0)


def host_program():
    """Returns the host program of Luxonis' standalone page, or None where the page is missing."""
    root = pathlib.Path(__file__).resolve().parents[3]
    page = pathlib.Path(os.environ.get("OAKTAP_SHARED", root.parent / "shared")) / PAGE
    if not page.exists():
        return None
    return page.read_text().partition("receive and visualize detections")[2].partition("```python\n")[2].partition("```")[0]


class OpenCv(unittest.TestCase):
    def test_opencv_takes_and_changes_pictures(self):
        with oaktap.open("sim:?size=320x240&fps=100&format=NV12", timeout=10) as stream:
            frame = next(stream)
            theirs = cv2.cvtColor(frame.planes, cv2.COLOR_YUV2BGR_NV12)
            self.assertLessEqual(int(numpy.abs(theirs.astype(int) - frame.bgr).max()), 2)
            cv2.rectangle(frame.bgr, (10, 10), (50, 50), COLOR, 2)
            self.assertEqual(tuple(frame.bgr[10, 10]), COLOR)
            decoded = cv2.imdecode(numpy.frombuffer(frame.jpeg(), numpy.uint8), cv2.IMREAD_COLOR)
            self.assertEqual(decoded.shape, frame.bgr.shape)


class Host(unittest.TestCase):
    FRAMES = 12

    def test_the_job_of_host_py_has_equal_pixels_and_boxes(self):
        program = host_program()
        if program is None:
            self.skipTest("the page of the vendor is missing: set OAKTAP_SHARED")
        boxes = [b"0;87.5;0.7;0.1;0.9;0.25", b"", b"56;50.25;0.1;0.3;0.2;0.95|2;99.9;0.33;0.66;0.71;0.99|7;12.0;0.07;0.14;0.29;0.57"]
        sent = [message(number, planes(number), boxes[number % 3]) for number in range(self.FRAMES)]
        script = pathlib.Path(__file__).parents[1] / "host.py"
        with Camera(sent, closes=False) as camera:
            command = [sys.executable, script, str(camera.port), str(self.FRAMES)]
            shown = subprocess.run(command, input=program, capture_output=True, text=True, timeout=60, check=True)
        theirs = [json.loads(line) for line in shown.stdout.splitlines()]
        ours = []
        with Camera(sent) as camera:
            for frame in oaktap.open(camera.source, reconnect=False, timeout=10):
                image, texts, drawn = frame.bgr, [], []
                for d in frame.detections:
                    left, top, right, bottom = d.box
                    texts.append([d.name, left + 10, top + 20])
                    texts.append([f"{int(d.confidence * 100)}%", left + 10, top + 40])
                    drawn.append([left, top, right, bottom])
                digest = hashlib.sha256(image.tobytes()).hexdigest()
                ours.append({"shape": list(image.shape), "sha256": digest, "time": frame.device_time, "texts": texts, "boxes": drawn})
        self.assertEqual(len(theirs), self.FRAMES)
        self.assertEqual(ours, theirs)


if __name__ == "__main__":
    unittest.main()
