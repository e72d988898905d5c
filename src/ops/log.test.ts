import { execFileSync, spawn } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { createLog, LOG_LEVELS, type LogFields, type LogLevel } from "./log.ts";

const TIME = Date.UTC(2026, 0, 2, 3, 4, 5, 6);

function logOf(level: LogLevel = "debug", write: (line: string) => unknown = () => true) {
  const lines: string[] = [];
  const log = createLog(
    (line) => (lines.push(line), write(line)),
    level,
    () => TIME,
  );
  return { log, lines, parsed: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

describe("the form of a line", () => {
  it("level, time, event and the fields, and nothing else, on one line", () => {
    const { log, lines, parsed } = logOf();
    log.warn("keys_not_fetched", { issuer: "a\nb\u001b[8m", count: 2, ok: false, none: null });
    log.info("started");
    expect(lines.map((line) => line.indexOf("\n"))).toEqual(lines.map((line) => line.length - 1));
    const time = "2026-01-02T03:04:05.006Z";
    expect(parsed()).toEqual([
      { time, level: "warn", event: "keys_not_fetched", issuer: "a\nb\u001b[8m", count: 2, ok: false, none: null },
      { time, level: "info", event: "started" },
    ]);
    expect(lines.join("")).not.toContain("\u001b");
  });

  it.each(LOG_LEVELS)("from %s on", (level) => {
    const { log, parsed } = logOf(level);
    for (const each of LOG_LEVELS) log[each]("event");
    expect(parsed().map((line) => line["level"])).toEqual(LOG_LEVELS.slice(LOG_LEVELS.indexOf(level)));
  });

  it("a text ends after 1,000 characters", () => {
    const { log, parsed } = logOf();
    log.info("event", { text: "x".repeat(1001), whole: "y".repeat(1000) });
    expect(parsed()[0]).toMatchObject({ text: `${"x".repeat(1000)}…`, whole: "y".repeat(1000) });
  });
});

describe("P6: a second net for secrets", () => {
  const JWS = `eyJ${"a".repeat(20)}.eyJ${"b".repeat(20)}.${"c".repeat(20)}`;
  it.each<[string, Record<string, unknown>]>([
    ["a field that is named so", { token: "s3cret" }],
    ["of a request", { authorization: "Bearer s3cret", cookie: "s3cret" }],
    ["of a token endpoint", { client_secret: "s3cret", refresh_token: "s3cret" }],
    ["an object that should not be there", { headers: { authorization: "s3cret" } }],
  ])("%s", (_, fields) => {
    const { log, lines } = logOf();
    log.error("event", fields as LogFields);
    expect(lines[0]).toContain("[secret]");
    expect(lines[0]).not.toContain("s3cret");
  });

  it.each([
    ["a token within a text", `cannot read ${JWS} of the caller`, "cannot read [secret] of the caller"],
    ["one that is cut off", `${"x".repeat(985)}${JWS}`, `${"x".repeat(985)}[secret]…`],
    ["what only begins alike", "eyJ is the beginning of one", "eyJ is the beginning of one"],
  ])("%s", (_, message, printed) => {
    const { log, parsed } = logOf();
    log.error("event", { message });
    expect(parsed()[0]).toMatchObject({ message: printed });
  });
});

it("the first line after lost ones has their number", () => {
  let works = false;
  const { log, parsed } = logOf("info", () => works);
  log.info("a");
  log.info("b");
  works = true;
  for (const event of ["c", "d"]) log.info(event);
  expect(parsed().map(({ event, lostLines }) => [event, lostLines])).toEqual([
    ["a", undefined],
    ["b", 1],
    ["c", 2],
    ["d", undefined],
  ]);
});

describe("J11: a sink that takes nothing ends nothing and holds nothing, in no thread", () => {
  const folder = mkdtempSync(join(tmpdir(), "mcp-authz-log-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const MODULE = JSON.stringify(join(import.meta.dirname, "log.ts"));
  /** More than any pipe or socket holds. */
  const WRITES = `import(${MODULE}).then(({ createStderrLog }) => {
    const log = createStderrLog("info");
    for (let i = 0; i < 4000; i += 1) log.info("event", { text: "x".repeat(1000) });
  })`;
  const PROGRAM = `
    import { Worker } from "node:worker_threads";
    await ${WRITES};
    const worker = new Worker(${JSON.stringify(WRITES)}, { eval: true });
    worker.on("exit", (code) => process.exit(40 + code));`;

  /** The exit code of a process and thread that write to this standard error; null if they did not end. */
  function run(stderr: number | "pipe", prepare?: (child: ReturnType<typeof start>) => void) {
    const child = start(stderr);
    prepare?.(child);
    return new Promise<number | null>((done) => child.once("exit", done));
  }
  const start = (stderr: number | "pipe") =>
    spawn(process.execPath, ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", PROGRAM], {
      stdio: ["ignore", "ignore", stderr],
      timeout: 15_000,
      killSignal: "SIGKILL",
    });

  function fifo(name: string) {
    const path = join(folder, name);
    execFileSync("mkfifo", [path]);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    return { reader, writer: openSync(path, constants.O_WRONLY) };
  }

  it("a full disk", async () => expect(await run(openSync("/dev/full", "w"))).toBe(40), 60_000);
  it(
    "a socket whose reader is gone",
    async () => expect(await run("pipe", ({ stderr }) => void stderr?.destroy())).toBe(40),
    60_000,
  );
  it("a socket that nobody reads", async () => expect(await run("pipe")).toBe(40), 60_000);
  it("a pipe whose reader is gone", async () => {
    const { reader, writer } = fifo("gone");
    closeSync(reader);
    expect(await run(writer)).toBe(40);
  }, 60_000);
  it("a pipe that nobody reads; what it took are whole lines", async () => {
    const { reader, writer } = fifo("stalled");
    expect(await run(writer)).toBe(40);
    const bytes = Buffer.alloc(1024 * 1024);
    const text = bytes.toString("utf8", 0, readSync(reader, bytes));
    expect(
      text
        .split("\n")
        .slice(0, -1)
        .map((line) => (JSON.parse(line) as { event: string }).event),
    ).toContain("event");
  }, 60_000);
});
