/**
 * Maps over the time of a window, of joints, parts or branches, and their sum over time.
 *
 * @typedef {{levels: Int8Array, cells: number, rows: number, persons: number, scale: number}} Levels
 *   levels (cell, row, person) from -127 to 127 and the size of one of them
 */

/** Pixels left of a map, for the names of joints. */
export const GUTTER = 118;

/**
 * Find the cell of a map that is nearest to a frame.
 * @param {number[]} times centre frames of the cells, ascending
 * @param {number} frame
 * @returns {number}
 */
export function nearestCell(times, frame) {
  let best = 0;
  for (let i = 1; i < times.length; i++) {
    if (Math.abs(times[i] - frame) < Math.abs(times[best] - frame)) best = i;
  }
  return best;
}

/**
 * Find the cell of the largest level, where a window is opened.
 * @param {Levels} map
 * @returns {number}
 */
export function peak(map) {
  const largest = map.levels.reduce((best, level, i) => (level > map.levels[best] ? i : best), 0);
  return Math.floor(largest / (map.rows * map.persons));
}

/**
 * Add a map up over rows and persons.
 * @param {Levels} map
 * @returns {number[]} per cell
 */
export function overTime(map) {
  const each = map.rows * map.persons;
  return Array.from({ length: map.cells }, (_, cell) =>
    map.levels.subarray(cell * each, (cell + 1) * each).reduce((sum, level) => sum + level, 0) * map.scale);
}

/**
 * Add a map up over time and persons, and put the largest sums first.
 * @param {Levels} map
 * @returns {[number, number][]} row and its sum
 */
export function byRow(map) {
  const sums = Array.from({ length: map.rows }, () => 0);
  map.levels.forEach((level, i) => {
    sums[Math.floor(i / map.persons) % map.rows] += level * map.scale;
  });
  const pairs = sums.map((sum, row) => /** @type {[number, number]} */ ([row, sum]));
  return pairs.sort((a, b) => b[1] - a[1]);
}

/**
 * Add rows of a map up, such as the joints of body parts, over all persons.
 * @param {Levels} map
 * @param {number[][]} groups rows of each new one
 * @returns {Levels}
 */
export function grouped(map, groups) {
  const sums = new Float64Array(map.cells * groups.length);
  groups.forEach((rows, group) => rows.forEach((row) => {
    for (let cell = 0; cell < map.cells; cell++) {
      for (let person = 0; person < map.persons; person++) {
        sums[cell * groups.length + group] += map.levels[(cell * map.rows + row) * map.persons + person] * map.scale;
      }
    }
  }));
  const scale = sums.reduce((most, sum) => Math.max(most, Math.abs(sum)), 0) / 127 || 1;
  const levels = Int8Array.from(sums, (sum) => Math.round(sum / scale));
  return { levels, cells: map.cells, rows: groups.length, persons: 1, scale };
}

/**
 * Find where a value stays over time.
 * @param {(frame: number) => boolean} is
 * @param {number} frames
 * @returns {[number, number][]} first frame, and the one behind the last
 */
export function stretches(is, frames) {
  /** @type {[number, number][]} */
  const found = [];
  for (let frame = 0; frame < frames; frame++) {
    if (!is(frame)) continue;
    if (frame && is(frame - 1)) found[found.length - 1][1] = frame + 1;
    else found.push([frame, frame + 1]);
  }
  return found;
}

/**
 * Where a frame lies on a map.
 * @param {number} frame
 * @param {number} frames
 * @param {number} width of the canvas in CSS pixels
 * @returns {number}
 */
export function across(frame, frames, width) {
  return GUTTER + ((frame + 0.5) / frames) * (width - GUTTER);
}

/**
 * The frame at a place on a map.
 * @param {number} x
 * @param {number} frames
 * @param {number} width of the canvas in CSS pixels
 * @returns {number}
 */
export function frameAt(x, frames, width) {
  const frame = Math.floor(((x - GUTTER) / (width - GUTTER)) * frames);
  return Math.max(0, Math.min(frames - 1, frame));
}

