import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { base32 } from "../caller-text.ts";
import { canMeet, fillPath, isSegment, parsePath, uses, type PathTemplate, type PathValues } from "./path.ts";

const VALUES: PathValues = {
  username: "alice",
  subject: "alice-sub",
  issuerAlias: "acme",
  server: "github",
  host: "api.github.com",
  claims: { tenant: "acme", org: { unit: "x-1" }, n: 1, list: ["a"], odd: "a/b" },
};

function template(text: string): PathTemplate {
  const parsed = parsePath(text);
  if (typeof parsed === "string") throw new Error(parsed);
  return parsed;
}

describe("parsePath", () => {
  it.each<[string, string, RegExp]>([
    ["nothing", "", /must not begin/],
    ["a slash before", "/a", /must not begin/],
    ["a slash after", "a/", /must not begin/],
    ["an empty segment", "a//b", /must not begin/],
    ["a dot", "a/./b", /not a path segment/],
    ["two dots", "a/../b", /not a path segment/],
    ["an escape", "a/%2e%2e/b", /not a path segment/],
    ["a query", "a?version=1", /not a path segment/],
    ["a fragment", "a#b", /not a path segment/],
    ["a backslash", "a\\b", /not a path segment/],
    ["a glob", "a/*", /not a path segment/],
    ["a space", "a b", /not a path segment/],
    ["an unknown placeholder", "{user}/x", /\{user\} is not known; there are \{username\}, /],
    ["one of the prototype", "{constructor}", /is not known/],
    ["none", "{}", /is not known/],
    ["a placeholder beside text", "mcp-{username}", /whole segment/],
    ["two in one segment", "{username}{host}", /whole segment/],
    ["an open brace", "{username", /whole segment/],
  ])("G02: refuses %s", (_, text, fault) => expect(parsePath(text)).toMatch(fault));

  it("knows which placeholders it has", () => {
    expect(uses(template("a/{username}/{host}"), "username")).toBe(true);
    expect(uses(template("a/{host}"), "username", "subject")).toBe(false);
    expect(uses(template("username"), "username")).toBe(false);
  });
});

