// One camera: its picture, state and numbers.

import { drawBoxes } from "./boxes.js";

/** States in which the last picture is not of the present. */
const OLD_STATES = ["lost", "ended", "silent", "connecting", "waiting"];

export class Tile {
  element;
  camera;
  /** Set while the tile is on the screen. */
  visible = false;
  #frame;
  #overlay;
  #parts;
  #last = null;
  #drawing = false;
  #boxes;

  constructor(template, camera, { enlarge, boxes }) {
    this.element = template.content.firstElementChild.cloneNode(true);
    this.camera = camera.name;
    this.element.dataset.camera = camera.name;
    const part = (selector) => this.element.querySelector(selector);
    this.#frame = part("canvas.frame");
    this.#overlay = part("canvas.boxes");
    this.#boxes = boxes;
    this.#parts = {
      picture: part(".picture"), notice: part(".notice"), state: part(".state"), fps: part(".fps"),
      mbit: part(".mbit"), lost: part(".lost"), age: part(".age"),
    };
    part("h2").textContent = camera.camera;
    this.#parts.picture.setAttribute("aria-label", `Enlarge ${camera.camera}`);
    this.#parts.picture.onclick = enlarge;
    const snapshot = part(".snapshot");
    snapshot.href = `/snapshot/${encodeURIComponent(camera.name)}.jpg`;
    snapshot.download = `${camera.name}.jpg`;
    snapshot.setAttribute("aria-label", `Save a picture of ${camera.camera}`);
  }

  /** Width of the picture in pixels of the screen. */
  get width() {
    return Math.round(this.#parts.picture.clientWidth * devicePixelRatio);
  }

  /** Applies the state and the counts of the camera. */
  update(camera) {
    const { picture, notice, state, fps, mbit, lost } = this.#parts;
    const isOld = OLD_STATES.includes(camera.state);
    this.element.dataset.state = camera.state;
    state.className = `state ${camera.state}`;
    state.textContent = camera.state;
    picture.classList.toggle("old", isOld);
    const reason = isOld ? camera.text : camera.no_picture ?? "";
    notice.textContent = [reason, reason && camera.help].filter(Boolean).join("\n");
    fps.textContent = camera.fps.toFixed(1);
    mbit.textContent = camera.mbit_s.toFixed(1);
    lost.textContent = camera.lost;
  }

  /** Draws a picture with the detections of its frame. */
  async draw(head, file, drawn) {
    const received = performance.now();
    let bitmap;
    try {
      bitmap = await createImageBitmap(file);
    } catch {
      // A JPEG of a camera may be damaged. The next one is not.
      drawn();
      return;
    }
    this.#last?.bitmap.close();
    this.#last = { bitmap, head, received };
    drawn();
    this.#paintSoon();
  }

  setBoxes(boxes) {
    this.#boxes = boxes;
    this.#paintSoon();
  }

  /** Shows the age of the picture: since it arrived at the server, without the time to this browser. */
  tick() {
    if (!this.#last) return;
    const { head, received } = this.#last;
    const ms = head.age_us / 1000 + performance.now() - received;
    this.#parts.age.textContent = ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10000 ? 1 : 0)} s`;
  }

  #paintSoon() {
    if (this.#drawing || !this.#last) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#paint();
    });
  }

  #paint() {
    const { bitmap, head } = this.#last;
    const [frame, overlay] = [this.#frame, this.#overlay];
    if (resize(frame, bitmap.width, bitmap.height)) {
      this.#parts.picture.style.aspectRatio = `${bitmap.width} / ${bitmap.height}`;
    }
    frame.getContext("2d", { alpha: false }).drawImage(bitmap, 0, 0);
    // Boxes have the resolution of the screen, so that their text is sharp on an enlarged picture.
    const width = Math.max(this.width, 1);
    resize(overlay, width, Math.max(Math.round((width * bitmap.height) / bitmap.width), 1));
    drawBoxes(overlay.getContext("2d"), this.#boxes ? head.frame.detections : [], devicePixelRatio);
    // For tests, and for people who look into the page: the frame that is on the canvas.
    frame.dataset.frame = head.frame.id;
    frame.dataset.detections = JSON.stringify(head.frame.detections);
  }
}

/** Sets the size of a canvas, which clears it. Returns whether it was another one. */
function resize(canvas, width, height) {
  if (canvas.width === width && canvas.height === height) return false;
  canvas.width = width;
  canvas.height = height;
  return true;
}
