// `npm run fuzz:http2 [-- --sessions N --seed S]`: both wire stacks under the same HTTP/2 sessions (docs/fuzzing.md). Exits with 1 for a
// difference without a name.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { compareSessions, newReport, type Report } from "./differential.ts";
import { openHttp2Pair } from "./pair.ts";

const SESSIONS_AT_ONCE = 5000;
const UNNAMED_SHOWN = 20;
process.env["GRPC_VERBOSITY"] ??= "NONE";

const { values } = parseArgs({
  options: { sessions: { type: "string", default: "20000" }, seed: { type: "string", default: String(Date.now()) } },
});

function add(total: Report, part: Report): void {
  total.sessions += part.sessions;
  total.alive += part.alive;
  total.answered += part.answered;
  for (const [name, count] of part.named) total.named.set(name, (total.named.get(name) ?? 0) + count);
  total.unnamed.push(...part.unnamed);
}

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-fuzz-http2-"));
const total = newReport();
const [sessions, seed] = [Number(values.sessions), Number(values.seed)];
for (let at = 0; at < sessions && total.unnamed.length < UNNAMED_SHOWN; at += SESSIONS_AT_ONCE) {
  const pair = await openHttp2Pair(folder);
  const part = await compareSessions(pair, seed + at, Math.min(SESSIONS_AT_ONCE, sessions - at));
  await pair.close();
  for (const { difference, session } of part.unnamed) console.log(JSON.stringify(difference), session);
  add(total, part);
  console.log(`${total.sessions} sessions, ${total.answered} calls answered alike, ${total.unnamed.length} unnamed`);
}
rmSync(folder, { recursive: true, force: true });
for (const [name, count] of [...total.named].toSorted(([, a], [, b]) => b - a)) console.log(`${count}  ${name}`);
process.exit(total.unnamed.length > 0 ? 1 : 0);
