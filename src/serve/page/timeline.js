// The timeline of a recording: position, gaps, boxes and triggers, as in the window of `oaktap replay`.

/** Least time between two seeks while the pointer is dragged: each reads the file. */
const SEEK_INTERVAL_MS = 100;

/** Returns milliseconds as minutes, seconds and tenths, with hours if there are any. */
export function clockText(ms) {
  const tenths = Math.max(Math.floor(ms / 100), 0);
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes, seconds] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60, Math.floor(tenths / 10) % 60];
  const rest = `${two(seconds)}.${tenths % 10}`;
  return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

export class Timeline {
  #slider;
  #canvas;
  #pointer;
  #seek;
  #marks = null;
  #duration = 0;
  #position = 0;
  #dragged = false;
  #last = 0;

  /** seek(ms) is called with the time at the pointer. */
  constructor(slider, seek) {
    this.#slider = slider;
    this.#canvas = slider.querySelector("canvas");
    this.#pointer = slider.querySelector("output");
    this.#seek = seek;
    slider.onpointerdown = (event) => {
      if (event.button !== 0) return;
      this.#dragged = true;
      slider.setPointerCapture(event.pointerId);
      this.#drag(event, true);
    };
    slider.onpointermove = (event) => {
      this.#point(event);
      if (this.#dragged) this.#drag(event, false);
    };
    slider.onpointerup = (event) => {
      if (this.#dragged) this.#drag(event, true);
      this.#dragged = false;
    };
    slider.onpointercancel = () => (this.#dragged = false);
    slider.onpointerleave = () => (this.#pointer.textContent = "");
    new ResizeObserver(() => this.#draw()).observe(slider);
  }

  /** Shows another recording, whose marks are not known yet. */
  reset() {
    [this.#marks, this.#duration, this.#position, this.#dragged] = [null, 0, 0, false];
    this.#draw();
  }

  /** Shows gaps, boxes and triggers. */
  mark(marks) {
    this.#marks = marks;
    // For tests, and for people who look into the page.
    this.#slider.dataset.gaps = marks.gaps.length;
    this.#slider.dataset.triggers = marks.triggers.length;
    this.#draw();
  }

  /** Moves to a position, unless the user drags it. */
  move(position, duration) {
    if (this.#dragged) position = this.#position;
    if (position === this.#position && duration === this.#duration) return;
    [this.#position, this.#duration] = [position, duration];
    const now = Math.floor(position / 1000);
    if (this.#slider.getAttribute("aria-valuenow") !== String(now)) {
      this.#slider.setAttribute("aria-valuenow", now);
      this.#slider.setAttribute("aria-valuetext", `${clockText(1000 * now)} of ${clockText(duration)}`);
    }
    this.#slider.setAttribute("aria-valuemax", Math.max(Math.floor(duration / 1000), now));
    this.#draw();
  }

  /** Returns the time at the pointer, and its distance from the left end in pixels. */
  #at({ clientX }) {
    const { left, width } = this.#canvas.getBoundingClientRect();
    const x = Math.min(Math.max(clientX - left, 0), width);
    return { x, ms: (x / Math.max(width, 1)) * this.#duration };
  }

  #point(event) {
    const { x, ms } = this.#at(event);
    this.#pointer.textContent = clockText(ms);
    const half = this.#pointer.offsetWidth / 2;
    this.#pointer.style.left = `${Math.min(Math.max(x, half), this.#canvas.clientWidth - half)}px`;
  }

  #drag(event, isLast) {
    const { ms } = this.#at(event);
    this.#position = ms;
    this.#draw();
    const now = performance.now();
    if (!isLast && now - this.#last < SEEK_INTERVAL_MS) return;
    this.#last = now;
    this.#seek(ms);
  }

  #draw() {
    const canvas = this.#canvas;
    const scale = devicePixelRatio;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.max(Math.round(side * scale), 1));
    canvas.width = width;
    canvas.height = height;
    if (!this.#duration) return;
    const context = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const color = (name) => style.getPropertyValue(name);
    const fill = (name, ...rect) => {
      context.fillStyle = color(name);
      context.fillRect(...rect);
    };
    const x = (ms) => (Math.min(Math.max(ms, 0), this.#duration) / this.#duration) * width;
    const bar = { top: Math.round(height * 0.5), height: Math.round(height * 0.2) };
    const under = bar.top + bar.height + Math.round(scale);
    fill("--control", 0, bar.top, width, bar.height);
    fill("--accent", 0, bar.top, x(this.#position), bar.height);
    if (this.#marks) {
      const { from_ms: from, step_ms: step, boxes, gaps, triggers } = this.#marks;
      // Steps on whole pixels have no seams.
      const edges = (at) => {
        const left = Math.floor(x(from + at * step));
        return [left, Math.max(Math.floor(x(from + (at + 1) * step)), left + 1)];
      };
      const most = Math.max(1, ...boxes);
      boxes.forEach((mean, at) => {
        if (!mean) return;
        const [left, right] = edges(at);
        // Above the bar: the more boxes the higher, at least one line.
        const tall = Math.max((mean / most) * height * 0.4, scale);
        fill("--quiet", left, bar.top - scale - tall, right - left, tall);
      });
      for (const at of gaps) {
        const [left, right] = edges(at);
        // The bar is interrupted, and a mark hangs below it.
        fill("--page", left, bar.top, right - left, bar.height);
        fill("--bad", left, under, right - left, height * 0.15);
      }
      context.fillStyle = color("--warn");
      for (const at of triggers) {
        const [left] = edges(at);
        const size = height * 0.2;
        context.beginPath();
        context.moveTo(left, under);
        context.lineTo(left - size / 1.5, under + size);
        context.lineTo(left + size / 1.5, under + size);
        context.fill();
      }
    }
    const handle = Math.round(4 * scale);
    fill("--text", Math.min(Math.max(x(this.#position) - handle / 2, 0), width - handle), height * 0.3, handle, height * 0.6);
  }
}
