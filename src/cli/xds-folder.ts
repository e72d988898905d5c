// Writes the files that a running Envoy watches, in an order in which no route ever names a cluster that is missing. I/O: files.
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Config } from "../config/schema.ts";
import { parseJson } from "../json/parse.ts";
import { XDS_FILES, xdsConfig, type Resource } from "../envoy-config/xds.ts";

/** Time for Envoy's workers to take new routes, before clusters that no route names any more are removed. */
const SETTLE_MS = 2000;

/** What one run has written: names in the folder. */
export type Written = readonly string[];

/**
 * Writes `envoy.json` (what Envoy is started with) and the watched files. A file whose text stays is not touched. Each is
 * renamed to its name when it is whole: Envoy takes all of it or, when it is at fault, keeps what it has.
 * @throws {Error} of the file system
 */
export async function writeXdsFolder(config: Config, folder: string): Promise<Written> {
  const path = resolve(folder);
  await mkdir(path, { recursive: true, mode: 0o700 });
  const { bootstrap, clusters, listeners, routes } = xdsConfig(config, path);
  const written: string[] = [];
  const put = async (name: string, value: object) => {
    if (await replace(join(path, name), `${JSON.stringify(value, null, 2)}\n`)) written.push(name);
  };
  await put("envoy.json", bootstrap);
  const leaving = await clustersBeside(join(path, XDS_FILES.clusters), clusters);
  await put(XDS_FILES.clusters, { resources: [...clusters, ...leaving] });
  await put(XDS_FILES.listeners, { resources: listeners });
  await put(XDS_FILES.routes, { resources: routes });
  if (leaving.length > 0) {
    await delay(SETTLE_MS);
    await put(XDS_FILES.clusters, { resources: clusters });
  }
  return [...new Set(written)];
}

/** True if the text was another one. */
async function replace(path: string, text: string): Promise<boolean> {
  if ((await readFile(path, "utf8").catch(() => null)) === text) return false;
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
  return true;
}

/** Clusters of the file that are not among the new ones: routes that are in force may still name them. */
async function clustersBeside(path: string, clusters: readonly Resource[]): Promise<Resource[]> {
  const names = new Set(clusters.map(({ name }) => name));
  try {
    const { resources } = parseJson(await readFile(path, "utf8")) as { resources: Resource[] };
    return resources.filter(({ name }) => !names.has(name));
  } catch {
    return []; // there is none yet, or it is not ours: it is replaced whole
  }
}
