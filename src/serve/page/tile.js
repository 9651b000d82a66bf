// One camera: its picture, state and numbers.

import { drawCurve } from "./curve.js";
import { durationText } from "./files.js";
import { paint, savePicture } from "./picture.js";
import { playsVideo, Video } from "./video.js";

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
  /** Set while the browser plays the H.264 of the camera, or may. */
  playsVideo = playsVideo;
  state = "";
  #frame;
  #overlay;
  #parts;
  #last = null;
  #painted = null;
  #drawing = false;
  #filter;
  #notShown = 0;
  #video = null;

  #resized;

  /** actions: enlarge(), resized(), formChanged(), snapshot(), adjust(), record() */
  constructor(template, camera, filter, actions) {
    this.element = template.content.firstElementChild.cloneNode(true);
    this.camera = camera.name;
    this.title = camera.camera;
    this.element.dataset.camera = camera.name;
    const part = (selector) => this.element.querySelector(selector);
    this.#frame = part("canvas.frame");
    this.#overlay = part("canvas.boxes");
    this.#filter = filter;
    const names = ["picture", "notice", "state", "recording", "fps", "mbit", "lost", "missing", "age", "curve", "snapshot", "adjust", "record"];
    this.#parts = Object.fromEntries(names.map((name) => [name, part(`.${name}`)]));
    this.#parts.notShown = part(".not-shown");
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
    if (playsVideo) {
      this.#video = new Video({
        presented: (head, received) => this.#present(head, received),
        refused: () => {
          this.playsVideo = false;
          actions.formChanged();
        },
      });
    }
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
    const { picture, notice, state, fps, mbit, lost, missing, notShown, curve } = this.#parts;
    const isOld = OLD_STATES.includes(camera.state);
    this.state = camera.state;
    this.element.dataset.state = camera.state;
    state.className = `state ${camera.state}`;
    // `lost` is the number of lost frames.
    const away = camera.silent_ms === null ? "not connected" : "no connection";
    state.textContent = camera.state === "lost" ? away : camera.state;
    picture.classList.toggle("old", isOld);
    const reason = isOld ? camera.text : camera.no_picture ?? "";
    const text = [reason, reason && camera.help].filter(Boolean).join("\n");
    if (notice.textContent !== text) notice.textContent = text;
    fps.textContent = camera.fps.toFixed(1);
    mbit.textContent = camera.mbit_s.toFixed(1);
    const isEstimate = camera.missing_is_estimate && camera.missing > 0;
    lost.textContent = camera.lost;
    lost.classList.toggle("some", camera.lost > 0);
    missing.textContent = `${isEstimate ? "~" : ""}${camera.missing}`;
    missing.classList.toggle("some", camera.missing > 0 && !isEstimate);
    notShown.textContent = this.#notShown;
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
    const missing = recording.missing ? `, ${recording.missing} not recorded` : "";
    const problem = recording.state === "recording" ? "" : ` ${recording.reason ?? recording.state}`;
    about.textContent = `REC ${durationText(recording.seconds)}${problem}${missing}`;
    about.title = `${recording.frames_written} frames written, ${recording.frames_waiting} waiting${missing}`;
    about.classList.toggle("trouble", recording.state === "paused" || recording.missing > 0);
  }

  /** Frees what the picture needs. */
  close() {
    this.#video?.close();
  }

  /** Draws a picture with the detections of its frame: a JPEG, or video. */
  async draw(head, bytes, drawn) {
    if (head.video) {
      this.#video.append(head, bytes, drawn);
      return;
    }
    const received = performance.now();
    let bitmap;
    try {
      bitmap = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
    } catch {
      // A JPEG of a camera may be damaged. The next one is not.
      drawn();
      return;
    }
    this.#keep({ image: bitmap, width: bitmap.width, height: bitmap.height, head, received });
    drawn();
    this.paintSoon();
  }

  /** Draws the picture that the video shows now, at once: it shows another one soon. */
  #present(head, received) {
    const { element } = this.#video;
    this.#keep({ image: element, width: element.videoWidth, height: element.videoHeight, head, received });
    this.#paint();
  }

  /** Keeps the newest picture. */
  #keep(picture) {
    // Counted by the server, from 0 again when the page asks for another size.
    const { superseded } = picture.head;
    const before = this.#last?.head.superseded ?? 0;
    this.#notShown += superseded - (superseded >= before ? before : 0);
    this.#last?.image.close?.();
    this.#last = { ...picture, isDrawn: false };
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
    const { head } = this.#last;
    const frame = this.#frame;
    const detections = this.#filter.drawn(head.frame.detections);
    const canvases = { frame, overlay: this.#overlay, width: this.width };
    const hasNewSize = paint(canvases, this.#last, detections, this.#filter.labels);
    this.#painted = { head, detections };
    if (hasNewSize) {
      this.#parts.picture.style.aspectRatio = `${frame.width} / ${frame.height}`;
      this.#resized();
    }
    // For tests, and for people who look into the page: the frame that is on the canvas.
    frame.dataset.frame = head.frame.id;
    frame.dataset.form = head.video ? "video" : "jpeg";
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
