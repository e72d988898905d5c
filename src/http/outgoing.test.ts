// The guard of outgoing requests, on real connections to a server on loopback, with a resolver of the test's.
import { createServer, type Server } from "node:http";
import { isIPv4, type AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createHttpClient } from "./client.ts";
import { createFetch, fetchDocument } from "./fetch-document.ts";
import { isNeverHost, isPrivateHost, outgoingOf, type ChosenBy, type Outgoing } from "./outgoing.ts";

let server: Server;
let port: number;
let hits = 0;
beforeAll(async () => {
  server = createServer((request, response) => {
    hits += 1;
    if (request.url === "/away") response.writeHead(302, { location: `http://127.0.0.1:${port}/secret` });
    response.end("{}");
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  port = (server.address() as AddressInfo).port;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

/** Answers the first question with the first list, the second with the second …; counts. */
function dns(...answers: string[][]): Outgoing & { asked: () => number } {
  let asked = 0;
  return {
    ...outgoingOf([]),
    asked: () => asked,
    resolve: (_, __, callback) => {
      const addresses = answers[Math.min(asked++, answers.length - 1)] ?? [];
      callback(
        null,
        addresses.map((address) => ({ address, family: isIPv4(address) ? 4 : 6 })),
      );
    },
  };
}

async function ask(host: string, chosenBy: ChosenBy, outgoing?: Outgoing): Promise<string> {
  const client = createHttpClient({ origin: `http://${host}:${port}`, ca: null, chosenBy, outgoing });
  try {
    const request = { method: "GET", path: "/", headers: {}, body: null, signal: AbortSignal.timeout(5000) };
    return String((await client.fetch(request, 100)).status);
  } catch (error) {
    return (error as Error).message;
  } finally {
    client.close();
  }
}

const NEVER = "LINK_LOCAL_ADDRESS";
const INSIDE = "PRIVATE_ADDRESS";

describe("CF-36: one guard for every outgoing request", () => {
  it.each<[string, ChosenBy, string]>([
    ["127.0.0.1", "configured", "200"],
    ["0x7f.1", "configured", "200"],
    ["127.0.0.1", "document", INSIDE],
    ["2130706433", "document", INSIDE],
    ["0x7f.1", "document", INSIDE],
    ["0177.0.0.1", "document", INSIDE],
    ["[::1]", "document", INSIDE],
    ["[::ffff:127.0.0.1]", "document", INSIDE],
    ["169.254.169.254", "configured", NEVER],
    ["0xa9.0xfe.0xa9fe", "configured", NEVER],
    ["2852039166", "configured", NEVER],
    ["[::ffff:169.254.169.254]", "configured", NEVER],
    ["[64:ff9b::a9fe:a9fe]", "configured", NEVER],
    ["[fd00:ec2::254]", "configured", NEVER],
    ["[fe80::1]", "configured", NEVER],
    ["100.100.100.200", "configured", NEVER],
  ])("an address: %s, %s: %s", async (host, chosenBy, expected) => {
    const before = hits;
    expect(await ask(host, chosenBy)).toBe(expected);
    expect(hits - before).toBe(expected === "200" ? 1 : 0);
  });

  it.each<[string, string[], ChosenBy, string]>([
    ["inside", ["127.0.0.1"], "configured", "200"],
    ["inside", ["127.0.0.1"], "document", INSIDE],
    ["mapped", ["::ffff:127.0.0.1"], "document", INSIDE],
    ["cloud metadata", ["169.254.169.254"], "configured", NEVER],
    ["cloud metadata by NAT64", ["64:ff9b::a9fe:a9fe"], "configured", NEVER],
    ["link-local with a zone", ["fe80::1%lo"], "configured", NEVER],
    ["metadata beside a good one: only that is used", ["169.254.169.254", "127.0.0.1"], "configured", "200"],
    ["inside twice", ["10.0.0.1", "fd00::1"], "document", INSIDE],
    ["nothing", [], "configured", "ENOTFOUND"],
  ])("a name that leads to %s (%j, %s): %s", async (_, addresses, chosenBy, expected) => {
    const before = hits;
    expect(await ask("idp.example.com", chosenBy, dns(addresses))).toBe(expected);
    expect(hits - before).toBe(expected === "200" ? 1 : 0);
  });

  it.each(["localhost", "LOCALHOST"])("the system's resolver: %s is inside", async (name) => {
    expect(await ask(name, "configured")).toBe("200");
    expect(await ask(name, "document")).toBe(INSIDE);
  });

  it("rebinding: a name is resolved once for a connection, and judged again for the next", async () => {
    const names = dns(["127.0.0.1"], ["169.254.169.254"], ["127.0.0.1"]);
    expect(await ask("idp.example.com", "configured", names)).toBe("200");
    expect(names.asked()).toBe(1);
    expect(await ask("idp.example.com", "configured", names)).toBe(NEVER);
    expect(await ask("idp.example.com", "configured", names)).toBe("200");
    expect(names.asked()).toBe(3);
  });

  it.each([["idp.example.com"], ["idp.example.com."], ["127.0.0.0/8"], ["127.0.0.1"]])(
    "what a document names may be inside where outgoing.allow says so: %s",
    async (entry) => {
      const names = { ...dns(["127.0.0.1"]), ...outgoingOf([entry]) };
      expect(await ask("idp.example.com", "document", names)).toBe("200");
      expect(await ask("other.example.com", "document", names)).toBe(entry.startsWith("1") ? "200" : INSIDE);
      const metadata = { ...dns(["169.254.169.254"]), ...outgoingOf([entry, "169.254.0.0/16"]) };
      expect(await ask("idp.example.com", "document", metadata)).toBe(NEVER);
    },
  );

  it("A35: a redirect is followed nowhere", async () => {
    const before = hits;
    await expect(fetchDocument(createFetch(null), `http://127.0.0.1:${port}/away`)).rejects.toThrow("status 302");
    expect(hits - before).toBe(1);
  });

  it("hosts that are told without DNS", () => {
    const inside = ["localhost", "a.localhost", "localhost.", "127.0.0.1", "[::1]", "[fd00::1]", "169.254.169.254"];
    expect([...inside, "8.8.8.8", "[2606:4700::1]", "idp.example.com", "notlocalhost"].filter(isPrivateHost)).toEqual(
      inside,
    );
    const never = ["169.254.169.254", "[fe80::1]"];
    expect([...never, "10.0.0.1", "localhost", "metadata.google.internal", ""].filter(isNeverHost)).toEqual(never);
  });
});
