// An npm registry on loopback that holds the packages of this clone's node_modules, and nothing else: what a package installs
// can be tested without a network, and a dependency that is only a development dependency of ours is still found, but only if
// the package itself asks for it.
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "../..");

export interface NpmRegistry {
  readonly url: string;
  /** Names of the packages whose archive was fetched. */
  readonly fetched: Set<string>;
  close(): Promise<void>;
}

interface Manifest {
  readonly name: string;
  readonly version: string;
}

/** Folders below this clone that hold a version of the package. */
function foldersOf(name: string): string[] {
  const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as { packages: object };
  return Object.keys(packages).filter(
    (folder) => `/${folder}`.endsWith(`/node_modules/${name}`) && existsSync(join(ROOT, folder, "package.json")),
  );
}

function packument(name: string, url: string) {
  const versions = foldersOf(name).map((folder) => {
    const manifest = JSON.parse(readFileSync(join(ROOT, folder, "package.json"), "utf8")) as Manifest;
    return { ...manifest, dist: { tarball: `${url}/-/${encodeURIComponent(folder)}` } };
  });
  return {
    name,
    "dist-tags": { latest: versions[0]?.version },
    versions: Object.fromEntries(versions.map((manifest) => [manifest.version, manifest])),
  };
}

function sendArchive(response: ServerResponse, folder: string): void {
  const args = ["-czf", "-", "--exclude=./node_modules", "--transform=s,^[.],package,", "-C", join(ROOT, folder), "."];
  spawn("tar", args, { stdio: ["ignore", "pipe", "inherit"] }).stdout.pipe(response);
}

export async function startNpmRegistry(): Promise<NpmRegistry> {
  const fetched = new Set<string>();
  const server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? "").slice(1));
    if (path.startsWith("-/node_modules/")) {
      fetched.add(path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length));
      sendArchive(response, path.slice(2));
    } else if (foldersOf(path).length === 0) response.writeHead(404).end("{}");
    else response.end(JSON.stringify(packument(path, url)));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    fetched,
    close: () =>
      new Promise((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  };
}
