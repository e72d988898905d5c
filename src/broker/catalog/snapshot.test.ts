import { beforeEach, describe, expect, it } from "vitest";
import { HttpFault } from "../../http/client.ts";
import { createCatalog, type Catalog } from "./snapshot.ts";
import type { ListEntry } from "./definitions.ts";
import type { Listing } from "./listing.ts";

const entry = (name: string): ListEntry => ({
  name,
  json: `{"name":"${name}"}`,
  merged: `{"name":"p_${name}"}`,
});
const listing = (...tools: string[]): Listing => ({
  tools: tools.map(entry),
  prompts: [],
  resources: [entry("docs://a")],
  templates: [entry("docs://a"), entry("docs://{id}")],
  offers: {
    tools: true,
    prompts: false,
    resources: true,
    completions: false,
    logging: false,
    subscribe: false,
    tasks: false,
  },
  tellsOf: [],
  direct: null,
  stats: { dropped: {}, changed: {} },
  incomplete: {},
  broken: null,
});

let now: number;
let alarms: { run: () => void; at: number }[];
let answers: Record<string, () => Promise<Listing>>;
let attempts: string[];
let catalog: Catalog;
let changes: string[];

beforeEach(() => {
  now = 0;
  alarms = [];
  attempts = [];
  changes = [];
  answers = { a: () => Promise.resolve(listing("x")), b: () => Promise.resolve(listing("y")) };
  catalog = createCatalog({
    servers: new Map(["b", "a"].map((name) => [name, () => answers[name]?.() ?? Promise.reject(new Error("none"))])),
    monotonic: () => now,
    onListed: (server, error) => attempts.push(`${server} ${error ?? "ok"}`),
    onChanged: (server, kinds) => changes.push(`${server}: ${kinds.join(" ")}`),
    later: (run, milliseconds) => {
      const alarm = { run, at: now + milliseconds };
      alarms.push(alarm);
      return { cancel: () => (alarms = alarms.filter((other) => other !== alarm)) };
    },
    random: () => 1,
  });
});

/** Runs what is due, in order, until `milliseconds` have passed. */
async function pass(milliseconds: number): Promise<void> {
  const end = now + milliseconds;
  for (;;) {
    const next = alarms.filter(({ at }) => at <= end).sort((x, y) => x.at - y.at)[0];
    if (next === undefined) break;
    alarms = alarms.filter((alarm) => alarm !== next);
    now = next.at;
    next.run();
    await new Promise((done) => setImmediate(done));
  }
  now = end;
}

const fail = (code: string) => () => Promise.reject(new HttpFault("failed", code));
const shown = () => [...catalog.current().servers].map(([name, { tools }]) => [name, tools.map((tool) => tool.name)]);
const states = () => Object.fromEntries(catalog.states().map(({ server, state }) => [server, state]));

it("knows what it was told, in the order of names, each name once", async () => {
  expect([shown(), states()]).toEqual([[], { a: "waiting", b: "waiting" }]);
  await catalog.start();
  expect(shown()).toEqual([
    ["a", ["x"]],
    ["b", ["y"]],
  ]);
  expect(catalog.current().names).toEqual({
    servers: {
      a: { tools: ["x"], prompts: [], resources: ["docs://a", "docs://{id}"] },
      b: { tools: ["y"], prompts: [], resources: ["docs://a", "docs://{id}"] },
    },
  });
  expect([states(), catalog.offers("a"), catalog.offers("c")]).toEqual([
    { a: "healthy", b: "healthy" },
    {
      tools: true,
      prompts: false,
      resources: true,
      completions: false,
      logging: false,
      subscribe: false,
      tasks: false,
    },
    null,
  ]);
});

it("a change is seen within the refresh time, and changes the revision; the same again stays the same object", async () => {
  await catalog.start();
  const before = catalog.current();
  await pass(30_000);
  expect(catalog.current()).toBe(before);
  answers["a"] = () => Promise.resolve(listing("x", "z"));
  await pass(30_000);
  expect(shown()[0]).toEqual(["a", ["x", "z"]]);
  expect(catalog.current().revision).not.toBe(before.revision);
  expect(catalog.current().servers.get("b")).toBe(before.servers.get("b"));
  answers["a"] = () => Promise.resolve(listing("x"));
  await pass(30_000);
  expect(catalog.current().revision).toBe(before.revision);
});

