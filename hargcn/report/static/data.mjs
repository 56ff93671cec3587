/**
 * What the page's JSON holds, as `hargcn.report.page` writes it: types alone, no part of a page.
 *
 * @typedef {import("./windows.mjs").Row} Row
 * @typedef {import("./payload.mjs").Scales} Scales
 *
 * @typedef {{joints: string[], edges: [number, number][], mirror: [number, number][], ndim: number, up: string,
 *   parts: Record<string, number[]>, layout: [number, number][]}} Skeleton
 *   edges and mirrored pairs (left, right) of joints, joints of every part and where each stands in a drawing
 *
 * @typedef {"joint" | "edge" | "branch" | "truth"} Kind of a map's rows
 * @typedef {{title: string, unit: string, score: string, kind: "joint" | "edge"}} Method
 *
 * @typedef {{kind: Kind, names: string[], times: number[], cells: number, rows: number, persons: number,
 *   edges: [number, number][]}} MapAbout names of its rows, centre frames of its cells, joints of its edges
 *
 * @typedef {{mean: (number | null)[], low: (number | null)[], high: (number | null)[]}} Means with their intervals
 * @typedef {{names: string[], counts: number[], means: Record<string, Means[]>}} Groups of windows, means by the
 *   number of the method
 *
 * @typedef {Means & {name: string}} Line of a method
 * @typedef {{title: string, band: (number | null)[][], lines: Line[]}} Panel of a set of joints
 * @typedef {{title: string, y: string, x: string, k: number[], panels: Panel[]}} Chart
 *
 * @typedef {{skeleton: Skeleton, frames: number, persons: number, classes: string[], colours: string[],
 *   methods: Method[], windows: Row[], stem: string, groups?: Groups | null, charts?: Chart[]}} Data of every page
 *
 * @typedef {Omit<Data, "windows"> & {windows: (Row & Scales)[], maps: MapAbout[],
 *   own: Partial<Record<Kind, number>>[], truth: number | null}} WindowData of a page that holds windows: its maps,
 *   by their number those of each method, and that of what was planted
 */
export {};
