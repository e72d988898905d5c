// The ports of `npm start`: fixed unless a variable names others, for machines where they are taken.
import { expect, it } from "vitest";
import { DEMO_PORTS, demoPorts, portVariable } from "../../demo/ports.ts";

it("are the fixed ones, which the pages print, without a variable", () => expect(demoPorts({})).toEqual(DEMO_PORTS));

it("GATEWAY_PORT and IDP_PORT are those that people type, as for compose", () =>
  expect(demoPorts({ GATEWAY_PORT: "18080", IDP_PORT: "19080" })).toEqual({
    ...DEMO_PORTS,
    gateway: 18_080,
    idp: 19_080,
  }));

it("PORTS_FROM moves all others, each to a port of its own", () => {
  const { gateway, idp, ...others } = demoPorts({ PORTS_FROM: "20000", GATEWAY_PORT: "20003" });
  expect([gateway, idp]).toEqual([20_003, DEMO_PORTS.idp]);
  const ports = Object.values(others);
  expect(Math.min(...ports)).toBe(20_000);
  expect(new Set([...ports, gateway, idp]).size).toBe(Object.keys(DEMO_PORTS).length);
});

it.each([
  [{ GATEWAY_PORT: "http" }, /^GATEWAY_PORT is a port, 1 to 65535, not "http"$/],
  [{ IDP_PORT: "0" }, /^IDP_PORT /],
  [{ IDP_PORT: "9080.5" }, /^IDP_PORT /],
  [{ PORTS_FROM: "65530" }, /^PORTS_FROM /],
  [{ GATEWAY_PORT: "9001" }, /^GATEWAY_PORT is 9001, which another part has \(authz\)/],
  [{ GATEWAY_PORT: "19080", IDP_PORT: "19080" }, /^GATEWAY_PORT is 19080, which another part has \(idp\)/],
])("%j is refused with the variable's name", (env, says) => expect(() => demoPorts(env)).toThrow(says));

it("a taken port is told with the variable that chooses another", () => {
  expect(Object.keys(DEMO_PORTS).map((name) => portVariable(name as keyof typeof DEMO_PORTS))).toEqual(
    Object.keys(DEMO_PORTS).map((name) => ({ gateway: "GATEWAY_PORT", idp: "IDP_PORT" })[name] ?? "PORTS_FROM"),
  );
});
