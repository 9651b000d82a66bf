// The detections that the page draws: boxes, labels, classes and the confidence threshold.

const STEP_PERCENT = 5;

/** Settings of the view. `changed` is called after each change. */
export class Filter {
  boxes = true;
  labels = true;
  /** Percent. */
  threshold = 0;
  #words = [];
  #changed;

  constructor(changed) {
    this.#changed = changed;
  }

  /** Draws only classes with one of these words, separated by commas, in their name, or with this number. All without words. */
  setClasses(text) {
    this.#words = text.split(",").map((word) => word.trim().toLowerCase()).filter(Boolean);
    this.#changed();
  }

  setThreshold(percent) {
    this.threshold = Math.min(Math.max(percent, 0), 100);
    this.#changed();
  }

  /** Raises or lowers the threshold by steps of 5 percentage points. */
  step(steps) {
    this.setThreshold(this.threshold + steps * STEP_PERCENT);
  }

  toggle(name) {
    this[name] = !this[name];
    this.#changed();
  }

  /** Returns the detections to draw. A confidence that is not a number passes only without a threshold. */
  drawn(detections) {
    if (!this.boxes) return [];
    const isConfident = ({ confidence }) =>
      this.threshold === 0 || (confidence !== null && confidence * 100 >= this.threshold - 1e-4);
    const isOf = ({ name, label }) =>
      !this.#words.length ||
      this.#words.some((word) => name.toLowerCase().includes(word) || word === `${label}` || word === `#${label}`);
    return detections.filter((detection) => isConfident(detection) && isOf(detection));
  }
}
