"""Loads a data set as the trainers of ultralytics do, and prints its contents as JSON."""

import json
import sys
from pathlib import Path

import yaml
from PIL import Image

FORMATS = {".bmp", ".jpeg", ".jpg", ".png", ".webp"}

root = Path(sys.argv[1])
data = yaml.safe_load((root / "data.yaml").read_text(encoding="utf-8"))
assert {"train", "val", "names"} <= data.keys(), data
names = data["names"]
# check_class_names(): numbers from 0 without gaps.
assert sorted(names) == list(range(len(names))) and data["nc"] == len(names), names
# check_det_dataset(): without `path`, the folder of the file.
base = Path(data.get("path") or root)
found = []
assert data["train"] == data["val"]
for image in sorted((base / data["train"]).iterdir()):
    assert image.suffix in FORMATS, image
    # img2label_paths(): the last /images/ becomes /labels/.
    head, _, tail = str(image).rpartition("/images/")
    label = Path(f"{head}/labels/{tail}").with_suffix(".txt")
    with Image.open(image) as picture:
        picture.load()
        assert min(picture.size) > 9, "ultralytics takes pictures of 10 pixels and more"
    boxes = []
    # verify_image_label()
    for line in label.read_text().splitlines():
        number, *box = line.split()
        box = [float(part) for part in box]
        assert len(box) == 4 and all(0 <= part <= 1 for part in box), line
        boxes.append([names[int(number)], *box])
    assert len({str(box) for box in boxes}) == len(boxes), "duplicates"
    found.append({"file": image.name, "boxes": boxes})
assert len(found) == len(list((base / "labels" / "train").iterdir()))
print(json.dumps({"names": names, "images": found}))
