/** The page: ties bodies, maps, cursor and list together. Names become text, never markup. */
import { VIEWS, bounds, drawBodies, projected } from "./body.mjs";
import { across, byJoint, drawLine, drawMap, frameAt, nearestCell, overTime, peak } from "./map.mjs";
import { inflate, unpack } from "./payload.mjs";
import { isRight, passes, sorted } from "./windows.mjs";

const data = JSON.parse(document.getElementById("data").textContent);
const packed = document.getElementsByClassName("window"); // more of them as the page is read
const find = (id) => document.getElementById(id);
const { skeleton, methods, windows } = data;
const shape = {
  space: skeleton.ndim,
  frames: data.frames,
  joints: skeleton.joints.length,
  persons: data.persons,
  maps: methods.map((method) => ({ cells: method.times.length, persons: method.persons })),
};
const now = { row: 0, frame: 0, view: VIEWS.front, playing: false, window: null, points: null, box: null };
const panels = [...document.querySelectorAll(".method")];
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Make an element that holds a text. */
function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

const className = (number) => data.classes[number] ?? `class ${number}`;

/** Fit a canvas to its size on the page and return its context, in CSS pixels. */
function fitted(canvas) {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const to = canvas.getContext("2d");
  to.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [to, { width, height }];
}

/** The map of a method in the window that is shown. */
function levels(i) {
  return { levels: now.window.maps[i], ...shape.maps[i], joints: shape.joints };
}

/** Who is there in any frame; everybody where a map does not tell persons apart. */
function people(i) {
  const each = Array.from({ length: shape.maps[i].persons }, (_, person) => person);
  if (each.length < shape.persons) return each;
  return each.filter((person) => now.window.state.some((seen, j) => seen && j % shape.persons === person));
}

function drawFrame() {
  const window = windows[now.row];
  panels.forEach((panel, i) => {
    const map = levels(i);
    const cell = nearestCell(methods[i].times, now.frame);
    const level = (joint, person) =>
      map.levels[(cell * map.joints + joint) * map.persons + Math.min(person, map.persons - 1)];
    const [to, size] = fitted(panel.querySelector(".body"));
    drawBodies(to, size, now.points, now.window.state, level, {
      frame: now.frame, persons: shape.persons, skeleton, colours: data.colours, box: now.box,
    });
    const time = panel.querySelector(".time");
    panel.querySelector(".cursor").style.left = `${across(now.frame, shape.frames, time.clientWidth)}px`;
  });
  const slider = find("frame");
  slider.value = String(now.frame);
  const at = window.fps ? `, ${(now.frame / window.fps).toFixed(2)} s` : "";
  const said = `frame ${now.frame} of ${shape.frames - 1}${at}`;
  slider.setAttribute("aria-valuetext", said);
  find("at").textContent = said;
}

function drawMaps() {
  panels.forEach((panel, i) => {
    const map = levels(i);
    const scale = windows[now.row].scales[i];
    const about = {
      times: methods[i].times, frames: shape.frames, names: skeleton.joints, colours: data.colours, people: people(i),
    };
    const canvas = panel.querySelector(".map");
    canvas.style.height = `${Math.min(900, Math.max(160, 12 * shape.joints * about.people.length))}px`;
    drawMap(...fitted(canvas), map, about);
    drawLine(...fitted(panel.querySelector(".line")), overTime(map, scale), about);
  });
}

function look() {
  now.points = projected(now.window, shape, skeleton, now.view);
  now.box = bounds(now.points);
  drawFrame();
}

function seek(frame) {
  now.frame = (frame + shape.frames) % shape.frames;
  drawFrame();
}

/** Decode a window and show it, at the frame of the first method's largest attribution. */
async function show(row) {
  if (row && document.readyState === "loading") {
    await new Promise((read) => addEventListener("DOMContentLoaded", read, { once: true }));
  }
  const decoded = unpack(await inflate(packed[row].textContent), shape, windows[row]);
  const window = windows[row];
  Object.assign(now, { row, window: decoded });
  now.frame = Math.floor(methods[0].times[peak(levels(0))]);
  find("name").textContent = window.name;
  const right = isRight(window);
  const sure = window.probability === null ? "" : ` (${(100 * window.probability).toFixed(0)}%)`;
  const facts = [
    window.subject === null ? "" : `subject ${window.subject}`,
    window.label === null ? "" : `true class ${className(window.label)}`,
    window.predicted === null ? "" : `predicted ${className(window.predicted)}${sure}`,
    right === null ? "" : right ? "right" : "wrong",
  ];
  find("facts").textContent = facts.filter(Boolean).join(" · ");
  panels.forEach((panel, i) => {
    const { unit } = methods[i];
    const most = (127 * window.scales[i]).toPrecision(2);
    panel.querySelector(".asked").textContent =
      `for ${window.asked[i]}, score ${window.scores[i].toPrecision(3)}; colours from −${most} to ${most} (${unit})`;
    const ranked = byJoint(levels(i), window.scales[i]);
    const body = panel.querySelector("tbody");
    body.replaceChildren(...ranked.slice(0, 5).map(([joint, sum]) => {
      const line = element("tr", "");
      line.append(element("th", skeleton.joints[joint]), element("td", sum.toPrecision(2)));
      line.firstChild.scope = "row";
      line.lastChild.className = "number";
      return line;
    }));
    panel.querySelector(".map").setAttribute("aria-label",
      `Joint by time map of ${methods[i].title}; the table below names its largest joints`);
  });
  document.querySelectorAll("#list tbody tr").forEach((line) => {
    line.setAttribute("aria-current", String(Number(line.dataset.row) === row));
  });
  drawMaps();
  look();
  document.body.dataset.shown = String(row);
}

