/** A window in motion: bodies, maps and one cursor for all methods. */
import { ABSENT, INTERPOLATED, VIEWS, bounds, drawBodies, facing, projected } from "./body.mjs";
import { element, find, fitted, tableRow } from "./dom.mjs";
import { across, byRow, drawAlong, drawLine, drawMap, frameAt, grouped, nearestCell, overTime, peak } from "./map.mjs";
import { inflate, unpack } from "./payload.mjs";
import { fileName, saveCsv, savePng, savers } from "./save.mjs";
import { isRight } from "./windows.mjs";

const LOOKS = {
  interpolated: { colour: "#1f2328", thick: 1.5, below: true },
  absent: { colour: "#8c8c8c", thick: 3, below: true },
  planted: { colour: "#117733", thick: 2, below: false },
};

/**
 * Name joints for the map, with the side where a layout's names do not tell it.
 * @param {{joints: string[], mirror: number[][]}} skeleton
 * @returns {string[]}
 */
export function sidedNames(skeleton) {
  const said = /left|right|^[lr][_ .-]|[_ .-][lr]$/i;
  const side = new Map(skeleton.mirror.flatMap(([left, right]) => [[left, "L"], [right, "R"]]));
  return skeleton.joints.map((name, joint) =>
    (side.has(joint) && !said.test(name) ? `${name} (${side.get(joint)})` : name));
}

/**
 * Say how much of a window was seen.
 * @param {Uint8Array} state (frame, joint, person)
 * @param {number[]} people who are there
 * @param {number} persons
 * @returns {string}
 */
export function seenText(state, people, persons) {
  const counts = [0, 0, 0];
  state.forEach((each, i) => {
    if (people.includes(i % persons)) counts[each] += 1;
  });
  const total = counts[0] + counts[1] + counts[2];
  if (!total) return "Nobody is there.";
  const [absent, observed, interpolated] = counts.map((count) => {
    const share = (100 * count) / total;
    // Neither all nor none unless it is so.
    const text = share > 0 && share < 1 ? "<1" : share > 99 && share < 100 ? ">99" : Math.round(share);
    return `${text}%`;
  });
  return `Of all joint positions ${observed} were observed, ${interpolated} interpolated, ${absent} absent.`;
}

/**
 * Tie the window's part of the page together.
 * @param {any} data
 * @param {(number: number) => string} className
 * @param {(row: number) => void} shown called with each window that is opened
 * @returns {{open: (row: number, focus?: boolean) => void, now: {row: number}}}
 */
