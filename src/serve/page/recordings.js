// Recordings: starts and stops them, and lists their files.

import { bytesText } from "./files.js";

/** Starts or stops the recording of a camera. Returns null, or why that failed. */
export async function record(camera, on) {
  const address = `/api/cameras/${encodeURIComponent(camera)}/recording`;
  const response = await fetch(address, { method: on ? "POST" : "DELETE" });
  return response.ok ? null : (await response.text()).trim();
}

/** Fills the dialog with the list of the server. play(name) plays a recording. */
export async function listRecordings(list, empty, play) {
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
  list.replaceChildren(...recordings.map((recording) => item(recording, play)));
}

function item({ name, bytes, modified_unix_ms: modified, finished }, play) {
  const row = document.createElement("li");
  const title = document.createElement("button");
  title.type = "button";
  title.textContent = name;
  title.title = "Play";
  title.onclick = () => play(name);
  const about = document.createElement("small");
  const time = new Date(modified).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  about.textContent = `${bytesText(bytes)}, ${time}${finished ? "" : ", not finished"}`;
  row.append(title, about);
  if (finished) {
    const link = document.createElement("a");
    link.textContent = "Download";
    link.setAttribute("aria-label", `Download ${name}`);
    link.href = `/recordings/${name.split("/").map(encodeURIComponent).join("/")}`;
    link.download = name.replaceAll("/", "_");
    row.append(link);
  }
  return row;
}