let last = 0;
let owed = 0;

function tick(time) {
  if (!now.playing) return;
  owed += ((time - last) / 1000) * (windows[now.row].fps || 25) * Number(find("speed").value);
  last = time;
  if (owed >= 1) seek(now.frame + Math.floor(owed));
  owed %= 1;
  requestAnimationFrame(tick);
}

function play(on) {
  now.playing = on;
  find("play").textContent = on ? "Pause" : "Play";
  if (!on) return;
  last = performance.now();
  owed = 0;
  requestAnimationFrame(tick);
}

function step(by) {
  play(false);
  seek(now.frame + by);
}

// -- the list ------------------------------------------------------------------------------------

const KEYS = {
  name: (row) => windows[row].name,
  subject: (row) => windows[row].subject,
  label: (row) => (windows[row].label === null ? null : className(windows[row].label)),
  predicted: (row) => (windows[row].predicted === null ? null : className(windows[row].predicted)),
  right: (row) => (isRight(windows[row]) === null ? null : isRight(windows[row]) ? "right" : "wrong"),
  score: (row) => windows[row].scores[0],
};
const order = { key: "", descending: false };

function list() {
  const filter = Object.fromEntries(new FormData(find("filter")));
  let rows = windows.map((_, row) => row).filter((row) => passes(windows[row], filter));
  if (order.key) rows = sorted(rows, KEYS[order.key], order.descending);
  find("count").textContent = `${rows.length} of ${windows.length} windows`;
  document.querySelector("#list tbody").replaceChildren(...rows.map((row) => {
    const line = element("tr", "");
    line.dataset.row = String(row);
    line.setAttribute("aria-current", String(row === now.row));
    const open = element("button", windows[row].name);
    open.type = "button";
    open.addEventListener("click", () => {
      show(row);
      find("window").scrollIntoView();
      find("name").focus({ preventScroll: true });
    });
    const first = element("td", "");
    first.append(open);
    line.append(first, ...["subject", "label", "predicted", "right"].map((key) => element("td", KEYS[key](row) ?? "")));
    const score = element("td", windows[row].scores[0].toPrecision(3));
    score.className = "number";
    line.append(score);
    return line;
  }));
}

function options(select, entries) {
  select.append(...entries.map(([value, text]) => {
    const option = element("option", text);
    option.value = value;
    return option;
  }));
  select.closest("label").hidden = !entries.length;
}

function start() {
  const known = (key) => [...new Set(windows.map((window) => window[key]))].filter((each) => each !== null);
  for (const key of ["label", "predicted"]) {
    options(find(key), known(key).sort((a, b) => a - b).map((number) => [String(number), className(number)]));
  }
  options(find("subject"), sorted(known("subject"), (name) => name, false).map((name) => [name, name]));
  find("right").closest("label").hidden = !windows.some((window) => isRight(window) !== null);
  find("filter").addEventListener("input", list);
  find("filter").addEventListener("reset", () => setTimeout(list));
  find("filter").addEventListener("submit", (event) => event.preventDefault());
  document.querySelectorAll("#list th button").forEach((button) => button.addEventListener("click", () => {
    const { key } = button.dataset;
    order.descending = order.key === key && !order.descending;
    order.key = key;
    document.querySelectorAll("#list th").forEach((head) => head.removeAttribute("aria-sort"));
    button.closest("th").setAttribute("aria-sort", order.descending ? "descending" : "ascending");
    list();
  }));
  document.querySelectorAll("#confusion button").forEach((button) => button.addEventListener("click", () => {
    find("filter").reset();
    find("label").value = button.dataset.label;
    find("predicted").value = button.dataset.predicted;
    setTimeout(() => {
      list();
      find("windows").scrollIntoView();
      find("label").focus({ preventScroll: true });
    });
  }));
  find("play").addEventListener("click", () => play(!now.playing));
  find("back").addEventListener("click", () => step(-1));
  find("on").addEventListener("click", () => step(1));
  find("frame").addEventListener("input", (event) => {
    play(false);
    seek(Number(event.target.value));
  });
  if (still) find("speed").value = "0.25";
  document.querySelectorAll("[data-view]").forEach((button) => button.addEventListener("click", () => {
    now.view = VIEWS[button.dataset.view];
    look();
  }));
  panels.forEach((panel) => {
    const time = panel.querySelector(".time");
    const follow = (event) => {
      if (!event.buttons) return;
      play(false);
      seek(frameAt(event.clientX - time.getBoundingClientRect().left, shape.frames, time.clientWidth));
    };
    time.addEventListener("pointerdown", follow);
    time.addEventListener("pointermove", follow);
    if (skeleton.ndim < 3) return;
    panel.querySelector(".body").addEventListener("pointermove", (event) => {
      if (!event.buttons) return;
      const [azimuth, elevation] = now.view;
      now.view = [azimuth - event.movementX / 2, Math.max(-90, Math.min(90, elevation + event.movementY / 2))];
      look();
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
    else if (event.key === " " && !event.target.closest("button, a, summary")) play(!now.playing);
    else return;
    event.preventDefault();
  });
  addEventListener("resize", () => {
    if (!now.window) return;
    drawMaps();
    drawFrame();
  });
  list();
  show(0);
}

start();
