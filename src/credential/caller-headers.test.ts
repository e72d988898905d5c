// Headers and parameters over verified claims: whose value a server gets, and who gets nowhere.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ALICE } from "../../test/fakes/authz.ts";
import type { Identity, TokenIdentity } from "../authz/types.ts";
import type { JsonObject } from "../json/types.ts";
import { Secret } from "../secret/secret.ts";
import { withCallerHeaders } from "./caller-headers.ts";
import { fillTemplate, readTemplate, templateFault } from "./caller-text.ts";
import { noneSource } from "./none.ts";
import type { CredentialSource, RefusedCredential } from "./source.ts";
import { staticSource } from "./static.ts";

const signal = new AbortController().signal;
const person = (claims: object, changes: Partial<TokenIdentity> = {}): Identity => ({
  ...ALICE,
  ...changes,
  claims: claims as JsonObject,
});
const pat = staticSource({ header: "authorization", scheme: "Bearer", value: new Secret("pat") });

function partsFor(identity: Identity, templates: Record<string, string>, source: CredentialSource = pat) {
  const lookup = withCallerHeaders(source, templates, () => "acme").get(identity, signal);
  if (lookup instanceof Promise) throw new Error("static and none answer at once");
  return "found" in lookup ? (lookup.found.more ?? []).map((part) => [part.header, part.value.reveal()]) : lookup;
}

describe("headers of the caller", () => {
  it("stand beside the credential, with whatever kind of it", () => {
    const templates = { "x-tenant": "{claim:tenant}", "x-who": "{issuerAlias}:{subject:base32}" };
    const identity = person({ tenant: "acme+eu/1" }, { subject: "auth0|42" });
    const said = [
      ["x-tenant", "acme+eu/1"],
      ["x-who", "acme:mf2xi2bqpq2de"],
    ];
    expect([partsFor(identity, templates), partsFor(identity, templates, noneSource())]).toEqual([said, said]);
  });

  it.each([undefined, null, 7, true, {}, ["a"], "", "a b", "a,b", 'a"b', "a;b", "a\nb", "é", "x".repeat(257)])(
    "a claim that is %j gets nowhere",
    (tenant) => expect(partsFor(person({ tenant }), { "x-tenant": "{claim:tenant}" })).toHaveProperty("refused"),
  );

  it.each(["a|b", "a:b", "a=b", "a/b", "a&b", "{x}", ".a"])(
    "beside other text %j gets nowhere: it could be read as two",
    (tenant) => {
      expect(partsFor(person({ tenant }), { "x-tenant": "t={claim:tenant}|u={subject}" })).toHaveProperty("refused");
    },
  );

  it("a claim that holds a placeholder is no template", () => {
    expect(partsFor(person({ tenant: "{subject}" }), { "x-tenant": "{claim:tenant}" })).toEqual([
      ["x-tenant", "{subject}"],
    ]);
  });

  it("a refused credential is known to its cache without them", async () => {
    let known: RefusedCredential | undefined;
    const source: CredentialSource = {
      kind: "vault",
      get: (_, __, refused) => ((known = refused), { hasNone: "x" }),
    };
    const wrapped = withCallerHeaders(source, { "x-tenant": "{claim:tenant}" }, () => null);
    const main = { kind: "vault" as const, header: "authorization", value: new Secret("pat") };
    const credential = { ...main, more: [{ header: "x-tenant", value: new Secret("acme") }] };
    await wrapped.get(person({ tenant: "acme" }), signal, { credential, mayAsk: () => true });
    expect(known?.credential).toEqual(main);
  });
});

it("P4: two callers with other values never get one text, as long as one placeholder stands between other text", () => {
  const text = fc.string({ maxLength: 12 });
  const template = readTemplate("https://{claim:tenant}.example.com/{subject}");
  const fill = (tenant: string, subject: string) =>
    fillTemplate(template, { ...person({ tenant }, { subject }), issuerAlias: null });
  fc.assert(
    fc.property(text, text, text, text, (a, b, c, d) => {
      const [one, other] = [fill(a, b), fill(c, d)];
      if (one !== null && one === other) expect([a, b]).toEqual([c, d]);
    }),
  );
});

it.each([
  "{claim:}",
  "{claim:a b}",
  "{subject:hex}",
  "{user}",
  "{Subject}",
  "{claim:a}{claim:b}",
  "{claim:a}-{claim:b}",
  "{issuerAlias}.@_{subject}",
  "{claim:a}/{claim:b}x{claim:c}",
  "{claim:a:base32}a{subject}",
  "{claim:a}@{subject:base32}.{claim:b}",
])("%s is a slip", (text) => expect(templateFault(`x${text}`)).toEqual(expect.any(String)));
it.each([
  "plain",
  '{"a": 1}',
  "{}",
  "{claim:a}/{claim:b}",
  "{issuerAlias}: {subject}",
  "{claim:a}-|-{claim:b}",
  "{subject}@{claim:a:base32}",
  "{claim:a:base32}.{subject}-{claim:b:base32}",
  "a{subject}",
])("%s is none", (text) => expect(templateFault(text)).toBeNull());