describe("fillPath", () => {
  it("P2.4-1, P9.1-3: user and host", () => {
    expect(fillPath(template("{username}/{host}"), VALUES)).toBe("alice/api.github.com");
    expect(fillPath(template("mcp/{issuerAlias}/{subject}/{server}"), VALUES)).toBe("mcp/acme/alice-sub/github");
  });

  it.each([
    ...["", ".", "..", "...", ".hidden", "@alice", "../../admin", "..%2f..%2fadmin", "%2e%2e", "%2e%2e%2f", "%2F"],
    ...["a/b", "/a", "a/", "a//b", "a\\b", "a\\..\\b", "x?version=1", "x#y", "a;b", "a+b", "+", "*", "al*", "a b"],
    ...[" alice", "alice ", "alice\n", "alice\0", "alice\t", "ａlice", "аlice", "alıce", "ALİCE", "alice\u200b"],
    ...["e\u0301", "a:b", "auth0|42", "sys/", "metadata/x", "&#x2F;", "{host}", "{{x}}", "a,b", "a=b", "~", '"', "<a>"],
    ...["a".repeat(129)],
  ])("G01, G02, G03: %j is no segment, so there is no path", (name) => {
    expect(fillPath(template("{username}/{host}"), { ...VALUES, username: name })).toBeNull();
    expect(fillPath(template("{subject}"), { ...VALUES, subject: name })).toBeNull();
  });

  it("a value that is not there makes no path, if it is needed", () => {
    expect(fillPath(template("{username}/x"), { ...VALUES, username: null })).toBeNull();
    expect(fillPath(template("{issuerAlias}/x"), { ...VALUES, issuerAlias: null })).toBeNull();
    expect(fillPath(template("{subject}/x"), { ...VALUES, username: null, issuerAlias: null })).toBe("alice-sub/x");
  });

  it("G03: names that differ in case are two paths", () => {
    const at = (username: string) => fillPath(template("{username}"), { ...VALUES, username });
    expect([at("Alice"), at("alice")]).toEqual(["Alice", "alice"]);
  });

  const names = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.stringMatching(/^[a-z./%@_-]{0,12}$/),
    fc.stringMatching(/^[A-Za-z0-9_-][A-Za-z0-9._@-]{0,12}$/),
    fc.constantFrom("a", "b", "a.b"),
  );
  const texts = fc.constantFrom("{username}/{host}", "a/{subject}/{username}", "{username}", "{issuerAlias}/{subject}");

  it("P13: the path has the template's segments with exactly the given bytes, or there is none", () => {
    fc.assert(
      fc.property(texts, names, names, (text, username, subject) => {
        const values = { ...VALUES, username, subject };
        const path = fillPath(template(text), values);
        const wanted = text.split("/").map((part) => {
          const value = values[part.slice(1, -1) as keyof PathValues];
          return typeof value === "string" ? value : part;
        });
        if (path === null) return wanted.some((part) => !isSegment(part));
        // What every client and server after us makes of it is the same again.
        const url = new URL(`https://vault.example.com/v1/secret/data/${path}`);
        expect(url.pathname).toBe(`/v1/secret/data/${path}`);
        expect(decodeURIComponent(url.pathname)).toBe(url.pathname);
        expect(path.split("/")).toEqual(wanted);
        return true;
      }),
      { numRuns: 2000 },
    );
  });

  it("claims, and names that no path could hold", () => {
    expect(fillPath(template("{claim:tenant}/{claim:/org/unit}/{subject}"), VALUES)).toBe("acme/x-1/alice-sub");
    expect(fillPath(template("{subject:base32}/{host}"), { ...VALUES, subject: "auth0|42" })).toBe(
      "mf2xi2bqpq2de/api.github.com",
    );
    expect(fillPath(template("{claim:odd:base32}/x"), VALUES)).toBe("meXWE/x".toLowerCase());
  });

  it.each(["none", "n", "list", "org", "odd", "toString", "/org", "/org/none", "/list/0", "/tenant/length"])(
    "a claim %s makes no path",
    (claim) => expect(fillPath(template(`{claim:${claim}}/x`), VALUES)).toBeNull(),
  );

  it.each([
    "{claim:}",
    "{claim:a b}",
    "{claim}",
    "{host:base32}",
    "{issuerAlias:base32}",
    "{subject:base64}",
    "{claim:a}x",
  ])("%s is no placeholder", (text) => expect(parsePath(text)).toEqual(expect.any(String)));

  it("base32 is that of RFC 4648, and two names never have one spelling", () => {
    const rfc = ["f", "fo", "foo", "foob", "fooba", "foobar"].map(base32);
    expect(rfc).toEqual(["my", "mzxq", "mzxw6", "mzxw6yq", "mzxw6ytb", "mzxw6ytboi"]);
    const at = (subject: string) => fillPath(template("{subject:base32}"), { ...VALUES, subject });
    const odd = fc.string({ unit: "binary", minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(odd, odd, (a, b) => {
        if (at(a) !== null && at(a) === at(b)) expect(a).toBe(b);
        expect(at(a) ?? "a").toMatch(/^[a-z2-7]{1,128}$/);
      }),
      { numRuns: 2000 },
    );
    expect(at("\ud800")).toBeNull();
    expect(at("x".repeat(81))).toBeNull();
  });

  it("P4: two entries that could be one path, for callers who are named differently", () => {
    const meet = (a: string, b: string) => canMeet(template(a), template(b));
    for (const [a, b] of [
      ["{username}/x", "{subject}/x"],
      ["{subject}/x", "{subject:base32}/x"],
      ["{claim:a}/x", "{claim:b}/x"],
      ["{username}/x", "shared/x"],
      ["a/{username}", "{username}/a"],
    ] as const)
      expect([a, b, meet(a, b), meet(b, a)]).toEqual([a, b, true, true]);
    for (const [a, b] of [
      ["{username}/x", "{username}/x"],
      ["{username}/x", "{subject}/y"],
      ["{username}/x", "{subject}/x/y"],
      ["u/{username}", "s/{subject}"],
    ] as const)
      expect([a, b, meet(a, b)]).toEqual([a, b, false]);
  });

  it("P4: two callers never share a path", () => {
    fc.assert(
      fc.property(texts, names, names, names, names, (text, a, b, c, d) => {
        const parsed = template(text);
        const one = fillPath(parsed, { ...VALUES, username: a, subject: b });
        const other = fillPath(parsed, { ...VALUES, username: c, subject: d });
        const same = (!uses(parsed, "username") || a === c) && (!uses(parsed, "subject") || b === d);
        if (one !== null && one === other) expect(same).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});