describe("B45: a server that is down", () => {
  it("keeps its entries for ten minutes, as stale; then they vanish; the others are untouched", async () => {
    await catalog.start();
    answers["a"] = fail("status_503");
    await pass(30_000);
    expect([states(), shown().length]).toEqual([{ a: "unhealthy", b: "healthy" }, 2]);
    expect(catalog.states()[0]).toMatchObject({ error: "status_503", ageSeconds: 30 });
    await pass(569_999);
    expect([states()["a"], shown().length]).toEqual(["unhealthy", 2]);
    await pass(1);
    expect([states(), shown()]).toEqual([{ a: "unhealthy", b: "healthy" }, [["b", ["y"]]]]);
    expect(catalog.current().names.servers).not.toHaveProperty("a");
    expect([catalog.offers("a")?.tools, catalog.states()[0]?.listed]).toEqual([true, null]);
    answers["a"] = () => Promise.resolve(listing("x"));
    await pass(30_000);
    expect([states(), shown().length]).toEqual([{ a: "healthy", b: "healthy" }, 2]);
  });

  it("is asked again after 1, 2, 4 … 30 seconds, and said once each time", async () => {
    answers["a"] = fail("ECONNREFUSED");
    await catalog.start();
    expect(states()).toEqual({ a: "unhealthy", b: "healthy" });
    const times: number[] = [];
    for (let i = 0; i < 7; i += 1) {
      const due = Math.min(...alarms.map(({ at }) => at));
      times.push(due - now);
      await pass(due - now);
      attempts.length = 0;
    }
    expect(times.slice(0, 4)).toEqual([1050, 2100, 4200, 8400]);
    await pass(120_000);
    expect(attempts.filter((line) => line === "a ECONNREFUSED").length).toBeLessThanOrEqual(5);
  });

  it("that hangs does not keep the others", async () => {
    answers["a"] = () => new Promise(() => {});
    const started = catalog.start();
    await new Promise((done) => setImmediate(done));
    expect([states(), shown()]).toEqual([{ a: "waiting", b: "healthy" }, [["b", ["y"]]]]);
    catalog.close();
    void started;
  });

  it("says of an unknown error nothing but that it failed", async () => {
    answers["a"] = () => Promise.reject(new Error("secret text"));
    await catalog.start();
    expect(attempts).toContain("a failed");
  });
});

it("the rhythm is jittered, and never slower than promised", async () => {
  const times: number[] = [];
  for (const random of [0, 0.5, 0.999]) {
    const one = createCatalog({
      servers: new Map([["a", () => Promise.resolve(listing("x"))]]),
      monotonic: () => 0,
      onListed: () => {},
      later: (_, milliseconds) => (times.push(milliseconds), { cancel: () => {} }),
      random: () => random,
    });
    await one.start();
  }
  expect(times.map(Math.round)).toEqual([27_143, 28_571, 29_997]);
});

it("after close nothing is asked any more", async () => {
  await catalog.start();
  catalog.close();
  expect(alarms).toEqual([]);
});

describe("other servers", () => {
  const lister = (name: string) => () => answers[name]?.() ?? Promise.reject(new Error("none"));
  const mapOf = (...names: string[]) => new Map(names.map((name) => [name, lister(name)]));

  it("what stays is not listed again, what is new or changed is, and what was taken out is gone at once", async () => {
    await catalog.start();
    const [kept] = [catalog.current().servers.get("a")];
    answers["c"] = () => Promise.resolve(listing("z"));
    attempts.length = 0;
    changes.length = 0;
    await catalog.apply(mapOf("c", "a"), new Set());
    expect(shown()).toEqual([
      ["a", ["x"]],
      ["c", ["z"]],
    ]);
    expect([attempts, catalog.current().servers.get("a") === kept]).toEqual([["c ok"], true]);
    expect(changes).toEqual(["b: tools prompts resources", "c: tools resources"]);
    await catalog.apply(mapOf("a"), new Set(["a"]));
    expect(attempts).toEqual(["c ok", "a ok"]);
    attempts.length = 0;
    await pass(30_000);
    expect(attempts).toEqual(["a ok"]);
  });

  it("a new server that is down is as any other", async () => {
    await catalog.start();
    answers["c"] = fail("refused");
    await catalog.apply(mapOf("a", "b", "c"), new Set());
    expect(states()).toEqual({ a: "healthy", b: "healthy", c: "unhealthy" });
    expect(shown()).toHaveLength(2);
    answers["c"] = () => Promise.resolve(listing("z"));
    await pass(30_000);
    expect(shown()).toHaveLength(3);
  });
});

