import { describe, expect, it } from "vitest";
import { currentSpan, inChild, inSpan, outsideSpans, type EndedSpan } from "./span.ts";
import { createTracer, type TracerOptions } from "./tracer.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";
const UNSAMPLED = `00-${TRACE}-${PARENT}-00`;
const SAMPLED = `00-${TRACE}-${PARENT}-01`;

function tracer(over: Partial<TracerOptions> = {}) {
  const ended: EndedSpan[] = [];
  const options = {
    sample: 1,
    parent: "ignore" as const,
    perSecond: 1000,
    onEnd: (span: EndedSpan) => ended.push(span),
  };
  return { ended, ...createTracer({ ...options, ...over }) };
}

/** How many of so many requests with this header are sampled. */
function share(of: Pick<TracerOptions, "sample" | "parent">, header: string | undefined, requests = 1000): number {
  let turn = 0;
  const { begin } = tracer({ ...of, perSecond: 10_000, random: () => (turn++ % requests) / requests });
  return Array.from({ length: requests }, () => begin("x", "server", header)).filter((span) => span !== null).length;
}

describe("who decides", () => {
  it.each([
    ["no header", undefined],
    ["a client who says that she records", SAMPLED],
    ["a client who says that she does not", UNSAMPLED],
    ["a malformed header", `00-${TRACE}`],
    ["a huge one", `00-${TRACE}-${PARENT}-01-${"x".repeat(100_000)}`],
    ["one that came twice", `${SAMPLED},${SAMPLED}`],
  ])("ignore: the share alone, with %s", (_, header) => {
    expect(share({ sample: 0.01, parent: "ignore" }, header)).toBe(10);
    expect(share({ sample: 0, parent: "ignore" }, header)).toBe(0);
    expect(share({ sample: 1, parent: "ignore" }, header)).toBe(1000);
  });

  it.each([
    ["that she records", SAMPLED, 1000],
    ["that she does not", UNSAMPLED, 0],
    ["nothing", undefined, 10],
    ["nothing that is well formed", `${SAMPLED}-x`, 10],
    ["a later version that records", `cc-${TRACE}-${PARENT}-03-more`, 1000],
  ])("follow: who sends the header, if she says %s", (_, header, expected) =>
    expect(share({ sample: 0.01, parent: "follow" }, header)).toBe(expected),
  );

  it("no more than perSecond, whoever decides, and again in the next second", () => {
    let ms = 100;
    const { begin, counts } = tracer({ parent: "follow", perSecond: 3, monotonic: () => ms });
    const begun = () => Array.from({ length: 10 }, () => begin("x", "server", SAMPLED)).filter((span) => span !== null);
    expect(begun()).toHaveLength(3);
    expect(counts).toEqual({ sampled: 3, limited: 7 });
    ms = 1100;
    expect(begun()).toHaveLength(3);
  });
});

describe("a span", () => {
  it("joins a well-formed trace, else begins one; what it causes is told of itself", () => {
    const { begin, ended } = tracer();
    const joined = begin("check", "server", UNSAMPLED);
    expect(joined?.traceparent).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
    joined?.child("step").end();
    joined?.end("internal");
    joined?.end();
    const own = begin("check", "server", `00-${"0".repeat(32)}-${PARENT}-01`);
    expect(own?.traceId).toMatch(/^(?!0+$)[0-9a-f]{32}$/);
    own?.end();
    expect(ended).toMatchObject([
      { name: "step", traceId: TRACE, parentSpanId: joined?.spanId, hasRemoteParent: false, isError: false },
      { name: "check", traceId: TRACE, parentSpanId: PARENT, hasRemoteParent: true, isError: true },
      { parentSpanId: null, hasRemoteParent: false },
    ]);
  });

  it("goes on with what another process of ours has sampled, whatever the share; not with what is no context", () => {
    const { resume } = tracer({ sample: 0 });
    expect(resume("call", "server", SAMPLED)?.traceId).toBe(TRACE);
    expect(resume("call", "server", "x")).toBeNull();
  });

  it("has times of one clock, and short texts", () => {
    let ms = 50;
    const { begin, ended } = tracer({ now: () => 1_790_000_000_000, monotonic: () => ms });
    const span = begin("n".repeat(1000), "server", undefined);
    span?.set("gen_ai.tool.name", "t".repeat(1000));
    span?.set("mcp_authz.server", null);
    ms = 51.5;
    span?.end();
    expect(ended[0]).toMatchObject({
      startedAt: 1_790_000_000_000,
      endedAt: 1_790_000_000_001.5,
      name: "n".repeat(256),
    });
    expect([...ended[0]!.attributes]).toEqual([["gen_ai.tool.name", "t".repeat(256)]]);
  });
});

describe("the current span", () => {
  it("is that of the work, also after a wait; none outside, and none once it has ended", async () => {
    const span = tracer().begin("check", "server", undefined)!;
    expect(currentSpan()).toBeUndefined();
    await inSpan(span, async () => {
      expect(currentSpan()).toBe(span);
      await Promise.resolve();
      expect(currentSpan()).toBe(span);
      expect(outsideSpans(currentSpan)).toBeUndefined();
      span.end();
      expect(currentSpan()).toBeUndefined();
    });
  });

  it.each<[string, () => unknown]>([
    ["a value", () => 7],
    ["a promise", () => Promise.resolve(7)],
  ])("inChild ends the child with %s, and notes it", async (_, work) => {
    const { begin, ended } = tracer();
    const span = begin("check", "server", undefined)!;
    const seen: unknown[] = [];
    expect(await inChild(span, "step", { work, note: (_span, result) => seen.push(result) })).toBe(7);
    expect([seen, ended.map(({ name, isError }) => [name, isError])]).toEqual([[7], [["step", false]]]);
  });

  it.each([
    [
      "an error",
      () => {
        throw new Error("x");
      },
    ],
    ["a rejection", () => Promise.reject(new Error("x"))],
  ])("inChild ends the child with %s, which goes on", async (_, work) => {
    const { begin, ended } = tracer();
    const span = begin("check", "server", undefined)!;
    await expect((async () => inChild(span, "step", { work, note: () => {} }))()).rejects.toThrow("x");
    expect(ended.map(({ name, isError }) => [name, isError])).toEqual([["step", true]]);
  });
});
