// Sessions under both wire stacks: what differs, by the name of the difference; what has none is a fault of one of the two.
import { createRandom } from "../random.ts";
import { sessionBytes } from "./generate-session.ts";
import { NAMED_DIFFERENCES, type Difference } from "./named-differences.ts";
import type { Outcome } from "./outcome.ts";
import type { Http2Pair } from "./pair.ts";
import { readSession } from "./session.ts";

/** Turns of the event loop behind a session: few, and many where the first look shows a difference. */
const TURNS = [2, 12];
/** Sessions at once: most of one is waiting. */
const AT_ONCE = 16;

export interface Found {
  readonly difference: Difference;
  /** The session's bytes as hexadecimal digits. */
  readonly session: string;
}

export interface Report {
  sessions: number;
  /** Sessions whose connection was alive at the end. */
  alive: number;
  /** Calls that both answered with the same message. */
  answered: number;
  readonly named: Map<string, number>;
  readonly unnamed: Found[];
}

export const newReport = (): Report => ({ sessions: 0, alive: 0, answered: 0, named: new Map(), unnamed: [] });

export async function compareSessions(pair: Http2Pair, seed: number, count: number): Promise<Report> {
  const random = createRandom(seed);
  const report = newReport();
  const sessions = Array.from({ length: count }, () => sessionBytes(random)).values();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const bytes of sessions) await compareSession(pair, bytes, report);
    }),
  );
  return report;
}

export async function compareSession(pair: Http2Pair, bytes: Buffer, report: Report): Promise<void> {
  const { ours, differences } = await differencesOf(pair, bytes);
  report.sessions += 1;
  if (ours.fault === null) report.alive += 1;
  const differing = new Set(differences.map(({ stream }) => stream));
  for (const [id, text] of ours.streams)
    if (!differing.has(id) && text.startsWith(":status=200 grpc-status=0")) report.answered += 1;
  const session = readSession(bytes);
  for (const difference of differences) {
    const name = NAMED_DIFFERENCES.find((each) => each.applies(difference, session, ours))?.name;
    if (name === undefined) report.unnamed.push({ difference, session: bytes.toString("hex") });
    else report.named.set(name, (report.named.get(name) ?? 0) + 1);
  }
}

async function differencesOf(pair: Http2Pair, bytes: Buffer) {
  for (const turns of TURNS) {
    const [ours, reference] = await Promise.all([pair.ours(bytes, turns), pair.reference(bytes, turns)]);
    const differences = between(ours, reference);
    if (differences.length === 0 || turns === TURNS.at(-1)) return { ours, differences };
  }
  throw new Error("no turns");
}

function between(ours: Outcome, reference: Outcome): Difference[] {
  if (ours.fault !== reference.fault) {
    return [{ stream: 0, ours: String(ours.fault), reference: String(reference.fault) }];
  }
  // What was still answered on a connection that ends is a matter of time.
  if (ours.fault !== null) return [];
  const ids = new Set([...ours.streams.keys(), ...reference.streams.keys()]);
  return [...ids]
    .map((stream) => ({
      stream,
      ours: ours.streams.get(stream) ?? "none",
      reference: reference.streams.get(stream) ?? "none",
    }))
    .filter((each) => each.ours !== each.reference);
}
