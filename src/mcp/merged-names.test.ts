import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mergedUri, ownUri } from "./merged-names.ts";
import { createResolver } from "./resolver.ts";
import { faultOfTemplate, faultOfUri } from "./uri.ts";

const SERVERS = ["s", "a", "a-b", "ui", "git", "https", "constructor", "file"];
const resolver = createResolver(Object.fromEntries(SERVERS.map((server) => [server, `${server}_`])));

const server = fc.constantFrom(...SERVERS);
/** Everything that a reader of URIs, or of ours, could stumble on. */
const piece = fc.constantFrom(
  ...["ui://", "UI://", "ui:", "ui+", "http://", "https://", "file:///", "docs://", "x-y+z.1:", "git+https://", "urn:"],
  ...[
    "s+",
    "a-b+",
    "a+",
    "s/",
    "/",
    "//",
    "+",
    ":",
    "?",
    "#",
    "@",
    ".",
    "..",
    "%2F",
    "%2B",
    "%41",
    "%3A",
    "%00",
    "%25",
  ],
  ...["a", "b", "A", "é", "K", "ｕi", "\u200b", " ", "\t", "{id}", "{+path}", "{?q}", "\\", "\u0000", "constructor"],
);
const anyText = fc.oneof(
  fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join("")),
  fc.tuple(server, fc.constantFrom("+", "/"), fc.array(piece, { maxLength: 6 })).map(([name, mark, rest]) => {
    return mark === "+" ? `${name}+${rest.join("")}` : `ui://${name}/${rest.join("")}`;
  }),
);
const ownText: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom(
      "docs://",
      "ui://",
      "git+https://h/",
      "https://h/",
      "file:///",
      "urn:",
      "x-y+z.1://h/",
      "s+docs://",
    ),
    fc.array(fc.constantFrom("a", "b/", "é", "%25", "?q=1", "#f", "+", "s+", "ui://", ":", "@x", "A"), {
      maxLength: 6,
    }),
  )
  .map(([head, rest]) => head + rest.join(""));

