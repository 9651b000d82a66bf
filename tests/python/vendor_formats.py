"""vendor_formats.py FOLDER: packages, settings and a bootloader as depthai makes them, for others to compare."""

import hashlib
import json
import sys
from pathlib import Path

import depthai as dai

SCRIPT = "import socket\nprint('grüße')\nwhile True:\n\tframe = node.io['in'].get()\n"


def pipeline():
    pipeline = dai.Pipeline()
    camera = pipeline.create(dai.node.ColorCamera)
    camera.setPreviewSize(640, 352)
    camera.setInterleaved(False)
    script = pipeline.create(dai.node.Script)
    script.setProcessor(dai.ProcessorType.LEON_CSS)
    script.setScript(SCRIPT)
    encoder = pipeline.create(dai.node.VideoEncoder)
    encoder.setDefaultProfilePreset(30, dai.VideoEncoderProperties.Profile.MJPEG)
    manip = pipeline.create(dai.node.ImageManip)
    manip.initialConfig.setResize(416, 416)
    camera.preview.link(script.inputs["in"])
    camera.preview.link(manip.inputImage)
    camera.video.link(encoder.input)
    encoder.bitstream.link(script.inputs["jpeg"])
    manip.out.link(script.inputs["small"])
    return pipeline


def settings():
    fixed = dai.DeviceBootloader.Config()
    fixed.setStaticIPv4("10.250.128.129", "255.255.240.0", "10.250.143.254")
    fixed.setDnsIPv4("192.168.1.250", "9.9.9.9")
    fixed.setMacAddress("02:aa:bb:cc:dd:fe")
    dynamic = dai.DeviceBootloader.Config()
    dynamic.setDynamicIPv4("172.16.0.200", "255.255.0.0", "172.16.0.1")
    return {"usual": dai.DeviceBootloader.Config().toJson(), "static": fixed.toJson(), "dynamic": dynamic.toJson()}


def main():
    folder = Path(sys.argv[1])
    made = pipeline()
    save = dai.DeviceBootloader.saveDepthaiApplicationPackage
    save(str(folder / "plain.dap"), made)
    save(str(folder / "named.dap"), made, compress=False, applicationName="Tür 1", checkChecksum=True)
    save(str(folder / "compressed.dap"), made, compress=True, applicationName="door")
    schema = made.serializeToJson()["pipeline"]
    bootloader = bytes(dai.DeviceBootloader.getEmbeddedBootloaderBinary(dai.DeviceBootloader.Type.NETWORK))
    links = schema["connections"]
    print(
        json.dumps(
            {
                "script": SCRIPT,
                "nodes": [[node["id"], node["name"]] for _, node in schema["nodes"]],
                "links": sorted(
                    [
                        [link["node1Id"], link["node1OutputGroup"], link["node1Output"]],
                        [link["node2Id"], link["node2InputGroup"], link["node2Input"]],
                    ]
                    for link in links
                ),
                "settings": settings(),
                "module": dai.__file__,
                "bootloader": [len(bootloader), hashlib.sha256(bootloader).hexdigest()],
            }
        )
    )


main()
