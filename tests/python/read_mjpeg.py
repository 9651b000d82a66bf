"""Reads ten pictures of a motion JPEG server with OpenCV. Usage: read_mjpeg.py URL"""

import sys

import cv2

capture = cv2.VideoCapture(sys.argv[1], cv2.CAP_FFMPEG)
assert capture.isOpened(), "OpenCV did not open the stream"
pictures = []
while len(pictures) < 10:
    received, picture = capture.read()
    assert received, f"the stream ended after {len(pictures)} pictures"
    pictures.append(picture)
(height, width), *others = [picture.shape[:2] for picture in pictures]
assert all(other == (height, width) for other in others), others
details = sum(picture.std() > 10 for picture in pictures)
print(f"{len(pictures)} pictures of {width}x{height}, {details} with details")
