import { describe, expect, it } from "vitest";
import type { HttpFault } from "../../http/client.ts";
import { createEras, handshake, probe, type SendOwn, type UpstreamResponse } from "./era.ts";

const says = (status: number, message: object | null = null, session: string | null = null): UpstreamResponse => ({
  status,
  session,
  message: message as UpstreamResponse["message"],
});
const always =
  (answer: UpstreamResponse): SendOwn =>
  () =>
    Promise.resolve(answer);
const discovery = (result: unknown) => says(200, { jsonrpc: "2.0", id: 1, result });
const discovered = discovery({ supportedVersions: ["2025-11-25", "2026-07-28"] });
const failing = (code: string) => expect.objectContaining({ code }) as HttpFault;

describe("probe", () => {
  it.each<[string, UpstreamResponse, string]>([
    ["a result", discovered, "modern"],
    ["400 with an error that only the stateless revision has", says(400, { error: { code: -32_021 } }), "modern"],
    ["400 with another error", says(400, { error: { code: -32_000 } }), "legacy"],
    ["400 without one", says(400), "legacy"],
    ["404", says(404), "legacy"],
    ["405", says(405), "legacy"],
    ["200 with an error", says(200, { error: { code: -32_601 } }), "legacy"],
    ["D11: a result of nothing", discovery({}), "legacy"],
    ["D11: a result of other things", discovery({ tools: [], supportedVersions: null }), "legacy"],
    ["D11: a result without this revision", discovery({ supportedVersions: ["2025-11-25"] }), "legacy"],
    ["D11: a text that holds the revision", discovery({ supportedVersions: "2026-07-28" }), "legacy"],
    ["D11: a result that is no object", discovery("2026-07-28"), "legacy"],
    ["200 with nothing", says(200), "legacy"],
  ])("%s", async (_, answer, era) => expect(await probe(always(answer))).toBe(era));
  it.each([401, 403, 429, 500, 502, 503, 301, 202])("%i is no evidence", async (status) => {
    await expect(probe(always(says(status)))).rejects.toThrow(failing(`status_${status}`));
  });
});

describe("handshake", () => {
  const noEnd = () => Promise.resolve();
  const welcome = (protocolVersion: unknown) => ({ result: { protocolVersion } });
  const scripted =
    (...answers: UpstreamResponse[]): SendOwn =>
    () =>
      Promise.resolve(answers.shift() ?? says(500));
  it("gives the revision and the session that the server chose", async () => {
    const dialect = await handshake(scripted(says(200, welcome("2025-03-26"), "abc"), says(202)), noEnd);
    expect(dialect).toEqual({ era: "legacy", version: "2025-03-26", session: "abc" });
  });
  it.each<[string, readonly UpstreamResponse[], string]>([
    ["a refusal", [says(401)], "initialize_401"],
    ["an error", [says(200, { error: { code: 1 } })], "initialize_200"],
    ["no revision", [says(200, welcome(null))], "initialize_version"],
    ["today's revision", [says(200, welcome("2026-07-28"))], "initialize_version"],
    ["text for a revision", [says(200, welcome("2025-11-25\r\nx: y"))], "initialize_version"],
    ["C08: a session that is no header", [says(200, welcome("2025-11-25"), "a b")], "initialize_session"],
    ["an endless session", [says(200, welcome("2025-11-25"), "a".repeat(2000))], "initialize_session"],
    ["a refused notification", [says(200, welcome("2025-11-25")), says(400)], "initialized_400"],
  ])("%s is a failure", async (_, answers, code) => {
    await expect(handshake(scripted(...answers), noEnd)).rejects.toThrow(failing(code));
  });
});

describe("createEras", () => {
  const setup = () => {
    let clock = 0;
    return { eras: createEras(() => clock), pass: (ms: number) => (clock += ms) };
  };
  it("asks once for all who ask at the same time", async () => {
    const { eras } = setup();
    let asked = 0;
    const send: SendOwn = () => {
      asked += 1;
      return Promise.resolve(discovered);
    };
    const all = await Promise.all(Array.from({ length: 50 }, () => eras.of("s", send)));
    expect([new Set(all), asked]).toEqual([new Set(["modern"]), 1]);
    expect([eras.known("s"), eras.known("t")]).toEqual(["modern", null]);
  });
  it("one caller's failure is not another's", async () => {
    const { eras } = setup();
    const bad = eras.of("s", always(says(401)));
    const good = eras.of("s", always(discovered));
    await expect(bad).rejects.toThrow(failing("status_401"));
    expect(await good).toBe("modern");
  });
  it("a failure is not remembered", async () => {
    const { eras } = setup();
    await expect(eras.of("s", always(says(503)))).rejects.toThrow(failing("status_503"));
    expect(eras.known("s")).toBeNull();
  });
  it("legacy is asked again after ten minutes, modern only when it is forgotten", async () => {
    const { eras, pass } = setup();
    await eras.of("old", always(says(404)));
    await eras.of("new", always(discovered));
    pass(599_999);
    expect([eras.known("old"), eras.known("new")]).toEqual(["legacy", "modern"]);
    pass(1);
    expect([eras.known("old"), eras.known("new")]).toEqual([null, "modern"]);
    eras.forget("new");
    expect(eras.known("new")).toBeNull();
  });
});
