// Makes deploy/grafana/mcp-authz.json from the list of panels. A test compares the file with it, and its queries with the
// metrics that there are.
import { ROWS, type Panel, type Row } from "./panels.ts";

const DATASOURCE = { type: "prometheus", uid: "${datasource}" };
const COLUMNS = 24;
const HEIGHT = 8;
const PER_LINE = 3;

function panel({ title, about, unit, kind, queries }: Panel, gridPos: object, id: number): object {
  return {
    id,
    type: kind,
    title,
    description: about,
    datasource: DATASOURCE,
    gridPos,
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    targets: queries.map(({ expr, legend }, i) => ({
      refId: String.fromCodePoint(65 + i),
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
      ...(kind === "table" && { instant: true, format: "table" }),
    })),
  };
}

function row({ title, panels }: Row, top: number, firstId: number): object[] {
  const width = COLUMNS / PER_LINE;
  const heading = {
    id: firstId,
    type: "row",
    title,
    collapsed: false,
    gridPos: { x: 0, y: top, w: COLUMNS, h: 1 },
    panels: [],
  };
  return [
    heading,
    ...panels.map((one, i) => {
      const at = { x: (i % PER_LINE) * width, y: top + 1 + Math.floor(i / PER_LINE) * HEIGHT, w: width, h: HEIGHT };
      return panel(one, at, firstId + 1 + i);
    }),
  ];
}

export function dashboard(): object {
  const panels: object[] = [];
  let top = 0;
  for (const one of ROWS) {
    panels.push(...row(one, top, panels.length + 1));
    top += 1 + Math.ceil(one.panels.length / PER_LINE) * HEIGHT;
  }
  return {
    uid: "mcp-authz",
    title: "mcp-authz",
    tags: ["mcp-authz"],
    schemaVersion: 39,
    editable: true,
    refresh: "30s",
    time: { from: "now-1h", to: "now" },
    templating: { list: [{ name: "datasource", type: "datasource", query: "prometheus", label: "Prometheus" }] },
    panels,
  };
}

export function dashboardFile(): string {
  return `${JSON.stringify(dashboard(), null, 2)}\n`;
}
