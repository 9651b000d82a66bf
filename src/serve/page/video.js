// H.264 of one camera: fragments of MP4 that the browser decodes, played as soon as they arrive.

/** Distance between the newest picture and the one that is shown, in seconds, above which the video plays faster. */
const BEHIND_S = 0.02;

/** Distance above which it jumps to the newest picture, in seconds: a jump decodes all pictures since the last key frame. */
const JUMP_S = 1;

const RATE_MAX = 3;

/** Distance between two pictures above which the next key frame begins a new media source, in microseconds. */
const GAP_US = 2e6;

/** Old pictures that are kept at most, besides those since the last key frame, in microseconds. */
const KEPT_US = 5e6;

/** Pictures that the browser may leave out one after the other, before that counts as a failure. */
const UNSHOWN_MAX = 150;

/** Media sources that fail one after the other, before the server is asked for JPEG. */
const FAILURES_MAX = 3;

/** Whether this browser plays such video, and says which picture it shows. */
export const playsVideo =
  typeof MediaSource === "function" && "requestVideoFrameCallback" in HTMLVideoElement.prototype;

export class Video {
  /** Not part of the page: its pictures are drawn on a canvas at the same time as their boxes. */
  element = document.createElement("video");
  #source = null;
  #buffer = null;
  #type = "";
  /** The step that the buffer works on. It has ended with the event, which comes later than `updating` says. */
  #step = null;
  /** Its next steps. */
  #waiting = [];
  /** Heads and times of arrival of the pictures that were not shown yet, by their times. */
  #heads = new Map();
  /** Times of the key frames in the buffer. */
  #keys = [];
  #newest = 0;
  #failures = 0;
  #handlers;

  /** handlers: presented(head, received): the element shows this picture now; refused(): the browser cannot play the camera */
  constructor(handlers) {
    this.#handlers = handlers;
    this.element.muted = true;
    this.element.playsInline = true;
    this.element.onerror = () => this.#fail();
    const present = (now, { mediaTime }) => {
      this.element.requestVideoFrameCallback(present);
      this.#present(Math.round(mediaTime * 1e6));
    };
    this.element.requestVideoFrameCallback(present);
  }

  /** Plays a fragment next. done(): the decoder has it, or it is not needed. */
  append(head, fragment, done) {
    const { time_us: time, codec } = head.video;
    // Key frames have it: a decoder can start there.
    if (codec) this.#begin(`video/mp4; codecs="${codec}"`, time);
    if (!this.#source) {
      done();
      return;
    }
    if (codec) this.#keys.push(time);
    this.#newest = time;
    this.#heads.set(time, { head, received: performance.now() });
    this.#waiting.push({ start: () => this.#buffer.appendBuffer(fragment), done });
    if (this.#heads.size > UNSHOWN_MAX) this.#fail();
    else this.#next();
  }

  /** Frees the decoder. The next key frame starts again. */
  close() {
    if (!this.#source) return;
    const steps = [this.#step, ...this.#waiting];
    [this.#source, this.#buffer, this.#step, this.#waiting, this.#keys] = [null, null, null, [], []];
    this.#heads.clear();
    URL.revokeObjectURL(this.element.src);
    this.element.removeAttribute("src");
    this.element.load();
    for (const step of steps) step?.done?.();
  }

  /** Prepares for a key frame. */
  #begin(type, time) {
    if (!MediaSource.isTypeSupported(type)) {
      this.close();
      this.#handlers.refused();
      return;
    }
    if (time <= this.#newest || time - this.#newest > GAP_US) this.close();
    if (!this.#source) this.#open(type);
    else if (type !== this.#type) this.#waiting.push({ start: () => this.#buffer.changeType(type), isAtOnce: true });
    this.#type = type;
  }

  #open(type) {
    const source = new MediaSource();
    this.#source = source;
    source.onsourceopen = () => {
      if (this.#source !== source) return;
      try {
        source.duration = Infinity;
        this.#buffer = source.addSourceBuffer(type);
      } catch {
        // The browser may bound the number of decoders.
        this.#fail();
        return;
      }
      const buffer = this.#buffer;
      buffer.onupdateend = () => {
        if (this.#buffer === buffer) this.#ended();
      };
      this.#next();
    };
    this.element.src = URL.createObjectURL(source);
    // A page in the background may not start it: then it starts with the next picture.
    this.element.play().catch(() => {});
  }

  /** Starts the next step of the buffer, unless it is busy. */
  #next() {
    while (this.#buffer && !this.#step && this.#waiting.length) {
      this.#step = this.#waiting.shift();
      try {
        this.#step.start();
      } catch {
        // The element reports an error of the decoder at the same time.
        this.#fail();
        return;
      }
      if (this.#step.isAtOnce) this.#step = null;
    }
  }

  /** Continues after a step. */
  #ended() {
    const step = this.#step;
    this.#step = null;
    step?.done?.();
    this.#follow();
    if (this.element.paused) this.element.play().catch(() => {});
    this.#trim();
    this.#next();
  }

  /** Stays close to the newest picture. */
  #follow() {
    const { element } = this;
    const behind = this.#newest / 1e6 - element.currentTime;
    if (element.seeking) return;
    if (Math.abs(behind) > JUMP_S) element.currentTime = this.#newest / 1e6;
    else element.playbackRate = behind > BEHIND_S ? Math.min(1 + 4 * behind, RATE_MAX) : 1;
  }

  /** Removes pictures that nothing depends on. */
  #trim() {
    const shown = this.#keys.filter((time) => time <= this.element.currentTime * 1e6);
    const last = shown.at(-1);
    if (shown.length < 2 || last - shown[0] < KEPT_US) return;
    this.#keys.splice(0, shown.length - 1);
    this.#waiting.unshift({ start: () => this.#buffer.remove(0, last / 1e6) });
  }

  #present(time) {
    const shown = this.#heads.get(time);
    if (!shown) return;
    this.#failures = 0;
    for (const known of this.#heads.keys()) {
      if (known >= time) break;
      this.#heads.delete(known);
    }
    this.#handlers.presented(shown.head, shown.received);
  }

  /** Starts again at the next key frame. */
  #fail() {
    if (!this.#source) return;
    this.close();
    this.#failures += 1;
    if (this.#failures >= FAILURES_MAX) this.#handlers.refused();
  }
}
