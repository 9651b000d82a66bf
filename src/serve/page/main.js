// The page: a grid of all cameras.

import { Controls } from "./controls.js";
import { Filter } from "./filter.js";
import { describeKeys, listen } from "./keys.js";
import { arrange } from "./layout.js";
import { listRecordings, record } from "./recordings.js";
import { Replay } from "./replay.js";
import { session, signIn, signOut } from "./session.js";
import { Connection } from "./socket.js";
import { Tile } from "./tile.js";

const AGE_INTERVAL_MS = 100;
const NOTE_MS = 4000;

/** Most classes that the field offers. */
const CLASSES_MAX = 200;

const byId = (id) => document.getElementById(id);
const grid = byId("cameras");
const template = byId("tile");
const tiles = new Map();
const classes = new Set();
let connection = null;
let connected = false;
let canRecord = false;
let listed = [];
let enlarged = null;
let noteTimer = 0;

const filter = new Filter(() => {
  for (const name of ["boxes", "labels"]) byId(name).setAttribute("aria-pressed", String(filter[name]));
  byId("threshold").value = filter.threshold;
  byId("percent").textContent = `${filter.threshold}%`;
  for (const tile of tiles.values()) tile.paintSoon();
  replay.paintSoon();
});

const controls = new Controls(byId("settings"));
const replay = new Replay(filter, {
  send: (message) => connection?.send(message),
  opened: () => (grid.hidden = true),
  closed: () => {
    grid.hidden = false;
    fit();
    byId("open-recordings").focus();
  },
});

/** Shows a text for a few seconds, and longer while another one follows. */
function note(text) {
  byId("note").textContent = text;
  clearTimeout(noteTimer);
  noteTimer = setTimeout(() => (byId("note").textContent = ""), NOTE_MS);
}

/** Asks for the pictures of the tiles that are on the screen, in their size. */
function watch() {
  const shown = document.hidden ? [] : [...tiles.values()].filter((tile) => tile.visible && tile.width > 0);
  connection?.watch(shown.map((tile) => ({ camera: tile.camera, width: tile.width, video: tile.playsVideo })));
}

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) tiles.get(target.dataset.camera).visible = isIntersecting;
  watch();
});
const sized = new ResizeObserver(watch);

/** Gives the tiles their size. */
function fit() {
  const shown = enlarged ? [enlarged] : [...tiles.values()];
  if (!shown.length) return;
  const style = getComputedStyle(byId("main"));
  const px = (text) => Number.parseFloat(text) || 0;
  const { columns, width } = arrange({
    count: shown.length,
    width: byId("main").clientWidth - px(style.paddingLeft) - px(style.paddingRight),
    height: innerHeight - byId("main").offsetTop - px(style.paddingTop) - px(style.paddingBottom),
    ratio: Math.min(...shown.map((tile) => tile.ratio)),
    below: Math.max(...shown.map((tile) => tile.heightBelow)),
    gap: px(getComputedStyle(grid).columnGap),
    rem: px(getComputedStyle(document.documentElement).fontSize),
  });
  const tile = width ? `${width}px` : "minmax(0, 1fr)";
  const columnsStyle = `repeat(${columns}, ${tile})`;
  if (grid.style.gridTemplateColumns !== columnsStyle) grid.style.gridTemplateColumns = columnsStyle;
}
addEventListener("resize", fit);
document.addEventListener("visibilitychange", watch);

/** Shows only this camera, or all of them with null. */
function enlarge(tile) {
  enlarged = tile;
  grid.classList.toggle("enlarged", Boolean(tile));
  for (const each of tiles.values()) each.setEnlarged(each === tile);
  fit();
}

/** Returns the tiles that keys apply to: the enlarged one, the one with the focus, or all. */
function chosen() {
  const focused = tiles.get(document.activeElement?.closest(".tile")?.dataset.camera);
  const one = enlarged ?? focused;
  return one ? [one] : [...tiles.values()];
}

