// The page: a grid of all cameras.

import { session, signIn, signOut } from "./session.js";
import { Connection } from "./socket.js";
import { Tile } from "./tile.js";

const AGE_INTERVAL_MS = 100;

const byId = (id) => document.getElementById(id);
const grid = byId("cameras");
const template = byId("tile");
const tiles = new Map();
let connection = null;
let connected = false;
let showsBoxes = true;
let listed = [];

/** Asks for the pictures of the tiles that are on the screen, in their size. */
function watch() {
  const shown = document.hidden ? [] : [...tiles.values()].filter((tile) => tile.visible && tile.width > 0);
  connection?.watch(shown.map((tile) => ({ camera: tile.camera, width: tile.width })));
}

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) tiles.get(target.dataset.camera).visible = isIntersecting;
  watch();
});
const sized = new ResizeObserver(watch);
document.addEventListener("visibilitychange", watch);

function enlarge(camera) {
  const large = grid.querySelector(".large");
  large?.classList.remove("large");
  const tile = large?.dataset.camera === camera ? null : tiles.get(camera);
  tile?.element.classList.add("large");
  grid.classList.toggle("enlarged", Boolean(tile));
  for (const { element, camera: name } of tiles.values()) {
    const label = element === tile?.element ? `Show all cameras` : `Enlarge ${name}`;
    element.querySelector(".picture").setAttribute("aria-label", label);
  }
}

function setBoxes(shown) {
  showsBoxes = shown;
  byId("boxes").setAttribute("aria-pressed", String(shown));
  for (const tile of tiles.values()) tile.setBoxes(shown);
}

function showCameras(cameras) {
  listed = cameras;
  for (const camera of cameras) {
    let tile = tiles.get(camera.name);
    if (!tile) {
      tile = new Tile(template, camera, { enlarge: () => enlarge(camera.name), boxes: showsBoxes });
      tiles.set(camera.name, tile);
      grid.append(tile.element);
      seen.observe(tile.element);
      sized.observe(tile.element);
    }
    tile.update(camera);
  }
  grid.classList.toggle("alone", cameras.length === 1);
  summarize();
}

function summarize() {
  const streaming = listed.filter(({ state }) => state === "streaming").length;
  const text = connected ? `${streaming} of ${listed.length} cameras streaming` : "no connection to oaktap; reconnecting";
  if (byId("summary").textContent !== text) byId("summary").textContent = text;
  document.title = connected && listed.length ? `${streaming}/${listed.length} oaktap` : "oaktap";
}

function connect() {
  connection = new Connection({
    cameras: showCameras,
    picture: (head, file, drawn) => {
      const tile = tiles.get(head.camera);
      if (tile) tile.draw(head, file, drawn);
      else drawn();
    },
    state: async (now) => {
      connected = now;
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
  byId("boxes").hidden = true;
  byId("token").focus();
  form.onsubmit = async (event) => {
    event.preventDefault();
    const refused = await signIn(byId("token").value).catch((error) => String(error));
    byId("refused").textContent = refused ?? "";
    if (refused === null) location.reload();
  };
}

byId("boxes").onclick = () => setBoxes(!showsBoxes);
byId("leave").onclick = async () => {
  await signOut();
  location.reload();
};
document.addEventListener("keydown", ({ key, ctrlKey, altKey, metaKey, target }) => {
  if (ctrlKey || altKey || metaKey || target.tagName === "INPUT") return;
  if (key === "b") setBoxes(!showsBoxes);
  if (key === "Escape") enlarge(null);
});
setInterval(() => {
  for (const tile of tiles.values()) tile.tick();
}, AGE_INTERVAL_MS);

const { required, signed_in: signedIn } = await session();
byId("leave").hidden = !required || !signedIn;
if (signedIn) connect();
else askForToken();