/**
 * Where the cells of a map end: half way to the next one.
 * @param {number[]} times centre frames
 * @param {number} frames
 * @returns {number[]} one more than there are cells, from 0 to frames
 */
export function borders(times, frames) {
  const middle = times.slice(1).map((time, i) => (time + times[i]) / 2 + 0.5);
  return [0, ...middle, frames];
}

/**
 * Draw rows x time, a row per joint (or part, or branch) of every person who is there.
 * @param {CanvasRenderingContext2D} to
 * @param {{width: number, height: number}} size in CSS pixels
 * @param {Levels} map
 * @param {{times: number[], frames: number, names: string[], colours: string[], people: number[]}} about
 */
export function drawMap(to, size, map, about) {
  const { times, frames, names, colours, people } = about;
  const ends = borders(times, frames).map((frame) => across(frame - 0.5, frames, size.width));
  const height = size.height / (names.length * people.length);
  to.clearRect(0, 0, size.width, size.height);
  to.font = `${Math.min(11, height)}px system-ui, sans-serif`;
  to.textBaseline = "middle";
  to.textAlign = "right";
  people.forEach((person, block) => names.forEach((name, row) => {
    const top = (block * names.length + row) * height;
    to.fillStyle = "#1f2328";
    const owner = people.length > 1 ? `${person + 1}: ` : "";
    to.fillText(owner + name, GUTTER - 5, top + height / 2, GUTTER - 8);
    for (let cell = 0; cell < map.cells; cell++) {
      to.fillStyle = colours[map.levels[(cell * map.rows + row) * map.persons + person] + 127];
      to.fillRect(ends[cell], top, ends[cell + 1] - ends[cell] + 0.5, height + 0.5);
    }
  }));
}

/**
 * Draw lines along the rows of joints where something is so: interpolated, absent, planted.
 * @param {CanvasRenderingContext2D} to
 * @param {{width: number, height: number}} size in CSS pixels
 * @param {(frame: number, joint: number, person: number) => boolean} is
 * @param {{frames: number, names: string[], people: number[]}} about
 * @param {{colour: string, thick: number, below: boolean}} look below the row, or above it
 */
export function drawAlong(to, size, is, about, look) {
  const { frames, names, people } = about;
  const height = size.height / (names.length * people.length);
  to.fillStyle = look.colour;
  people.forEach((person, block) => names.forEach((_, joint) => {
    const top = (block * names.length + joint) * height;
    for (const [from, end] of stretches((frame) => is(frame, joint, person), frames)) {
      const [left, right] = [from, end].map((frame) => across(frame - 0.5, frames, size.width));
      to.fillRect(left, look.below ? top + height - look.thick : top, right - left, look.thick);
    }
  }));
}

/**
 * Draw the attribution over time as a line on the map's axis, with zero and the largest size.
 * @param {CanvasRenderingContext2D} to
 * @param {{width: number, height: number}} size in CSS pixels
 * @param {number[]} sums per cell
 * @param {{times: number[], frames: number}} about
 */
export function drawLine(to, size, sums, about) {
  const most = Math.max(...sums.map(Math.abs)) || 1;
  /** @param {number} value */
  const high = (value) => size.height / 2 - (value / most) * (size.height / 2 - 8);
  to.clearRect(0, 0, size.width, size.height);
  to.strokeStyle = "#8c8c8c";
  to.lineWidth = 1;
  to.beginPath();
  to.moveTo(GUTTER, high(0));
  to.lineTo(size.width, high(0));
  to.stroke();
  to.fillStyle = "#1f2328";
  to.font = "11px system-ui, sans-serif";
  to.textAlign = "right";
  to.textBaseline = "middle";
  for (const value of [most, 0, -most]) {
    to.fillText(value ? value.toPrecision(2) : "0", GUTTER - 5, high(value));
  }
  to.strokeStyle = "#1f2328";
  to.lineWidth = 1.5;
  to.beginPath();
  about.times.forEach((time, cell) => {
    to[cell ? "lineTo" : "moveTo"](across(time, about.frames, size.width), high(sums[cell]));
  });
  if (sums.length === 1) to.lineTo(size.width, high(sums[0]));
  to.stroke();
}
