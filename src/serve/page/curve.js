// The time between the last frames of a camera, as a curve.

const MIN_MS = 1;

/** Draws the intervals in milliseconds from 0 to the longest one, in the text color of the canvas. */
export function drawCurve(canvas, intervals) {
  const width = Math.max(Math.round(canvas.clientWidth * devicePixelRatio), 1);
  const height = Math.max(Math.round(canvas.clientHeight * devicePixelRatio), 1);
  canvas.width = width;
  canvas.height = height;
  if (intervals.length < 2) {
    canvas.setAttribute("aria-label", "Time between frames: not known yet");
    return;
  }
  const longest = Math.max(...intervals, MIN_MS);
  const median = [...intervals].sort((a, b) => a - b)[intervals.length >> 1];
  const text = `Time between frames: usually ${median} ms, at most ${longest} ms`;
  if (canvas.getAttribute("aria-label") !== text) {
    canvas.setAttribute("aria-label", text);
    canvas.title = text;
  }
  const context = canvas.getContext("2d");
  const line = Math.max(1, devicePixelRatio * 1.25);
  context.lineWidth = line;
  context.lineJoin = "round";
  context.strokeStyle = getComputedStyle(canvas).color;
  context.beginPath();
  intervals.forEach((ms, at) => {
    const x = (at / (intervals.length - 1)) * (width - line) + line / 2;
    const y = height - line / 2 - (ms / longest) * (height - line);
    if (at === 0) context.moveTo(x, y);
    else context.lineTo(x, y);
  });
  context.stroke();
}
