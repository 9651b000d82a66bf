// Plays a recording in place of the cameras. src/serve/replay has the other end.

import { paint, savePicture } from "./picture.js";
import { Timeline, clockText } from "./timeline.js";

/** Multiples of the recorded speed. */
const SPEEDS = [0.125, 0.25, 0.5, 1, 2, 4, 8, 16];

const byId = (id) => document.getElementById(`replay-${id}`);

export class Replay {
  #view = document.getElementById("replay");
  #screen = byId("screen");
  #frame = this.#screen.querySelector("canvas.frame");
  #overlay = this.#screen.querySelector("canvas.boxes");
  #timeline;
  #filter;
  #actions;
  /** Name of the recording, and of one of its cameras. */
  #shown = null;
  #state = {};
  #last = null;
  #received = 0;
  #width = 0;
  /** Position and pause after the connection was lost. */
  #resume = null;

  /** actions: send(message), opened(), closed() */
  constructor(filter, actions) {
    this.#filter = filter;
    this.#actions = actions;
    this.#timeline = new Timeline(byId("timeline"), (ms) => this.seek(ms));
    byId("close").onclick = () => this.close();
    byId("pause").onclick = () => this.togglePause();
    byId("back").onclick = () => this.stepBack();
    byId("step").onclick = () => this.step();
    byId("speed").append(...SPEEDS.map((times) => new Option(`${times}×`, times)));
    byId("speed").onchange = ({ target }) => this.#change({ speed: Number(target.value) });
    byId("camera").onchange = ({ target }) => this.open(this.#shown.recording, target.value);
    new ResizeObserver(() => this.#resized()).observe(this.#screen);
  }

  /** Set while a recording is shown instead of the cameras. */
  get isOpen() {
    return this.#shown !== null;
  }

  /** Plays a recording of the list: its first camera, or the given one. */
  open(recording, camera = null) {
    const wasOpen = this.isOpen;
    this.#shown = { recording, camera };
    this.#state = {};
    this.#clear();
    this.#timeline.reset();
    byId("title").textContent = recording;
    byId("notes").replaceChildren();
    this.#view.hidden = false;
    if (!wasOpen) {
      this.#actions.opened();
      byId("timeline").focus();
    }
    this.#width = this.#pixels;
    this.#play();
    this.#notice("opening");
  }

  /** Returns to the cameras. */
  close() {
    if (!this.isOpen) return;
    this.#shown = null;
    this.#resume = null;
    this.#actions.send({ play: null });
    this.#clear();
    this.#view.hidden = true;
    this.#actions.closed();
  }

  /** Asks for the recording again, and for the position, after the connection was opened again. */
  reconnected() {
    if (!this.isOpen) return;
    const { position_ms: position, paused } = this.#state;
    if (position != null) this.#resume = { position, paused };
    this.#play();
  }

  /** Applies the state that the server reports. */
  update(state) {
    if (state.recording !== this.#shown?.recording) return;
    this.#state = state;
    const { stage, camera, cameras = [], duration_ms: duration = 0, position_ms: position, speed, paused, ended } = state;
    const isPlaying = stage === "playing";
    for (const name of ["pause", "back", "step", "speed"]) byId(name).disabled = !isPlaying;
    this.#notice([state.text ?? (stage === "opening" ? "opening" : ""), state.text && state.help].filter(Boolean).join("\n"));
    this.#showNotes(state.notes ?? []);
    if (!isPlaying) return;
    if (this.#resume) {
      const { position: before, paused: wasPaused } = this.#resume;
      this.#resume = null;
      if (wasPaused) this.#change({ pause: true });
      this.seek(before);
    }
    this.#shown.camera = camera;
    this.#showCameras(cameras, camera);
    byId("speed").value = speed;
    const word = paused || ended ? "Play" : "Pause";
    if (byId("pause").textContent !== word) byId("pause").textContent = word;
    this.#timeline.move(position ?? 0, duration);
    const where = position == null ? "no frame yet" : `${clockText(position)} / ${clockText(duration)}`;
    byId("position").textContent = `${where}${ended ? ", end" : paused ? ", paused" : ""}`;
    const time = new Date(state.start_unix_ms + (position ?? 0)).toISOString();
    byId("time").textContent = `${time.slice(0, 10)} ${time.slice(11, 19)} UTC`;
    this.#view.dataset.position = position ?? "";
  }

  /** Shows gaps, boxes and triggers on the timeline. */
  mark(marks) {
    if (this.isOpen) this.#timeline.mark(marks);
  }

  /** Draws a picture with the detections of its frame. */
  async draw(head, bytes, drawn) {
    this.#received += 1;
    const number = this.#received;
    const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" })).catch(() => null);
    drawn();
    // Decoded after a later one, or for a replay that was closed since. A damaged JPEG is left out.
    if (!bitmap || !this.isOpen || number < (this.#last?.number ?? 0) || number <= this.#cleared) return;
    this.#last?.image.close();
    this.#last = { image: bitmap, width: bitmap.width, height: bitmap.height, head, number };
    this.paintSoon();
  }

  /** Pictures up to this number are of another replay. */
  #cleared = 0;

  #clear() {
    this.#last?.image.close();
    this.#last = null;
    this.#cleared = this.#received;
    this.#frame.width = this.#frame.width;
    this.#overlay.width = this.#overlay.width;
    delete this.#frame.dataset.position;
  }

  /** Paints the picture again, after a change of the filter. */
  paintSoon() {
    requestAnimationFrame(() => this.#paint());
  }

  #paint() {
    if (!this.#last) return;
    const { width, height, head } = this.#last;
    const detections = this.#filter.drawn(head.frame.detections);
    const canvases = { frame: this.#frame, overlay: this.#overlay, width: this.#pixels };
    if (paint(canvases, this.#last, detections, this.#filter.labels)) {
      this.#screen.style.setProperty("--ratio", width / height);
    }
    // For tests, and for people who look into the page: the frame that is on the canvas.
    const { dataset } = this.#frame;
    dataset.position = head.position_ms;
    dataset.time = head.frame.device_time_us;
    dataset.detections = JSON.stringify(head.frame.detections);
    dataset.drawn = detections.length;
  }

  /** Saves the picture that is shown, with its boxes. Returns the name of the file; null without a picture. */
  async snapshot() {
    if (!this.#last) return null;
    const { frame } = this.#last.head;
    const about = { camera: this.#shown.camera, unixNs: frame.arrival_unix_ns };
    return savePicture(this.#frame, this.#filter.drawn(frame.detections), this.#filter.labels, about);
  }

  togglePause() {
    // At the end, playing begins again.
    this.#change({ pause: !(this.#state.paused || this.#state.ended) });
  }

  step() {
    this.#change("step");
  }

  stepBack() {
    this.#change("step_back");
  }

  seek(ms) {
    this.#change({ seek_ms: Math.round(ms) });
  }

  seekBy(seconds) {
    this.#change({ seek_by_ms: 1000 * seconds });
  }

  seekEnd() {
    this.seek(Math.ceil(this.#state.duration_ms ?? 0));
  }

  /** Plays faster or slower by steps of a factor of 2. */
  changeSpeed(steps) {
    const at = SPEEDS.indexOf(this.#state.speed ?? 1);
    this.#change({ speed: SPEEDS[Math.min(Math.max(at + steps, 0), SPEEDS.length - 1)] });
  }

  #change(playback) {
    if (this.isOpen) this.#actions.send({ playback });
  }

  #play() {
    const { recording, camera } = this.#shown;
    this.#actions.send({ play: { recording, camera, width: this.#width } });
  }

  /** Width of the picture in pixels of the screen. */
  get #pixels() {
    return Math.round(this.#screen.clientWidth * devicePixelRatio);
  }

  #resized() {
    if (!this.isOpen || this.#pixels === this.#width || !this.#pixels) return;
    this.#width = this.#pixels;
    this.#change({ width: this.#width });
    this.paintSoon();
  }

  #notice(text) {
    if (byId("notice").textContent !== text) byId("notice").textContent = text;
  }

  #showNotes(notes) {
    const list = byId("notes");
    if (list.children.length === notes.length) return;
    const items = notes.map((note) => {
      const item = document.createElement("li");
      item.textContent = note;
      return item;
    });
    list.replaceChildren(...items);
  }

  #showCameras(cameras, camera) {
    const select = byId("camera");
    byId("cameras").hidden = cameras.length < 2;
    if (select.options.length !== cameras.length) select.replaceChildren(...cameras.map((name) => new Option(name, name)));
    if (select.value !== camera) select.value = camera;
  }
}
