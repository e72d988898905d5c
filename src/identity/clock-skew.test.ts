import { afterEach, describe, expect, it } from "vitest";
import { createIdentity, type IdentityService } from "./identity.ts";
import { clockFault } from "./clock-skew.ts";
import { makeKey } from "../../test/fakes/issuer.ts";

const ISSUER = "https://idp.example.com";
const NOW = Date.parse("2026-11-25T10:00:00Z");
const keys = JSON.stringify({ keys: [makeKey("k1").jwk] });
const open: IdentityService[] = [];
afterEach(() => {
  for (const service of open.splice(0)) service.close();
});

/** Fetches the keys from an issuer that answers with these headers, and reports as serve does. */
async function reported(headers: Readonly<Record<string, string>>) {
  const reports: unknown[] = [];
  const issuer = { issuer: ISSUER, audiences: ["a"], algorithms: ["ES256"], tokenType: "at+jwt" as const };
  const service = createIdentity({
    issuers: [
      { ...issuer, jwksUri: `${ISSUER}/jwks`, allowedHosts: [], claims: { username: "u", groups: "g", scopes: "s" } },
    ],
    now: () => NOW,
    fetch: async () => ({ status: 200, headers, body: Buffer.from(keys) }),
    onFetch: () => reports.push(clockFault(service.status(), ISSUER, NOW)),
  });
  open.push(service);
  await service.start();
  expect(service.ready()).toBe(true);
  return reports;
}

describe("the clock of an issuer", () => {
  it("an hour ahead is told with both times", async () => {
    expect(await reported({ date: "Wed, 25 Nov 2026 11:00:00 GMT" })).toMatchObject([
      { own_time: "2026-11-25T10:00:00.000Z", issuer_time: "2026-11-25T11:00:00.000Z" },
    ]);
  });

  it("an answer out of a cache is as old as it says", async () => {
    expect(await reported({ date: "Wed, 25 Nov 2026 09:00:00 GMT", age: "3600" })).toEqual([null]);
  });

  it.each<[string, Record<string, string>]>([
    ["no Date", {}],
    ["no date in it", { date: "yesterday" }],
    ["an Age beyond all time", { date: "Wed, 25 Nov 2026 10:00:00 GMT", age: "99999999999999999" }],
    ["an Age in another form", { date: "Wed, 25 Nov 2026 10:00:00 GMT", age: "1e300" }],
    ["a negative Age", { date: "Wed, 25 Nov 2026 10:00:00 GMT", age: "-86400" }],
    ["a Date beyond all time", { date: "+275760-09-13T00:00:00Z" }],
  ])("%s says nothing, and costs nothing", async (_, headers) => {
    expect(await reported(headers)).toEqual([null]);
  });
});
