"""The vendor's client at a camera: vendor.py CASE IP [ARGUMENT...] prints its findings as JSON in the last line."""

import datetime
import faulthandler
import json
import os
import sys
import time

os.environ.setdefault("DEPTHAI_LEVEL", "off")
import depthai as dai  # noqa: E402

Loader = dai.DeviceBootloader
Memory = Loader.Memory


def enter(ip, **how):
    """A session at this address, in any state of the camera, which may be about to start."""
    until = time.monotonic() + 30
    while True:
        try:
            return Loader(ip, **how)
        except RuntimeError as error:
            # "Specified device not found", or the camera has left the address.
            if "not found" not in str(error).lower() and "NOT_FOUND" not in str(error) or time.monotonic() > until:
                raise


def version(of):
    """The version without its commit suffix."""
    return str(of).split("+")[0]


def progress_into(seen):
    return lambda share: seen.append(round(share, 4))


def attempt(action):
    """Returns the result or the error."""
    try:
        return action()
    except Exception as error:
        return {"error": str(error)}


def discover(ip, wanted):
    found = [info for info in Loader.getAllAvailableDevices() if info.mxid == wanted]
    return [{"name": info.name, "state": info.state.name, "platform": info.platform.name} for info in found]


def info(ip):
    with enter(ip) as camera:
        memories = {}
        for memory in (Memory.AUTO, Memory.FLASH, Memory.EMMC):
            about = camera.getMemoryInfo(memory)
            memories[memory.name] = {"available": about.available, "size": about.size, "info": about.info}
        application = camera.readApplicationInfo(Memory.AUTO)
        return {
            "version": str(camera.getVersion()),
            "flashed": version(camera.getFlashedVersion()),
            "embedded": camera.isEmbeddedVersion(),
            "type": camera.getType().name,
            "user": camera.isUserBootloader(),
            "user_supported": camera.isUserBootloaderSupported(),
            "memories": memories,
            "has_application": application.hasApplication,
            "firmware": application.firmwareVersion,
            "name": application.applicationName,
        }


def by_description(ip):
    """Connects with the given properties, not the discovered ones."""
    info = dai.DeviceInfo()
    info.state = dai.XLinkDeviceState.X_LINK_BOOTLOADER
    info.protocol = dai.XLinkProtocol.X_LINK_TCP_IP
    info.name = ip
    with Loader(info) as camera:
        return {"version": version(camera.getVersion())}


def flash(ip, package):
    seen = []
    with open(package, "rb") as file:
        package = list(file.read())
    with enter(ip) as camera:
        said = camera.flashDepthaiApplicationPackage(progress_into(seen), package)
        application = attempt(lambda: camera.readApplicationInfo(Memory.FLASH).applicationName)
    return {"said": said, "progress": seen, "name": application}


def failing_flash(ip, package):
    return attempt(lambda: flash(ip, package))


def clear(ip):
    with enter(ip) as camera:
        said = camera.flashClear()
        return {"said": said, "has_application": camera.readApplicationInfo(Memory.FLASH).hasApplication}


def bootloader(ip, image):
    seen = []
    with enter(ip, allowFlashingBootloader=True) as camera:
        embedded, before = camera.isEmbeddedVersion(), version(camera.getFlashedVersion())
        said = camera.flashBootloader(progress_into(seen), image)
    with enter(ip) as camera:
        return {"said": said, "embedded": embedded, "before": before, "after": version(camera.getVersion()), "last": seen[-1]}


def user_bootloader(ip, image):
    seen = []
    with enter(ip, allowFlashingBootloader=True) as camera:
        said = camera.flashUserBootloader(progress_into(seen), image)
    with enter(ip) as camera:
        return {"said": said, "user": camera.isUserBootloader(), "config": camera.readConfigData()}


