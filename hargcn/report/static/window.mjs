/** A window in motion: bodies, maps and one cursor for all methods. */
import { ABSENT, INTERPOLATED, VIEWS, bounds, drawBodies, facing, projected } from "./body.mjs";
import { element, find, fitted, pick, pickAll, select, tableRow } from "./dom.mjs";
import { across, drawAlong, drawLine, drawMap, frameAt, grouped, nearestCell, overTime, peak } from "./map.mjs";
import { largestRows, mapRows, onlySize, partsOf } from "./panel.mjs";
import { inflate, unpack } from "./payload.mjs";
import { fileName, saveCsv, savePng, savers } from "./save.mjs";
import { isRight, percent } from "./windows.mjs";

/** @typedef {import("./data.mjs").WindowData} WindowData */

const LOOKS = {
  interpolated: { colour: "#1f2328", thick: 1.5, below: true },
  absent: { colour: "#8c8c8c", thick: 3, below: true },
  planted: { colour: "#117733", thick: 2, below: false },
};

/**
 * Name joints for the map, with the side where a layout's names do not tell it.
 * @param {Pick<import("./data.mjs").Skeleton, "joints" | "mirror">} skeleton
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
 * @param {WindowData} data
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
  const nothing = { positions: new Float32Array(), state: new Uint8Array(), maps: [] };
  const now = {
    row: 0, frame: 0, view: VIEWS.front, playing: false, points: /** @type {Float32Array} */ (new Float32Array()), box: bounds(new Float32Array()),
    window: /** @type {import("./payload.mjs").Decoded} */ (nothing),
  };
  const panels = pickAll(document, ".method", HTMLElement).map((panel, i) => partsOf(panel, methods[i]));
  const slider = pick(document, "#frame", HTMLInputElement);
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

  /**
   * A stored map of the window that is shown.
   * @param {number} map
   * @returns {import("./panel.mjs").Shown}
   */
  const levels = (map) => ({ ...data.maps[map], levels: now.window.maps[map], scale: windows[now.row].scales[map] });
  /** @param {number} i */
  const mainMap = (i) => levels(Number(data.own[i][methods[i].kind]));

  /**
   * Who is there in any frame; everybody where a map does not tell persons apart.
   * @param {number} persons
   */
  function people(persons) {
    const each = Array.from({ length: persons }, (_, person) => person);
    if (persons < shape.persons) return each;
    return each.filter((person) => now.window.state.some((seen, j) => seen && j % shape.persons === person));
  }

  function drawFrame() {
    if (now.window === nothing) return;
    const window = windows[now.row];
    panels.forEach(({ method, body, time }, i) => {
      const map = mainMap(i);
      const cell = nearestCell(map.times, now.frame);
      const [to, size] = fitted(body);
      drawBodies(to, size, now.points, now.window.state,
        (row, person) => map.levels[(cell * map.rows + row) * map.persons + Math.min(person, map.persons - 1)], {
          frame: now.frame, persons: shape.persons, skeleton, colours: data.colours, box: now.box,
          edges: method.kind === "edge" ? map.edges : undefined,
        });
      if (time) time.cursor.style.left = `${across(now.frame, shape.frames, time.box.clientWidth)}px`;
    });
    slider.value = String(now.frame);
    const at = window.fps ? `, ${(now.frame / window.fps).toFixed(2)} s` : "";
    const said = `frame ${now.frame} of ${shape.frames - 1}${at}`;
    slider.setAttribute("aria-valuetext", said);
    find("at").textContent = said;
  }

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("./map.mjs").Levels & {times: number[]}} map
   * @param {string[]} labels
   * @param {number[]} each who has rows
   * @param {number} lanes height of a row
   */
  function drawRows(canvas, map, labels, each, lanes) {
    const about = { times: map.times, frames: shape.frames, names: labels, colours: data.colours, people: each };
    canvas.style.height = `${Math.min(900, lanes * labels.length * each.length)}px`;
    drawMap(...fitted(canvas), map, about);
    return about;
  }

  function drawMaps() {
    panels.forEach(({ panel, method, time }, i) => {
      if (!time) return;
      const map = mainMap(i);
      const about = drawRows(time.map, map, names, people(map.persons), 12);
      const [to, size] = fitted(time.map);
      const { state } = now.window;
      /** @param {number} frame @param {number} joint @param {number} person */
      const at = (frame, joint, person) => state[(frame * shape.joints + joint) * shape.persons + person];
      drawAlong(to, size, (...place) => at(...place) === INTERPOLATED, about, LOOKS.interpolated);
      drawAlong(to, size, (...place) => at(...place) === ABSENT, about, LOOKS.absent);
      if (data.truth !== null) {
        const truth = now.window.maps[data.truth];
        drawAlong(to, size, (frame, joint) => truth[frame * shape.joints + joint] > 0, about, LOOKS.planted);
      }
      const sums = { ...grouped(map, parts.map(([, joints]) => joints)), times: map.times };
      drawRows(time.parts.canvas, sums, parts.map(([name]) => name), [0], 14);
      time.parts.size.textContent = onlySize(sums, method.unit);
      const { branch } = data.own[i];
      if (branch !== undefined) {
        const branches = levels(branch);
        drawRows(pick(panel, ".branches", HTMLCanvasElement), branches, branches.names, [0], 14);
        pick(panel, ".size-branch", HTMLElement).textContent = onlySize(branches, method.unit);
      }
      drawLine(...fitted(time.line), overTime(map), about);
    });
  }

  function look() {
    const [azimuth, elevation] = now.view;
    now.points = projected(now.window, shape, skeleton, [azimuth + facing(now.window, shape, skeleton), elevation]);
    now.box = bounds(now.points);
    for (const { opener, view } of views) {
      opener.setAttribute("aria-pressed", String(view.every((angle, i) => angle === now.view[i])));
    }
    drawFrame();
  }

  /** @param {number} azimuth @param {number} elevation */
  function turn(azimuth, elevation) {
    now.view = [now.view[0] + azimuth, Math.max(-90, Math.min(90, now.view[1] + elevation))];
    look();
  }

  /** @param {number} frame */
  function seek(frame) {
    now.frame = (frame + shape.frames) % shape.frames;
    drawFrame();
  }

  /** @param {import("./data.mjs").Row} window */
  function say(window) {
    const right = isRight(window);
    const sure = window.probability === null ? "" : ` (${percent(window.probability)})`;
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
    panels.forEach(({ method, asked, size, held, largest, time }, i) => {
      const map = mainMap(i);
      asked.textContent = `for ${window.asked[i]}, score ${window.scores[i].toPrecision(3)} (${method.score})`;
      size.textContent = onlySize(map, method.unit);
      held.replaceChildren(...window.checks[i].map((check) =>
        element("span", check.failed ? `⚠ Check failed: ${check.text}.` : `✓ Checked: ${check.text}.`,
          { class: check.failed ? "failed" : "kept" })));
      largest.replaceChildren(...largestRows(map, method.kind).map(([row, sum]) =>
        tableRow(map.kind === "joint" ? names[row] : map.names[row], [sum.toPrecision(2)])));
      time?.map.setAttribute("aria-label",
        `Joint by time map of ${method.title}; the table below names its largest joints`);
    });
  }

  /**
   * Open a window at the frame of the first method's largest attribution.
   * @param {number} row
   */
  async function show(row) {
    if (row && document.readyState === "loading") {
      await new Promise((read) => addEventListener("DOMContentLoaded", read, { once: true }));
    }
    const decoded = unpack(await inflate(packed[row].textContent ?? ""), shape, windows[row]);
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

  /** @param {number} time */
  function tick(time) {
    if (!now.playing) return;
    owed += ((time - last) / 1000) * (windows[now.row].fps || 25) * Number(select("speed").value);
    last = time;
    if (owed >= 1) seek(now.frame + Math.floor(owed));
    owed %= 1;
    requestAnimationFrame(tick);
  }

  /** @param {boolean} on */
  function play(on) {
    now.playing = on;
    find("play").textContent = on ? "Pause" : "Play";
    if (!on) return;
    last = performance.now();
    owed = 0;
    requestAnimationFrame(tick);
  }

  /** @param {number} by */
  function step(by) {
    play(false);
    seek(now.frame + by);
  }

  /** @param {ReturnType<typeof partsOf>} parts @param {number} i */
  function wireSaving({ panel, method, asked, size }, i) {
    const name = () => fileName(windows[now.row].name, method.title);
    panel.append(savers(`the pictures of ${method.title}`, {
      PNG: () => savePng(name(), [
        `${windows[now.row].name}: ${method.title}`, find("facts").textContent ?? "",
        `${asked.textContent}; ${size.textContent}`, find("at").textContent ?? "",
      ], pickAll(panel, "canvas", HTMLCanvasElement).map((canvas) => {
        const above = canvas.previousElementSibling;
        return [above?.classList.contains("strip") ? above.textContent ?? "" : "", canvas];
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
  slider.addEventListener("input", () => {
    play(false);
    seek(Number(slider.value));
  });
  if (still) select("speed").value = "0.25";
  const views = pickAll(document, "[data-view]", HTMLButtonElement).map((opener) => {
    const view = VIEWS[/** @type {keyof typeof VIEWS} */ (opener.dataset.view)];
    opener.addEventListener("click", () => {
      now.view = view;
      look();
    });
    return { opener, view };
  });
  for (const each of pickAll(document, "[data-turn]", HTMLButtonElement)) {
    each.addEventListener("click", () => turn(Number(each.dataset.turn), 0));
  }
  panels.forEach((found, i) => {
    wireSaving(found, i);
    const box = found.time?.box;
    /** @param {PointerEvent} event */
    const follow = (event) => {
      if (!event.buttons || !box) return;
      play(false);
      seek(frameAt(event.clientX - box.getBoundingClientRect().left, shape.frames, box.clientWidth));
    };
    box?.addEventListener("pointerdown", follow);
    box?.addEventListener("pointermove", follow);
    if (skeleton.ndim < 3) return;
    found.body.addEventListener("pointermove", (event) => {
      if (event.buttons) turn(-event.movementX / 2, event.movementY / 2);
    });
  });
  document.addEventListener("keydown", (event) => {
    /** @param {string} selector */
    const inside = (selector) => event.target instanceof Element && event.target.closest(selector) !== null;
    if (inside("input, select, .high") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
    else if (event.key === " " && !inside("button, a, summary")) play(!now.playing);
    else return;
    event.preventDefault();
  });
  addEventListener("resize", () => {
    if (now.window === nothing) return;
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
