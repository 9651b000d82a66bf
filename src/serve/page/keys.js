// Keys of the page. They are those of the window of `oaktap view` where a page has the same function.

/** Keys, text of the help, and name of the action. */
const KEYS = [
  [["1", "2", "3", "4", "5", "6", "7", "8", "9"], "one camera", "one", "1 … 9"],
  [["g"], "all cameras", "all", "g"],
  [["ArrowLeft", "ArrowUp"], "previous camera", "previous", "← ↑"],
  [["ArrowRight", "ArrowDown"], "next camera", "next", "→ ↓"],
  [["o"], "next camera that is not streaming", "absent", "o"],
  [["Escape"], "close what is open; all cameras", "escape", "Esc"],
  [["b"], "boxes: show or hide", "boxes", "b"],
  [["l"], "labels: show or hide", "labels", "l"],
  [["+", "="], "raise the confidence threshold", "more", "+"],
  [["-"], "lower it", "less", "-"],
  [["0"], "no threshold", "none", "0"],
  [["/"], "draw only some classes", "find", "/"],
  [["c"], "snapshots of what is shown", "snapshot", "c"],
  [["r"], "record what is shown; stop", "record", "r"],
  [["f"], "fill the screen", "fullscreen", "f"],
  [["h", "?", "F1"], "this help", "help", "h  ?"],
];

/** Calls an action with the key for each key press that is not for a field or a dialog. */
export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    const { key, ctrlKey, altKey, metaKey, target } = event;
    if (ctrlKey || altKey || metaKey || document.querySelector("dialog[open]")) return;
    const isText = target.matches("input:not([type=range])");
    if (isText && (key !== "Escape" || target.type === "password")) return;
    if (target.matches("[type=range]") && key.startsWith("Arrow")) return;
    const found = KEYS.find(([keys]) => keys.includes(key.length === 1 ? key.toLowerCase() : key));
    if (!found) return;
    event.preventDefault();
    actions[found[2]](key);
  });
}

/** Fills the list of keys in the help. */
export function describeKeys(list) {
  list.replaceChildren(
    ...KEYS.map(([, text, , keys]) => {
      const row = document.createElement("div");
      const [term, description] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = keys;
      description.textContent = text;
      row.append(term, description);
      return row;
    }),
  );
}
