// Every data plane with the configuration that we print for it, in front of one serve and one broker: the same questions to each.
// What each says is in results.json, which docs/mesh/README.md shows; MESH_RECORD=1 writes it anew.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { startLab, type Lab } from "../../demo/lab.ts";
import { freePorts, type Ports } from "../../demo/ports.ts";
import { hasGoProgram } from "../../tools/lib/go-programs.ts";
import type { RawReply } from "../e2e/raw-http.ts";
import { startIstio } from "./istio.ts";
import { HOST, startEnvoyGateway, type Document, type Plane, type Setting } from "./planes.ts";
import { openStream, QUESTIONS, type Asked, type Question } from "./questions.ts";

const RESULTS = join(import.meta.dirname, "results.json");
const RECORD = process.env["MESH_RECORD"] === "1";
const ORIGIN = "https://app.example.com";
const BODY_BYTES = 50_000;
const STREAM_MS = 9000;

type Results = Record<string, Record<string, string>>;
const expected = JSON.parse(readFileSync(RESULTS, "utf8")) as Results;
const measured: Results = {};

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-mesh-"));
let lab: Lab;
let ports: Ports;
let tokens: Asked["tokens"];

beforeAll(async () => {
  ports = await freePorts();
  const config = (tree: Record<string, unknown>) => {
    tree["hosts"] = ["localhost", HOST];
    tree["cors"] = { origins: [ORIGIN] };
    tree["limits"] = { bodyBytes: BODY_BYTES };
    tree["callRouting"] = "broker";
    for (const server of Object.values(tree["servers"] as Record<string, object>))
      Object.assign(server, { callRouting: "broker" });
  };
  lab = await startLab({ folder, ports, policyFolder: null, progress: () => {}, config });
  tokens = { alice: await lab.idp.mint("alice"), bob: await lab.idp.mint("bob") };
});
afterAll(async () => {
  await lab.stop();
  rmSync(folder, { recursive: true, force: true });
  if (RECORD) writeFileSync(RESULTS, `${JSON.stringify({ ...expected, ...measured }, null, 2)}\n`);
});

const PLANES: readonly (readonly [string, boolean, (setting: Setting) => Promise<Plane>])[] = [
  ["Envoy 1.40", true, () => Promise.resolve({ port: ports.gateway, stop: () => Promise.resolve() })],
  ["Envoy Gateway 1.9", hasGoProgram("envoy-gateway"), (setting) => startEnvoyGateway(setting)],
  ["Istio, Gateway API", hasGoProgram("istiod-files"), (setting) => startIstio(setting, "gateway-api")],
  ["Istio, own kinds", hasGoProgram("istiod-files"), (setting) => startIstio(setting, "classic")],
];

describe.each(PLANES)("%s", (name, isHere, start) => {
  let plane: Plane;
  let asked: Asked;
  let stream: Awaited<ReturnType<typeof openStream>>;

  beforeAll(async () => {
    if (!isHere) return;
    plane = await start({ folder, configFile: lab.configFile, ports });
    asked = { port: plane.port, tokens, bodyBytes: BODY_BYTES, origin: ORIGIN };
    const [first] = QUESTIONS;
    if (first !== undefined)
      await vi.waitFor(async () => expect((await first.ask(asked)).status).toBe(200), {
        timeout: 30_000,
        interval: 200,
      });
    stream = await openStream(asked);
  });
  afterAll(async () => {
    if (!isHere) return;
    stream.close();
    await plane.stop();
  });

  const record = (question: string, says: string) => {
    (measured[question] ??= {})[name] = says;
    if (!RECORD) expect(says).toBe(expected[question]?.[name]);
  };

  it.skipIf(!isHere).each(QUESTIONS.map((question) => [question.title, question] as const))(
    "%s",
    async (title, question) => {
      const [checks, arrivals] = [await checksOf(ports), callsOf(lab).length];
      const reply = await question.ask(asked);
      const reached = callsOf(lab).slice(arrivals);
      judge(question, reply, JSON.stringify(reached.map(({ headers }) => headers)));
      expect(reached).toHaveLength(question.kind === "allow" ? 1 : 0);
      const made = (await checksOf(ports)) - checks;
      record(title, `${saysOf(reply)}; ${made} Check${made === 1 ? "" : "s"}`);
    },
  );

  it.skipIf(!isHere)(
    "a stream of a session outlives the time limits of requests",
    async () => {
      expect([stream.status, stream.type]).toEqual([200, "text/event-stream"]);
      expect(await stream.outlives(STREAM_MS)).toBe(true);
      record("a stream stays open", "yes");
    },
    20_000,
  );

  it.skipIf(!isHere)("while serve is slow or gone, nothing passes", async () => {
    const [allowed] = QUESTIONS;
    if (allowed === undefined) return;
    const before = callsOf(lab).length;
    const { serve } = lab.children;
    serve.kill("SIGSTOP");
    await vi.waitFor(() => expect(readFileSync(`/proc/${serve.pid}/status`, "utf8")).toMatch(/^State:\s+T/m));
    const late = await allowed.ask(asked);
    serve.kill("SIGCONT");
    record("serve does not answer", saysOf(late));
    await serve.stop();
    record("serve is gone", saysOf(await allowed.ask(asked)));
    expect(callsOf(lab)).toHaveLength(before);
    await lab.restartServe();
    await vi.waitFor(async () => expect((await allowed.ask(asked)).status).toBe(200), {
      timeout: 20_000,
      interval: 200,
    });
  });
});

