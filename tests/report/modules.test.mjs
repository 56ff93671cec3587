/** Pure functions of the page; run by test_page.py, which names a page in PAGE. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

const modules = "../../hargcn/report/static";
const { inflate, unpack } = await import(`${modules}/payload.mjs`);
const { bounds, facing, project, projected, sides } = await import(`${modules}/body.mjs`);
const { across, borders, byRow, frameAt, grouped, nearestCell, overTime, peak, stretches } = await import(`${modules}/map.mjs`);
const { along, failed, isRight, passes, percent, sorted } = await import(`${modules}/windows.mjs`);
const { csv, fileName } = await import(`${modules}/save.mjs`);
const { seenText, sidedNames } = await import(`${modules}/window.mjs`);
const { nearestWindow, spans } = await import(`${modules}/recording.mjs`);
const { checkedText } = await import(`${modules}/list.mjs`);
const { rangeOf } = await import(`${modules}/charts.mjs`);
const { largestOf } = await import(`${modules}/groups.mjs`);
const { drawEdges } = await import(`${modules}/edges.mjs`);

const page = readFileSync(process.env.PAGE, "utf8");
const data = JSON.parse(page.match(/id="data">(.*?)<\/script>/s)[1]);
const packed = [...page.matchAll(/class="window">(.*?)<\/script>/gs)].map((found) => found[1]);
const shape = {
  space: data.skeleton.ndim, frames: data.frames, joints: data.skeleton.joints.length, persons: data.persons,
  maps: data.maps,
};
const windows = await Promise.all(packed.map(async (text, i) => unpack(await inflate(text), shape, data.windows[i])));

test("a probability that rounds to all is not all", () => {
  assert.deepEqual([0.004, 0.5, 0.994, 0.995, 0.9999].map(percent), ["0%", "50%", "99%", ">99%", ">99%"]);
});

test("a window has the numbers that the fixture gave it", () => {
  for (const window of windows) {
    assert.equal(window.state[3 * shape.joints], 0);
    assert.equal(window.state[4 * shape.joints + 1], 2);
    for (const map of window.maps) assert.equal(Math.max(...map.map(Math.abs)), 127);
  }
});

test("positions go on from frame to frame, and start anew with each joint", () => {
  const bytes = Uint8Array.from([1, 255, 5, 0, 0, 255, 0, 0, 1, 1, 1, 1]);
  const small = { space: 1, frames: 2, joints: 2, persons: 1, maps: [] };
  const found = unpack(bytes, small, { origin: [10], step: 0.5, scales: [] });
  assert.deepEqual([...found.positions], [10.5, 10, 12.5, 12.5]);
  assert.deepEqual([...found.state], [1, 1, 1, 1]);
});

test("views are those of pictures", () => {
  const near = (found, wanted) => found.forEach((each, i) => assert.ok(Math.abs(each - wanted[i]) < 1e-12));
  near(project([1, 2, 3], "y", [0, 0]), [1, 2]);
  near(project([1, 2, 3], "z", [0, 0]), [1, 3]);
  near(project([1, 2], "-y", [0, 0]), [1, -2]);
  near(project([1, 2, 3], "y", [90, 0]), [3, 2]);
  near(project([1, 2, 3], "y", [0, 90]), [1, 3]);
});

test("bodies are seen from their front, whichever way the axes show them", () => {
  const body = { space: 3, frames: 1, joints: 2, persons: 1 };
  const skeleton = { mirror: [[0, 1]] };
  const seen = (left, right, state = [1, 1]) => facing({ positions: [left, right, 0, 0, 0, 0], state }, body, skeleton);
  assert.equal(seen(1, -1), 0);
  assert.equal(seen(-1, 1), 180);
  assert.equal(seen(-1, 1, [1, 0]), 0);
  assert.equal(facing({ positions: [-1, 1, 0, 0], state: [1, 1] }, { ...body, space: 2 }, skeleton), 0);
});

test("what is absent has no place on the paper, and the box holds the rest", () => {
  const points = projected(windows[0], shape, data.skeleton, [0, 0]);
  assert.ok(Number.isNaN(points[2 * 3 * shape.joints]));
  assert.equal(points.filter(Number.isNaN).length, 2);
  const box = bounds(points);
  const x = points.filter((each, i) => i % 2 === 0 && !Number.isNaN(each));
  assert.equal(box.width, Math.max(...x) - Math.min(...x));
  assert.deepEqual(bounds(new Float32Array([NaN, NaN])), { x: 0, y: 0, width: 1, height: 1 });
});

test("left and right are written where they lie farthest apart", () => {
  const places = [[0, 0], [1, 0], [-4, 2], [3, 2], [NaN, NaN]];
  assert.deepEqual(sides((joint) => places[joint], [[0, 1], [2, 3], [4, 1]]), [2, 3]);
  assert.equal(sides((joint) => places[joint], []), null);
});

test("sums over joints, over time and of parts", () => {
  const map = { levels: Int8Array.from([1, 2, 3, 4, -5, 6, 7, -8]), cells: 2, rows: 2, persons: 2, scale: 0.5 };
  assert.deepEqual(overTime(map), [5, 0]);
  assert.deepEqual(byRow(map), [[1, 3], [0, 2]]);
  const parts = grouped(map, [[0], [0, 1]]);
  assert.deepEqual([parts.cells, parts.rows, parts.persons], [2, 2, 1]);
  assert.equal(parts.scale, 5 / 127);
  assert.deepEqual([...parts.levels], [38, 127, 13, 0]); // 1.5, 5, 0.5 and 0
  assert.deepEqual([...grouped({ ...map, scale: 0 }, [[0]]).levels], [0, 0]);
  assert.equal(peak(map), 1);
  assert.equal(peak({ ...map, levels: map.levels.map((level) => -level) }), 1);
  assert.equal(peak({ ...map, levels: map.levels.fill(0) }), 0);
});

test("the cursor and a click find each other", () => {
  for (const frame of [0, 7, 23]) assert.equal(frameAt(across(frame, 24, 500), 24, 500), frame);
  assert.equal(frameAt(0, 24, 500), 0);
  assert.equal(frameAt(900, 24, 500), 23);
  assert.equal(nearestCell([1.5, 5.5, 9.5], 4), 1);
  assert.deepEqual(borders([1.5, 5.5, 9.5], 12), [0, 4, 8, 12]);
});

test("where a joint was not seen is said in stretches of frames", () => {
  const bad = [true, false, true, true, false, true];
  assert.deepEqual(stretches((frame) => bad[frame], 6), [[0, 1], [2, 4], [5, 6]]);
  assert.deepEqual(stretches(() => false, 6), []);
  const state = Uint8Array.from([1, 0, 2, 0, 1, 0, 1, 0]);
  assert.equal(seenText(state, [0], 2), "Of all joint positions 75% were observed, 25% interpolated, 0% absent.");
  assert.equal(seenText(state, [], 2), "Nobody is there.");
});

test("left and right are said where names do not tell", () => {
  const names = (joints) => sidedNames({ joints, mirror: [[0, 1]] });
  assert.deepEqual(names(["hand1", "hand2", "head"]), ["hand1 (L)", "hand2 (R)", "head"]);
  assert.deepEqual(names(["left_hand", "RightHand", "head"]), ["left_hand", "RightHand", "head"]);
});

test("saved tables open in a spreadsheet and run nothing there", () => {
  assert.equal(csv([["a,b", 'say "x"', null], [-1.5, "=1+1", "-2"]]), '"a,b","say ""x""",\r\n-1.5,\'=1+1,-2\r\n');
  assert.equal(fileName("../a b/<c>", "SHAP"), "a-b-c-SHAP");
  assert.equal(fileName("..."), "figure");
});

test("windows of a recording lie on its time, and a click finds one", () => {
  const rows = [30, 0, 60].map((start, i) => ({ recording: i < 2 ? "a" : "b", start, fps: 30 }));
  assert.deepEqual(along(rows, "a"), [1, 0]);
  const span = spans(rows, [1, 0], 60);
  assert.deepEqual(span, { from: [0, 1], to: [2, 3], unit: "s" });
  assert.equal(spans([{ ...rows[0], fps: null }], [0], 60).unit, "frames");
  assert.equal(nearestWindow(span, [0, 0], 0.9, 0, 1), 0);
  assert.equal(nearestWindow(span, [0, 0], 2.9, 0, 1), 1);
  assert.equal(nearestWindow(span, [0, 5], 1.5, 5, 0.1), 1);
});

test("a failed check is named by its method", () => {
  const held = { text: "", failed: false };
  const methods = [{ title: "SHAP" }, { title: "CAM" }];
  assert.equal(failed({ checks: [[], []] }), null);
  assert.equal(checkedText({ checks: [[], []] }, methods), null);
  assert.equal(checkedText({ checks: [[held], []] }, methods), "held");
  assert.equal(checkedText({ checks: [[held], [held, { text: "", failed: true }]] }, methods), "failed: CAM");
});

test("panels and bodies beside each other share a scale", () => {
  const line = { mean: [0, null], low: [-1, null], high: [1, 2] };
  const [low, high] = rangeOf({ panels: [{ band: [[], []], lines: [line] }, { band: [[0], [4]], lines: [] }] });
  assert.ok(Math.abs(low + 1.25) < 1e-9 && Math.abs(high - 4.25) < 1e-9);
  assert.equal(largestOf([[1, null], [-3, 2]]), 3);
  assert.equal(largestOf([[0], [0]]), 1);
});

test("the largest edges are drawn on top, those of absent joints not at all", () => {
  const drawn = [];
  const to = new Proxy({}, {
    get: (_, name) => (name === "stroke" ? () => drawn.push(to_.strokeStyle) : () => undefined),
    set: (_, name, value) => Reflect.set(to_, name, value),
  });
  const to_ = {};
  const colours = Array.from({ length: 255 }, (_, i) => String(i - 127));
  const places = [[0, 0], [10, 0], [NaN, NaN]];
  drawEdges(to, [[0, 1], [1, 0], [1, 2], [0, 0], [0, 1]], (i) => [90, -20, 127, 50, 0][i], (joint) => places[joint], colours);
  assert.deepEqual(drawn, ["-20", "50", "90"]);
});

test("the list is filtered and sorted", () => {
  const all = { label: "", predicted: "", right: "", subject: "", checked: "", least: "" };
  const count = (filter) => data.windows.filter((row) => passes(row, { ...all, ...filter })).length;
  assert.equal(count({}), 6);
  assert.equal(count({ right: "false" }), 1);
  assert.equal(count({ label: "0" }), 3);
  assert.equal(count({ predicted: "0" }), 4);
  assert.equal(count({ subject: "s1", right: "true" }), 2);
  assert.equal(count({ least: "2" }), 3);
  assert.equal(count({ checked: "true" }), 1);
  assert.equal(count({ checked: "false" }), 5);
  assert.equal(isRight({ label: null, predicted: 1 }), null);
  const keys = ["b10", "b9", null, "a"];
  assert.deepEqual(sorted([0, 1, 2, 3], (row) => keys[row], false), [3, 1, 0, 2]);
  assert.deepEqual(sorted([0, 1, 2, 3], (row) => keys[row], true), [0, 1, 3, 2]);
});
