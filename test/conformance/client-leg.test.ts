// The suite's client leg: the broker as the client of the suite's server, driven through the gateway by a client of the SDK.
// auth/* does not apply: the broker logs in nowhere.
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { complaints, failing, tallyOf } from "./compare.ts";
import { isMissing } from "./expectations.ts";
import { measureClient, REVISIONS, scoredScenarios } from "./suite.ts";

const COMMAND = `${process.execPath} --disable-warning=ExperimentalWarning ${join(import.meta.dirname, "client-leg.ts")}`;

describe.each(REVISIONS)("%s", (revision) => {
  const scored = scoredScenarios(revision, "client").filter((name) => !name.startsWith("auth/"));
  for (const scenario of [...scored, "json-schema-2020-12-preservation"]) {
    const title = `${revision} ${scenario}`;
    (isMissing("client", title) ? it.fails : it)(
      `the broker as the client: ${title}`,
      { timeout: 120_000 },
      async () => {
        const measured = await measureClient(COMMAND, scenario, revision);
        const bad = failing(measured);
        expect(bad, complaints(measured, bad)).toEqual([]);
        expect(tallyOf([...measured.values()].flat()).passed).toBeGreaterThan(0);
      },
    );
  }
});
