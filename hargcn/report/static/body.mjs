import { drawEdges } from "./edges.mjs";

/**
 * Bodies on a canvas: bones grey, joints coloured by sign and sized by magnitude.
 *
 * @typedef {import("./payload.mjs").Decoded} Decoded
 * @typedef {import("./payload.mjs").Shape} Shape
 * @typedef {import("./data.mjs").Skeleton} Skeleton
 * @typedef {[number, number]} Point
 */

const SMALL = 2.5;
const LARGE = 9;

/** States of a joint that are shown. */
export const ABSENT = 0;
export const INTERPOLATED = 2;

/**
 * Azimuth and elevation in degrees.
 * @type {Record<"front" | "side" | "top", [number, number]>}
 */
export const VIEWS = { front: [0, 0], side: [90, 0], top: [0, 90] };

/**
 * Project a position onto the paper, as `hargcn.plots.skeletons.project` does.
 * @param {number[]} position two or three coordinates
 * @param {string} up the axis that points up: y, -y or z
 * @param {number[]} view azimuth and elevation in degrees
 * @returns {Point} right and up
 */
export function project(position, up, view) {
  const [x, y, z] = position;
  const height = up === "z" ? z : up === "-y" ? -y : y;
  if (position.length === 2) return [x, height];
  const depth = up === "z" ? y : z;
  const [azimuth, elevation] = view.map((angle) => (angle * Math.PI) / 180);
  const right = Math.cos(azimuth) * x + Math.sin(azimuth) * depth;
  const behind = Math.cos(azimuth) * depth - Math.sin(azimuth) * x;
  return [right, Math.cos(elevation) * height + Math.sin(elevation) * behind];
}

/**
 * Tell by how many degrees to turn bodies so that they are seen from their front.
 *
 * From there their left is on the right; a sensor's axes may show them from behind.
 * @param {Decoded} window
 * @param {Shape} shape
 * @param {Pick<Skeleton, "mirror">} skeleton
 * @returns {number} 0 or 180; 0 for bodies in the plane, which are a camera's picture
 */
export function facing(window, shape, skeleton) {
  const { space, frames, joints, persons } = shape;
  if (space < 3) return 0;
  let rightwards = 0;
  for (let frame = 0; frame < frames; frame++) {
    for (let person = 0; person < persons; person++) {
      for (const pair of skeleton.mirror) {
        const rows = pair.map((joint) => joint * persons + person);
        if (!rows.every((row) => window.state[frame * joints * persons + row])) continue;
        const [left, right] = rows.map((row) => window.positions[row * frames + frame]);
        rightwards += left - right;
      }
    }
  }
  return rightwards < 0 ? 180 : 0;
}

/**
 * Project all positions of a window.
 * @param {Decoded} window
 * @param {Shape} shape
 * @param {Skeleton} skeleton
 * @param {number[]} view
 * @returns {Float32Array} (frame, joint, person, 2); NaN where nothing is drawn
 */
export function projected(window, shape, skeleton, view) {
  const { space, frames, joints, persons } = shape;
  const each = joints * persons * frames;
  const points = new Float32Array(each * 2).fill(NaN);
  for (let frame = 0; frame < frames; frame++) {
    for (let row = 0; row < joints * persons; row++) {
      const to = frame * joints * persons + row;
      if (!window.state[to]) continue;
      const position = [];
      for (let s = 0; s < space; s++) position.push(window.positions[s * each + row * frames + frame]);
      points.set(project(position, skeleton.up, view), 2 * to);
    }
  }
  return points;
}

/**
 * Find the middle and the size of what is drawn over all frames, so that the picture stands still.
 * @param {Float32Array} points as `projected` returns them
 * @returns {{x: number, y: number, width: number, height: number}}
 */
export function bounds(points) {
  const low = [Infinity, Infinity];
  const high = [-Infinity, -Infinity];
  for (let i = 0; i < points.length; i++) {
    if (points[i] < low[i % 2]) low[i % 2] = points[i];
    if (points[i] > high[i % 2]) high[i % 2] = points[i];
  }
  if (low[0] > high[0]) return { x: 0, y: 0, width: 1, height: 1 };
  return {
    x: (low[0] + high[0]) / 2,
    y: (low[1] + high[1]) / 2,
    width: high[0] - low[0] || 1,
    height: high[1] - low[1] || 1,
  };
}

