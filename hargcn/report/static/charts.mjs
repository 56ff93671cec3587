/** Curves of `hargcn perturb`, drawn by uPlot. */
import { element, find, pen, pick, pickAll, select } from "./dom.mjs";
import { fileName, saveCsv, savePng, savers } from "./save.mjs";

/** @typedef {import("./data.mjs").Line} Line */

const LINES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const DASHES = [[], [9, 4], [3, 3], [9, 3, 3, 3]];

/**
 * The smallest and the largest number of a chart, so that its panels share a scale.
 * @param {{panels: {band: (number | null)[][], lines: import("./data.mjs").Means[]}[]}} chart
 * @returns {[number, number]}
 */
export function rangeOf(chart) {
  const all = chart.panels.flatMap(({ band, lines }) =>
    [...band.flat(), ...lines.flatMap((line) => [...line.mean, ...line.low, ...line.high])]).filter((each) => each !== null);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const pad = (high - low) * 0.05 || 0.05;
  return [low - pad, high + pad];
}

/**
 * How a line looks: its own colour and dashes, grey dashes of random orders.
 * @param {Line[]} lines
 * @param {number} i
 */
function lookOf(lines, i) {
  if (lines[i].name === "random") return { stroke: "#57606a", dash: [4, 4], width: 1.5 };
  const own = lines.slice(0, i).filter((line) => line.name !== "random").length;
  return { stroke: LINES[own % LINES.length], dash: DASHES[Math.floor(own / LINES.length + own) % DASHES.length], width: 2 };
}

/**
 * Draw the intervals of the methods' lines.
 * @param {Line[]} lines
 * @returns {(chart: uPlot) => void}
 */
function whiskers(lines) {
  return (chart) => {
    const to = chart.ctx;
    to.save();
    to.lineWidth = devicePixelRatio || 1;
    to.setLineDash([]);
    lines.forEach((line, i) => {
      if (line.name === "random") return;
      to.strokeStyle = lookOf(lines, i).stroke;
      line.low.forEach((low, j) => {
        const high = line.high[j];
        if (low === null || high === null) return;
        const x = chart.valToPos(chart.data[0][j], "x", true) + (i - (lines.length - 1) / 2) * 3;
        to.beginPath();
        to.moveTo(x, chart.valToPos(low, "y", true));
        to.lineTo(x, chart.valToPos(high, "y", true));
        to.stroke();
      });
    });
    to.restore();
  };
}

/**
 * Name the lines of a chart; a canvas, so that a saved picture has it too.
 * @param {Line[]} lines
 * @param {number} width
 */
function legend(lines, width) {
  const canvas = element("canvas", "", { role: "img", "aria-label": `Lines: ${lines.map((line) => line.name).join(", ")}` });
  const ratio = devicePixelRatio || 1;
  const high = 20 * lines.length;
  Object.assign(canvas, { width: width * ratio, height: high * ratio });
  canvas.style.height = `${high}px`;
  canvas.style.width = `${width}px`;
  const to = pen(canvas);
  to.scale(ratio, ratio);
  to.font = "13px system-ui, sans-serif";
  to.textBaseline = "middle";
  lines.forEach((line, i) => {
    const look = lookOf(lines, i);
    to.strokeStyle = look.stroke;
    to.lineWidth = look.width;
    to.setLineDash(look.dash);
    to.beginPath();
    to.moveTo(4, 20 * i + 10);
    to.lineTo(44, 20 * i + 10);
    to.stroke();
    to.fillStyle = "#1f2328";
    to.fillText(line.name, 54, 20 * i + 10, width - 60);
  });
  return canvas;
}

/**
 * @param {import("./data.mjs").Data} data
 */
export function chartsView(data) {
  if (!data.charts?.length) return;
  const { charts } = data;
  const choice = select("curve");
  const box = find("curves");
  const current = () => charts[Number(choice.value)];

  function draw() {
    const chart = current();
    const [low, high] = rangeOf(chart);
    const width = Math.max(260, Math.min(430, (box.clientWidth - 24) / Math.min(chart.panels.length, 3) - 8));
    box.replaceChildren(...chart.panels.map((panel) => {
      const figure = element("figure", "", { class: "chart" });
      figure.append(element("figcaption", panel.title));
      const banded = panel.band.every((end) => end.length);
      const series = panel.lines.map((line, i) => ({ label: line.name, ...lookOf(panel.lines, i), points: { show: false } }));
      const hidden = { stroke: "transparent", points: { show: false } };
      new uPlot({
        width, height: 250, legend: { show: false }, cursor: { drag: { x: false, y: false } },
        scales: { x: { time: false }, y: { range: [low, high] } },
        axes: [{ label: chart.x }, { label: chart.y, size: 60 }],
        series: [{}, ...(banded ? [hidden, hidden] : []), ...series],
        bands: banded ? [{ series: [2, 1], fill: "rgba(128,128,128,0.25)" }] : [],
        hooks: { draw: [whiskers(panel.lines)] },
      }, [chart.k, ...(banded ? panel.band : []), ...panel.lines.map((line) => line.mean)], figure);
      const canvas = pick(figure, "canvas", HTMLCanvasElement);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${chart.y} against the ${chart.x}, ${panel.title}; saved as CSV it is a table`);
      return figure;
    }), legend(chart.panels[0].lines, Math.max(260, Math.min(430, box.clientWidth))));
  }

  choice.addEventListener("input", draw);
  choice.form?.addEventListener("submit", (event) => event.preventDefault());
  box.after(savers("the curves", {
    PNG: () => savePng(fileName(current().title, current().y), [current().title, current().y],
      pickAll(box, "canvas", HTMLCanvasElement).map((canvas) => [canvas.closest("figure")?.querySelector("figcaption")?.textContent ?? "", canvas])),
    CSV: () => saveCsv(fileName(current().title, current().y), [
      ["set", "method", "k", "mean", "low", "high"],
      ...current().panels.flatMap((panel) => panel.lines.flatMap((line) =>
        current().k.map((k, j) => [panel.title, line.name, k, line.mean[j], line.low[j], line.high[j]]))),
    ]),
  }));
  addEventListener("resize", draw);
  draw();
}
