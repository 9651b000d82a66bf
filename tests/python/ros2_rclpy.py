"""Reads messages of ROS 2 in FOLDER/TYPE with the genuine rclpy, and serializes them again.

rclpy leaves the bytes that align values as they are in memory, so rosbags sets those to zero before the comparison.
"""

import pathlib
import sys

from rclpy.serialization import deserialize_message, serialize_message
from ros2_messages import TYPES, typestore
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

# There is no package of vision_msgs for pip.
GENUINE = {"CompressedImage": CompressedImage, "Image": Image, "CameraInfo": CameraInfo}

store = typestore("kilted")
for name, kind in GENUINE.items():
    payload = (pathlib.Path(sys.argv[1]) / name).read_bytes()
    message = deserialize_message(payload, kind)
    again = serialize_message(message)
    canonical = bytes(store.serialize_cdr(store.deserialize_cdr(again, TYPES[name]), TYPES[name]))
    assert canonical == payload, f"{name}: {len(canonical)} and {len(payload)} bytes"
    assert message.header.frame_id and message.header.stamp.sec, message.header
    print(name, len(payload), message.header.frame_id)
