// A picture and its boxes, on two canvases of which one is over the other.

import { drawBoxes } from "./boxes.js";
import { safeName, save } from "./files.js";

/** Height of a picture for which the lines of a snapshot have the width of those in the page. */
const SNAPSHOT_HEIGHT = 352;

/** Sets the size of a canvas, which clears it. Returns whether it was another one. */
function resize(canvas, width, height) {
  if (canvas.width === width && canvas.height === height) return false;
  canvas.width = width;
  canvas.height = height;
  return true;
}

function makeCanvas(width, height) {
  const made = document.createElement("canvas");
  resize(made, width, height);
  return made;
}

/**
 * Paints a picture on the canvas `frame`, once: a video shows another one soon. Paints the boxes on `overlay`, which is `width`
 * pixels of the screen wide. Returns whether the picture has another size than the one before.
 */
export function paint({ frame, overlay, width }, picture, detections, labels) {
  let hasNewSize = false;
  if (!picture.isDrawn) {
    hasNewSize = resize(frame, picture.width, picture.height);
    frame.getContext("2d", { alpha: false }).drawImage(picture.image, 0, 0);
    picture.isDrawn = true;
  }
  // Boxes have the resolution of the screen, so that their text is sharp on an enlarged picture.
  const wide = Math.max(width, 1);
  resize(overlay, wide, Math.max(Math.round((wide * picture.height) / picture.width), 1));
  drawBoxes(overlay.getContext("2d"), detections, { scale: devicePixelRatio, labels });
  return hasNewSize;
}

/** Saves the picture on a canvas with these boxes as PNG. Returns the name of the file, which has the arrival and `camera`. */
export async function savePicture(frame, detections, labels, { camera, unixNs }) {
  const { width, height } = frame;
  const [picture, boxes] = [makeCanvas(width, height), makeCanvas(width, height)];
  const scale = Math.max(Math.min(width, height) / SNAPSHOT_HEIGHT, 0.7);
  drawBoxes(boxes.getContext("2d"), detections, { scale, labels });
  const context = picture.getContext("2d");
  context.drawImage(frame, 0, 0);
  context.drawImage(boxes, 0, 0);
  const blob = await new Promise((resolve) => picture.toBlob(resolve, "image/png"));
  const time = new Date(unixNs / 1e6).toISOString().replaceAll(":", "-");
  const name = `${time}_${safeName(camera)}.png`;
  save(blob, name);
  return name;
}
