// Files for the user, and the texts of their names and sizes.

/** Saves a file in the browser's folder for downloads. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The download has its own reference after this turn.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Returns a text that every system accepts as a part of a file name. */
export function safeName(text) {
  return text.replace(/[^\p{L}\p{N}._-]+/gu, "-").slice(0, 80) || "camera";
}

/** Returns bytes as a text of three digits. */
export function bytesText(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (bytes >= 999.5 && at + 1 < units.length) {
    bytes /= 1000;
    at += 1;
  }
  return `${at === 0 ? bytes : bytes.toPrecision(3)} ${units[at]}`;
}

/** Returns seconds as minutes and seconds, or hours, minutes and seconds. */
export function durationText(seconds) {
  const two = (number) => String(Math.floor(number)).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const rest = `${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours ? `${hours}:${rest}` : rest.replace(/^0(\d:)/, "$1");
}
