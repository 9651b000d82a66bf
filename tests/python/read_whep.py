"""Watches a camera over WebRTC (WHEP) with aiortc: read_whep.py URL COUNT CODING SENT.

SENT has the frames that the camera sends: for each its time in microseconds and its length, as little-endian int64 and uint32,
and its payload. CODING is h264, or WIDTHxHEIGHT of planes of blue, green and red. Prints for each frame that was received with
its detections the RTP time, the capture time, and the mean difference of its samples from those of the frame of this time.
"""

import asyncio
import json
import struct
import sys
import urllib.parse
import urllib.request

import av
import numpy
from aiortc import RTCPeerConnection, RTCSessionDescription, rtcrtpreceiver

url, count, coding, sent = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]


def frames_of_the_camera():
    """Returns the pictures of packed BGR by capture time."""
    decoder = av.CodecContext.create("h264", "r")
    pictures, times = {}, []
    with open(sent, "rb") as file:
        while head := file.read(12):
            time_us, length = struct.unpack("<qI", head)
            payload = file.read(length)
            if coding == "h264":
                times.append(time_us)
                for frame in decoder.decode(av.Packet(payload)):
                    pictures[times.pop(0)] = frame.to_ndarray(format="bgr24")
            else:
                width, height = map(int, coding.split("x"))
                planes = numpy.frombuffer(payload, numpy.uint8).reshape(3, height, width)
                pictures[time_us] = planes.transpose(1, 2, 0)
    return pictures


# aiortc counts time from the first packet: this keeps the time in the packets of each frame.
rtp_times = {}
counted = rtcrtpreceiver.TimestampMapper.map


def kept(mapper, time):
    since = counted(mapper, time)
    rtp_times[since] = time
    return since


rtcrtpreceiver.TimestampMapper.map = kept


def request(method, address, body=None):
    headers = {"Content-Type": "application/sdp"} if body else {}
    return urllib.request.urlopen(urllib.request.Request(address, body, headers, method=method))


async def watch():
    connection = RTCPeerConnection()
    connection.addTransceiver("video", direction="recvonly")
    channel = connection.createDataChannel("detections", ordered=False, maxRetransmits=0)
    frames, messages, enough = {}, {}, asyncio.Event()

    def check():
        if len(frames.keys() & messages.keys()) >= count:
            enough.set()

    @channel.on("message")
    def on_message(text):
        message = json.loads(text)
        messages[message["rtp_time"]] = message
        check()

    async def read(track):
        while not enough.is_set():
            frame = await track.recv()
            frames[rtp_times[frame.pts]] = frame.to_ndarray(format="bgr24")
            check()

    @connection.on("track")
    def on_track(track):
        asyncio.ensure_future(read(track))

    await connection.setLocalDescription(await connection.createOffer())
    response = await asyncio.to_thread(request, "POST", url, connection.localDescription.sdp.encode())
    answer = response.read().decode()
    await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await asyncio.wait_for(enough.wait(), 60)
    location = urllib.parse.urljoin(url, response.headers["Location"])
    ended = (await asyncio.to_thread(request, "DELETE", location)).status
    await connection.close()
    return response, answer, ended, frames, messages


response, answer, ended, frames, messages = asyncio.run(watch())
pictures = frames_of_the_camera()
received = []
for time in sorted(frames.keys() & messages.keys()):
    message = messages[time]
    expected = pictures.get(message["device_time_us"])
    if expected is None:
        sys.exit(f"the camera has sent no frame at {message['device_time_us']}")
    difference = numpy.abs(frames[time].astype(int) - expected).mean()
    detections = [detection["bbox"] for detection in message["detections"]]
    received.append([time, message["device_time_us"], round(float(difference), 3), detections])
print(json.dumps({"status": response.status, "ended": ended, "answer": answer, "received": received}))
