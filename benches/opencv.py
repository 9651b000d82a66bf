"""Compares OpenCV's conversions with a memcpy in the same run, as `cargo bench --bench convert` does with ours.

    python3 benches/opencv.py

Needs numpy and opencv-python-headless. Uses one thread. The ratio is that of the shortest times of 300 turns; the memcpy moves as
many bytes as the conversion reads and writes. Compare it with `best` of the lines of the same name.
"""

import time

import cv2
import numpy as np

TURNS = 300


def best(call):
    shortest = float("inf")
    for _ in range(TURNS):
        start = time.perf_counter()
        call()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest


def compare(name, source, out, convert):
    traffic = source.nbytes + out.nbytes
    from_bytes = np.ones(traffic // 2, np.uint8)
    to_bytes = np.zeros_like(from_bytes)
    copy, took = best(lambda: np.copyto(to_bytes, from_bytes)), best(convert)
    print(f"{name:<40} {took * 1e6:9.1f} us   ratio {copy / took:.2f}")


def main():
    cv2.setNumThreads(1)
    noise = np.random.default_rng(1)
    for width, height in [(640, 352), (1920, 1080)]:
        size = f"{width}x{height}"
        words = np.zeros((height, width, 4), np.uint8)
        nv12 = noise.integers(0, 256, (height * 3 // 2, width), np.uint8)
        compare(f"NV12 {size} -> u32", nv12, words, lambda: cv2.cvtColor(nv12, cv2.COLOR_YUV2BGRA_NV12, dst=words))
        depth = noise.integers(0, 65536, (height, width), np.uint16)
        bgr, gray = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)

        def colored():
            cv2.convertScaleAbs(depth, dst=gray, alpha=1 / 256)
            cv2.applyColorMap(gray, cv2.COLORMAP_TURBO, dst=bgr)

        compare(f"RAW16 {size} -> BGR8", depth, bgr, colored)
        # OpenCV names the colors of the second row and column: BG is RGGB.
        mosaic = noise.integers(0, 256, (height, width), np.uint8)
        compare(f"RAW8:RGGB {size} -> BGR8", mosaic, bgr, lambda: cv2.cvtColor(mosaic, cv2.COLOR_BayerBG2BGR, dst=bgr))


main()
