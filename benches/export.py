"""Exports a recording with OpenCV. oaktap export is compared with this script.

usage: export.py RECORDING png FOLDER | export.py RECORDING mp4 FILE
Prints one JSON object: frames, seconds and CPU seconds, without the start of Python.
"""

import json
import sys
import time

import cv2
import numpy as np
from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory

recording, form, output = sys.argv[1:4]
start, cpu_start = time.perf_counter(), time.process_time()
frames, video = 0, None
with open(recording, "rb") as file:
    reader = make_reader(file, decoder_factories=[DecoderFactory()])
    for _, _, _, image in reader.iter_decoded_messages(topics=["/front/image"]):
        picture = np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)
        if form == "png":
            assert cv2.imwrite(f"{output}/{frames:06}.png", picture)
        else:
            if video is None:
                # The wheels of OpenCV contain no H.264 encoder.
                size = (image.width, image.height)
                video = cv2.VideoWriter(output, cv2.VideoWriter_fourcc(*"mp4v"), 40, size)
                assert video.isOpened()
            video.write(picture)
        frames += 1
if video is not None:
    video.release()
seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
print(json.dumps({"frames": frames, "seconds": seconds, "cpu_seconds": cpu_seconds, "opencv": cv2.__version__}))
