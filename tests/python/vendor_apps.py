"""vendor_apps.py APPS FOLDER: packages of applications as a user of depthai would make them, for others to compare.

APPS is JSON: applications as oaktap.toml has them, each with the text of its Script, its model, and whether it is to be
compressed. What is saved in FOLDER is NUMBER.dap. Nothing here knows how depthai tells a camera what it is told.
"""

import json
import sys
from pathlib import Path

import depthai as dai

RESOLUTIONS = {
    "1080p": "THE_1080_P",
    "4k": "THE_4_K",
    "12mp": "THE_12_MP",
    "13mp": "THE_13_MP",
    "720p": "THE_720_P",
    "800p": "THE_800_P",
    "1200p": "THE_1200_P",
    "5mp": "THE_5_MP",
}
ORIENTATIONS = {
    "auto": "AUTO",
    "normal": "NORMAL",
    "mirror": "HORIZONTAL_MIRROR",
    "flip": "VERTICAL_FLIP",
    "rotate180": "ROTATE_180_DEG",
}
PROFILES = {"jpeg": "MJPEG", "h264": "H264_MAIN", "h265": "H265_MAIN"}


def size(text):
    return tuple(int(number) for number in text.split("x"))


def camera(pipeline, app):
    node = pipeline.create(dai.node.ColorCamera)
    properties = dai.ColorCameraProperties
    node.setResolution(getattr(properties.SensorResolution, RESOLUTIONS[app["resolution"]]))
    node.setPreviewSize(*size(app["size"]))
    node.setFps(app["fps"])
    node.setInterleaved(False)
    node.setColorOrder(getattr(properties.ColorOrder, app["colour"].upper()))
    node.setImageOrientation(getattr(dai.CameraImageOrientation, ORIENTATIONS[app["orientation"]]))
    if app["payload"]["coding"] == "raw":
        # The Script keeps some frames for a while, up to 64 MiB.
        width, height = size(app["size"])
        node.setPreviewNumFramesPool(min(10, max(4, (64 << 20) // (3 * width * height))))
    return node


def fitted(pipeline, app):
    """The node that converts the preview to the model's input, if they differ."""
    model = app["model"]
    if model is None or model["fit"] == "same" or app["input"] == app["size"]:
        return None
    node = pipeline.create(dai.node.ImageManip)
    width, height = size(app["input"])
    config = node.initialConfig
    if model["fit"] == "letterbox":
        config.setResizeThumbnail(width, height)
    else:
        config.setResize(width, height)
        config.setKeepAspectRatio(model["fit"] == "crop")
    config.setFrameType(getattr(dai.ImgFrame.Type, app["colour"].upper() + "888p"))
    node.setMaxOutputFrameSize(width * height * 3)
    return node


def converted(pipeline, app):
    """The node that converts the preview for the encoder, if the preview is sent."""
    if app["payload"]["coding"] == "raw" or app["picture"] == "video":
        return None
    node = pipeline.create(dai.node.ImageManip)
    node.initialConfig.setFrameType(dai.ImgFrame.Type.NV12)
    width, height = size(app["size"])
    node.setMaxOutputFrameSize(width * height * 3 // 2)
    return node


def network(pipeline, app, blob):
    model = app["model"]
    if model is None:
        return None
    family = model["family"]
    if family["kind"] == "yolo":
        node = pipeline.create(dai.node.YoloDetectionNetwork)
        node.setNumClasses(app["classes"])
        node.setCoordinateSize(family["coordinates"])
        node.setIouThreshold(family["iou"])
        if "anchors" in family:
            node.setAnchors(family["anchors"])
            node.setAnchorMasks(family["masks"])
    else:
        node = pipeline.create(dai.node.MobileNetDetectionNetwork)
    node.setConfidenceThreshold(model["confidence"])
    node.setBlobPath(blob)
    node.setNumInferenceThreads(model["threads"])
    node.input.setBlocking(False)
    node.input.setQueueSize(1)
    return node


def encoder(pipeline, app):
    payload = app["payload"]
    if payload["coding"] == "raw":
        return None
    node = pipeline.create(dai.node.VideoEncoder)
    profile = getattr(dai.VideoEncoderProperties.Profile, PROFILES[payload["coding"]])
    node.setDefaultProfilePreset(app["fps"], profile)
    if payload["coding"] == "jpeg":
        node.setQuality(payload["quality"])
    else:
        node.setKeyframeFrequency(payload["keyframe_interval"])
        if payload["bitrate_kbps"]:
            node.setBitrateKbps(payload["bitrate_kbps"])
    return node


def build(app, text, inputs, blob):
    pipeline = dai.Pipeline()
    source = camera(pipeline, app)
    fit, convert = fitted(pipeline, app), converted(pipeline, app)
    net, encode = network(pipeline, app, blob), encoder(pipeline, app)
    logger = pipeline.create(dai.node.SystemLogger)
    logger.setRate(1)
    script = pipeline.create(dai.node.Script)
    script.setProcessor(dai.ProcessorType.LEON_CSS)
    script.setScript(text)
    for name, blocking, queue_size in inputs:
        script.inputs[name].setBlocking(blocking)
        script.inputs[name].setQueueSize(queue_size)
    if net:
        if fit:
            source.preview.link(fit.inputImage)
            fit.out.link(net.input)
        else:
            source.preview.link(net.input)
        net.out.link(script.inputs["detections"])
    if encode:
        if convert:
            source.preview.link(convert.inputImage)
            convert.out.link(encode.input)
        else:
            source.video.link(encode.input)
        encode.bitstream.link(script.inputs["frame"])
    elif net and not fit:
        net.passthrough.link(script.inputs["frame"])
    else:
        source.preview.link(script.inputs["frame"])
    logger.out.link(script.inputs["system"])
    script.outputs["control"].link(source.inputControl)
    return pipeline


def main():
    apps, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    for number, case in enumerate(apps):
        pipeline = build(case["app"], case["text"], case["inputs"], case["blob"])
        dai.DeviceBootloader.saveDepthaiApplicationPackage(
            str(folder / f"{number}.dap"), pipeline, compress=case["compressed"], applicationName=case["name"]
        )
    print(json.dumps({"version": dai.__version__, "module": dai.__file__, "packages": len(apps)}))


main()
