// Settings of a camera whose application takes them: lens, exposure, gain and white balance.

const LABELS = { lens: "Lens", focus: "Autofocus", exposure: "Exposure", iso: "Gain (ISO)", wb: "White balance" };
const UNITS = { microseconds: "µs", kelvin: "K" };

/** Steps of a slider on which equal distances are equal factors. */
const STEPS = 100;

/** One setting: a slider, `Auto` where the camera can choose itself, and the answer of the camera. */
class Row {
  element = document.createElement("div");
  #setting;
  #label;
  #slider = null;
  #output = document.createElement("output");
  #auto = null;
  #answer = document.createElement("p");

  /** send(order) sends an order such as lens=120. */
  constructor(setting, send) {
    this.#setting = setting;
    this.#label = LABELS[setting.key] ?? setting.key;
    this.element.className = "setting";
    const id = `setting-${setting.key}`;
    const title = document.createElement(setting.min === null ? "span" : "label");
    title.textContent = this.#label;
    this.#answer.id = `${id}-answer`;
    this.#answer.className = "answer";
    this.element.append(title);
    if (setting.min !== null) {
      title.htmlFor = id;
      const slider = document.createElement("input");
      Object.assign(slider, { id, type: "range", min: 0, max: this.#isLogarithmic ? STEPS : setting.max - setting.min, step: 1 });
      slider.setAttribute("aria-describedby", this.#answer.id);
      slider.oninput = () => this.#show(this.#value);
      slider.onchange = () => {
        this.#wait();
        send(`${setting.key}=${this.#value}`);
      };
      this.#output.htmlFor = id;
      this.#slider = slider;
      this.element.append(slider, this.#output);
    }
    if (setting.auto) {
      this.#auto = document.createElement("button");
      Object.assign(this.#auto, { type: "button", textContent: "Auto" });
      this.#auto.setAttribute("aria-label", `${this.#label}: automatic`);
      this.#auto.setAttribute("aria-pressed", "false");
      this.#auto.onclick = () => {
        this.#wait();
        send(`${setting.key}=auto`);
      };
      this.element.append(this.#auto);
    }
    this.element.append(this.#answer);
    this.answered(null);
  }

  get #isLogarithmic() {
    const { min, max } = this.#setting;
    return min > 0 && max / min >= 10;
  }

  /** The value at the slider, with two digits where it is long: nobody sets 8137 µs. */
  get #value() {
    const { min, max } = this.#setting;
    const at = Number(this.#slider.value);
    if (!this.#isLogarithmic) return min + at;
    const value = min * (max / min) ** (at / STEPS);
    const step = 10 ** Math.max(Math.floor(Math.log10(value)) - 1, 0);
    return Math.min(Math.max(Math.round(value / step) * step, min), max);
  }

  set #value(value) {
    const { min, max } = this.#setting;
    this.#slider.value = this.#isLogarithmic ? Math.round((STEPS * Math.log(value / min)) / Math.log(max / min)) : value - min;
  }

  #show(value) {
    const text = value === null ? "–" : `${value} ${UNITS[this.#setting.unit] ?? this.#setting.unit}`.trim();
    this.#output.textContent = text;
    this.#slider.setAttribute("aria-valuetext", value === null ? "not set" : text);
  }

  #wait() {
    this.#tell("sending");
  }

  #tell(text, isRefused = false) {
    if (this.#answer.textContent !== text) this.#answer.textContent = text;
    this.#answer.classList.toggle("refused", isRefused);
  }

  /** Shows the last answer of the camera, or that there is none. */
  answered(answer) {
    if (!answer) {
      // Cameras do not report their values.
      if (this.#slider) this.#show(null);
      this.#tell("not set from here");
      return;
    }
    const { order, said, done } = answer;
    const value = order.slice(order.indexOf("=") + 1);
    if (!done) {
      if (this.#slider) this.#show(null);
      this.#tell(`the camera refused ${order}: ${said.replace(/^no:\s*/, "")}`, true);
      return;
    }
    this.#auto?.setAttribute("aria-pressed", String(value === "auto"));
    if (this.#slider && document.activeElement !== this.#slider && value !== "auto") this.#value = Number(value);
    if (this.#slider) this.#show(value === "auto" ? null : Number(value));
    this.#tell(said === order ? `the camera confirmed ${order}` : `the camera confirmed ${order}: ${said}`);
  }

  failed() {
    if (this.#slider) this.#show(null);
    this.#tell("not set", true);
  }
}

export class Controls {
  #dialog;
  #list;
  #problem;
  #camera = null;
  #rows = new Map();
  /** Newest order of each setting that waits. */
  #waiting = new Map();
  #sending = false;
  #shown = "";

  constructor(dialog) {
    this.#dialog = dialog;
    this.#list = dialog.querySelector(".settings");
    this.#problem = dialog.querySelector("[role=alert]");
    dialog.addEventListener("close", () => (this.#camera = null));
  }

  /** Opens the settings of a camera. */
  async open({ name, title }) {
    this.#camera = name;
    this.#waiting.clear();
    this.#shown = "";
    this.#problem.textContent = "";
    this.#list.replaceChildren();
    this.#dialog.querySelector("h2").textContent = `Settings of ${title}`;
    this.#dialog.showModal();
    try {
      const response = await fetch(this.#address, { cache: "no-store" });
      if (!response.ok) throw new Error((await response.text()).trim());
      const { settings, answers } = await response.json();
      if (this.#camera !== name) return;
      this.#rows = new Map(settings.map((setting) => [setting.key, new Row(setting, (order) => this.#send(setting.key, order))]));
      this.#list.replaceChildren(...[...this.#rows.values()].map(({ element }) => element));
      if (!settings.length) this.#problem.textContent = "The application on this camera does not support settings.";
      this.#list.querySelector("input, button")?.focus();
      this.#answered(answers);
    } catch (error) {
      this.#problem.textContent = error.message;
    }
  }

  /** Shows answers that other clients have got, too. */
  update({ name, settings }) {
    if (name !== this.#camera || !settings || this.#sending) return;
    const text = JSON.stringify(settings);
    if (text === this.#shown) return;
    this.#shown = text;
    this.#answered(settings);
  }

  get #address() {
    return `/api/cameras/${encodeURIComponent(this.#camera)}/control`;
  }

  #answered(answers) {
    for (const answer of answers) this.#rows.get(answer.order.split("=")[0])?.answered(answer);
  }

  /** Sends the newest order of each setting, one request at a time: each takes a connection of the camera. */
  async #send(key, order) {
    this.#waiting.set(key, order);
    if (this.#sending) return;
    this.#sending = true;
    while (this.#waiting.size && this.#camera !== null) {
      const [next] = this.#waiting;
      this.#waiting.delete(next[0]);
      await this.#post(next);
    }
    this.#sending = false;
  }

  async #post([key, order]) {
    const camera = this.#camera;
    let problem = "";
    try {
      const response = await fetch(this.#address, { method: "POST", body: JSON.stringify({ orders: [order] }) });
      if (response.ok) {
        const { answers } = await response.json();
        // A newer value of the same setting is on its way.
        if (camera === this.#camera) this.#answered(answers.filter(() => !this.#waiting.has(key)));
      } else problem = (await response.text()).trim();
    } catch (error) {
      problem = String(error);
    }
    if (camera !== this.#camera) return;
    if (problem) this.#rows.get(key)?.failed();
    this.#problem.textContent = problem;
  }
}
