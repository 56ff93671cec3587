/**
 * Which windows the list shows, and in which order.
 *
 * @typedef {{name: string, subject: string | null, label: number | null, predicted: number | null,
 *   probability: number | null, fps: number | null, scores: number[], recording: string,
 *   start: number | null, asked: string[], second: number | null,
 *   checks: {text: string, failed: boolean}[][], page?: string}} Row
 * @typedef {{label: string, predicted: string, right: string, subject: string, checked: string,
 *   least: string}} Filter "" lets all pass
 */

/**
 * @param {Pick<Row, "label" | "predicted">} row
 * @returns {boolean | null} null where the true class or the predicted one is not known
 */
export function isRight(row) {
  return row.label === null || row.predicted === null ? null : row.label === row.predicted;
}

/**
 * @param {number} share
 * @returns {string} how probable, as pictures say it: what rounds to all is not all
 */
export function percent(share) {
  return share >= 0.995 ? ">99%" : `${(100 * share).toFixed(0)}%`;
}

/**
 * @param {Pick<Row, "checks">} row
 * @returns {boolean | null} whether a check failed, null where nothing was checked
 */
export function failed(row) {
  const all = row.checks.flat();
  return all.length ? all.some((check) => check.failed) : null;
}

/**
 * The windows of a recording, the earliest first.
 * @param {Row[]} rows
 * @param {string} recording
 * @returns {number[]} of those whose start is known
 */
export function along(rows, recording) {
  return rows.map((_, row) => row)
    .filter((row) => rows[row].recording === recording && rows[row].start !== null)
    .sort((a, b) => Number(rows[a].start) - Number(rows[b].start));
}

/**
 * @param {Row} row
 * @param {Filter} filter
 * @returns {boolean}
 */
export function passes(row, filter) {
  return (filter.label === "" || String(row.label) === filter.label)
    && (filter.predicted === "" || String(row.predicted) === filter.predicted)
    && (filter.right === "" || String(isRight(row)) === filter.right)
    && (filter.checked === "" || String(failed(row)) === filter.checked)
    && (filter.subject === "" || row.subject === filter.subject)
    && (filter.least === "" || row.scores[0] >= Number(filter.least));
}

/**
 * Put rows in order; what is not known comes last either way.
 * @param {number[]} rows
 * @param {(row: number) => string | number | null} key
 * @param {boolean} descending
 * @returns {number[]}
 */
export function sorted(rows, key, descending) {
  return [...rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === null || y === null) return Number(x === null) - Number(y === null);
    const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), undefined, { numeric: true });
    return descending ? -order : order;
  });
}
