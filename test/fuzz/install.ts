// Brings the readers of other runtimes into .tools/fuzz, at pinned versions. A reader whose toolchain is missing is left
// out, and said so.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { FUZZ_FOLDER, runs } from "./readers.ts";

const SOURCES = resolve(import.meta.dirname, "readers");

/** Node of other majors, as the packages that hold the programs; SHA-512 as npm has it. */
const NODES: Readonly<Record<string, { readonly version: string; readonly sums: Readonly<Record<string, string>> }>> = {
  "20": {
    version: "20.20.2",
    sums: {
      "linux-x64": "PeHQM8wAdmHtZA1mBocygZxs5LiUWtsJezQTkBd0iY987KpGrD1O2tVEydvMZiuXceRanxt7rjTnDEBwOPujoQ==",
      "linux-arm64": "LCXJnNTFiyGuYBw2gZSI5OBFMbkjAPt8sqD/NKrWoE2QmDgSubTqFng6GaNJ9EJ8HpxBMGcWWpbbcs4Vo+CnGg==",
    },
  },
  "22": {
    version: "22.23.3",
    sums: {
      "linux-x64": "qHnz5tFsHoj/WM+uRENVjWONi5hVvmwrgq8A4V76KpuVNAc4+jwK8x4gwbobE9BtHNg/AKR2583eYorLF/c7ng==",
      "linux-arm64": "l3DAHZreylo+p9QXDtsOrjG2JXJqVzYXnAGmIQNOUNARcMppTO2cmewVQP+36tjJnSE+dzpMNtgW+c3oiDvXtA==",
    },
  },
  "26": {
    version: "26.10.0",
    sums: {
      "linux-x64": "OmAztarr1gK4PD+sNyoku4N5Q40d8eqMuLjNa/zRvxF33aCsVKVIQLs4V5HYPWSWWlMiTdkmbZE/6Phigma0hw==",
      "linux-arm64": "idArV/cmqW9M9ODyGlbOIiyxFourDh1mJB0SdKCdMbSZjjef9CLEN3o1/eE4yf+B0+5BD+F74MpTTHiB3XXTBQ==",
    },
  },
};
const JACKSON: Readonly<Record<string, string>> = {
  "jackson-annotations:2.23": "e5b60c3088e0887b290ff9226394354589a1dad583743944b7f5538661056b4c",
  "jackson-core:2.23.0": "449798beb4c4ec26de9cc25b39ca2198036883fb905ca968cbef7136d19a25d9",
  "jackson-databind:2.23.0": "abd1edd2736c764da03fe6cb7a9de70d48dd0a198aed131604c564bff62f9cc1",
};
const MAVEN_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1";

function say(line: string): void {
  process.stderr.write(`fuzz: ${line}\n`);
}

function run(command: string, args: readonly string[], cwd = SOURCES): void {
  const { status, stdout, stderr } = spawnSync(command, [...args], { cwd, encoding: "utf8" });
  if (status !== 0)
    throw new Error(`${command} ${args[0] ?? ""} failed: ${`${stdout}${stderr}`.trim().split("\n").at(-1)}`);
}

function digest(algorithm: string, file: string, encoding: "base64" | "hex"): string {
  return createHash(algorithm).update(readFileSync(file)).digest(encoding);
}

/** Fills a folder in one step, so that a broken download never stands there. */
function filled(folder: string, fill: (into: string) => void): void {
  if (existsSync(folder)) return;
  const into = mkdtempSync(join(FUZZ_FOLDER, ".new-"));
  try {
    fill(into);
    renameSync(into, folder);
  } finally {
    rmSync(into, { recursive: true, force: true });
  }
}

function installNode(major: string): void {
  const { version, sums } = NODES[major] ?? { version: "", sums: {} };
  const platform = `${process.platform}-${process.arch}`;
  const sum = sums[platform];
  if (sum === undefined) throw new Error(`no package of Node ${version} is pinned for ${platform}`);
  filled(join(FUZZ_FOLDER, `node${major}`), (into) => {
    say(`node ${version}: downloading (about 40 MB) …`);
    const packed = execFileSync(
      "npm",
      ["pack", "--silent", "--pack-destination", into, `node-${platform}@${version}`],
      {
        encoding: "utf8",
        cwd: into,
      },
    );
    const file = join(into, packed.trim());
    if (digest("sha512", file, "base64") !== sum)
      throw new Error(`node ${version} has another SHA-512 than the pinned one`);
    execFileSync("tar", ["-xzf", file, "-C", into]);
    rmSync(file);
  });
}

function installJackson(): void {
  if (!runs("java", ["--version"]) || !runs("mvn", ["--version"]))
    throw new Error("it needs a JDK of Java 17 and Maven");
  filled(join(FUZZ_FOLDER, "java"), (into) => {
    say("Jackson: downloading …");
    for (const [artifact, sum] of Object.entries(JACKSON)) {
      const wanted = `com.fasterxml.jackson.core:${artifact}:jar`;
      run("mvn", [
        "--batch-mode",
        "--quiet",
        `${MAVEN_PLUGIN}:copy`,
        `-Dartifact=${wanted}`,
        `-DoutputDirectory=${into}`,
      ]);
      const jar = join(into, `${artifact.replace(":", "-")}.jar`);
      if (digest("sha256", jar, "hex") !== sum) throw new Error(`${artifact} has another SHA-256 than the pinned one`);
    }
    writeFileSync(join(into, ".installed"), "");
  });
}

function buildGo(): void {
  if (!runs("go", ["version"])) throw new Error("it needs Go");
  run("go", ["build", "-o", join(FUZZ_FOLDER, "go-reader"), "."], join(SOURCES, "go"));
}

function buildRust(): void {
  if (!runs("cargo", ["--version"])) throw new Error("it needs Rust with cargo");
  const target = ["--target-dir", join(FUZZ_FOLDER, "rust")];
  run("cargo", ["build", "--release", "--quiet", ...target], join(SOURCES, "rust"));
}

const STEPS: Readonly<Record<string, () => void>> = {
  node20: () => installNode("20"),
  node22: () => installNode("22"),
  node26: () => installNode("26"),
  go: buildGo,
  java: installJackson,
  rust: buildRust,
};

/** Brings these readers where they are not here yet. Says of each that could not be brought why. */
export function installReaders(names: readonly string[]): void {
  mkdirSync(FUZZ_FOLDER, { recursive: true });
  for (const name of names) {
    try {
      STEPS[name]?.();
    } catch (error) {
      say(`${name} cannot be had: ${error instanceof Error ? error.message : "failed"}`);
    }
  }
}
