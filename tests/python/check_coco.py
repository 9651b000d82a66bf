"""Loads a data set with pycocotools, and prints its contents as JSON."""

import json
import sys
from pathlib import Path

from PIL import Image
from pycocotools.coco import COCO

root = Path(sys.argv[1])
sys.stdout, stdout = sys.stderr, sys.stdout  # It talks.
coco = COCO(str(root / "instances.json"))
found = []
for image in coco.loadImgs(coco.getImgIds()):
    with Image.open(root / "images" / image["file_name"]) as picture:
        picture.load()
        assert picture.size == (image["width"], image["height"]), image
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
    for annotation in annotations:
        x, y, width, height = annotation["bbox"]
        assert annotation["iscrowd"] == 0 and abs(annotation["area"] - width * height) < 1e-6, annotation
        assert x >= 0 and y >= 0 and width > 0 and height > 0, annotation
        assert x + width <= image["width"] + 1e-6 and y + height <= image["height"] + 1e-6, annotation
        assert coco.annToMask(annotation | {"segmentation": [[x, y, x + width, y, x + width, y + height, x, y + height]]}).any()
    names = [coco.loadCats(annotation["category_id"])[0]["name"] for annotation in annotations]
    boxes = [annotation["bbox"] for annotation in annotations]
    found.append({"file": image["file_name"], "names": names, "boxes": boxes})
# Evaluate it against itself, as trainers do after each epoch: every object must be found.
from pycocotools.cocoeval import COCOeval  # noqa: E402

results = [
    {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 1.0}
    for a in coco.dataset["annotations"]
]
evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
evaluation.evaluate()
evaluation.accumulate()
evaluation.summarize()
print(json.dumps({"images": found, "recall": evaluation.stats[8]}), file=stdout)