/** Enlarges the next tile, or moves the focus to it if none is enlarged. */
function move(steps) {
  const all = [...tiles.values()];
  if (!all.length) return;
  const now = all.indexOf(chosen().length === 1 ? chosen()[0] : null);
  const next = now < 0 ? (steps > 0 ? 0 : all.length - 1) : (now + steps + all.length) % all.length;
  if (enlarged) enlarge(all[next]);
  all[next].focus();
}

async function snapshot(some) {
  const names = (await Promise.all(some.map((tile) => tile.snapshot()))).filter(Boolean);
  note(names.length ? `saved ${names.join(", ")}` : "there is no picture to save");
}

/** Records all of these cameras, or stops if all of them are recorded. */
async function toggleRecording(some) {
  if (!canRecord) {
    const records = some.some((tile) => tile.records);
    note(records ? "the program that serves this page records" : "recording is off: start `oaktap serve --recordings FOLDER`");
    return;
  }
  const missing = some.filter((tile) => !tile.records);
  const on = missing.length > 0;
  const answers = await Promise.all((on ? missing : some).map((tile) => record(tile.camera, on).catch(String)));
  const problems = answers.filter(Boolean);
  const all = some.length === 1 ? some[0].title : `${some.length} cameras`;
  const which = problems.length ? `${some.length - problems.length} of ${all}` : all;
  const done = on ? `recording ${which}` : `stopped recording ${which}; Recordings lists the files`;
  note(problems.length ? [...(some.length > 1 ? [done] : []), problems[0]].join("; ") : done);
}

/** Opens the settings of a camera. */
function adjust(tile) {
  if (tile?.takesSettings) controls.open({ name: tile.camera, title: tile.title });
  else note(tile ? `${tile.title} has no settings: its application does not support them` : "enlarge a camera to set it");
}

function showCameras(cameras, records) {
  listed = cameras;
  canRecord = records;
  for (const camera of cameras) {
    let tile = tiles.get(camera.name);
    if (!tile) {
      tile = new Tile(template, camera, filter, {
        enlarge: () => enlarge(enlarged === tile ? null : tile),
        resized: fit,
        formChanged: watch,
        snapshot: () => snapshot([tile]),
        adjust: () => adjust(tile),
        record: () => toggleRecording([tile]),
      });
      tiles.set(camera.name, tile);
      grid.append(tile.element);
      seen.observe(tile.element);
      sized.observe(tile.element);
    }
    tile.update(camera, records);
    controls.update(camera);
  }
  // The server may have been started again with other cameras.
  const names = new Set(cameras.map(({ name }) => name));
  for (const [name, tile] of tiles) {
    if (names.has(name)) continue;
    if (enlarged === tile) enlarge(null);
    seen.unobserve(tile.element);
    sized.unobserve(tile.element);
    tile.close();
    tile.element.remove();
    tiles.delete(name);
  }
  // Texts that grow need another line.
  fit();
  summarize();
}

function summarize() {
  const away = listed.filter(({ state }) => state !== "streaming");
  const counts = `${listed.length - away.length} of ${listed.length} cameras streaming`;
  const text = connected ? counts : "no connection to oaktap; reconnecting";
  if (byId("summary").textContent !== text) byId("summary").textContent = text;
  document.title = connected && listed.length ? `${listed.length - away.length}/${listed.length} oaktap` : "oaktap";
}

/** Offers the classes that were seen in the field of the filter. */
function offerClasses(detections) {
  for (const { name } of detections) {
    if (classes.has(name) || classes.size >= CLASSES_MAX) continue;
    classes.add(name);
    const option = document.createElement("option");
    option.value = name;
    byId("classes").append(option);
  }
}