export function windowView(data, className, shown) {
  const packed = document.getElementsByClassName("window"); // more of them as the page is read
  const { skeleton, methods, windows } = data;
  const shape = {
    space: skeleton.ndim, frames: data.frames, joints: skeleton.joints.length, persons: data.persons, maps: data.maps,
  };
  const names = sidedNames(skeleton);
  const parts = Object.entries(skeleton.parts);
  const now = { row: 0, frame: 0, view: VIEWS.front, playing: false, window: null, points: null, box: null };
  const panels = [...document.querySelectorAll(".method")];
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

  /** A stored map of the window that is shown. */
  const levels = (map) => ({ levels: now.window.maps[map], ...data.maps[map], scale: windows[now.row].scales[map] });
  const mainMap = (i) => levels(data.own[i][methods[i].kind]);
  const onlySize = (map, unit) => `colours from −${(127 * map.scale).toPrecision(2)} to ${(127 * map.scale).toPrecision(2)} (${unit})`;

  /** Who is there in any frame; everybody where a map does not tell persons apart. */
  function people(persons) {
    const each = Array.from({ length: persons }, (_, person) => person);
    if (persons < shape.persons) return each;
    return each.filter((person) => now.window.state.some((seen, j) => seen && j % shape.persons === person));
  }

  function drawFrame() {
    const window = windows[now.row];
    panels.forEach((panel, i) => {
      const map = mainMap(i);
      const cell = nearestCell(map.times, now.frame);
      const level = (row, person) => map.levels[(cell * map.rows + row) * map.persons + Math.min(person, map.persons - 1)];
      const [to, size] = fitted(panel.querySelector(".body"));
      drawBodies(to, size, now.points, now.window.state, level, {
        frame: now.frame, persons: shape.persons, skeleton, colours: data.colours, box: now.box,
        edges: methods[i].kind === "edge" ? map.edges : undefined,
      });
      const time = panel.querySelector(".time");
      if (time) time.querySelector(".cursor").style.left = `${across(now.frame, shape.frames, time.clientWidth)}px`;
    });
    const slider = find("frame");
    slider.value = String(now.frame);
    const at = window.fps ? `, ${(now.frame / window.fps).toFixed(2)} s` : "";
    const said = `frame ${now.frame} of ${shape.frames - 1}${at}`;
    slider.setAttribute("aria-valuetext", said);
    find("at").textContent = said;
  }

  function drawRows(canvas, map, labels, each, lanes) {
    const about = { times: map.times, frames: shape.frames, names: labels, colours: data.colours, people: each };
    canvas.style.height = `${Math.min(900, lanes * labels.length * each.length)}px`;
    drawMap(...fitted(canvas), map, about);
    return about;
  }

  function drawMaps() {
    panels.forEach((panel, i) => {
      if (methods[i].kind !== "joint") return;
      const map = mainMap(i);
      const canvas = panel.querySelector(".map");
      const about = drawRows(canvas, map, names, people(map.persons), 12);
      const [to, size] = fitted(canvas);
      const { state } = now.window;
      const at = (frame, joint, person) => state[(frame * shape.joints + joint) * shape.persons + person];
      drawAlong(to, size, (...place) => at(...place) === INTERPOLATED, about, LOOKS.interpolated);
      drawAlong(to, size, (...place) => at(...place) === ABSENT, about, LOOKS.absent);
      if (data.truth !== null) {
        const truth = now.window.maps[data.truth];
        drawAlong(to, size, (frame, joint) => truth[frame * shape.joints + joint] > 0, about, LOOKS.planted);
      }
      const sums = { ...grouped(map, parts.map(([, joints]) => joints)), times: map.times };
      drawRows(panel.querySelector(".parts"), sums, parts.map(([name]) => name), [0], 14);
      panel.querySelector(".size-part").textContent = onlySize(sums, methods[i].unit);
      if ("branch" in data.own[i]) {
        const branches = levels(data.own[i].branch);
        drawRows(panel.querySelector(".branches"), branches, branches.names, [0], 14);
        panel.querySelector(".size-branch").textContent = onlySize(branches, methods[i].unit);
      }
      drawLine(...fitted(panel.querySelector(".line")), overTime(map), about);
    });
  }

  function look() {
    const [azimuth, elevation] = now.view;
    now.points = projected(now.window, shape, skeleton, [azimuth + facing(now.window, shape, skeleton), elevation]);
    now.box = bounds(now.points);
    document.querySelectorAll("[data-view]").forEach((each) => {
      each.setAttribute("aria-pressed", String(VIEWS[each.dataset.view].every((angle, i) => angle === now.view[i])));
    });
    drawFrame();
  }

  function turn(azimuth, elevation) {
    now.view = [now.view[0] + azimuth, Math.max(-90, Math.min(90, now.view[1] + elevation))];
    look();
  }

  function seek(frame) {
    now.frame = (frame + shape.frames) % shape.frames;
    drawFrame();
  }

  function say(window) {
    const right = isRight(window);
    const sure = window.probability === null ? "" : ` (${(100 * window.probability).toFixed(0)}%)`;
    const facts = [
      window.subject === null ? "" : `subject ${window.subject}`,
      window.label === null ? "" : `true class ${className(window.label)}`,
      window.predicted === null ? "" : `predicted ${className(window.predicted)}${sure}`,
      right === null ? "" : right ? "right" : "wrong",
      window.second === null ? "" : `second most probable ${className(window.second)}`,
    ];
    find("name").textContent = window.name;
    find("facts").textContent = facts.filter(Boolean).join(" · ");
    find("seen").textContent = seenText(now.window.state, people(shape.persons), shape.persons);
    panels.forEach((panel, i) => {
      const map = mainMap(i);
      panel.querySelector(".asked").textContent = `for ${window.asked[i]}, score ${window.scores[i].toPrecision(3)} (${methods[i].score})`;
      panel.querySelector(".size").textContent = onlySize(map, methods[i].unit);
      const held = panel.querySelector(".held");
      held.replaceChildren(...window.checks[i].map((check) =>
        element("span", check.failed ? `⚠ Check failed: ${check.text}.` : `✓ Checked: ${check.text}.`,
          { class: check.failed ? "failed" : "kept" })));
      panel.querySelector("tbody").replaceChildren(...largest(map, methods[i].kind).map(([row, sum]) =>
        tableRow(map.kind === "joint" ? names[row] : map.names[row], [sum.toPrecision(2)])));
      panel.querySelector(".map")?.setAttribute("aria-label",
        `Joint by time map of ${methods[i].title}; the table below names its largest joints`);
    });
  }

  /** Open a window at the frame of the first method's largest attribution. */
  async function show(row) {
    if (row && document.readyState === "loading") {
      await new Promise((read) => addEventListener("DOMContentLoaded", read, { once: true }));
    }
    const decoded = unpack(await inflate(packed[row].textContent), shape, windows[row]);
    Object.assign(now, { row, window: decoded });
    const first = mainMap(0);
    now.frame = Math.max(0, Math.min(shape.frames - 1, Math.floor(first.times[peak(first)])));
    say(windows[row]);
    drawMaps();
    look();
    shown(row);
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

  function wireSaving(panel, i) {
    const name = () => fileName(windows[now.row].name, methods[i].title);
    panel.append(savers(`the pictures of ${methods[i].title}`, {
      PNG: () => savePng(name(), [
        `${windows[now.row].name}: ${methods[i].title}`, find("facts").textContent,
        `${panel.querySelector(".asked").textContent}; ${panel.querySelector(".size").textContent}`, find("at").textContent,
      ], [...panel.querySelectorAll("canvas")].map((canvas) => {
        const above = canvas.previousElementSibling;
        return [above?.classList.contains("strip") ? above.textContent : "", canvas];
      })),
      CSV: () => saveCsv(name(), [
        ["of", "frame", "row", "person", "attribution"],
        ...Object.values(data.own[i]).flatMap((number) => mapRows(levels(number))),
      ]),
    }));
  }

  find("play").addEventListener("click", () => play(!now.playing));
  find("back").addEventListener("click", () => step(-1));
  find("on").addEventListener("click", () => step(1));
  find("frame").addEventListener("input", (event) => {
    play(false);
    seek(Number(event.target.value));
  });
  if (still) find("speed").value = "0.25";
  document.querySelectorAll("[data-view]").forEach((each) => each.addEventListener("click", () => {
    now.view = VIEWS[each.dataset.view];
    look();
  }));
  document.querySelectorAll("[data-turn]").forEach((each) =>
    each.addEventListener("click", () => turn(Number(each.dataset.turn), 0)));
  panels.forEach((panel, i) => {
    wireSaving(panel, i);
    const time = panel.querySelector(".time");
    const follow = (event) => {
      if (!event.buttons) return;
      play(false);
      seek(frameAt(event.clientX - time.getBoundingClientRect().left, shape.frames, time.clientWidth));
    };
    time?.addEventListener("pointerdown", follow);
    time?.addEventListener("pointermove", follow);
    if (skeleton.ndim < 3) return;
    panel.querySelector(".body").addEventListener("pointermove", (event) => {
      if (event.buttons) turn(-event.movementX / 2, event.movementY / 2);
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, .high") || event.ctrlKey || event.metaKey || event.altKey) return;
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
  return {
    now,
    open(row, focus = true) {
      show(row);
      if (!focus) return;
      find("window").scrollIntoView();
      find("name").focus({ preventScroll: true });
    },
  };
}

/** The largest rows: joints by signed sums, edges by size. */
function largest(map, kind) {
  const ranked = byRow(map);
  if (kind === "edge") ranked.sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  return ranked.slice(0, 5);
}

/** The numbers of a map, a row each. */
function mapRows(map) {
  return Array.from(map.levels, (level, i) => {
    const row = Math.floor(i / map.persons) % map.rows;
    const cell = Math.floor(i / (map.persons * map.rows));
    return [map.kind, map.kind === "edge" ? "" : map.times[cell], map.names[row], i % map.persons, Number((level * map.scale).toPrecision(4))];
  });
}
