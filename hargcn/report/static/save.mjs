/** Saving figures as PNG or SVG and their numbers as CSV: files made here, nothing is sent. */
import { button, element, pen, pickAll } from "./dom.mjs";

/**
 * Write rows as CSV (RFC 4180); a text that a spreadsheet would take for a formula gets an apostrophe.
 * @param {(string | number | null | undefined)[][]} rows
 * @returns {string}
 */
export function csv(rows) {
  /** @param {string | number | null | undefined} value */
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return rows.map((row) => row.map(cell).join(",") + "\r\n").join("");
}

/**
 * A name that every file system takes.
 * @param {...string} parts
 * @returns {string}
 */
export function fileName(...parts) {
  return parts.join("-").replace(/[^\p{L}\p{N}.@_]+/gu, "-").replace(/^[.-]+|-+$/g, "").slice(0, 120) || "figure";
}

/** @param {string} name @param {Blob} blob */
export function saveBlob(name, blob) {
  const link = element("a", "", { download: name });
  link.href = URL.createObjectURL(blob);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** @param {string} name @param {(string | number | null | undefined)[][]} rows */
export function saveCsv(name, rows) {
  saveBlob(`${name}.csv`, new Blob(["\ufeff", csv(rows)], { type: "text/csv;charset=utf-8" }));
}

/** @param {string} name @param {SVGElement} svg */
export function saveSvg(name, svg) {
  const text = new XMLSerializer().serializeToString(svg);
  saveBlob(`${name}.svg`, new Blob([text], { type: "image/svg+xml;charset=utf-8" }));
}

/**
 * Put pictures below each other, with lines of text above them, and save them as one.
 * @param {string} name
 * @param {string[]} lines
 * @param {[string, HTMLCanvasElement][]} pictures each with what stands above it
 */
export function savePng(name, lines, pictures) {
  const ratio = Math.max(devicePixelRatio || 1, 1);
  const gap = 20 * ratio;
  const made = document.createElement("canvas");
  made.width = Math.max(...pictures.map(([, canvas]) => canvas.width)) + 2 * gap;
  made.height = pictures.reduce((sum, [, canvas]) => sum + canvas.height + 1.6 * gap, (lines.length + 1) * gap);
  const to = pen(made);
  to.fillStyle = "#ffffff";
  to.fillRect(0, 0, made.width, made.height);
  to.fillStyle = "#1f2328";
  to.textBaseline = "middle";
  let top = gap;
  /** @param {string} text @param {string} weight */
  const write = (text, weight) => {
    to.font = `${weight} ${13 * ratio}px system-ui, sans-serif`;
    to.fillText(text, gap, top, made.width - 2 * gap);
    top += gap;
  };
  lines.forEach((line, i) => write(line, i ? "normal" : "bold"));
  for (const [above, canvas] of pictures) {
    if (above) write(above, "normal");
    to.drawImage(canvas, gap, top - gap / 2);
    top += canvas.height + gap * 0.6;
  }
  made.toBlob((blob) => {
    if (!blob) throw new RangeError(`${name}.png: a picture of ${made.width} x ${made.height} is more than this browser makes`);
    saveBlob(`${name}.png`, blob);
  }, "image/png");
}

/**
 * Buttons that save a figure.
 * @param {string} what for screen readers
 * @param {Record<string, () => void>} ways by their kind: PNG, SVG, CSV
 * @returns {HTMLElement}
 */
export function savers(what, ways) {
  const made = element("p", "", { class: "save" });
  made.append("Save ", ...Object.entries(ways).map(([kind, act]) => button(kind, `Save ${what} as ${kind}`, act)));
  return made;
}

/**
 * The texts of a table; a heading over several columns is repeated.
 * @param {HTMLTableElement} table
 * @returns {(string | number)[][]}
 */
export function tableTexts(table) {
  return [...table.rows].map((row) => [...row.cells].filter((cell) => !cell.hidden).flatMap((cell) => {
    const text = textOf(cell);
    const value = text === "" || Number.isNaN(Number(text)) ? text : Number(text);
    return Array.from({ length: cell.colSpan }, () => value);
  }));
}

/** @param {Element} cell */
const textOf = (cell) => (cell.textContent ?? "").trim();

/**
 * Draw a table as a picture, with the small charts in its cells.
 * @param {HTMLTableElement} table
 * @returns {SVGElement}
 */
export function tableSvg(table) {
  const [{ namespaceURI: space }] = pickAll(table, "svg", SVGSVGElement); // no address stands here
  const whole = table.getBoundingClientRect();
  /** @param {"svg" | "rect" | "text"} tag @param {Record<string, string | number>} attributes */
  const made = (tag, attributes) => {
    const each = /** @type {SVGElement} */ (document.createElementNS(space, tag));
    for (const [name, value] of Object.entries(attributes)) each.setAttribute(name, String(value));
    return each;
  };
  const size = { width: Math.ceil(whole.width), height: Math.ceil(whole.height) };
  const svg = made("svg", { ...size, viewBox: `0 0 ${size.width} ${size.height}` });
  svg.append(made("rect", { ...size, fill: "#ffffff" }));
  for (const cell of pickAll(table, "caption, th, td", HTMLElement)) {
    const box = cell.getBoundingClientRect();
    const [left, top] = [box.left - whole.left, box.top - whole.top];
    const [chart] = pickAll(cell, "svg", SVGSVGElement);
    if (chart) {
      const own = chart.getBoundingClientRect();
      const copy = /** @type {SVGElement} */ (chart.cloneNode(true));
      copy.setAttribute("x", String(own.left - whole.left));
      copy.setAttribute("y", String(own.top - whole.top));
      svg.append(copy);
      continue;
    }
    const right = cell.classList.contains("number");
    const text = made("text", {
      x: right ? left + box.width - 8 : left + 8, y: top + box.height / 2, "dominant-baseline": "middle",
      "text-anchor": right ? "end" : "start", "font-family": "system-ui, sans-serif", "font-size": 14,
      "font-weight": cell.tagName === "TD" ? "normal" : "bold", fill: "#1f2328",
    });
    text.textContent = textOf(cell);
    svg.append(text);
  }
  return svg;
}
