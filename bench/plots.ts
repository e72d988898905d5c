// Plots as SVG, from kept figures. Pure.
import type { Measured } from "./goals.ts";
import type { AxisResult } from "./parts/axis.ts";
import type { OverloadResult } from "./parts/overload.ts";

const [INK, FAINT, OURS, LINE] = ["#333", "#ccc", "#2a6fb0", "#b0442a"];
const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
const at = (value: number) => value.toFixed(1);

interface Label {
  readonly x: number;
  readonly y: number;
  readonly anchor?: "start" | "middle" | "end";
}

const label = (text: string, { x, y, anchor = "start" }: Label) =>
  `<text x="${at(x)}" y="${at(y)}" text-anchor="${anchor}">${escape(text)}</text>`;
const path = (points: readonly (readonly [number, number])[], color: string) =>
  `<polyline fill="none" stroke="${color}" stroke-width="2" points="${points.map(([x, y]) => `${at(x)},${at(y)}`).join(" ")}"/>`;

function svg(width: number, height: number, parts: readonly string[]): string {
  const style = `<style>text{font:12px sans-serif;fill:${INK}}</style><rect width="100%" height="100%" fill="#fff"/>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">${style}\n${parts.join("\n")}\n</svg>\n`;
}

const BAR = 34;
const LEFT = 330;
const BARS = 400;

/** A bar for each goal, with its quartiles; a line where it must be. */
export function ratioPlot(goals: readonly Measured[]): string {
  const most = Math.max(1, ...goals.flatMap(({ high, aim }) => [high, aim]));
  const scale = (value: number) => LEFT + (value / most) * BARS;
  const bars = goals.flatMap(({ title, low, middle, high, must }, i) => {
    const y = 10 + i * BAR;
    return [
      label(title, { x: LEFT - 8, y: y + 16, anchor: "end" }),
      `<rect x="${LEFT}" y="${y}" width="${at(scale(middle) - LEFT)}" height="22" fill="${OURS}"/>`,
      path(
        [
          [scale(low), y + 11],
          [scale(high), y + 11],
        ],
        INK,
      ),
      path(
        [
          [scale(must), y - 4],
          [scale(must), y + 26],
        ],
        LINE,
      ),
      label(middle.toFixed(1), { x: Math.max(scale(high), scale(must)) + 6, y: y + 16 }),
    ];
  });
  return svg(LEFT + BARS + 60, goals.length * BAR + 20, bars);
}

const [PANEL_W, PANEL_H, COLUMNS] = [250, 190, 3];

/** A panel for each thing that grows: CPU of a Check, both axes logarithmic. */
export function growthPlot(axes: readonly (AxisResult & { readonly name: string })[]): string {
  const panels = axes.flatMap((axis, i) =>
    panel(axis, { x: (i % COLUMNS) * PANEL_W, y: Math.floor(i / COLUMNS) * PANEL_H }),
  );
  return svg(COLUMNS * PANEL_W, Math.ceil(axes.length / COLUMNS) * PANEL_H, panels);
}

function panel({ title, points }: AxisResult, { x, y }: { readonly x: number; readonly y: number }): readonly string[] {
  const [left, right, top, bottom] = [x + 44, x + PANEL_W - 16, y + 34, y + PANEL_H - 30];
  const log = (value: number) => Math.log10(Math.max(1, value));
  const sizes = points.map(({ size }) => log(size));
  const values = points.map(({ cpuMicros }) => log(cpuMicros.middle));
  const [from, to] = [
    Math.floor(Math.min(...values)),
    Math.max(Math.floor(Math.min(...values)) + 1, Math.ceil(Math.max(...values))),
  ];
  const [first, last] = [Math.min(...sizes), Math.max(...sizes)];
  const px = (value: number) => left + ((value - first) / Math.max(1e-9, last - first)) * (right - left);
  const py = (value: number) => bottom - ((value - from) / (to - from)) * (bottom - top);
  const ticks = Array.from({ length: to - from + 1 }, (_, i) => from + i);
  return [
    label(title, { x: x + 10, y: y + 18 }),
    ...ticks.flatMap((tick) => [
      path(
        [
          [left, py(tick)],
          [right, py(tick)],
        ],
        FAINT,
      ),
      label(`${10 ** tick}`, { x: left - 5, y: py(tick) + 4, anchor: "end" }),
    ]),
    ...points.map(({ size }, i) => label(String(size), { x: px(sizes[i] ?? 0), y: bottom + 16, anchor: "middle" })),
    path(
      points.map((_, i) => [px(sizes[i] ?? 0), py(values[i] ?? 0)]),
      OURS,
    ),
    ...points.map(
      (_, i) => `<circle cx="${at(px(sizes[i] ?? 0))}" cy="${at(py(values[i] ?? 0))}" r="3" fill="${OURS}"/>`,
    ),
    label("µs", { x: x + 10, y: top + 4 }),
  ];
}

/** What others meet while somebody asks for twice the capacity: median and longest of each slot, in milliseconds. */
export function overloadPlot(slots: OverloadResult["slots"]): string {
  const [left, right, top, bottom] = [60, 720, 20, 220];
  const last = Math.max(1, ...slots.map(({ at: ms }) => ms));
  const most = Math.max(10, ...slots.map(({ max }) => max).filter(Number.isFinite));
  const point = (ms: number, value: number): readonly [number, number] => [
    left + (ms / last) * (right - left),
    bottom - ((Number.isFinite(value) ? value : 0) / most) * (bottom - top),
  ];
  return svg(760, 260, [
    path(
      [
        [left, bottom],
        [right, bottom],
      ],
      FAINT,
    ),
    label(`${most.toFixed(0)} ms`, { x: left - 6, y: top + 4, anchor: "end" }),
    label("0", { x: left - 6, y: bottom + 4, anchor: "end" }),
    label(`${(last / 1000).toFixed(1)} s`, { x: right, y: bottom + 18, anchor: "middle" }),
    path(
      slots.map(({ at: ms, max }) => point(ms, max)),
      LINE,
    ),
    path(
      slots.map(({ at: ms, p50 }) => point(ms, p50)),
      OURS,
    ),
    label("longest", { x: right - 60, y: top + 4 }),
    label("median", { x: right - 60, y: top + 20 }),
  ]);
}
