/** Attributions to edges, as `hargcn.plots.edges` draws them: arrows between joints, rings at joints. */

const MOST = 60; // arrows, the largest; more would hide each other
const WIDEST = 6;

/**
 * @param {CanvasRenderingContext2D} to
 * @param {[number, number][]} edges pairs (source, target)
 * @param {(edge: number) => number} level attribution from -127 to 127
 * @param {(joint: number) => [number, number]} place of a joint; NaN where it is not drawn
 * @param {string[]} colours
 */
export function drawEdges(to, edges, level, place, colours) {
  const order = edges.map((_, i) => i).filter((i) => level(i)).sort((a, b) => Math.abs(level(a)) - Math.abs(level(b)));
  for (const i of order.slice(-MOST)) {
    const [from, end] = edges[i].map(place);
    if ([...from, ...end].some(Number.isNaN)) continue;
    const share = Math.abs(level(i)) / 127;
    to.strokeStyle = to.fillStyle = colours[level(i) + 127];
    to.lineWidth = 0.5 + WIDEST * share;
    to.beginPath();
    if (edges[i][0] === edges[i][1]) {
      to.lineWidth = 0.5 + (WIDEST / 2) * share;
      to.arc(from[0], from[1], 4 + 8 * share, 0, 2 * Math.PI);
      to.stroke();
    } else {
      arrow(to, from, end, 5 + 6 * share);
    }
  }
}

/**
 * Draw a bent arrow, so that the two directions of a bone lie beside each other.
 * @param {CanvasRenderingContext2D} to
 * @param {[number, number]} from
 * @param {[number, number]} end
 * @param {number} head its length
 */
function arrow(to, from, end, head) {
  const [dx, dy] = [end[0] - from[0], end[1] - from[1]];
  const length = Math.hypot(dx, dy);
  if (length < 1) return;
  /** @type {[number, number]} */
  const bend = [(from[0] + end[0]) / 2 - 0.18 * dy, (from[1] + end[1]) / 2 + 0.18 * dx];
  to.moveTo(...from);
  to.quadraticCurveTo(...bend, ...end);
  to.stroke();
  const angle = Math.atan2(end[1] - bend[1], end[0] - bend[0]);
  to.beginPath();
  for (const turn of [0, 2.6, -2.6]) {
    to[turn ? "lineTo" : "moveTo"](end[0] + (turn ? head : 0) * Math.cos(angle + turn), end[1] + (turn ? head : 0) * Math.sin(angle + turn));
  }
  to.fill();
}
