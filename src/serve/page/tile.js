// One camera: its picture, state and numbers.

import { drawCurve } from "./curve.js";
import { durationText } from "./files.js";
import { paint, savePicture } from "./picture.js";

/** States in which the last picture is not of the present. */
const OLD_STATES = ["lost", "ended", "silent", "connecting", "waiting"];

let tiles = 0;

export class Tile {
  element;
  camera;
  title;
  /** Set while the tile is on the screen. */
  visible = false;
  /** Set while the camera is recorded. */
  records = false;
  /** Set if the application on the camera takes settings. */
  takesSettings = false;
  state = "";
  #frame;
  #overlay;
  #parts;
  #last = null;
  #painted = null;
  #drawing = false;
  #filter;
  #skipped = 0;

  #resized;

  /** actions: enlarge(), resized(), snapshot(), adjust(), record() */
  constructor(template, camera, filter, actions) {
    this.element = template.content.firstElementChild.cloneNode(true);
    this.camera = camera.name;
    this.title = camera.camera;
    this.element.dataset.camera = camera.name;
    const part = (selector) => this.element.querySelector(selector);
    this.#frame = part("canvas.frame");
    this.#overlay = part("canvas.boxes");
    this.#filter = filter;
    const names = ["picture", "notice", "state", "recording", "fps", "mbit", "lost", "skipped", "age", "curve", "snapshot", "adjust", "record"];
    this.#parts = Object.fromEntries(names.map((name) => [name, part(`.${name}`)]));
    const { picture, notice, snapshot, adjust, record } = this.#parts;
    tiles += 1;
    const heading = part("h2");
    heading.textContent = camera.camera;
    heading.id = `camera-${tiles}`;
    notice.id = `notice-${tiles}`;
    this.element.setAttribute("aria-labelledby", heading.id);
    picture.setAttribute("aria-describedby", notice.id);
    snapshot.setAttribute("aria-label", `Snapshot of ${camera.camera}`);
    this.setEnlarged(false);
    this.#resized = actions.resized;
    picture.onclick = actions.enlarge;
    snapshot.onclick = actions.snapshot;
    adjust.setAttribute("aria-label", `Settings of ${camera.camera}`);
    adjust.onclick = actions.adjust;
    record.onclick = actions.record;
  }

  /** Width of the picture in pixels of the screen. */
  get width() {
    return Math.round(this.#parts.picture.clientWidth * devicePixelRatio);
  }

  /** Width of the picture divided by its height. */
  get ratio() {
    return this.#painted ? this.#frame.width / this.#frame.height : 16 / 9;
  }

  /** Height of the names and numbers below the picture, in pixels of the page. */
  get heightBelow() {
    return this.element.offsetHeight - this.#parts.picture.offsetHeight;
  }

  setEnlarged(enlarged) {
    this.element.classList.toggle("large", enlarged);
    this.#parts.picture.setAttribute("aria-label", enlarged ? `${this.title}: show all cameras` : `Enlarge ${this.title}`);
  }

  focus() {
    this.#parts.picture.focus();
  }

  /** Applies the state and the counts of the camera. `canRecord`: the server has a folder for recordings. */
  update(camera, canRecord) {
    const { picture, notice, state, fps, mbit, lost, skipped, curve } = this.#parts;
    const isOld = OLD_STATES.includes(camera.state);
    this.state = camera.state;
    this.element.dataset.state = camera.state;
    state.className = `state ${camera.state}`;
    state.textContent = camera.state;
    picture.classList.toggle("old", isOld);
    const reason = isOld ? camera.text : camera.no_picture ?? "";
    const text = [reason, reason && camera.help].filter(Boolean).join("\n");
    if (notice.textContent !== text) notice.textContent = text;
    fps.textContent = camera.fps.toFixed(1);
    mbit.textContent = camera.mbit_s.toFixed(1);
    const missing = `${camera.missing_is_estimate ? "~" : ""}${camera.missing}`;
    lost.textContent = camera.missing ? `${camera.lost} + ${missing}` : camera.lost;
    lost.classList.toggle("some", camera.lost > 0 || (camera.missing > 0 && !camera.missing_is_estimate));
    skipped.textContent = this.#skipped;
    drawCurve(curve, camera.intervals_ms);
    this.takesSettings = camera.settings !== null;
    this.#parts.adjust.hidden = !this.takesSettings;
    this.#updateRecording(camera.recording, canRecord);
  }

  #updateRecording(recording, canRecord) {
    const { recording: about, record } = this.#parts;
    this.records = Boolean(recording);
    about.hidden = !recording;
    record.hidden = !canRecord;
    record.setAttribute("aria-pressed", String(this.records));
    record.textContent = this.records ? "Stop" : "Record";
    record.setAttribute("aria-label", `${this.records ? "Stop the recording of" : "Record"} ${this.title}`);
    if (!recording) return;
    const missing = recording.missing ? `, ${recording.missing} missing` : "";
    const problem = recording.state === "recording" ? "" : ` ${recording.reason ?? recording.state}`;
    about.textContent = `REC ${durationText(recording.seconds)}${problem}${missing}`;
    about.title = `${recording.frames_written} frames written, ${recording.frames_waiting} waiting${missing}`;
    about.classList.toggle("trouble", recording.state === "paused" || recording.missing > 0);
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
    // Counted by the server, from 0 again when the page asks for another size.
    const before = this.#last?.head.superseded ?? 0;
    this.#skipped += head.superseded - (head.superseded >= before ? before : 0);
    this.#last?.bitmap.close();
    this.#last = { bitmap, head, received };
    drawn();
    this.paintSoon();
  }

  /** Shows the age of the picture: since it arrived at the server, without the time to this browser. */
  tick() {
    if (!this.#last) return;
    if (!this.visible) {
      // It gets no pictures.
      this.#parts.age.textContent = "–";
      return;
    }
    const { head, received } = this.#last;
    const ms = head.age_us / 1000 + performance.now() - received;
    this.#parts.age.textContent = ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10000 ? 1 : 0)} s`;
  }

  /** Paints the picture again, after a change of the filter. */
  paintSoon() {
    if (this.#drawing || !this.#last) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#paint();
    });
  }

  #paint() {
    const { bitmap, head } = this.#last;
    const frame = this.#frame;
    const detections = this.#filter.drawn(head.frame.detections);
    const canvases = { frame, overlay: this.#overlay, width: this.width };
    const hasNewSize = paint(canvases, bitmap, detections, this.#filter.labels);
    this.#painted = { head, detections };
    if (hasNewSize) {
      this.#parts.picture.style.aspectRatio = `${bitmap.width} / ${bitmap.height}`;
      this.#resized();
    }
    // For tests, and for people who look into the page: the frame that is on the canvas.
    frame.dataset.frame = head.frame.id;
    frame.dataset.detections = JSON.stringify(head.frame.detections);
    frame.dataset.drawn = detections.length;
  }

  /** Saves exactly the picture that is shown, with its boxes, as PNG. Returns the name of the file; null without a picture. */
  async snapshot() {
    if (!this.#painted) return null;
    const { head, detections } = this.#painted;
    const about = { camera: this.camera, unixNs: head.frame.arrival_unix_ns };
    return savePicture(this.#frame, detections, this.#filter.labels, about);
  }
}
