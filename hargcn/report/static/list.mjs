/** The list of windows: sorted, filtered, opened. */
import { element, find } from "./dom.mjs";
import { failed, isRight, passes, sorted } from "./windows.mjs";

const outcome = (row) => (isRight(row) === null ? null : isRight(row) ? "right" : "wrong");

/**
 * Say what was checked of a window.
 * @param {import("./windows.mjs").Row} row
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
 * @param {any} data
 * @param {(number: number) => string} className
 * @param {(row: number) => void} open
 * @returns {{mark: (row: number) => void, only: (label: string, predicted: string) => void}}
 */
export function listView(data, className, open) {
  const { windows, methods } = data;
  const named = (number) => (number === null ? null : className(number));
  const keys = {
    name: (row) => windows[row].name,
    subject: (row) => windows[row].subject,
    label: (row) => named(windows[row].label),
    predicted: (row) => named(windows[row].predicted),
    right: (row) => outcome(windows[row]),
    checked: (row) => checkedText(windows[row], methods),
    score: (row) => windows[row].scores[0],
  };
  const order = { key: "", descending: false };
  let current = -1;
  // What is known of no window takes no column.
  const shown = Object.keys(keys).filter((key) => windows.some((_, row) => keys[key](row) !== null));
  document.querySelectorAll("#list th button").forEach((head) => {
    head.parentElement.hidden = !shown.includes(head.dataset.key);
  });

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
    const filter = Object.fromEntries(new FormData(find("filter")));
    let rows = windows.map((_, row) => row).filter((row) => passes(windows[row], filter));
    if (order.key) rows = sorted(rows, keys[order.key], order.descending);
    find("count").textContent = `${rows.length} of ${windows.length} windows`;
    document.querySelector("#list tbody").replaceChildren(...rows.map(line));
  }

  function options(id, entries) {
    find(id).append(...entries.map(([value, text]) => element("option", text, { value })));
    find(id).closest("label").hidden = !entries.length;
  }

  const known = (key) => [...new Set(windows.map((window) => window[key]))].filter((each) => each !== null);
  for (const key of ["label", "predicted"]) {
    options(key, known(key).sort((a, b) => a - b).map((number) => [String(number), className(number)]));
  }
  options("subject", sorted(known("subject"), (name) => name, false).map((name) => [name, name]));
  find("right").closest("label").hidden = !windows.some((window) => isRight(window) !== null);
  find("checked").closest("label").hidden = !windows.some((window) => failed(window) !== null);
  find("filter").addEventListener("input", fill);
  find("filter").addEventListener("reset", () => setTimeout(fill));
  find("filter").addEventListener("submit", (event) => event.preventDefault());
  document.querySelectorAll("#list th button").forEach((head) => head.addEventListener("click", () => {
    const { key } = head.dataset;
    order.descending = order.key === key && !order.descending;
    order.key = key;
    document.querySelectorAll("#list th").forEach((each) => each.removeAttribute("aria-sort"));
    head.closest("th").setAttribute("aria-sort", order.descending ? "descending" : "ascending");
    fill();
  }));
  fill();
  return {
    mark(row) {
      current = row;
      document.querySelectorAll("#list tbody tr").forEach((each) => {
        each.setAttribute("aria-current", String(Number(each.dataset.row) === row));
      });
    },
    only(label, predicted) {
      find("filter").reset();
      find("label").value = label;
      find("predicted").value = predicted;
      setTimeout(() => {
        fill();
        find("windows").scrollIntoView();
        find("label").focus({ preventScroll: true });
      });
    },
  };
}
