import { expect, it } from "vitest";
import { listingOf, tool } from "../../../test/fakes/listing.ts";
import { createCatalog } from "../catalog/snapshot.ts";
import { createFindSchema } from "./tool-schemas.ts";

it("the schema of a listed tool is found again, anew with each list; of another one nothing is", async () => {
  const first = { type: "object", properties: { a: { description: "one\n\\ two" } } };
  const offered = { tools: [{ ...tool("t"), inputSchema: first }], prompts: [], resources: [], templates: [] };
  const catalog = createCatalog({
    servers: new Map([["s", async () => listingOf("s", offered)]]),
    monotonic: () => 0,
    onListed: () => {},
  });
  await catalog.start();
  catalog.close();
  const find = createFindSchema(() => catalog.current());
  expect(JSON.stringify(find("s", "t"))).toBe(JSON.stringify(first));
  expect(find("s", "t")).toBe(find("s", "t"));
  expect([find("s", "other"), find("other", "t")]).toEqual([undefined, undefined]);
});
