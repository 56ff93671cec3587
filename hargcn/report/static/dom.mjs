/** Small helpers around the document. */

/**
 * An element that must be there, of a kind that it must be.
 * @template {Element} T
 * @param {ParentNode} inside
 * @param {string} selector
 * @param {new () => T} kind
 * @returns {T} the first
 */
export function pick(inside, selector, kind) {
  const found = inside.querySelector(selector);
  if (!(found instanceof kind)) throw new TypeError(`${selector}: expected ${kind.name} (found ${found?.tagName ?? "none"})`);
  return found;
}

/**
 * @template {Element} T
 * @param {ParentNode} inside
 * @param {string} selector
 * @param {new () => T} kind
 * @returns {T[]} all, those of another kind left out
 */
export function pickAll(inside, selector, kind) {
  return [...inside.querySelectorAll(selector)].flatMap((found) => (found instanceof kind ? [found] : []));
}

/** @param {string} id */
export const find = (id) => pick(document, `#${id}`, HTMLElement);

/** @param {string} id */
export const select = (id) => pick(document, `#${id}`, HTMLSelectElement);

/** @param {string} id */
export const isThere = (id) => document.getElementById(id) !== null;

/**
 * Make an element that holds a text. Names become text, never markup.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string | number} [text]
 * @param {Record<string, string | number | boolean>} [attributes]
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = String(text);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return made;
}

/**
 * Make a row of a table: a heading, then cells.
 * @param {string} head
 * @param {(string | number)[]} cells numbers stand at the right
 * @returns {HTMLTableRowElement}
 */
export function tableRow(head, cells) {
  const line = element("tr");
  line.append(
    element("th", head, { scope: "row" }),
    ...cells.map((cell) => element("td", cell, { class: "number" })),
  );
  return line;
}

/**
 * What draws on a canvas.
 * @param {HTMLCanvasElement} canvas
 * @returns {CanvasRenderingContext2D}
 */
export function pen(canvas) {
  const to = canvas.getContext("2d");
  if (!to) throw new TypeError("canvas: expected a context of two dimensions (the browser gave none)");
  return to;
}

/**
 * Fit a canvas to its size on the page and return its context, in CSS pixels.
 * @param {HTMLCanvasElement} canvas
 * @returns {[CanvasRenderingContext2D, {width: number, height: number}]}
 */
export function fitted(canvas) {
  const ratio = Math.max(devicePixelRatio || 1, 1);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const to = pen(canvas);
  to.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [to, { width, height }];
}

/**
 * A button.
 * @param {string} text
 * @param {string} label what a screen reader says
 * @param {() => void} act
 * @returns {HTMLElement}
 */
export function button(text, label, act) {
  const made = element("button", text, { type: "button", "aria-label": label });
  made.addEventListener("click", act);
  return made;
}