function connect() {
  byId("controls").hidden = false;
  connection = new Connection({
    cameras: showCameras,
    picture: (head, bytes, drawn) => {
      offerClasses(head.frame.detections);
      if (head.replay) {
        replay.draw(head, bytes, drawn);
        return;
      }
      const tile = tiles.get(head.camera);
      if (tile) tile.draw(head, bytes, drawn);
      else drawn();
    },
    replay: (state) => replay.update(state),
    marks: (marks) => replay.mark(marks),
    state: async (now) => {
      connected = now;
      if (now) replay.reconnected();
      document.body.classList.toggle("disconnected", !now);
      summarize();
      // The server may have been started again with another token.
      if (!now && (await session().catch(() => ({ signed_in: true }))).signed_in === false) location.reload();
    },
  });
}

function askForToken() {
  const form = byId("sign-in");
  form.hidden = false;
  grid.hidden = true;
  byId("token").focus();
  form.onsubmit = async (event) => {
    event.preventDefault();
    const refused = await signIn(byId("token").value).catch((error) => String(error));
    byId("refused").textContent = refused ?? "";
    if (refused === null) location.reload();
  };
}

function openRecordings() {
  byId("recordings").showModal();
  const play = (name) => {
    byId("recordings").close();
    replay.open(name);
  };
  listRecordings(byId("files"), byId("no-recordings"), play).catch((error) => (byId("no-recordings").textContent = String(error)));
}

function fillScreen() {
  const change = document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen();
  change.catch(() => note("this browser does not fill the screen"));
}

byId("boxes").onclick = () => filter.toggle("boxes");
byId("labels").onclick = () => filter.toggle("labels");
byId("threshold").oninput = ({ target }) => filter.setThreshold(Number(target.value));
byId("filter").oninput = ({ target }) => filter.setClasses(target.value);
byId("open-help").onclick = () => byId("help").showModal();
byId("open-recordings").onclick = openRecordings;
byId("leave").onclick = async () => {
  await signOut();
  location.reload();
};
describeKeys(byId("keys"), byId("replay-keys"));
listen({
  one: (key) => {
    const tile = [...tiles.values()][Number(key) - 1];
    if (tile) enlarge(tile);
  },
  all: () => enlarge(null),
  previous: () => move(-1),
  next: () => move(1),
  absent: () => {
    const all = [...tiles.values()];
    const after = all.indexOf(enlarged) + 1;
    const away = [...all.slice(after), ...all.slice(0, after)].find(({ state }) => state !== "streaming");
    if (away) enlarge(away);
    else note("all cameras are streaming");
  },
  escape: () => {
    const field = document.activeElement;
    if (field === byId("filter")) {
      field.value = "";
      filter.setClasses("");
      field.blur();
    } else if (replay.isOpen) replay.close();
    else enlarge(null);
  },
  pause: () => replay.togglePause(),
  step: () => replay.step(),
  stepBack: () => replay.stepBack(),
  back: () => replay.seekBy(-5),
  forward: () => replay.seekBy(5),
  farBack: () => replay.seekBy(-60),
  farForward: () => replay.seekBy(60),
  start: () => replay.seek(0),
  end: () => replay.seekEnd(),
  faster: () => replay.changeSpeed(1),
  slower: () => replay.changeSpeed(-1),
  boxes: () => filter.toggle("boxes"),
  labels: () => filter.toggle("labels"),
  more: () => filter.step(1),
  less: () => filter.step(-1),
  none: () => filter.setThreshold(0),
  find: () => byId("filter").focus(),
  snapshot: () => snapshot(replay.isOpen ? [replay] : chosen()),
  record: () => toggleRecording(chosen()),
  adjust: () => adjust(chosen().length === 1 ? chosen()[0] : null),
  fullscreen: fillScreen,
  help: () => byId("help").showModal(),
}, () => replay.isOpen);
byId("replay-snapshot").onclick = () => snapshot([replay]);
setInterval(() => {
  for (const tile of tiles.values()) tile.tick();
}, AGE_INTERVAL_MS);

const { required, signed_in: signedIn } = await session();
byId("leave").hidden = !required || !signedIn;
if (signedIn) connect();
else askForToken();