/**
 * Choose the mirrored joints that lie farthest apart, to write L and R beside.
 * @param {(joint: number) => Point} place of a joint on the paper
 * @param {[number, number][]} mirror pairs (left, right)
 * @returns {[number, number] | null} a pair, null where none is drawn
 */
export function sides(place, mirror) {
  /** @type {[number, number] | null} */
  let best = null;
  let most = -1;
  for (const pair of mirror) {
    const [left, right] = pair.map(place);
    const apart = Math.hypot(left[0] - right[0], left[1] - right[1]);
    if (apart > most) [best, most] = [pair, apart];
  }
  return best;
}

/**
 * Draw the bodies of a frame.
 * @param {CanvasRenderingContext2D} to
 * @param {{width: number, height: number}} size in CSS pixels
 * @param {Float32Array} points
 * @param {Uint8Array} state
 * @param {(joint: number, person: number) => number} level attribution from -127 to 127
 * @param {{frame: number, persons: number, skeleton: Skeleton, colours: string[],
 *   box: ReturnType<typeof bounds>, edges?: [number, number][]}} scene with `edges`, level is theirs
 */
export function drawBodies(to, size, points, state, level, scene) {
  const { frame, persons, skeleton, colours, box, edges } = scene;
  const count = skeleton.joints.length;
  const margin = 26;
  const scale = Math.min((size.width - 2 * margin) / box.width, (size.height - 2 * margin) / box.height);
  to.clearRect(0, 0, size.width, size.height);
  for (let person = 0; person < persons; person++) {
    /** @param {number} joint */
    const index = (joint) => (frame * count + joint) * persons + person;
    /** @type {(joint: number) => Point} */
    const place = (joint) => [
      size.width / 2 + (points[2 * index(joint)] - box.x) * scale,
      size.height / 2 - (points[2 * index(joint) + 1] - box.y) * scale,
    ];
    to.strokeStyle = "#9a9a9a";
    to.lineWidth = 2;
    to.beginPath();
    for (const [a, b] of skeleton.edges) {
      const ends = [place(a), place(b)];
      if (ends.flat().some(Number.isNaN)) continue;
      to.moveTo(...ends[0]);
      to.lineTo(...ends[1]);
    }
    to.stroke();
    const order = skeleton.joints.map((_, joint) => joint).filter((joint) => state[index(joint)]);
    if (edges) drawEdges(to, edges, (edge) => level(edge, person), place, colours);
    else order.sort((a, b) => Math.abs(level(a, person)) - Math.abs(level(b, person)));
    to.strokeStyle = "#4d4d4d";
    to.lineWidth = 1;
    for (const joint of order) {
      const value = edges ? 0 : level(joint, person);
      const radius = Math.sqrt(SMALL ** 2 + ((LARGE ** 2 - SMALL ** 2) * Math.abs(value)) / 127);
      dot(to, place(joint), radius, colours[value + 127]);
      if (state[index(joint)] === INTERPOLATED) dot(to, place(joint), radius * 0.6, "#ffffff");
    }
    mark(to, sides(place, skeleton.mirror.filter((pair) => pair.every((joint) => state[index(joint)]))), place);
  }
}

/** @param {CanvasRenderingContext2D} to @param {number[]} at @param {number} radius @param {string} colour */
function dot(to, at, radius, colour) {
  to.fillStyle = colour;
  to.beginPath();
  to.arc(at[0], at[1], radius, 0, 2 * Math.PI);
  to.fill();
  to.stroke();
}

/** @param {CanvasRenderingContext2D} to @param {[number, number] | null} pair @param {(joint: number) => Point} place */
function mark(to, pair, place) {
  if (!pair) return;
  const [left, right] = pair.map(place);
  to.fillStyle = "#1f2328";
  to.font = "bold 14px system-ui, sans-serif";
  to.textAlign = "center";
  to.textBaseline = "middle";
  to.strokeStyle = "#ffffff";
  to.lineWidth = 4;
  const out = left[0] < right[0] ? -17 : 17;
  for (const { letter, at, by } of [{ letter: "L", at: left, by: out }, { letter: "R", at: right, by: -out }]) {
    to.strokeText(letter, at[0] + by, at[1]);
    to.fillText(letter, at[0] + by, at[1]);
  }
}
