"""Definitions of messages of ROS 2 for rosbags, which computes their type hashes and serializes them itself."""

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

# vision_msgs 4.1, which rosbags does not bring.
VISION = {
    "Point2D": "float64 x\nfloat64 y\n",
    "Pose2D": "vision_msgs/Point2D position\nfloat64 theta\n",
    "BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n",
    "ObjectHypothesis": "string class_id\nfloat64 score\n",
    "ObjectHypothesisWithPose": "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n",
    "Detection2D": "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
    "vision_msgs/BoundingBox2D bbox\nstring id\n",
    "Detection2DArray": "std_msgs/Header header\nvision_msgs/Detection2D[] detections\n",
}
TYPES = {
    "CompressedImage": "sensor_msgs/msg/CompressedImage",
    "Image": "sensor_msgs/msg/Image",
    "CameraInfo": "sensor_msgs/msg/CameraInfo",
    "Detection2DArray": "vision_msgs/msg/Detection2DArray",
}
STORES = {"humble": Stores.ROS2_HUMBLE, "jazzy": Stores.ROS2_JAZZY, "kilted": Stores.ROS2_KILTED}


def typestore(distro):
    """Returns the definitions of a distribution, with those of vision_msgs."""
    store = get_typestore(STORES[distro])
    for name, text in VISION.items():
        store.register(get_types_from_msg(text, f"vision_msgs/msg/{name}"))
    return store


def type_hash(store, distro, message):
    """Returns the hash of a type in key expressions."""
    return "TypeHashNotSupported" if distro == "humble" else store.hash_rihs01(message)
