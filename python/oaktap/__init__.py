"""Frames of Luxonis OAK cameras in standalone mode, as numpy arrays.

    import oaktap

    for frame in oaktap.open("192.168.1.50"):
        image = frame.bgr
        for d in frame.detections:
            print(d.name, d.confidence, d.box)

`oaktap.open("sim:")` needs no camera. Iterate for every frame, or ask for `latest()`. Connections that are lost are opened
again. `oaktap.record` and `oaktap.Recording` write and read recordings, `oaktap.export` converts them, and `oaktap.discover`
finds cameras. The program `oaktap` is installed with this package.
"""

from ._oaktap import (
    Camera,
    Detection,
    FormatError,
    Frame,
    Frames,
    OaktapError,
    Pixels,
    Recorder,
    Recording,
    RecordingError,
    SourceError,
    Stream,
    __version__,
    discover,
    export,
    open,
    record,
)
from ._object import Fields

__all__ = [
    "Camera",
    "Detection",
    "Fields",
    "FormatError",
    "Frame",
    "Frames",
    "OaktapError",
    "Pixels",
    "Recorder",
    "Recording",
    "RecordingError",
    "SourceError",
    "Stream",
    "__version__",
    "discover",
    "export",
    "open",
    "record",
]
