"""Reads a recording with the official Python packages, and prints each message as one line of JSON."""

import hashlib
import io
import json
import sys

import numpy as np
from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory
from PIL import Image

# Type and shape of a pixel of each encoding.
PIXELS = {
    "bgr8": (np.uint8, (3,)),
    "rgb8": (np.uint8, (3,)),
    "rgba8": (np.uint8, (4,)),
    "mono8": (np.uint8, ()),
    "16UC1": (np.dtype("<u2"), ()),
    "yuyv": (np.uint8, (2,)),
}


def raw_image(m):
    rows = m.height * 3 // 2 if m.encoding == "nv12" else m.height
    dtype, pixel = PIXELS.get(m.encoding, (np.uint8, ()))
    lines = np.frombuffer(m.data, np.uint8).reshape(rows, m.step)
    row = m.width * np.dtype(dtype).itemsize * (pixel[0] if pixel else 1)
    array = np.ascontiguousarray(lines[:, :row]).view(dtype).reshape(rows, m.width, *pixel)
    return {"encoding": m.encoding, "shape": array.shape, "sha256": sha256(array.tobytes()), "frame": m.frame_id}


def compressed_image(m):
    with Image.open(io.BytesIO(m.data)) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    return {"encoding": m.format, "shape": pixels.shape, "sha256": sha256(m.data), "frame": m.frame_id}


def compressed_video(m):
    return {"encoding": m.format, "sha256": sha256(m.data), "frame": m.frame_id}


def annotations(m):
    return {
        "boxes": [
            {
                "points": [[p.x, p.y] for p in points.points],
                "type": points.type,
                "thickness": points.thickness,
                **{pair.key: pair.value for pair in points.metadata},
            }
            for points in m.points
        ],
        "texts": [[text.text, text.position.x, text.position.y] for text in m.texts],
    }


def wire(m):
    return {
        "header": m.header.hex(),
        "detections": m.detections.hex(),
        "dialect": m.dialect,
        "kind": m.kind,
        "device_time_us": m.device_time_us,
        "payload_len": m.payload_len,
        "payload_crc32": m.payload_crc32,
        "format": m.layout.format,
    }


def sha256(data):
    return hashlib.sha256(data).hexdigest()


DECODED = {
    "foxglove.RawImage": raw_image,
    "foxglove.CompressedImage": compressed_image,
    "foxglove.CompressedVideo": compressed_video,
    "foxglove.ImageAnnotations": annotations,
    "oaktap.Wire": wire,
}

with open(sys.argv[1], "rb") as file:
    reader = make_reader(file, decoder_factories=[DecoderFactory()], validate_crcs=True)
    for schema, channel, message, decoded in reader.iter_decoded_messages():
        line = {
            "topic": channel.topic,
            "schema": schema.name,
            "sequence": message.sequence,
            "log_ns": message.log_time,
            "publish_ns": message.publish_time,
        }
        if decoded.DESCRIPTOR.fields_by_name.get("timestamp"):
            line["timestamp_ns"] = decoded.timestamp.seconds * 1_000_000_000 + decoded.timestamp.nanos
        print(json.dumps(line | DECODED[schema.name](decoded)))