def factory_reset(ip, path):
    """As in the vendor's documentation; writes the image to `path`."""
    image = bytes(Loader.getEmbeddedBootloaderBinary(Loader.Type.NETWORK))
    image += b"\xff" * (8 * 1024 * 1024 + 512 - len(image))
    with open(path, "wb") as file:
        file.write(image)
    seen = []
    with enter(ip, allowFlashingBootloader=True) as camera:
        said = camera.flashBootloader(progress_into(seen), path)
    with enter(ip) as camera:
        has = camera.readApplicationInfo(Memory.FLASH).hasApplication
        config = attempt(lambda: camera.readConfigData())
        return {"said": said, "has_application": has, "config": config, "last": seen[-1]}


def config(ip, address):
    with enter(ip) as camera:
        seen = {"none": attempt(lambda: camera.readConfigData())}
        wanted = Loader.Config()
        wanted.setStaticIPv4(address, "255.0.0.0", "127.0.0.1")
        wanted.setDnsIPv4("8.8.8.8", "1.1.1.1")
        wanted.setNetworkTimeout(datetime.timedelta(seconds=15))
        wanted.setMacAddress("44:A9:2C:01:02:03")
        seen["said"] = camera.flashConfig(wanted)
        read = camera.readConfig()
        seen["read"] = [read.getIPv4(), read.getIPv4Mask(), read.getIPv4Gateway(), read.isStaticIPV4()]
        seen["mac"], seen["timeout"] = read.getMacAddress(), read.getNetworkTimeout().total_seconds()
        seen["same"] = read.toJson() == wanted.toJson()
        # A key that the typed API does not have.
        data = camera.readConfigData()
        data["network"]["hostname"] = "cam"
        seen["data"] = [camera.flashConfigData(data), camera.readConfigData() == data]
        # With an explicit type the client uses another address and limit.
        seen["typed"] = camera.readConfig(Memory.FLASH, Loader.Type.NETWORK).getIPv4()
    with enter(address) as camera:
        seen["moved"] = camera.readConfig().getIPv4()
        seen["cleared"] = camera.flashConfigClear()
        seen["after"] = attempt(lambda: camera.readConfigData())
    with enter(ip) as camera:
        seen["back"] = version(camera.getVersion())
    return seen


def custom(ip, path):
    with open(path, "rb") as file:
        data = file.read()
    with enter(ip) as camera:
        seen = []
        said = camera.flashCustom(Memory.FLASH, 0x1000000, list(data), progress_into(seen))
        read = camera.readCustom(Memory.FLASH, 0x1000000, len(data))
        outside = camera.readCustom(Memory.FLASH, 0x7FFFFFF0, 64)
        none = camera.flashCustom(Memory.EMMC, 0, [1, 2, 3])
        return {
            "said": said,
            "last": seen[-1],
            "read": [read[0], read[1], bytes(read[2]) == data],
            "outside": outside[:2],
            "none": none,
        }


def headers(ip):
    with enter(ip) as camera:
        return {"normal": camera.flashBootHeader(Memory.FLASH), "gpio": camera.flashGpioModeBootHeader(Memory.FLASH, 0)}


def old(ip):
    with enter(ip) as camera:
        return {
            "version": version(camera.getVersion()),
            "user": camera.isUserBootloader(),
            "memory": attempt(lambda: camera.getMemoryInfo(Memory.FLASH).size),
            "application": attempt(lambda: camera.readApplicationInfo(Memory.FLASH).hasApplication),
            "header": attempt(lambda: camera.flashBootHeader(Memory.FLASH)),
        }


def query(ip):
    """Sends a request whose answer has another type."""
    with enter(ip) as camera:
        return attempt(lambda: camera.getMemoryInfo(Memory.FLASH).size)


def running(ip):
    """Connects to a camera that runs its application."""
    with enter(ip) as camera:
        return {"version": version(camera.getVersion())}


def in_use(ip):
    return attempt(lambda: Loader(ip) and None)


if __name__ == "__main__":
    # Without a timeout it would wait for some answers forever.
    faulthandler.dump_traceback_later(120, exit=True)
    case, *arguments = sys.argv[1:]
    result = globals()[case](*arguments)
    sys.stdout.flush()
    print("\n" + json.dumps(result), flush=True)
    # Exit without waiting for its threads.
    os._exit(0)
