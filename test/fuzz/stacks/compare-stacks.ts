// Sends the same bytes to both wire stacks, over the wire, and says what differs, byte for byte. The ports answer by a hash of what they are
// asked, so that whatever was read differently shows in the response or in the audit record.
import { createHash } from "node:crypto";
import { join } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import type { AuditRecord } from "../../../src/authz/audit-record.ts";
import { createCheck } from "../../../src/authz/check.ts";
import { newCheckFacts } from "../../../src/authz/facts.ts";
import { pass, refuse } from "../../../src/authz/step.ts";
import { createCheckHandler } from "../../../src/envoy/check-handler.ts";
import { CHECK_PATH } from "../../../src/envoy/grpc/grpc-server.ts";
import { toCheckResponse } from "../../../src/envoy/to-check-response.ts";
import { loadWireStack, type WireStackName } from "../../../src/envoy/wire-stack.ts";
import { Secret } from "../../../src/secret/secret.ts";
import { allowingPorts, checkSettings, THERE } from "../../fakes/authz.ts";
import { someInFlight } from "../../fakes/handover.ts";

const ANSWERS = { publicOrigin: "https://gw.example.com", scopes: ["a"], denial: "jsonrpc" as const };
const NOW = 1_790_000_000_000;
const TIMEOUT_MS = 60_000;
const hashOf = (value: unknown) => createHash("sha256").update(JSON.stringify(value)).digest("hex");
const asIs = (bytes: Buffer) => bytes;

/** All that a stack makes of a Check. */
export interface Answer {
  /** gRPC status. */
  readonly grpc: number;
  /** The CheckResponse. */
  readonly response: Buffer | null;
  readonly records: readonly AuditRecord[];
}

export interface Lane {
  ask(bytes: Buffer): Promise<Answer>;
  close(): Promise<void>;
}

function portsByHash() {
  let asked = "";
  return allowingPorts({
    decide: (input) => {
      asked = hashOf(input);
      const revision = "r1";
      return asked < "2"
        ? pass({ allow: false, revision, note: asked, requiredScopes: null })
        : pass({ allow: true, revision, note: asked });
    },
    visible: (input) => (
      (asked = hashOf(input)),
      pass({ revision: "r1", names: { tools: { s: [asked] }, prompts: {}, resources: {} } })
    ),
    fetchCredential: () =>
      pass({ kind: "static", header: "authorization", value: new Secret(`Bearer ${asked}`), destination: THERE }),
    signWristband: (_identity, visible, use) => pass({ jws: `a.${hashOf([visible, use])}.c`, jti: "j1", leftOut: [] }),
  });
}

/** One server of a stack, which is asked one thing at a time. @param name of the socket in `folder` */
export async function openLane(stack: WireStackName, folder: string, name: string): Promise<Lane> {
  const { codec, createServer } = await loadWireStack(stack);
  const responses = { answers: ANSWERS, encode: codec.encode };
  let records: AuditRecord[] = [];
  const path = join(folder, `${name}-${stack}.sock`);
  const server = createServer({
    address: { kind: "unix", path },
    tls: null,
    handler: createCheckHandler({
      check: createCheck(checkSettings({ policyHeaders: ["accept", "x-a", "constructor", "0", "é"] }), portsByHash()),
      ...{ codec, answers: ANSWERS, now: () => NOW, newRequestId: () => "r", inFlight: someInFlight() },
      audit: (record) => (records.push(record), Promise.resolve(true)),
      observe: () => {},
    }),
    unknownClientResponse: () => toCheckResponse(responses, refuse("internal"), newCheckFacts("r", 0)).bytes,
    checkTimeoutMs: TIMEOUT_MS,
  });
  await server.listen();
  const client = new Client(`unix:${path}`, credentials.createInsecure());
  return {
    ask: (bytes) =>
      new Promise((done) => {
        records = [];
        const deadline = Date.now() + TIMEOUT_MS;
        client.makeUnaryRequest(CHECK_PATH, asIs, asIs, bytes, { deadline }, (error, answer) =>
          done({ grpc: error?.code ?? 0, response: answer ?? null, records }),
        );
      }),
    async close() {
      client.close();
      await server.drain(0);
    },
  };
}

export interface Pair {
  /** What differs, or null; besides how the Check ended. */
  compare(bytes: Buffer): Promise<{ readonly difference: string | null; readonly ended: string }>;
  close(): Promise<void>;
}

/** A lane of each stack. */
export async function openPair(folder: string, name: string): Promise<Pair> {
  const [fast, reference] = await Promise.all([openLane("http2", folder, name), openLane("grpc-js", folder, name)]);
  return {
    async compare(bytes) {
      const [one, other] = await Promise.all([fast.ask(bytes), reference.ask(bytes)]);
      const difference = shown(one) === shown(other) ? null : `${shown(one)}\n${shown(other)}`;
      const [record] = one.records;
      return { difference, ended: record === undefined ? "no record" : (record.reason ?? record.decision) };
    },
    async close() {
      await Promise.all([fast.close(), reference.close()]);
    },
  };
}

/** The response byte for byte: both codecs write the same fields in the same order. */
function shown({ grpc, response, records }: Answer): string {
  return JSON.stringify([grpc, response?.toString("latin1") ?? null, records]);
}
