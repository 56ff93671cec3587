/** The page: ties the views together. Names become text, never markup. */
import { chartsView } from "./charts.mjs";
import { find } from "./dom.mjs";
import { groupsView } from "./groups.mjs";
import { listView } from "./list.mjs";
import { recordingView } from "./recording.mjs";
import { fileName, saveCsv, saveSvg, savers, tableSvg, tableTexts } from "./save.mjs";
import { windowView } from "./window.mjs";

const data = JSON.parse(find("data").textContent);
const className = (number) => data.classes[number] ?? `class ${number}`;
let alongside = null; // charts wait until the page, and with it the library, is read

const view = find("window") && windowView(data, className, (row) => {
  list.mark(row);
  alongside?.(row);
});
const list = listView(data, className, (row) => view.open(row));

document.querySelectorAll("#confusion button").forEach((each) =>
  each.addEventListener("click", () => list.only(each.dataset.label, each.dataset.predicted)));
document.querySelectorAll("table.saved").forEach((table) => table.parentElement.after(
  savers(`the table ${table.dataset.name}`, {
    ...(table.querySelector("svg") && { SVG: () => saveSvg(fileName(data.stem, table.dataset.name), tableSvg(table)) }),
    CSV: () => saveCsv(fileName(data.stem, table.dataset.name), tableTexts(table)),
  })));
find("windows").append(savers("the list", {
  CSV: () => saveCsv(fileName(data.stem, "windows"), tableTexts(find("list"))),
}));

// In a notebook's frame an address leads to the notebook: a place is scrolled to instead.
if (location.protocol === "about:") {
  document.querySelectorAll("nav a").forEach((each) => each.addEventListener("click", (event) => {
    event.preventDefault();
    find(each.hash.slice(1)).scrollIntoView();
  }));
}

/** The window that an address names, such as report-2.html#window=7. */
const addressed = () => {
  const row = Number(/^#window=(\d+)$/.exec(location.hash)?.[1] ?? 0);
  return row < data.windows.length ? row : 0;
};

function begin() {
  groupsView(data);
  chartsView(data);
  if (!find("recording")) return;
  alongside = recordingView(data, (row) => view.open(row, false));
  alongside(view.now.row);
}

if (view) {
  view.open(addressed(), false);
  addEventListener("hashchange", () => location.hash.startsWith("#window=") && view.open(addressed()));
}
if (document.readyState === "loading") addEventListener("DOMContentLoaded", begin);
else begin();
