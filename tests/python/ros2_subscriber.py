"""Subscribes to topics of ROS 2 with zenoh-ros2-sdk, an implementation of rmw_zenoh, and prints each message as a line of JSON.

ros2_subscriber.py PORT DOMAIN DISTRO topics             prints the topics of the graph whenever they change
ros2_subscriber.py PORT DOMAIN DISTRO TYPE:TOPIC...      prints `{"ready": true}`, and then the messages
ros2_subscriber.py PORT DOMAIN DISTRO --save FOLDER ...  also writes the first message of each type to FOLDER/TYPE
"""

import hashlib
import json
import pathlib
import queue
import struct
import sys
import threading
import time

import zenoh_ros2_sdk
from ros2_messages import TYPES, type_hash, typestore
from zenoh_ros2_sdk import ROS2Subscriber, ZenohSession

HERE = "127.0.0.1"
lock = threading.Lock()


def show(value):
    with lock:
        print(json.dumps(value), flush=True)


def fields(name, m):
    """Returns the fields of a message that tests look at."""
    if name == "CompressedImage":
        return {"format": m.format, "bytes": len(m.data), "sha256": hashlib.sha256(m.data).hexdigest(), "begin": bytes(m.data[:3]).hex()}
    if name == "Image":
        image = {"width": m.width, "height": m.height, "encoding": m.encoding, "step": m.step, "bytes": len(m.data)}
        return image | {"sha256": hashlib.sha256(m.data).hexdigest()}
    if name == "CameraInfo":
        info = {"width": m.width, "height": m.height, "model": m.distortion_model}
        return info | {"d": m.d.tolist(), "k": m.k.tolist(), "r": m.r.tolist(), "p": m.p.tolist()}
    boxes = [
        {
            "class": d.results[0].hypothesis.class_id,
            "score": d.results[0].hypothesis.score,
            "center": [d.bbox.center.position.x, d.bbox.center.position.y],
            "size": [d.bbox.size_x, d.bbox.size_y],
            "id": d.id,
            "frame_id": d.header.frame_id,
        }
        for d in m.detections
    ]
    return {"detections": boxes}


def subscribe(session, store, domain, distro, name, topic, save):
    message, number = TYPES[name], type_hash(store, distro, TYPES[name])
    samples, seen = queue.SimpleQueue(), threading.Semaphore(0)
    # The SDK deserializes by itself, and does not show the bytes or the attachment.
    sdk = ROS2Subscriber(
        topic, message, lambda m: seen.release(), msg_definition="", domain_id=domain, type_hash=number, router_ip=HERE, router_port=session.router_port
    )

    def print_samples():
        while True:
            sample = samples.get()
            payload, attachment = sample.payload.to_bytes(), sample.attachment.to_bytes()
            m = store.deserialize_cdr(payload, message)
            if save and not (save / name).exists():
                (save / name).write_bytes(payload)
            seq, sent_ns, length = struct.unpack("<qqB", attachment[:17])
            stamp = m.header.stamp
            line = {
                "topic": topic,
                "type": name,
                "stamp_ns": stamp.sec * 10**9 + stamp.nanosec,
                "frame_id": m.header.frame_id,
                "same": bytes(store.serialize_cdr(m, message)) == payload,
                "seq": seq,
                "sent_ns": sent_ns,
                "gid": attachment[17:].hex() if length == len(attachment) - 17 else None,
                "sdk": seen.acquire(timeout=60),
            }
            show(line | fields(name, m))

    threading.Thread(target=print_samples, daemon=True).start()
    return sdk, session.session.declare_subscriber(sdk.keyexpr, samples.put)


def watch_topics(session, domain):
    known = None
    while True:
        topics = []
        for topic, types in zenoh_ros2_sdk.get_topic_names_and_types(domain_id=domain, router_ip=HERE, router_port=session.router_port):
            info = zenoh_ros2_sdk.get_topic_info(topic, domain_id=domain, router_ip=HERE, router_port=session.router_port, verbose=True)
            endpoints = [[end.node_namespace, end.node_name, end.type_hash, end.qos] for end in info.publishers] if info else []
            topics.append({"topic": topic, "types": types, "publishers": endpoints})
        if topics != known:
            show({"topics": topics})
            known = topics
        time.sleep(0.05)


def main():
    port, domain, distro, *rest = sys.argv[1:]
    domain = int(domain)
    save = None
    if rest[0] == "--save":
        save, rest = pathlib.Path(rest[1]), rest[2:]
    session = ZenohSession.get_instance(HERE, int(port))
    store = typestore(distro)
    # Without this it clones the definitions with git.
    session.store = store
    session._registered_types.update({message: message for message in TYPES.values()})
    if rest == ["topics"]:
        watch_topics(session, domain)
    kept = [subscribe(session, store, domain, distro, *wanted.split(":", 1), save) for wanted in rest]
    show({"ready": True})
    # Until the test ends it.
    threading.Event().wait()
    del kept


main()
