/** The page: ties the views together. Names become text, never markup. */
import { chartsView } from "./charts.mjs";
import { find, isThere, pick, pickAll } from "./dom.mjs";
import { groupsView } from "./groups.mjs";
import { listView } from "./list.mjs";
import { recordingView } from "./recording.mjs";
import { fileName, saveCsv, saveSvg, savers, tableSvg, tableTexts } from "./save.mjs";
import { windowView } from "./window.mjs";

/** @type {import("./data.mjs").Data} */
const data = JSON.parse(find("data").textContent ?? "");
/** @param {number} number */
const className = (number) => data.classes[number] ?? `class ${number}`;
/** @type {((row: number) => void) | null} */
let alongside = null; // charts wait until the page, and with it the library, is read

const windowData = /** @type {import("./data.mjs").WindowData} */ (data); // where the page has a window's part
const view = isThere("window") ? windowView(windowData, className, (row) => {
  list.mark(row);
  alongside?.(row);
}) : null;
const list = listView(data, className, (row) => view?.open(row));

for (const each of pickAll(document, "#confusion button", HTMLButtonElement)) {
  const { label = "", predicted = "" } = each.dataset;
  each.addEventListener("click", () => list.only(label, predicted));
}
for (const table of pickAll(document, "table.saved", HTMLTableElement)) {
  const name = table.dataset.name ?? "";
  table.parentElement?.after(savers(`the table ${name}`, {
    ...(table.querySelector("svg") && { SVG: () => saveSvg(fileName(data.stem, name), tableSvg(table)) }),
    CSV: () => saveCsv(fileName(data.stem, name), tableTexts(table)),
  }));
}
find("windows").append(savers("the list", {
  CSV: () => saveCsv(fileName(data.stem, "windows"), tableTexts(pick(document, "#list", HTMLTableElement))),
}));

// In a notebook's frame an address leads to the notebook: a place is scrolled to instead.
if (location.protocol === "about:") {
  for (const each of pickAll(document, "nav a", HTMLAnchorElement)) {
    each.addEventListener("click", (event) => {
      event.preventDefault();
      find(each.hash.slice(1)).scrollIntoView();
    });
  }
}

/** The window that an address names, such as report-2.html#window=7. */
const addressed = () => {
  const row = Number(/^#window=(\d+)$/.exec(location.hash)?.[1] ?? 0);
  return row < data.windows.length ? row : 0;
};

function begin() {
  groupsView(data);
  chartsView(data);
  if (!view || !isThere("recording")) return;
  alongside = recordingView(data, (row) => view.open(row, false));
  alongside(view.now.row);
}

if (view) {
  view.open(addressed(), false);
  addEventListener("hashchange", () => location.hash.startsWith("#window=") && view.open(addressed()));
}
if (document.readyState === "loading") addEventListener("DOMContentLoaded", begin);
else begin();
