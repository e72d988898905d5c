// Requests that are made to take long in policy: their caller pays for them, and is named; other callers go on.
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { legacy, type Reply } from "../e2e/client.ts";
import { collidingNames, objectOf } from "./collisions.ts";
import { openAttackLab, told, type AttackLab } from "./lab.ts";

const MANY = 9900;
/** Until a thread that was ended is there again. */
const WELL_AGAIN = { timeout: 5000, interval: 200 };

function echo(lab: AttackLab, token: string, text = "x"): Promise<Reply> {
  return legacy(lab.gateway, "tools/call", { name: "echo", arguments: { text } }, { token });
}

const linesOf = (lab: AttackLab, subject: string) => lab.audit().filter((line) => line["subject"] === subject);

describe("names that collide in policy's hash table, of a caller without rights [F1]", () => {
  let lab: AttackLab;
  let alice: string;
  let bob: string;
  let checks = 0;
  const names = objectOf(collidingNames(MANY));
  const words = objectOf(collidingNames(MANY), "w");
  const call = (args: unknown, further: object = {}) => ({ name: "echo", arguments: args, ...further });
  const halves = collidingNames(MANY);
  const evil = async (method: string, params: object) => {
    const reply = await legacy(lab.gateway, method, params, { token: bob });
    if (reply.status !== 413) checks += 1; // Envoy refuses a body that is too large without a Check
    return reply;
  };

  beforeAll(async () => {
    lab = await openAttackLab();
    [alice, bob] = [await lab.idp.mint("alice"), await lab.idp.mint("bob")];
  });
  afterAll(() => lab.stop());

  it("half as many cost about what as many other names cost", async () => {
    const fastest = async (arguments_: object) => {
      const times: number[] = [];
      for (let i = 0; i < 4; i += 1) {
        const at = performance.now();
        await evil("tools/call", call(arguments_));
        times.push(performance.now() - at);
      }
      return Math.min(...times);
    };
    const plain = await fastest(objectOf(Array.from({ length: MANY / 2 }, (_, i) => `name${i}`)));
    const colliding = await fastest(objectOf(collidingNames(MANY / 2)));
    expect(colliding / Math.max(plain, 20)).toBeLessThan(5);
  });

  it.each([
    ["of arguments", "tools/call", call(names)],
    ["with a long prefix", "tools/call", call(objectOf(collidingNames(MANY, "p".repeat(60))))],
    ["with a longer one", "tools/call", call(objectOf(collidingNames(3000, "q".repeat(60))))],
    ["in a list's params", "tools/list", { arguments: names }],
    ["of a prompt's arguments", "prompts/get", { name: "summary", arguments: words }],
    ["in a resource's params", "resources/read", { uri: "docs://readme", arguments: names }],
    ["in an object of an object", "tools/call", call({ a: { b: names } })],
    ["in objects of an array", "tools/call", call({ a: [0, 1, 2].map(() => objectOf(collidingNames(3000))) })],
    ["over two objects", "tools/call", call({ a: objectOf(halves.slice(0, 4900)), b: objectOf(halves.slice(4900)) })],
    ["in _meta", "tools/call", call({ text: "x" }, { _meta: names })],
    ["as the elements of an array", "tools/call", call({ list: collidingNames(MANY) })],
  ] as const)("%s: other callers do not see it", async (_, method, params) => {
    await vi.waitFor(async () => expect(told(await echo(lab, alice))).toBe("200"), WELL_AGAIN);
    const [reply, ...others] = await Promise.all([
      evil(method, params),
      ...[20, 150, 400].map((ms) => delay(ms).then(() => echo(lab, alice))),
    ]);
    expect(others.map(told)).toEqual(["200", "200", "200"]);
    expect(reply.status).toBeLessThan(500);
  });

  it("no evaluation ran away, serve is ready, and each request has its line", async () => {
    expect(lab.children.serve.output()).not.toMatch(/ran_away|ran away/);
    expect(await lab.ready("serve")).toMatchObject({ status: 200, body: { ready: true } });
    await vi.waitFor(() => expect(linesOf(lab, "bob")).toHaveLength(checks));
  });
});

/** A rule of an author that takes the square of what a caller sends. */
const QUADRATIC = `within_limits if not input.mcp.name in {"transfer", "search_docs"}

within_limits if {
	input.mcp.name == "search_docs"
	list := object.get(input.mcp.arguments, "list", [])
	count([1 | some x in list; some y in list; x == y]) >= 0
	count({x | some x in list}) >= 0
}`;

describe("a rule that takes the square of what a caller sends [F1]", () => {
  let lab: AttackLab;
  let alice: string;
  let carol: string;
  const long = { name: "search_docs", arguments: { list: Array.from({ length: 9000 }, (_, i) => `e${i}`) } };
  const evil = () => legacy(lab.gateway, "tools/call", long, { token: alice });

  beforeAll(async () => {
    lab = await openAttackLab({
      rego: (text) => text.replace('within_limits if input.mcp.name != "transfer"', QUADRATIC),
    });
    [alice, carol] = [await lab.idp.mint("alice"), await lab.idp.mint("carol")];
  });
  afterAll(() => lab.stop());

  it("the caller is suspended by name, and another is well again within seconds", async () => {
    expect((await echo(lab, carol)).status).toBe(200);
    await Promise.all([evil(), ...[100, 200, 300].map((ms) => delay(ms).then(() => echo(lab, carol)))]);
    await vi.waitFor(async () => expect(told(await echo(lab, carol))).toBe("200"), WELL_AGAIN);
    expect(told(await echo(lab, alice))).toBe("429 caller_suspended");
  });

  it("still after five more, and serve is ready", async () => {
    for (let i = 0; i < 5; i += 1) {
      expect(told(await evil())).toBe("429 caller_suspended");
      expect(told(await echo(lab, carol))).toBe("200");
    }
    expect(await lab.ready("serve")).toMatchObject({ status: 200, body: { ready: true } });
  });

  it("every Check has its line with its caller, those of the ended thread too", async () => {
    const carols = linesOf(lab, "carol").length;
    const others = 3;
    await Promise.all(Array.from({ length: others }, () => echo(lab, carol)));
    await vi.waitFor(() => expect(linesOf(lab, "carol")).toHaveLength(carols + others));
    // The evaluation that ran away, the call that was refused, and the five more.
    expect(linesOf(lab, "alice")).toHaveLength(7);
    expect(linesOf(lab, "alice").map((line) => line["decision"])).not.toContain("allow");
    // The one before, the one that was well again, and the five. Of the three beside the runaway those that serve had read.
    expect(carols).toBeGreaterThanOrEqual(7);
  });
});
