/** Pure functions of the page; run by test_page.py, which names a page in PAGE. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

const modules = "../../hargcn/report/static";
const { inflate, unpack } = await import(`${modules}/payload.mjs`);
const { bounds, project, projected, sides } = await import(`${modules}/body.mjs`);
const { across, borders, byJoint, frameAt, nearestCell, overTime, peak } = await import(`${modules}/map.mjs`);
const { isRight, passes, sorted } = await import(`${modules}/windows.mjs`);

const page = readFileSync(process.env.PAGE, "utf8");
const data = JSON.parse(page.match(/id="data">(.*?)<\/script>/s)[1]);
const packed = [...page.matchAll(/class="window">(.*?)<\/script>/gs)].map((found) => found[1]);
const shape = {
  space: data.skeleton.ndim, frames: data.frames, joints: data.skeleton.joints.length, persons: data.persons,
  maps: data.methods.map((method) => ({ cells: method.times.length, persons: method.persons })),
};
const windows = await Promise.all(packed.map(async (text, i) => unpack(await inflate(text), shape, data.windows[i])));

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

test("sums over joints and over time", () => {
  const map = { levels: Int8Array.from([1, 2, 3, 4, -5, 6, 7, -8]), cells: 2, joints: 2, persons: 2 };
  assert.deepEqual(overTime(map, 0.5), [5, 0]);
  assert.deepEqual(byJoint(map, 1), [[1, 6], [0, 4]]);
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

test("the list is filtered and sorted", () => {
  const all = { label: "", predicted: "", right: "", subject: "", least: "" };
  const count = (filter) => data.windows.filter((row) => passes(row, { ...all, ...filter })).length;
  assert.equal(count({}), 6);
  assert.equal(count({ right: "false" }), 1);
  assert.equal(count({ label: "0" }), 3);
  assert.equal(count({ predicted: "0" }), 4);
  assert.equal(count({ subject: "s1", right: "true" }), 2);
  assert.equal(count({ least: "2" }), 3);
  assert.equal(isRight({ label: null, predicted: 1 }), null);
  const keys = ["b10", "b9", null, "a"];
  assert.deepEqual(sorted([0, 1, 2, 3], (row) => keys[row], false), [3, 1, 0, 2]);
  assert.deepEqual(sorted([0, 1, 2, 3], (row) => keys[row], true), [0, 1, 3, 2]);
});