describe("changes are told", () => {
  const news = () => changes.splice(0);

  it("by what differs, once", async () => {
    await catalog.start();
    expect(news()).toEqual(["a: tools resources", "b: tools resources"]);
    await pass(60_000);
    expect(news()).toEqual([]);
    answers["a"] = () => Promise.resolve(listing("x", "z"));
    answers["b"] = () => Promise.resolve({ ...listing("y"), templates: [], prompts: [entry("p")] });
    await pass(30_000);
    expect(news().toSorted()).toEqual(["a: tools", "b: prompts resources"]);
  });

  it("a server that is down changes nothing until its list is shown no longer, and again when it is back", async () => {
    await catalog.start();
    news();
    answers["a"] = fail("refused");
    await pass(9 * 60_000);
    expect(news()).toEqual([]);
    await pass(2 * 60_000);
    expect(news()).toEqual(["a: tools resources"]);
    answers["a"] = () => Promise.resolve(listing("x"));
    await pass(30_000);
    expect(news()).toEqual(["a: tools resources"]);
  });

  it("what the server itself says is told after it was listed, also where nothing differs", async () => {
    await catalog.start();
    await pass(5000);
    news();
    attempts.length = 0;
    catalog.heard("a", ["prompts"]);
    await pass(10);
    expect([news(), attempts]).toEqual([["a: prompts"], ["a ok"]]);
    catalog.heard("unknown", ["tools"]);
    await pass(10_000);
    expect(news()).toEqual([]);
  });

  it("a server that says so without end is listed once a second", async () => {
    await catalog.start();
    news();
    attempts.length = 0;
    for (let i = 0; i < 100; i += 1) {
      catalog.heard("a", ["tools"]);
      await pass(50);
    }
    await pass(1000);
    expect(attempts.filter((each) => each === "a ok").length).toBeLessThanOrEqual(6);
    expect(attempts.filter((each) => each === "a ok").length).toBeGreaterThanOrEqual(5);
  });

  it("what is heard while it is listed has it listed once more", async () => {
    await catalog.start();
    await pass(5000);
    let answer: (listed: Listing) => void = () => {};
    answers["a"] = () => new Promise((done) => (answer = done));
    catalog.heard("a", ["tools"]);
    await pass(1);
    catalog.heard("a", ["tools"]);
    attempts.length = 0;
    answers["a"] = () => Promise.resolve(listing("new"));
    answer(listing("x"));
    await new Promise((done) => setTimeout(done, 20));
    await pass(2000);
    expect(attempts).toEqual(["a ok", "a ok"]);
    expect(shown()).toContainEqual(["a", ["new"]]);
  });

  it("all are listed at most once a second when a list is missing", async () => {
    await catalog.start();
    attempts.length = 0;
    await catalog.refresh();
    expect(attempts).toEqual([]);
    await pass(1000);
    await Promise.all([catalog.refresh(), catalog.refresh()]);
    expect(attempts.toSorted()).toEqual(["a ok", "b ok"]);
    expect(alarms).toHaveLength(2);
  });
});

describe("a list that broke off", () => {
  const partial = (...tools: string[]): Listing => ({
    ...listing(...tools),
    incomplete: { tools: "timeout" },
    broken: "timeout",
  });

  it("is better than none, and its server is unhealthy", async () => {
    answers["a"] = () => Promise.resolve(partial("x"));
    await catalog.start();
    expect([shown()[0], states()["a"], attempts]).toEqual([["a", ["x"]], "unhealthy", ["a timeout", "b ok"]]);
    answers["a"] = () => Promise.resolve(listing("x", "y"));
    await pass(2000);
    expect([shown()[0], states()["a"]]).toEqual([["a", ["x", "y"]], "healthy"]);
  });

  it("does not replace a whole one for ten minutes", async () => {
    answers["a"] = () => Promise.resolve(listing("x", "y"));
    await catalog.start();
    answers["a"] = () => Promise.resolve(partial("x"));
    await pass(5 * 60_000);
    expect([shown()[0], states()["a"]]).toEqual([["a", ["x", "y"]], "unhealthy"]);
    await pass(6 * 60_000);
    expect([shown()[0], states()["a"]]).toEqual([["a", ["x"]], "unhealthy"]);
  });
});

it("N-03: for a direct server serve is told which of its tools say arguments in headers", async () => {
  const mirrored = (direct: Listing["direct"]): Listing => {
    const plain = listing("x", "y", "z");
    return { ...plain, direct, tools: plain.tools.map((one) => (one.name === "x" ? one : { ...one, mirrors: true })) };
  };
  answers = {
    a: () => Promise.resolve(mirrored({ revisions: [], faults: [] })),
    b: () => Promise.resolve(mirrored(null)),
  };
  await catalog.start();
  const { a, b } = catalog.current().names.servers;
  expect([a?.mirrors, Object.keys(b ?? {})]).toEqual([
    [1, 2],
    ["tools", "prompts", "resources"],
  ]);
});
