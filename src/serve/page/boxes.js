// Draws the detections of a frame on its picture.

const COLORS = ["#ff5a4f", "#37b6ff", "#ffb42e", "#4fd67a", "#c98bff", "#ff7ac0", "#2fd5c8", "#d3dc4a"];

/** Returns the color of a class: dark text is legible on each of them. */
export function colorOf(label) {
  return COLORS[label % COLORS.length];
}

/** Draws boxes and labels, and nothing else. `scale`: pixels of the canvas for one pixel of the page. */
export function drawBoxes(context, detections, { scale, labels }) {
  const { width, height } = context.canvas;
  context.clearRect(0, 0, width, height);
  const line = Math.max(1, Math.round(2 * scale));
  const size = Math.max(8, Math.round(13 * scale));
  context.lineWidth = line;
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  for (const { bbox, label, name, confidence } of detections) {
    // A number that is not finite is null in JSON.
    if (bbox.some((edge) => edge === null)) continue;
    const [x, y, otherX, otherY] = bbox.map((edge, at) => edge * (at % 2 ? height : width));
    // Corners arrive in any order.
    const [left, top, right, bottom] = [Math.min(x, otherX), Math.min(y, otherY), Math.max(x, otherX), Math.max(y, otherY)];
    const color = colorOf(label);
    context.strokeStyle = color;
    // Lines on whole pixels are sharp.
    const [x0, y0, x1, y1] = [left, top, right, bottom].map((edge) => Math.round(edge) + (line % 2) / 2);
    context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    if (!labels) continue;
    const percent = confidence === null ? "" : ` ${Math.round(confidence * 100)}%`;
    const text = `${name}${percent}`;
    const box = { width: context.measureText(text).width + size * 0.6, height: size * 1.35 };
    const textX = Math.min(Math.max(left - line / 2, 0), Math.max(width - box.width, 0));
    const textY = top >= box.height ? top - box.height : Math.max(top, 0);
    context.fillStyle = color;
    context.fillRect(textX, textY, box.width, box.height);
    context.fillStyle = "#10130f";
    context.fillText(text, textX + size * 0.3, textY + box.height / 2);
  }
}
