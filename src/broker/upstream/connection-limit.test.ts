import { EventEmitter } from "node:events";
import type { HttpResponse } from "../../http/client.ts";
import { describe, expect, it } from "vitest";
import { HttpFault } from "../../http/fault.ts";
import { limitConnections, type Send } from "./connection-limit.ts";

/** A pool whose responses the test closes. */
function setup(max: number) {
  const sent: { readonly path: string; respond(): void; fail(): void; close(): void }[] = [];
  const pool: Send = ({ path }) =>
    new Promise((done, fail) => {
      const response = Object.assign(new EventEmitter(), { closed: false });
      sent.push({
        path,
        respond: () => done(response as unknown as HttpResponse),
        fail: () => fail(new HttpFault("unreachable")),
        close: () => response.emit("close"),
      });
    });
  const send = limitConnections(pool, max);
  const request = (path: string, signal = new AbortController().signal) =>
    send({ method: "POST", path, headers: {}, body: null, signal });
  return { sent, request, paths: () => sent.map(({ path }) => path), turn: () => new Promise(setImmediate) };
}

describe("limitConnections", () => {
  it("sends so many at a time, the others in order, each once a response is closed", async () => {
    const { sent, request, paths, turn } = setup(2);
    const all = ["a", "b", "c", "d"].map((path) => request(path));
    await turn();
    expect(paths()).toEqual(["a", "b"]);
    sent[0]?.respond();
    await all[0];
    await turn();
    expect(paths()).toEqual(["a", "b"]); // its body is not over
    sent[0]?.close();
    await turn();
    expect(paths()).toEqual(["a", "b", "c"]);
  });

  it("a request that fails gives its place to the next", async () => {
    const { sent, request, paths, turn } = setup(1);
    const failed = request("a");
    const next = request("b");
    await turn();
    sent[0]?.fail();
    await expect(failed).rejects.toMatchObject({ code: "unreachable" });
    await turn();
    expect(paths()).toEqual(["a", "b"]);
    sent[1]?.respond();
    await next;
  });

  it.each([0, 1, 2])("an abort while waiting (after %i turns) takes no place", async (turns) => {
    const { sent, request, paths, turn } = setup(1);
    const first = request("a");
    const leaving = new AbortController();
    const left = request("b", leaving.signal);
    const last = request("c");
    await turn();
    sent[0]?.respond();
    await first;
    sent[0]?.close();
    for (let i = 0; i < turns; i += 1) await Promise.resolve();
    leaving.abort(new HttpFault("left"));
    const outcome = left.catch((error: HttpFault) => error.code);
    await turn();
    // Either its turn had come, and it was sent, or it has gone.
    if (paths().includes("b")) sent[1]?.fail();
    else expect(await outcome).toBe("left");
    await outcome;
    await turn();
    expect(paths().at(-1)).toBe("c");
    sent.at(-1)?.respond();
    await last;
  });
});
