import { describe, expect, it } from "vitest";
import { Secret } from "../../secret/secret.ts";
import { createClientAuth } from "./client-auth.ts";
import { exchangeForm, type ExchangeRequest } from "./request.ts";

const REQUEST = {
  audience: "https://backend-mcp-server.example.com",
  scope: "mcp:tools mcp:read",
  subjectToken: "e30.e30.c2ln",
  actorToken: null,
};
const form = (changes: Partial<ExchangeRequest> = {}) => exchangeForm({ ...REQUEST, ...changes });

describe("exchangeForm", () => {
  it("P9.3-1: byte for byte", () => {
    expect(form()).toBe(
      "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange" +
        "&subject_token=e30.e30.c2ln" +
        "&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token" +
        "&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token" +
        "&audience=https%3A%2F%2Fbackend-mcp-server.example.com" +
        "&scope=mcp%3Atools+mcp%3Aread",
    );
  });
  it("without a scope there is no such parameter", () => expect(form({ scope: null })).not.toContain("scope"));
  it("P2.3-6: an actor's token comes behind everything else, with its type", () => {
    expect(form({ actorToken: "e30.e30.YWN0" })).toBe(
      `${form()}&actor_token=e30.e30.YWN0&actor_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token`,
    );
  });
  it("a value cannot bring a parameter along", () => {
    const sent = new URLSearchParams(
      form({ audience: "a&scope=admin", scope: "b&actor_token=x", subjectToken: "c=&d#\r\n+ %26" }),
    );
    expect([...sent.keys()]).toEqual([
      ...["grant_type", "subject_token", "subject_token_type", "requested_token_type", "audience", "scope"],
    ]);
    expect([sent.get("audience"), sent.get("scope"), sent.get("subject_token")]).toEqual([
      ...["a&scope=admin", "b&actor_token=x", "c=&d#\r\n+ %26"],
    ]);
  });
});

describe("client_secret_basic", () => {
  // RFC 6749 §2.3.1: both parts are form-encoded before they are joined, or a colon in an id would end it.
  it.each([
    ["gateway", "secret", "gateway:secret"],
    ["https://gw.example.com/mcp", "a b+c%:d", "https%3A%2F%2Fgw.example.com%2Fmcp:a+b%2Bc%25%3Ad"],
    ["ü", "ß&=", "%C3%BC:%C3%9F%26%3D"],
    ["s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw", "s6BhdRkqt3:7Fjfp0ZBr1KtDRbnfVdmIw"],
  ])("B4, H09: %s", (id, secret, plain) => {
    const proof = createClientAuth({ id, secret: new Secret(secret) }, "https://idp.example.com/token", Date.now)();
    expect(proof).toHaveProperty("authorization", `Basic ${Buffer.from(plain).toString("base64")}`);
  });
});
