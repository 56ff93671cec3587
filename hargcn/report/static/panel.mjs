/** What the panel of a method consists of and says. */
import { pick } from "./dom.mjs";
import { byRow } from "./map.mjs";

/**
 * @typedef {import("./map.mjs").Levels & Omit<import("./data.mjs").MapAbout, "edges"> & {edges?: [number, number][]}} Shown
 *   a map with the levels of the window that is shown
 */

/**
 * The parts of a method's panel, found once.
 * @param {HTMLElement} panel
 * @param {import("./data.mjs").Method} method
 */
export function partsOf(panel, method) {
  /** @param {string} selector */
  const canvas = (selector) => pick(panel, selector, HTMLCanvasElement);
  /** @param {string} selector */
  const part = (selector) => pick(panel, selector, HTMLElement);
  const time = method.kind !== "joint" ? null : {
    box: part(".time"), cursor: part(".cursor"), map: canvas(".map"), line: canvas(".line"),
    parts: { canvas: canvas(".parts"), size: part(".size-part") },
  };
  return {
    panel, method, time, body: canvas(".body"), asked: part(".asked"), size: part(".size"), held: part(".held"),
    largest: pick(panel, "tbody", HTMLTableSectionElement),
  };
}

/**
 * Say which values the colours of a map stand for.
 * @param {{scale: number}} map
 * @param {string} unit
 */
export const onlySize = (map, unit) =>
  `colours from −${(127 * map.scale).toPrecision(2)} to ${(127 * map.scale).toPrecision(2)} (${unit})`;

/**
 * The largest rows: joints by signed sums, edges by size.
 * @param {Shown} map
 * @param {string} kind
 */
export function largestRows(map, kind) {
  const ranked = byRow(map);
  if (kind === "edge") ranked.sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  return ranked.slice(0, 5);
}

/**
 * The numbers of a map, a row each.
 * @param {Shown} map
 */
export function mapRows(map) {
  return Array.from(map.levels, (level, i) => {
    const row = Math.floor(i / map.persons) % map.rows;
    const cell = Math.floor(i / (map.persons * map.rows));
    return [map.kind, map.kind === "edge" ? "" : map.times[cell], map.names[row], i % map.persons, Number((level * map.scale).toPrecision(4))];
  });
}
