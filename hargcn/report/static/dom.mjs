/** Small helpers around the document. */

/** @param {string} id */
export const find = (id) => document.getElementById(id);

/**
 * Make an element that holds a text. Names become text, never markup.
 * @param {string} tag
 * @param {string | number} [text]
 * @param {Record<string, string>} [attributes]
 * @returns {HTMLElement}
 */
export function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = String(text);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/**
 * Make a row of a table: a heading, then cells.
 * @param {string} head
 * @param {(string | number)[]} cells numbers stand at the right
 * @returns {HTMLElement}
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
  const to = canvas.getContext("2d");
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
