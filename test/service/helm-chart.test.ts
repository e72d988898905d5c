// What the Helm chart has from elsewhere is what is there: schema, dashboard, alerts, keys that are followed, the version.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { changedKeys, withLiveKeys } from "../../src/config/live.ts";
import type { Config } from "../../src/config/load.ts";
import { valuesSchemaFile } from "../../tools/lib/chart.ts";
import { CONFIG_SCHEMA } from "../../tools/lib/config.ts";

const root = resolve(import.meta.dirname, "../..");
const read = (name: string) => readFileSync(join(root, name), "utf8");

it("values.schema.json is made by npm run docs", () =>
  expect(read("deploy/helm/mcp-authz/values.schema.json")).toBe(valuesSchemaFile()));

it("dashboard and alerts are those of deploy", () => {
  expect(read("deploy/helm/mcp-authz/files/dashboard.json")).toBe(read("deploy/grafana/mcp-authz.json"));
  expect(read("deploy/helm/mcp-authz/files/alerts.yaml")).toBe(read("deploy/prometheus/alerts.yaml"));
});

it("the chart has the version of the package", () => {
  const { version } = JSON.parse(read("package.json")) as { version: string };
  expect(parse(read("deploy/helm/mcp-authz/Chart.yaml"))).toMatchObject({ version, appVersion: version });
});

describe("pods begin anew for keys that are read at the start only, and for no others", () => {
  const template = read("deploy/helm/mcp-authz/templates/_config.tpl");
  const [, list = ""] = /omit \$config ((?:"\w+" ?)+)/.exec(template) ?? [];
  const followed = [...list.matchAll(/"(\w+)"/g)].map(([, key = ""]) => key);
  const all = Object.keys(CONFIG_SCHEMA.properties ?? {});
  /** Of one key that changes, what is left to a restart. */
  const waits = (key: string) => {
    const [before, after] = [{ [key]: 1 }, { [key]: 2 }].map((own) => ({
      ...Object.fromEntries(all.map((name) => [name, 0])),
      ...{ identity: {}, wristband: {}, assertions: {}, sessions: {}, ...own },
    })) as unknown as [Config, Config];
    return changedKeys(withLiveKeys(before, after), after).length > 0;
  };

  it("no key is left out of the checksum that is not followed", () => {
    expect(followed.length).toBeGreaterThan(8);
    // Of `envoy` the two processes read nothing.
    expect(followed.filter((key) => key !== "envoy" && waits(key))).toEqual([]);
    expect(["policy", "limits", "vault", "audit", "listen"].filter((key) => !waits(key))).toEqual([]);
  });
});
