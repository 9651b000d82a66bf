// The size of the tiles: as large as possible with all of them on the screen.

/** With narrower tiles the page scrolls. In rem. */
const NARROWEST_REM = 23;

/**
 * Returns the columns and the width of a tile in pixels. `ratio`: width divided by height of the pictures; `below`: height of
 * the numbers below each picture; `gap`: between two tiles. Width 0: as wide as the columns are, and the page scrolls.
 */
export function arrange({ count, width, height, ratio, below, gap, rem }) {
  let best = { columns: 1, width: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const across = (width - (columns - 1) * gap) / columns;
    const down = ((height - (rows - 1) * gap) / rows - below) * ratio;
    const tile = Math.floor(Math.min(across, down));
    if (tile > best.width) best = { columns, width: tile };
  }
  if (best.width >= Math.min(NARROWEST_REM * rem, width) || count === 0) return best;
  return { columns: Math.max(Math.floor((width + gap) / (NARROWEST_REM * rem + gap)), 1), width: 0 };
}
