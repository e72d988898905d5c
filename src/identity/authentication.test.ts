import { describe, expect, it } from "vitest";
import { authenticationOf } from "./authentication.ts";
import type { MachineRule } from "./claims.ts";

const of = (claims: Parameters<typeof authenticationOf>[0], machine: MachineRule | null = null) =>
  authenticationOf(claims, machine);

describe("CL-04: a person or a program", () => {
  it.each<[string, Parameters<typeof authenticationOf>[0]]>([
    ["RFC 9068: the client is the subject", { sub: "job", client_id: "job" }],
    ["by azp", { sub: "job", azp: "job" }],
    ["Okta's cid", { sub: "0oa1", cid: "0oa1" }],
    ["Entra ID v1", { sub: "s", idtyp: "app", appid: "a" }],
    ["Auth0", { sub: "abc@clients", azp: "abc", gty: "client-credentials" }],
    ["Auth0 without gty", { sub: "abc@clients", azp: "abc" }],
    ["Keycloak", { sub: "8d1f", azp: "job", client_id: "job", preferred_username: "service-account-job" }],
  ])("%s: machine", (_, claims) => expect(of(claims).kind).toBe("machine"));

  it.each<[string, Parameters<typeof authenticationOf>[0]]>([
    ["a person with a client", { sub: "alice", azp: "cli", client_id: "cli" }],
    ["nothing but a subject", { sub: "alice" }],
    ["no client, and no subject", {}],
    ["an empty client", { sub: "", azp: "" }],
    ["a chosen name", { sub: "mallory", azp: "cli", preferred_username: "service-account-cli" }],
    ["a list", { sub: "alice", azp: ["alice"] }],
    ["idtyp user", { sub: "alice", idtyp: "user" }],
  ])("%s: user", (_, claims) => expect(of(claims).kind).toBe("user"));

  it("a configured claim takes the place of those signs", () => {
    const machine = { claim: "/ext/type", values: ["bot", "job"] };
    expect(of({ sub: "a", ext: { type: "job" } }, machine).kind).toBe("machine");
    expect(of({ sub: "a", ext: { type: ["person", "bot"] } }, machine).kind).toBe("machine");
    for (const ext of [{ type: "Job" }, { type: ["x"] }, { type: null }, {}, null])
      expect(of({ sub: "a", azp: "a", ext }, machine).kind).toBe("user");
  });
});

describe("amr, acr and auth_time", () => {
  it("are what the token says", () => {
    expect(of({ amr: ["pwd", "otp"], acr: "urn:mfa", auth_time: 1_700_000_000 })).toMatchObject({
      ...{ amr: ["pwd", "otp"], acr: "urn:mfa", authTime: 1_700_000_000 },
    });
    expect(of({ amr: "mfa" }).amr).toEqual(["mfa"]);
  });

  it.each([null, 1, true, "", "2026-01-01T00:00:00Z", [1], [""], { a: "b" }, ["mfa", null], 1.5, -1, 2 ** 60])(
    "what is malformed is absent: %j",
    (value) => {
      const { amr, acr, authTime } = of({ amr: value, acr: value, auth_time: value });
      if (typeof value !== "string" || value === "") expect([amr, acr]).toEqual([[], null]);
      if (value !== 1 && value !== 1.5) expect(authTime).toBeNull();
    },
  );

  it("a list that is too long is absent", () => {
    expect(of({ amr: Array.from({ length: 65 }, () => "mfa") }).amr).toEqual([]);
  });
});
