// Recordings: starts and stops them, and lists their files.

import { bytesText } from "./files.js";

/** Starts or stops the recording of a camera. Returns null, or why that failed. */
export async function record(camera, on) {
  const address = `/api/cameras/${encodeURIComponent(camera)}/recording`;
  const response = await fetch(address, { method: on ? "POST" : "DELETE" });
  return response.ok ? null : (await response.text()).trim();
}

/** Fills the dialog with the list of the server. */
export async function listRecordings(list, empty) {
  const response = await fetch("/api/recordings", { cache: "no-store" });
  if (!response.ok) {
    list.replaceChildren();
    empty.textContent = (await response.text()).trim();
    return;
  }
  const { on, recordings } = await response.json();
  empty.textContent = on
    ? recordings.length ? "" : "There are no recordings yet. Record starts one."
    : "Recording is off. Start oaktap with `oaktap serve --recordings FOLDER` to record cameras from here.";
  list.replaceChildren(...recordings.map(item));
}

function item({ name, bytes, modified_unix_ms: modified, finished }) {
  const row = document.createElement("li");
  const title = document.createElement(finished ? "a" : "span");
  title.textContent = name;
  if (finished) {
    title.href = `/recordings/${name.split("/").map(encodeURIComponent).join("/")}`;
    title.download = name.replaceAll("/", "_");
  }
  const about = document.createElement("small");
  const time = new Date(modified).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  about.textContent = `${bytesText(bytes)}, ${time}${finished ? "" : ", not finished"}`;
  row.append(title, about);
  return row;
}
