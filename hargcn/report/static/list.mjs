/** The list of windows: sorted, filtered, opened. */
import { element, find, pick, pickAll, select } from "./dom.mjs";
import { failed, isRight, passes, sorted } from "./windows.mjs";

/**
 * @typedef {import("./windows.mjs").Row} Row
 * @typedef {"name" | "subject" | "label" | "predicted" | "right" | "checked" | "score"} Key of a column
 */

/** @param {Row} row */
const outcome = (row) => (isRight(row) === null ? null : isRight(row) ? "right" : "wrong");

/**
 * Say what was checked of a window.
 * @param {Pick<Row, "checks">} row
 * @param {{title: string}[]} methods
 * @returns {string | null}
 */
export function checkedText(row, methods) {
  if (failed(row) === null) return null;
  const bad = methods.filter((_, i) => row.checks[i].some((check) => check.failed));
  return bad.length ? `failed: ${bad.map((method) => method.title).join(", ")}` : "held";
}

/**
 * Fill the list and its filters.
 * @param {import("./data.mjs").Data} data
 * @param {(number: number) => string} className
 * @param {(row: number) => void} open
 * @returns {{mark: (row: number) => void, only: (label: string, predicted: string) => void}}
 */
export function listView(data, className, open) {
  const { windows, methods } = data;
  /** @param {number | null} number */
  const named = (number) => (number === null ? null : className(number));
  /** @type {Record<Key, (row: number) => string | number | null>} */
  const keys = {
    name: (row) => windows[row].name,
    subject: (row) => windows[row].subject,
    label: (row) => named(windows[row].label),
    predicted: (row) => named(windows[row].predicted),
    right: (row) => outcome(windows[row]),
    checked: (row) => checkedText(windows[row], methods),
    score: (row) => windows[row].scores[0],
  };
  /** @type {{key: Key | null, descending: boolean}} */
  const order = { key: null, descending: false };
  const form = pick(document, "#filter", HTMLFormElement);
  const rowsOf = pick(document, "#list tbody", HTMLTableSectionElement);
  const heads = pickAll(document, "#list th", HTMLTableCellElement).map((cell) => {
    const opener = pick(cell, "button", HTMLButtonElement);
    return { cell, opener, key: /** @type {Key} */ (opener.dataset.key) };
  });
  let current = -1;
  // What is known of no window takes no column.
  const shown = heads.map(({ key }) => key).filter((key) => windows.some((_, row) => keys[key](row) !== null));
  for (const { cell, key } of heads) cell.hidden = !shown.includes(key);

  /** @param {number} row */
  function line(row) {
    const made = element("tr", "", { "data-row": row, "aria-current": row === current });
    const first = element("td");
    const { name, page } = windows[row];
    if (page) first.append(element("a", name, { href: page }));
    else {
      const opener = element("button", name, { type: "button" });
      opener.addEventListener("click", () => open(row));
      first.append(opener);
    }
    made.append(
      first,
      ...shown.slice(1, -1).map((key) => element("td", keys[key](row) ?? "")),
      element("td", windows[row].scores[0].toPrecision(3), { class: "number" }),
    );
    return made;
  }

  function fill() {
    const filter = /** @type {import("./windows.mjs").Filter} */ (Object.fromEntries(new FormData(form)));
    let rows = windows.map((_, row) => row).filter((row) => passes(windows[row], filter));
    if (order.key !== null) rows = sorted(rows, keys[order.key], order.descending);
    find("count").textContent = `${rows.length} of ${windows.length} windows`;
    rowsOf.replaceChildren(...rows.map(line));
  }

  /** @param {string} id @param {boolean} there whether anything is to be chosen */
  function offer(id, there) {
    for (const label of select(id).labels) label.hidden = !there;
  }

  /** @param {string} id @param {[value: string, text: string][]} entries */
  function options(id, entries) {
    select(id).append(...entries.map(([value, text]) => element("option", text, { value })));
    offer(id, entries.length > 0);
  }

  /** @param {(window: Row) => number | null} of */
  const numbers = (of) => [...new Set(windows.map(of))].filter((each) => each !== null).sort((a, b) => a - b)
    .map((number) => /** @type {[string, string]} */ ([String(number), className(number)]));
  options("label", numbers((window) => window.label));
  options("predicted", numbers((window) => window.predicted));
  const subjects = [...new Set(windows.map((window) => window.subject))].filter((each) => each !== null);
  const inOrder = sorted(subjects.map((_, i) => i), (i) => subjects[i], false);
  options("subject", inOrder.map((i) => [subjects[i], subjects[i]]));
  offer("right", windows.some((window) => isRight(window) !== null));
  offer("checked", windows.some((window) => failed(window) !== null));
  form.addEventListener("input", fill);
  form.addEventListener("reset", () => setTimeout(fill));
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const { cell, opener, key } of heads) {
    opener.addEventListener("click", () => {
      order.descending = order.key === key && !order.descending;
      order.key = key;
      for (const other of heads) other.cell.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", order.descending ? "descending" : "ascending");
      fill();
    });
  }
  fill();
  return {
    mark(row) {
      current = row;
      for (const each of rowsOf.rows) each.setAttribute("aria-current", String(Number(each.dataset.row) === row));
    },
    only(label, predicted) {
      form.reset();
      select("label").value = label;
      select("predicted").value = predicted;
      setTimeout(() => {
        fill();
        find("windows").scrollIntoView();
        find("label").focus({ preventScroll: true });
      });
    },
  };
}
