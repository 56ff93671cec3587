/** The score along a recording: a bar per window, a click opens it. */
import { find, pick } from "./dom.mjs";
import { fileName, saveCsv, savePng, savers } from "./save.mjs";
import { along, isRight } from "./windows.mjs";

const HIGH = 250; // of the chart, in CSS pixels

/** @typedef {{from: number[], to: number[], unit: string}} Span */

/**
 * Where windows lie in their recording.
 * @param {Pick<import("./windows.mjs").Row, "fps" | "start">[]} rows
 * @param {number[]} chosen whose start is known
 * @param {number} frames of a window
 * @returns {Span} in seconds, or frames where no rate is known
 */
export function spans(rows, chosen, frames) {
  const timed = chosen.every((row) => rows[row].fps);
  /** @param {number} row @param {number} after frames after its start */
  const at = (row, after) => (Number(rows[row].start) + after) / (timed ? Number(rows[row].fps) : 1);
  return {
    from: chosen.map((row) => at(row, 0)),
    to: chosen.map((row) => at(row, frames)),
    unit: timed ? "s" : "frames",
  };
}

/**
 * @param {import("./data.mjs").Data} data
 * @param {(row: number) => void} open
 * @returns {(row: number) => void} shows the recording of a window
 */
export function recordingView(data, open) {
  const { windows, methods } = data;
  /** @type {{chosen: number[], row: number, chart: uPlot | null, span: Span}} */
  const state = { chosen: [], row: 0, chart: null, span: { from: [], to: [], unit: "" } };
  const box = find("score");
  /** @param {number} row */
  const score = (row) => windows[row].scores[0];

  /** @param {uPlot} chart */
  function paint(chart) {
    const to = chart.ctx;
    const ratio = devicePixelRatio || 1;
    to.save();
    to.setLineDash([]);
    state.chosen.forEach((row, i) => {
      const y = chart.valToPos(score(row), "y", true);
      const [left, right] = [state.span.from[i], state.span.to[i]].map((x) => chart.valToPos(x, "x", true));
      const current = row === state.row;
      to.strokeStyle = current ? "#b35900" : "#0b57a4";
      to.lineWidth = (current ? 5 : 2) * ratio;
      to.beginPath();
      to.moveTo(left, y);
      to.lineTo(right, y);
      to.stroke();
      const known = isRight(windows[row]);
      to.fillStyle = known === null ? "#8c8c8c" : known ? to.strokeStyle : "#ffffff";
      to.lineWidth = 1.5 * ratio;
      to.beginPath();
      to.arc((left + right) / 2, y, (current ? 6 : 4) * ratio, 0, 2 * Math.PI);
      to.fill();
      to.stroke();
    });
    to.restore();
  }

  function draw() {
    const { chosen, span } = state;
    state.chart?.destroy();
    const middle = chosen.map((_, i) => (span.from[i] + span.to[i]) / 2);
    const scores = chosen.map(score);
    const pad = (Math.max(...scores) - Math.min(...scores)) * 0.1 || 1;
    const chart = new uPlot({
      width: Math.max(300, box.clientWidth), height: HIGH, legend: { show: false },
      cursor: { drag: { x: false, y: false } },
      scales: {
        x: { time: false, range: [Math.min(...span.from), Math.max(...span.to)] },
        y: { range: [Math.min(...scores) - pad, Math.max(...scores) + pad] },
      },
      axes: [{ label: `time in the recording (${span.unit})` }, { label: `score (${methods[0].score})`, size: 60 }],
      series: [{}, { stroke: "#b5c9dd", width: 1, points: { show: false } }],
      hooks: { draw: [paint] },
    }, [middle, scores], box);
    state.chart = chart;
    chart.over.addEventListener("click", (event) => {
      const x = chart.posToVal(event.offsetX, "x");
      const y = chart.posToVal(event.offsetY, "y");
      open(chosen[nearestWindow(span, scores, x, y, pad)]);
    });
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", "Score of each window along the recording; the buttons above go from window to window");
  }

  /** @param {number} by */
  function move(by) {
    const place = state.chosen.indexOf(state.row) + by;
    if (place >= 0 && place < state.chosen.length) open(state.chosen[place]);
  }

  const [earlier, later] = ["#earlier", "#later"].map((way) => pick(document, way, HTMLButtonElement));
  earlier.addEventListener("click", () => move(-1));
  later.addEventListener("click", () => move(1));
  find("recording").append(savers("the score along the recording", {
    PNG: () => state.chart && savePng(fileName(windows[state.row].recording, "score"), [windows[state.row].recording], [["", state.chart.ctx.canvas]]),
    CSV: () => saveCsv(fileName(windows[state.row].recording, "score"), [
      ["window", `from (${state.span.unit})`, `to (${state.span.unit})`, "explained", "score", "outcome"],
      ...state.chosen.map((row, i) => [
        windows[row].name, state.span.from[i], state.span.to[i], windows[row].asked[0], score(row),
        isRight(windows[row]) === null ? "" : isRight(windows[row]) ? "right" : "wrong",
      ]),
    ]),
  }));
  addEventListener("resize", () => state.chart?.setSize({ width: Math.max(300, box.clientWidth), height: HIGH }));

  return (row) => {
    const chosen = along(windows, windows[row].recording);
    find("recording").hidden = chosen.length < 2;
    state.row = row;
    if (chosen.length < 2) return;
    Object.assign(state, { chosen, span: spans(windows, chosen, data.frames) });
    find("whole").textContent = `${windows[row].recording}: ${chosen.length} windows; the one above is number ${chosen.indexOf(row) + 1}, explained for ${windows[row].asked[0]}.`;
    earlier.disabled = chosen[0] === row;
    later.disabled = chosen[chosen.length - 1] === row;
    draw();
  };
}

/**
 * The window whose bar is nearest to a place.
 * @param {Pick<Span, "from" | "to">} span
 * @param {number[]} scores
 * @param {number} x
 * @param {number} y
 * @param {number} high a difference of scores that counts like a window's length
 * @returns {number}
 */
export function nearestWindow(span, scores, x, y, high) {
  const away = scores.map((score, i) => {
    const wide = span.to[i] - span.from[i] || 1;
    return Math.hypot((x - (span.from[i] + span.to[i]) / 2) / wide, (y - score) / (10 * high));
  });
  return away.indexOf(Math.min(...away));
}
