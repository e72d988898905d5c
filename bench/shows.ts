// Signs in an answer that the work of its row was done. Pure.
import { codecs, FULL_PROTO } from "../test/fakes/check-request.ts";
import { GRANTED } from "./world.ts";

const { response } = codecs(FULL_PROTO);
const WRISTBAND = "x-authorized-tools";

function headersOf(answer: Buffer): ReadonlyMap<string, string> {
  const { ok_response: ok } = response.decode(answer) as {
    ok_response?: { headers?: { header: { key: string; value: string; raw_value?: unknown } }[] };
  };
  return new Map(
    (ok?.headers ?? []).map(({ header }) => [header.key.toLowerCase(), header.value || raw(header.raw_value)]),
  );
}

function raw(value: unknown): string {
  const bytes = (value as { data?: number[] } | undefined)?.data;
  return Buffer.from(bytes ?? []).toString();
}

function wristbandTools(answer: Buffer): Readonly<Record<string, unknown>> | null {
  const [, payload] = (headersOf(answer).get(WRISTBAND) ?? "").split(".");
  if (payload === undefined) return null;
  const { tools } = JSON.parse(Buffer.from(payload, "base64url").toString()) as { tools?: Record<string, unknown> };
  return tools ?? null;
}

/** One server with one tool. */
export function showsOneTool(answer: Buffer): boolean {
  return count(wristbandTools(answer)) === 1;
}

/** The 20 that the caller may see. */
export function showsList(answer: Buffer): boolean {
  return count(wristbandTools(answer)) === GRANTED;
}

export function showsSecret(answer: Buffer): boolean {
  return (headersOf(answer).get("authorization") ?? "").startsWith("Bearer secret-of-user");
}

/** Names as a list, or as a bitset in base64url. */
function count(tools: Readonly<Record<string, unknown>> | null): number {
  return Object.values(tools ?? {}).reduce<number>(
    (sum, names) => sum + (Array.isArray(names) ? names.length : bits(String(names))),
    0,
  );
}

function bits(text: string): number {
  return [...Buffer.from(text, "base64url")].reduce(
    (sum, byte) => sum + byte.toString(2).replaceAll("0", "").length,
    0,
  );
}
