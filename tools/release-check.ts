// `npm run release-check IMAGE…`: refuses images that must not be published. A stand-in is an image that a machine
// without a registry built under a public image's name; its label is inherited by what is built on it. What a release is
// built on and runs beside is named by digest: a tag can be moved.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

export interface ImageFacts {
  readonly Config: { readonly User?: string; readonly Labels?: Readonly<Record<string, string>> | null };
}

const STAND_IN = "org.mcp-authz.stand-in";
const ROOT = resolve(import.meta.dirname, "..");

/** Why this image must not be published; empty when it may be. */
export function releaseFaults({ Config }: ImageFacts): string[] {
  const faults: string[] = [];
  if (Config.Labels?.[STAND_IN] !== undefined) faults.push("is built on a stand-in, not on the published image");
  if (!/^[1-9]\d*:[1-9]\d*$/.test(Config.User ?? "")) faults.push("does not say a user other than root by number");
  return faults;
}

/** The images that stages are copied from: what comes out of them carries no label of theirs. */
export function baseImages(dockerfile: string): string[] {
  return [...dockerfile.matchAll(/^ARG (\w+_IMAGE)=(\S+)$/gm)].map(
    ([, name = "", image = ""]) => process.env[name] ?? image,
  );
}

/** The images that docker-compose.yml takes from a registry. */
export function composeImages(compose: string): string[] {
  return [...compose.matchAll(/^ +image: \$\{(\w+_IMAGE):-(\S+)\}$/gm)]
    .filter(([, name = ""]) => !BUILT_HERE.has(name))
    .map(([, name = "", image = ""]) => process.env[name] ?? image);
}

const BUILT_HERE: ReadonlySet<string> = new Set(["AUTHZ_IMAGE", "DEMO_IMAGE"]);

/** `name:tag@sha256:…`: the tag is for people, the digest for the engine. */
export function isPinned(image: string): boolean {
  return /^[^@\s]+@sha256:[0-9a-f]{64}$/.test(image);
}

function inspect(image: string): ImageFacts | null {
  const { status, stdout } = spawnSync("docker", ["image", "inspect", image], { encoding: "utf8" });
  return status === 0 ? ((JSON.parse(stdout) as readonly ImageFacts[])[0] ?? null) : null;
}

function main(images: readonly string[]): number {
  const faults = images.flatMap((image) => {
    const found = inspect(image);
    return (found === null ? ["is not on this machine"] : releaseFaults(found)).map((fault) => `${image} ${fault}`);
  });
  const bases = baseImages(readFileSync(resolve(ROOT, "Dockerfile"), "utf8"));
  const beside = composeImages(readFileSync(resolve(ROOT, "docker-compose.yml"), "utf8"));
  for (const image of [...bases, ...beside])
    if (!isPinned(image))
      faults.push(`${image} is named by tag: name it by digest, with its variable (docs/containers.md)`);
  for (const base of bases) {
    if (inspect(base)?.Config.Labels?.[STAND_IN] !== undefined) faults.push(`${base}, a base image, is a stand-in`);
  }
  for (const fault of faults) console.error(`release refused: ${fault}`);
  if (faults.length === 0) console.log(`fit for release: ${images.join(", ")}`);
  return faults.length === 0 ? 0 : 1;
}

if (process.argv[1]?.endsWith("release-check.ts") === true) {
  const images = process.argv.slice(2);
  if (images.length === 0) console.error("name the images: npm run release-check IMAGE…");
  process.exitCode = images.length === 0 ? 2 : main(images);
}
