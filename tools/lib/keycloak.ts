// A real Keycloak for tests, in .tools/keycloak: its distribution comes from Maven Central through Maven, checked against
// the sum below. Nothing of it is installed anywhere else.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { startChild, waitReady, type Child } from "../../demo/child.ts";
import { freePort } from "../../demo/ports.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const FOLDER = join(ROOT, ".tools/keycloak");
const VERSION = "26.7.3";
const MEGABYTES = 177;
const SHA256 = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f";
const MAVEN_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1";
const HOME = join(FOLDER, `keycloak-${VERSION}`);
const LOG = join(FOLDER, "keycloak.log");
/** About a minute on two free cores: it compiles itself for its settings first. */
const START_MS = 200_000;
const NEEDED =
  "the Keycloak tests need Java 17 or newer (java), Maven (mvn) and Python 3 (python3): install them (Debian: openjdk-17-jre-headless maven python3) and run the same command again.";

export interface Keycloak {
  readonly url: string;
  stop(): Promise<void>;
}

function succeeds(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

function javaMajor(): number {
  const { stdout, stderr } = spawnSync("java", ["-version"], { encoding: "utf8" });
  return Number(/version "(\d+)/.exec(`${stdout ?? ""}${stderr ?? ""}`)?.[1] ?? 0);
}

/** Brings the pinned distribution. @throws {Error} a sentence that says what to do */
export function installKeycloak(): void {
  if (javaMajor() < 17 || !succeeds("mvn", ["--version"]) || !succeeds("python3", ["--version"])) {
    throw new Error(NEEDED);
  }
  if (existsSync(HOME)) return;
  mkdirSync(FOLDER, { recursive: true });
  const folder = mkdtempSync(join(FOLDER, ".download-"));
  try {
    console.log(`Keycloak ${VERSION}: downloading (${MEGABYTES} MB) …`);
    const artifact = `org.keycloak:keycloak-quarkus-dist:${VERSION}:zip`;
    const maven = ["--batch-mode", "--quiet", `${MAVEN_PLUGIN}:copy`, `-Dartifact=${artifact}`];
    const copied = spawnSync("mvn", [...maven, `-DoutputDirectory=${folder}`], { cwd: folder, stdio: "inherit" });
    if (copied.status !== 0) throw new Error(`Maven could not bring ${artifact}: is the network there?`);
    const zip = join(folder, `keycloak-quarkus-dist-${VERSION}.zip`);
    if (createHash("sha256").update(readFileSync(zip)).digest("hex") !== SHA256)
      throw new Error(`Keycloak ${VERSION} has another SHA-256 than the pinned one. Nothing was installed.`);
    if (!succeeds("python3", ["-m", "zipfile", "-e", zip, folder])) throw new Error(`${zip} cannot be unpacked`);
    renameSync(join(folder, `keycloak-${VERSION}`), HOME);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Starts it on loopback with this realm, its data in memory; resolves when it answers. */
export async function startKeycloak(realmFile: string): Promise<Keycloak> {
  rmSync(join(HOME, "data"), { recursive: true, force: true });
  mkdirSync(join(HOME, "data/import"), { recursive: true });
  cpSync(realmFile, join(HOME, "data/import/realm.json"));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const listen = ["--http-host=127.0.0.1", `--http-port=${port}`, `--hostname=${url}`];
  const child: Child = startChild({
    name: "keycloak",
    command: "bash",
    args: ["bin/kc.sh", "start-dev", "--import-realm", "--db=dev-mem", "--cache=local", ...listen],
    cwd: HOME,
    logFile: LOG,
    env: {
      KC_BOOTSTRAP_ADMIN_USERNAME: "admin",
      KC_BOOTSTRAP_ADMIN_PASSWORD: "admin",
      JAVA_OPTS_KC_HEAP: "-Xms64m -Xmx512m",
      // Half the time to the first answer: it does not live long enough for the better compiler.
      JAVA_OPTS_APPEND: "-XX:TieredStopAtLevel=1",
    },
  });
  try {
    await waitReady(child, `${url}/realms/mcp/.well-known/openid-configuration`, START_MS);
  } catch (error) {
    await child.stop();
    throw error;
  }
  return { url, stop: () => child.stop() };
}