describe("a resource on the merged endpoint", () => {
  it.each([
    ["docs://a", "s+docs://a"],
    ["https://h/a?b=c#d", "s+https://h/a?b=c#d"],
    ["git+https://h/a", "s+git+https://h/a"],
    ["s+docs://a", "s+s+docs://a"],
    ["file:///srv/a", "s+file:///srv/a"],
    ["urn:isbn:0451450523", "s+urn:isbn:0451450523"],
    ["ui:a", "s+ui:a"],
    ["ui://chart/view.html", "ui://s/chart/view.html"],
    ["ui://chart", "ui://s/chart"],
    ["ui://s/chart", "ui://s/s/chart"],
    ["ui://User@chart:80/x?y#z", "ui://s/User@chart:80/x?y#z"],
    ["docs://{id}", "s+docs://{id}"],
    ["ui://page/{+path}{?q}", "ui://s/page/{+path}{?q}"],
  ])("%s of the server s is %s", (uri, merged) => {
    expect(resolver.namesOf("s").publicName("resource", uri)).toBe(merged);
    expect(resolver.resolve("resource", merged)).toEqual({ server: "s", name: uri });
  });

  it.each([
    ["no server's", "b+docs://a"],
    ["a server's in capitals", "S+docs://a"],
    ["a server's in part", "a-+docs://a"],
    ["a prototype's", "__proto__+docs://a"],
    ["without a server", "docs://a"],
    ["without a server, and a plus later", "docs://s+a"],
    ["an empty server", "+docs://a"],
    ["an empty rest", "s+"],
    ["no URI behind it", "s+a"],
    ["no scheme of a URI", "s+://a"],
    ["one letter, which is a drive", "s+c:/windows"],
    ["its own form of another scheme's host", "s+https://Host/a"],
    ["a scheme in capitals", "s+HTTP://h/a"],
    ["a file with a query", "s+file:///a?b"],
    ["a file with a host", "s+file://h/a"],
    ["slashes twice", "s+https://h//a"],
    ["an empty query", "s+docs://a?"],
    ["a page under its second name", "s+ui://chart"],
    ["the same, in capitals", "s+UI://chart"],
    ["a page of no server", "ui://b/chart"],
    ["a page of a server in capitals", "ui://S/chart"],
    ["a page whose server has a port", "ui://s:80/chart"],
    ["a page whose server has a user", "ui://x@s/chart"],
    ["a page whose server is escaped", "ui://%73/chart"],
    ["a page whose slash is escaped", "ui://s%2Fchart"],
    ["a page without a rest", "ui://s/"],
    ["a page without a slash", "ui://s"],
    ["a page with a query alone", "ui://s/?a=b"],
    ["a server behind a query", "ui://s?a=/b"],
    ["a server behind a fragment", "ui://s#/b"],
    ["a page of two servers", "ui://s/../a/chart"],
    ["a slash more", "ui://s//chart"],
    ["an empty server of a page", "ui:///s/chart"],
  ])("%s: %s is nobody's", (_, uri) => expect(resolver.resolve("resource", uri)).toBeNull());

  it("the scheme of pages is found in any case, and written in lower case", () => {
    expect(["UI://chart", "Ui://chart", "ui://chart"].map((uri) => mergedUri("s", uri))).toEqual(
      Array(3).fill("ui://s/chart"),
    );
    expect(mergedUri("s", "HTTP://h")).toBe("s+HTTP://h");
  });

  it("whatever a server calls a resource, its merged name is never one of another server's", () => {
    fc.assert(
      fc.property(server, anyText, (name, uri) => {
        const merged = mergedUri(name, uri);
        expect([ownUri(merged)?.server ?? name]).toEqual([name]);
        // Hosts trim a URI, remove tabs and resolve dots before they ask for it.
        const read = URL.parse(merged)?.href;
        if (read !== undefined) expect([resolver.resolve("resource", read)?.server ?? name, uri]).toEqual([name, uri]);
      }),
      { numRuns: 3000 },
    );
  });

  it("both ways are inverse: a server's own URI comes back, and a merged one is the name of what it reaches", () => {
    let named = 0;
    let reached = 0;
    fc.assert(
      fc.property(server, ownText, fc.oneof(anyText, fc.tuple(server, ownText)), (name, own, asked) => {
        const text = typeof asked === "string" ? asked : `${asked[0]}+${asked[1]}`;
        for (const uri of [own, text]) {
          const isOwn = uri.includes("{") ? faultOfTemplate(uri) === null : faultOfUri(uri) === null;
          const merged = isOwn ? resolver.namesOf(name).publicName("resource", uri) : null;
          if (merged === null) continue;
          named += 1;
          expect(resolver.resolve("resource", merged)).toEqual({ server: name, name: uri });
        }
        const target = resolver.resolve("resource", text);
        if (target === null) return;
        reached += 1;
        expect(mergedUri(target.server, target.name)).toBe(text);
        expect(SERVERS).toContain(target.server);
      }),
      { numRuns: 5000 },
    );
    expect([named > 1000, reached > 300]).toEqual([true, true]); // not vacuous
  });

  it("one merged name is of one server and one resource", () => {
    const seen = new Map<string, string>();
    fc.assert(
      fc.property(server, ownText, (name, uri) => {
        const pair = JSON.stringify([name, uri]);
        const merged = mergedUri(name, uri);
        expect(seen.get(merged) ?? pair).toBe(pair);
        seen.set(merged, pair);
      }),
      { numRuns: 5000 },
    );
  });

  it("every URI in normal form has a merged name in normal form, but for a page without a host, or without room", () => {
    fc.assert(
      fc.property(server, ownText, (name, uri) => {
        if (faultOfUri(uri) !== null || uri.startsWith("ui:///")) return;
        expect([uri, faultOfUri(mergedUri(name, uri))]).toEqual([uri, null]);
      }),
      { numRuns: 5000 },
    );
    const { publicName } = resolver.namesOf("s");
    const long = `docs://${"a".repeat(2041 - 2)}`;
    expect([long.length, publicName("resource", long)?.length]).toEqual([2046, 2048]);
    expect(publicName("resource", `${long}a`)).toBeNull();
    expect(publicName("resource", "ui:///chart")).toBeNull();
  });

  it("a template that is expanded is the name of the expanded one", () => {
    const expand = (template: string) =>
      template.replace("{id}", "7").replace("{+path}", "x/y").replace("{?q}", "?q=1");
    for (const template of ["docs://{id}", "docs://a/{+path}{?q}", "ui://{id}/view", "ui://a/{+path}", "{+path}:z"]) {
      const merged = resolver.namesOf("a-b").publicName("resource", template) ?? "";
      expect(expand(merged)).toBe(mergedUri("a-b", expand(template)));
    }
    expect(resolver.resolve("resource", mergedUri("s", "{scheme}://a").replace("{scheme}", "ui"))).toBeNull();
  });

  it("a server that is not configured has no names", () =>
    expect(resolver.namesOf("b").publicName("tool", "read")).toBeNull());
});
