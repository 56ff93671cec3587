/** Two groups of windows side by side: their mean bodies, as one SVG picture. */
import { find, pick, select, tableRow } from "./dom.mjs";
import { fileName, saveCsv, saveSvg, savers, tableTexts } from "./save.mjs";

const [WIDTH, HEIGHT, TOP, MARGIN] = [420, 440, 44, 40];

/**
 * The largest magnitude of two means, which both pictures share.
 * @param {(number | null)[][]} means
 * @returns {number}
 */
export function largestOf(means) {
  return Math.max(...means.flat().map((value) => Math.abs(value ?? 0))) || 1;
}

/** The page's own picture. */
const picture = () => pick(document, "#bodies svg", SVGSVGElement);

/** @param {"svg" | "g" | "rect" | "line" | "circle" | "text" | "title"} tag @param {Record<string, string | number>} attributes @param {string} [text] */
function drawn(tag, attributes, text = "") {
  // The page's own picture knows the name of SVG, so that no address stands here.
  const made = /** @type {SVGElement} */ (document.createElementNS(picture().namespaceURI, tag));
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  if (text) made.textContent = text;
  return made;
}

/**
 * One body at a place of the picture.
 * @param {import("./data.mjs").Skeleton} skeleton
 * @param {string[]} colours
 * @param {(number | null)[]} values of its joints
 * @param {number} most the magnitude of the strongest colour
 * @param {number} left
 * @param {string} title
 */
function body(skeleton, colours, values, most, left, title) {
  const made = drawn("g", { transform: `translate(${left} 0)` });
  const xs = skeleton.layout.map(([x]) => x);
  const ys = skeleton.layout.map(([, y]) => y);
  const wide = Math.max(...xs) - Math.min(...xs) || 1;
  const high = Math.max(...ys) - Math.min(...ys) || 1;
  const scale = Math.min((WIDTH - 2 * MARGIN) / wide, (HEIGHT - TOP - MARGIN) / high);
  /** @type {(joint: number) => [number, number]} */
  const place = (joint) => [
    WIDTH / 2 + (xs[joint] - (Math.max(...xs) + Math.min(...xs)) / 2) * scale,
    TOP + (HEIGHT - TOP - MARGIN / 2) / 2 - (ys[joint] - (Math.max(...ys) + Math.min(...ys)) / 2) * scale,
  ];
  const text = { "font-family": "system-ui, sans-serif", "font-size": 14, fill: "#1f2328", "text-anchor": "middle" };
  made.append(drawn("text", { ...text, x: WIDTH / 2, y: 20 }, title));
  for (const [a, b] of skeleton.edges) {
    const [from, to] = [place(a), place(b)];
    made.append(drawn("line", { x1: from[0], y1: from[1], x2: to[0], y2: to[1], stroke: "#9a9a9a", "stroke-width": 2 }));
  }
  const order = values.map((_, joint) => joint).sort((a, b) => Math.abs(values[a] ?? 0) - Math.abs(values[b] ?? 0));
  for (const joint of order) {
    const share = (values[joint] ?? 0) / most;
    const [cx, cy] = place(joint);
    const dot = drawn("circle", {
      cx, cy, r: Math.sqrt(9 + 180 * Math.abs(share)), fill: colours[Math.round(127 * share) + 127], stroke: "#4d4d4d",
    });
    dot.append(drawn("title", {}, `${skeleton.joints[joint]}: ${values[joint]}`));
    made.append(dot);
  }
  const [first] = [...skeleton.mirror].sort((a, b) =>
    Math.abs(xs[b[0]] - xs[b[1]]) - Math.abs(xs[a[0]] - xs[a[1]]));
  (first ?? []).forEach((joint, i) => {
    const [x, y] = place(joint);
    const out = xs[joint] < xs[first[1 - i]] ? -22 : 22;
    made.append(drawn("text", { ...text, "font-weight": "bold", x: x + out, y: y + 5 }, "LR"[i]));
  });
  return made;
}

/**
 * @param {import("./data.mjs").Data} data
 */
export function groupsView(data) {
  const { skeleton, colours, methods } = data;
  if (!data.groups) return;
  const { groups } = data;
  const pair = find("pair");
  const table = pick(document, "#difference", HTMLTableElement);
  const chosen = () => ["one", "other"].map((id) => Number(select(id).value));
  /** @param {number} number */
  const said = (number) => `${groups.names[number]} (n = ${groups.counts[number]})`;
  const name = () => fileName(...chosen().map((number) => groups.names[number]));

  function draw() {
    const method = Number(select("method").value);
    const [one, other] = chosen();
    const [left, right] = [one, other].map((number) => groups.means[method][number]);
    const most = largestOf([left.mean, right.mean]);
    const svg = drawn("svg", {
      viewBox: `0 0 ${2 * WIDTH} ${HEIGHT}`, role: "img",
      "aria-label": `Mean attributions of ${said(one)} and ${said(other)}; the table below has the numbers`,
    });
    svg.append(drawn("rect", { width: 2 * WIDTH, height: HEIGHT, fill: "#ffffff" }));
    svg.append(
      body(skeleton, colours, left.mean, most, 0, said(one)), body(skeleton, colours, right.mean, most, WIDTH, said(other)),
    );
    find("bodies").replaceChildren(svg);
    const { title, score } = methods[method];
    find("bodies-said").textContent =
      `${title}: mean of the windows' sums, colours of both from −${most.toPrecision(2)} to ${most.toPrecision(2)} (${score}).`;
    const rows = skeleton.joints.map((joint, i) => {
      const parts = [left, right].map((group) => {
        const ends = group.low[i] === null || group.high[i] === null ? "" : ` [${group.low[i]}, ${group.high[i]}]`;
        return `${group.mean[i]}${ends}`;
      });
      return { joint, parts, difference: (left.mean[i] ?? 0) - (right.mean[i] ?? 0) };
    });
    rows.sort((a, b) => Math.abs(b.difference) - Math.abs(a.difference));
    table.tBodies[0].replaceChildren(...rows.map(({ joint, parts, difference }) =>
      tableRow(joint, [...parts, difference.toPrecision(3)])));
  }

  select("one").value = "1";
  select("other").value = String(Math.min(2, groups.names.length - 1));
  pair.addEventListener("input", draw);
  pair.addEventListener("submit", (event) => event.preventDefault());
  find("bodies-said").after(savers("the two groups", {
    SVG: () => saveSvg(name(), picture()),
    CSV: () => saveCsv(name(), tableTexts(table)),
  }));
  draw();
}
