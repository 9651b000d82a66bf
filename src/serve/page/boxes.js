// Draws the detections of a frame on its picture.

// The colors of the window and of pictures that are saved (overlay/palette.rs).
const COLORS = [
  "#00ff7f", "#6600ee", "#ff4400", "#007700", "#ffccff", "#ff11ff", "#00aadd", "#884466",
  "#ffbb00", "#cc88bb", "#77aa55", "#55eeff", "#0066aa", "#dd0088", "#9966ff", "#996600",
  "#9900aa", "#ccffbb", "#bb0000", "#cc8855", "#448877", "#1177ff", "#aacc99", "#00cc00",
  "#ffaa99", "#aabbee", "#ff88ff", "#ddff00", "#7777bb", "#bb11ee", "#ff55bb", "#0033ff",
  "#aacc00", "#cc5566", "#bb55bb", "#00ccbb", "#8899ff", "#ff7788", "#229900", "#6644bb",
  "#33eebb", "#ffddaa", "#22ccff", "#ff2266", "#cc77ff", "#556633", "#aa0066", "#22aa99",
  "#0088bb", "#ccaa33", "#ff8800", "#778833", "#996688", "#aaee77", "#ff99cc", "#6655ff",
  "#55cc77", "#dd11cc", "#cc5500", "#994422", "#ddaaff", "#994499", "#eedd00", "#aaffff",
  "#3355dd", "#dd0044", "#665588", "#8833dd", "#77bbcc", "#dd6699", "#bb0099", "#00ee00",
  "#9999cc", "#aaddff", "#aa8800", "#aa6655", "#007788", "#3399ff", "#aa77cc", "#88ff00",
];

/** Returns the color of a class. */
export function colorOf(label) {
  return COLORS[label % COLORS.length];
}

/** Returns the more legible of black and white on a color: both have the same contrast at the luminance 0.179. */
function textOn(color) {
  const linear = (at) => {
    const part = parseInt(color.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * linear(1) + 0.7152 * linear(3) + 0.0722 * linear(5) > 0.179 ? "#000000" : "#ffffff";
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
    context.fillStyle = textOn(color);
    context.fillText(text, textX + size * 0.3, textY + box.height / 2);
  }
}
