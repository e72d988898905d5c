// The dashboard and the alert rules ask for metrics and labels that there are; pages that name a metric name a real one.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { knownMetrics, queryNames } from "../../tools/lib/metrics.ts";
import { REFUSALS } from "../../src/authz/refusal.ts";

const root = resolve(import.meta.dirname, "../..");
const read = (name: string) => readFileSync(join(root, name), "utf8");

const metrics = await knownMetrics();
/** Label names by what a query can name. */
const labels = queryNames(metrics);

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}
const alerts = (parse(read("deploy/prometheus/alerts.yaml")) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  ({ rules }) => rules,
);
interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly fieldConfig: { readonly defaults: { readonly unit: string } };
  readonly targets: readonly { readonly refId: string; readonly expr: string; readonly legendFormat: string }[];
}
const drawn = (JSON.parse(read("deploy/grafana/mcp-authz.json")) as { panels: readonly Panel[] }).panels;
const panels = drawn.filter(({ type }) => type !== "row");

/** What a query asks for: metrics with the labels that it matches, and labels that it groups by. */
function asked(expr: string) {
  const selectors = [...expr.matchAll(/\b([a-z]\w*_\w+)(?:\{([^}]*)\})?/g)]
    .filter(([, name = ""]) => /^(?:mcp|envoy)_/.test(name))
    .map(([, name = "", inner = ""]) => ({
      name,
      matched: [...inner.matchAll(/([a-z_]\w*)\s*(?:=~|!~|!=|=)/g)].map(([, label = ""]) => label),
      values: [...inner.matchAll(/reason(?:=~|!~|!=|=)"([^"]*)"/g)].flatMap(([, value = ""]) => value.split("|")),
    }));
  const grouped = [...expr.matchAll(/\b(?:by|on|without) \(([^)]*)\)/g)].flatMap(([, list = ""]) =>
    list.split(",").map((label) => label.trim()),
  );
  return { selectors, grouped: grouped.filter((label) => label !== "") };
}

const ours = (name: string) => name.startsWith("mcp_");

function expectReal(expr: string, legends: readonly string[]): void {
  const { selectors, grouped } = asked(expr);
  expect(selectors.length, expr).toBeGreaterThan(0);
  for (const { name, matched, values } of selectors.filter((selector) => ours(selector.name))) {
    expect([...labels.keys()], expr).toContain(name);
    for (const label of matched) expect([...labels.get(name)!], `${name} in ${expr}`).toContain(label);
    for (const value of values.filter((text) => /^\w+$/.test(text))) expect(Object.keys(REFUSALS)).toContain(value);
    for (const label of grouped) expect([...labels.get(name)!], `${name} in ${expr}`).toContain(label);
  }
  for (const label of legends) expect(grouped, expr).toContain(label);
  expect(expr.split("(").length).toBe(expr.split(")").length);
}

describe("deploy/grafana/mcp-authz.json", () => {
  it("has panels, each with words, a unit and a place of its own", () => {
    expect(panels.length).toBeGreaterThan(20);
    expect(new Set(drawn.map(({ id }) => id)).size).toBe(drawn.length);
    expect(new Set(drawn.map(({ gridPos }) => `${gridPos.x} ${gridPos.y}`)).size).toBe(drawn.length);
    for (const { title, description, fieldConfig, gridPos, targets } of panels) {
      expect(description, title).toMatch(/\w/);
      expect(fieldConfig.defaults.unit, title).toMatch(/\w/);
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
      expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length);
    }
  });

  it.each(panels)("$title asks for what there is", ({ targets }) => {
    for (const { expr, legendFormat } of targets) {
      expectReal(
        expr,
        [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = ""]) => label),
      );
    }
  });

  it("shows every metric that serve has", () => {
    const shown = panels.flatMap(({ targets }) =>
      targets.flatMap(({ expr }) => asked(expr).selectors.map(({ name }) => name)),
    );
    const bare = new Set(shown.map((name) => name.replace(/_bucket$/, "")));
    expect(metrics.map(({ name }) => name).filter((name) => !bare.has(name))).toEqual([]);
  });
});

describe("deploy/prometheus/alerts.yaml", () => {
  it.each(alerts)(
    "$alert asks for what there is, and says what to do",
    ({ expr, annotations, labels: { severity } }) => {
      const told = `${annotations.summary} ${annotations.description}`;
      expectReal(
        expr,
        [...told.matchAll(/\$labels\.(\w+)/g)].map(([, label = ""]) => label),
      );
      expect(severity).toMatch(/^(?:critical|warning)$/);
      expect(annotations.description).toMatch(/[.?]$/);
    },
  );

  it("has one alert per name", () => expect(new Set(alerts.map(({ alert }) => alert)).size).toBe(alerts.length));
});

it("what counts refusals by reason leaves out the 405 of the GET with which each client looks for a stream", () => {
  const queries = [...panels.flatMap((panel) => panel.targets), ...alerts].map(({ expr }) => expr);
  const counting = queries.filter((expr) => /by \(reason\).*checks_total\{decision=~?"[^"]*deny/s.test(expr));
  expect(counting).toHaveLength(2);
  for (const expr of counting) expect(expr).toMatch(/reason![=~]"(?:\w+\|)*method_not_allowed(?:\|\w+)*"/);
});

it.each([
  "README.md",
  "docs/operations.md",
  "docs/policy.md",
  "docs/refusals.md",
  "docs/decisions/001-bounded-policy-time.md",
])("%s names metrics that there are", (page) => {
  for (const [name] of read(page).matchAll(/\bmcp_authz_\w+/g)) {
    if (["mcp_authz_test", "mcp_authz_"].includes(name)) continue;
    expect([...labels.keys(), ...metrics.map((metric) => metric.name)], page).toContain(name);
  }
});