describe.skipIf(!hasGoProgram("envoy-gateway"))("Envoy Gateway, where somebody or something takes a part away", () => {
  const corsAtRoute = {
    apiVersion: "gateway.envoyproxy.io/v1alpha1",
    kind: "SecurityPolicy",
    metadata: { name: "cors", namespace: "mcp" },
    spec: {
      targetRefs: [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", name: "mcp" }],
      cors: { allowOrigins: ["https://app.example.com"] },
    },
  };
  const patchesOf = (documents: Document[]) =>
    documents.find(({ kind }) => kind === "EnvoyPatchPolicy")?.spec as {
      jsonPatches: { operation: { path: string } }[];
    };
  const lastFrame = QUESTIONS.find(({ title }) => title.startsWith("HTTP/2"));

  it.each<[string, (documents: Document[]) => void, string, Question | undefined]>([
    [
      "the check of the route, by a policy of its own",
      (documents) => documents.push(corsAtRoute),
      "wristband_invalid",
      QUESTIONS[0],
    ],
    ["bodies as bytes", (documents) => patchesOf(documents).jsonPatches.shift(), "body_malformed", QUESTIONS[0]],
    ["the limit of bodies", (documents) => patchesOf(documents).jsonPatches.pop(), "body_too_large", lastFrame],
  ])("%s: no call passes", async (_, edit, reason, question) => {
    const plane = await startEnvoyGateway({ folder, configFile: lab.configFile, ports }, edit);
    try {
      const asked = { port: plane.port, tokens, bodyBytes: BODY_BYTES, origin: ORIGIN };
      const before = callsOf(lab).length;
      const reply = await vi.waitFor(
        async () => {
          const text = (await question?.ask(asked))?.text ?? "";
          expect(text).toContain('"reason"');
          return text;
        },
        { timeout: 30_000, interval: 300 },
      );
      expect(reply).toContain(`"reason":"${reason}"`);
      expect(callsOf(lab)).toHaveLength(before);
    } finally {
      await plane.stop();
    }
  });
});

/** What reached the server for a client; the broker's own lists aside. */
function callsOf({ demo }: Lab) {
  return demo.arrivals.filter(({ body }) => body.includes("tools/call"));
}

function judge(question: Question, reply: RawReply, arrived: string): void {
  expect(question.statuses).toContain(reply.status);
  if (question.says !== undefined) expect(reply.text).toMatch(question.says);
  if (question.spoofs !== undefined) expect(arrived).not.toMatch(question.spoofs);
}

/** The status, and the reason where serve gave one. */
function saysOf({ status, text }: RawReply): string {
  const statuses = [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, code]) => code).join(", ");
  const reason = /"reason":"(\w+)"/.exec(text)?.[1];
  return [statuses === "" ? String(status || "reset") : statuses, ...(reason === undefined ? [] : [reason])].join(" ");
}

async function checksOf({ ops }: Ports): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${ops}/metrics`)).text();
  return [...text.matchAll(/^mcp_authz_checks_total\{[^}]*\} (\d+)/gm)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  );
}
