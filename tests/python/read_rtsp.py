"""Reads pictures of a camera with OpenCV, as its users do: read_rtsp.py URL TRANSPORT COUNT. Prints their sizes as JSON."""

import json
import os
import sys

url, transport, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"rtsp_transport;{transport}"

import cv2  # noqa: E402

capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
sizes, means = [], []
while len(sizes) < count:
    there, picture = capture.read()
    if not there:
        sys.exit(f"the stream ended after {len(sizes)} pictures")
    sizes.append([picture.shape[1], picture.shape[0]])
    means.append([round(float(mean)) for mean in picture.mean(axis=(0, 1))])
print(json.dumps({"sizes": sizes, "means": means}))
