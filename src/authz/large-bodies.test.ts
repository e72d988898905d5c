import { describe, expect, it } from "vitest";
import { ALICE, allowingPorts, checkSettings, requestOf } from "../../test/fakes/authz.ts";
import { createCheck } from "./check.ts";
import { pass } from "./step.ts";
import { ANONYMOUS_ISSUER } from "./own-issuers.ts";
import type { Identity } from "./types.ts";
import type { Ports } from "./ports.ts";
import { newCheckFacts } from "./facts.ts";

const call = (text: string) => ({
  jsonrpc: "2.0",
  id: 1,
  method: "tools/call",
  params: { name: "read", arguments: { text } },
});
const LARGE = call("x".repeat(34_000));
const SMALL = call("x");

/** A check that takes any bearer for its caller, and tells who was decided about in which turn of the event loop. */
function lab(more: Partial<Ports> = {}, sourceOf: (token: string) => string = () => "192.0.2.7") {
  const decided: string[] = [];
  const identities = new Map<string, Identity>();
  const identityOf = (subject: string) => {
    const identity = identities.get(subject) ?? { ...ALICE, subject };
    identities.set(subject, identity);
    return identity;
  };
  const ports = allowingPorts({
    identify: (bearer) => pass(identityOf(bearer)),
    decide: ({ identity }) => (decided.push(identity.subject), pass({ allow: true, revision: "r", note: null })),
    ...more,
  });
  const check = createCheck(checkSettings({ largeBodiesPerCaller: 3 }), ports);
  return {
    decided,
    async ask(token: string, message: object, signal = new AbortController().signal) {
      const outcome = await check(
        { ...requestOf({ token, message }), peer: sourceOf(token) },
        newCheckFacts("r", 0),
        signal,
      );
      return outcome.ok ? "ok" : outcome.reason;
    },
  };
}

const turn = () => new Promise((done) => setImmediate(done));

describe("F12: large bodies", () => {
  it("of callers who present nothing each source has its own", async () => {
    const nobody = { ...ALICE, issuer: ANONYMOUS_ISSUER, subject: "anonymous" };
    const { ask } = lab({ identify: () => pass(nobody) }, (token) => `192.0.2.${token}`);
    const sources = ["1", "1", "1", "1", "2"];
    const verdicts = await Promise.all(sources.map((source) => ask(source, LARGE)));
    expect(verdicts).toEqual(["ok", "ok", "ok", "rate_limited", "ok"]);
  });

  it("one in each turn, callers one after the other; small Checks wait for none of them", async () => {
    const { ask, decided } = lab();
    const all = [..."aaabbc"].map((caller) => ask(caller, LARGE));
    await ask("d", SMALL);
    await ask("a", SMALL);
    expect(decided).toEqual(["a", "d", "a"]);
    decided.length = 0;
    const perTurn = [];
    for (let i = 0; i < 12; i += 1) {
      await turn();
      perTurn.push(decided.splice(0).join(""));
    }
    expect(perTurn.every((one) => one.length <= 1)).toBe(true);
    expect(perTurn.join("")).toBe("abcab");
    expect(await Promise.all(all)).toEqual(Array.from({ length: 6 }, () => "ok"));
  });

  it("so many of one caller under way until they are decided: more are refused, others' and small ones are not", async () => {
    const held: (() => void)[] = [];
    const credential = { kind: "none", header: "authorization", value: null, destination: "" } as const;
    const { ask } = lab({
      fetchCredential: (_, { subject }) =>
        subject === "a" ? new Promise((done) => held.push(() => done(pass(credential)))) : pass(credential),
    });
    const under = [ask("a", LARGE), ask("a", LARGE), ask("a", LARGE)];
    expect(await ask("a", LARGE)).toBe("rate_limited");
    expect(await ask("b", LARGE)).toBe("ok");
    while (held.length < 3) await turn();
    expect(await ask("a", LARGE)).toBe("rate_limited");
    held.shift()?.();
    expect(await Promise.race(under)).toBe("ok");
    under.push(ask("a", LARGE));
    while (held.length < 3) await turn();
    for (const end of held) end();
    expect(await Promise.all(under)).toEqual(["ok", "ok", "ok", "ok"]);
  });

  it("who is gone before the turn came has read nothing", async () => {
    const { ask, decided } = lab();
    const gone = new AbortController();
    const first = ask("a", LARGE);
    const late = ask("b", LARGE, gone.signal);
    await Promise.resolve();
    gone.abort();
    expect([await first, await late]).toEqual(["ok", "deadline"]);
    expect(decided).toEqual(["a"]);
  });

  it("a faulty body is refused as ever, and leaves its turn", async () => {
    const { ask } = lab();
    const bad = { ...LARGE, method: 7 };
    expect(await Promise.all([ask("a", bad), ask("a", bad), ask("a", bad)])).toEqual([
      "body_malformed",
      "body_malformed",
      "body_malformed",
    ]);
  });

  it("3,000 small Checks of one caller at a time are all decided", async () => {
    const { ask } = lab();
    const all = await Promise.all(Array.from({ length: 3000 }, () => ask("a", SMALL)));
    expect(new Set(all)).toEqual(new Set(["ok"]));
  });
});
