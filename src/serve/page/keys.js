// Keys of the page. They are those of the window of `oaktap view` where a page has the same function.

/** Keys, text of the help, and name of the action. These are for the cameras. */
const CAMERA_KEYS = [
  [["1", "2", "3", "4", "5", "6", "7", "8", "9"], "one camera", "one", "1 … 9"],
  [["g"], "all cameras", "all", "g"],
  [["ArrowLeft", "ArrowUp"], "previous camera", "previous", "← ↑"],
  [["ArrowRight", "ArrowDown"], "next camera", "next", "→ ↓"],
  [["o"], "next camera that is not streaming", "absent", "o"],
  [["r"], "record what is shown; stop if all is recorded", "record", "r"],
  [["d"], "settings of the camera", "adjust", "d"],
];

/** These are for a recording that is played. */
const REPLAY_KEYS = [
  [[" "], "play, pause", "pause", "Space"],
  [["."], "pause, next picture", "step", "."],
  [[","], "previous picture", "stepBack", ","],
  [["ArrowLeft"], "5 s back", "back", "←"],
  [["ArrowRight"], "5 s forward", "forward", "→"],
  [["PageUp"], "1 min back", "farBack", "PgUp"],
  [["PageDown"], "1 min forward", "farForward", "PgDn"],
  [["Home"], "beginning", "start", "Home"],
  [["End"], "end", "end", "End"],
  [["ArrowUp"], "faster", "faster", "↑"],
  [["ArrowDown"], "slower", "slower", "↓"],
];

const KEYS = [
  [["Escape"], "close what is open; all cameras", "escape", "Esc"],
  [["b"], "boxes: show or hide", "boxes", "b"],
  [["l"], "labels: show or hide", "labels", "l"],
  [["+", "="], "raise the confidence threshold", "more", "+"],
  [["-"], "lower it", "less", "-"],
  [["0"], "no threshold", "none", "0"],
  [["/"], "draw only some classes", "find", "/"],
  [["c"], "snapshots of what is shown", "snapshot", "c"],
  [["f"], "fill the screen", "fullscreen", "f"],
  [["h", "?", "F1"], "this help", "help", "h  ?"],
];

/** Calls an action with the key for each key press that is not for a field or a dialog. replays(): a recording is played. */
export function listen(actions, replays) {
  document.addEventListener("keydown", (event) => {
    const { key, ctrlKey, altKey, metaKey, target } = event;
    if (ctrlKey || altKey || metaKey || document.querySelector("dialog[open]")) return;
    const isText = target.matches("input:not([type=range])");
    if (isText && (key !== "Escape" || target.type === "password")) return;
    if (target.matches("[type=range], select") && /^(Arrow|Page|Home|End)/.test(key)) return;
    if (key === " " && target.matches("button, select, a")) return;
    const found = [...(replays() ? REPLAY_KEYS : CAMERA_KEYS), ...KEYS].find(([keys]) => keys.includes(key.length === 1 ? key.toLowerCase() : key));
    if (!found) return;
    event.preventDefault();
    actions[found[2]](key);
  });
}

/** Fills the lists of keys in the help. */
export function describeKeys(list, replayList) {
  describe(list, [...CAMERA_KEYS, ...KEYS]);
  describe(replayList, REPLAY_KEYS);
}

function describe(list, all) {
  list.replaceChildren(
    ...all.map(([, text, , keys]) => {
      const row = document.createElement("div");
      const [term, description] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = keys;
      description.textContent = text;
      row.append(term, description);
      return row;
    }),
  );
}
