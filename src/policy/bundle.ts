// An OPA bundle (openpolicyagent.org/docs/management-bundles) of ours: besides the compiled policy and its data, the rules that
// it was made of, for findings and for `why`. Pure.
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { z } from "zod";
import { parseJson } from "../json/parse.ts";
import { artifactOf, readsMember, unpack, type Artifact } from "./artifact.ts";
import type { SourceFile } from "./data.ts";
import { tar } from "./tar.ts";

/** The author's rules, without tests and data. */
export interface AuthoredRules {
  readonly files: readonly SourceFile[];
  readonly rego: "v0" | "v1";
  /** The rule of `policy.envoy`, as `envoy/authz/allow`; absent without one. */
  readonly entrypoint?: string | undefined;
  /** `rulesHash` of them, with the library and the built-ins of that time. */
  readonly hash: string;
}

export interface Bundle {
  readonly artifact: Artifact;
  /** Null where somebody else made the bundle. */
  readonly rules: AuthoredRules | null;
}

const RULES = "rules.json";
const rulesSchema = z.strictObject({
  rego: z.enum(["v0", "v1"]),
  entrypoint: z.string().optional(),
  hash: z.string(),
  files: z.array(z.strictObject({ path: z.string(), text: z.string() })),
});

/** More members may stand beside ours. @throws {Error} that says what is wrong with the file */
export function readPolicyBundle(bytes: Uint8Array): Bundle {
  const members = unpack(bytes);
  const text = members.get(RULES);
  const parsed = text === undefined ? undefined : rulesSchema.safeParse(parseJson(text.toString("utf8")));
  if (parsed?.success === false) throw new Error(`the bundle's ${RULES} is not what mcp-authz build-policy writes`);
  return { artifact: artifactOf(members), rules: parsed?.data ?? null };
}

const compress = promisify(gzip);

/** The same bytes for the same content. Packed beside the event loop. @param more members, by name */
export function packBundle({ artifact, rules }: Bundle, more: readonly (readonly [string, string])[] = []) {
  const texts = [
    ["data.json", artifact.data] as const,
    ...readsMember(artifact),
    ...(rules === null ? [] : [[RULES, JSON.stringify(rules)] as const]),
    ...more,
  ];
  const members = texts.map(([name, text]) => [name, Buffer.from(text)] as const);
  return compress(tar([["policy.wasm", artifact.wasm], ...members]), { level: 9 });
}
