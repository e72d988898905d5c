// All targets of the coverage-guided run, by the name of their folder in test/corpus.
import { codec } from "./codec.ts";
import { definitions } from "./definitions.ts";
import { hpack } from "./hpack.ts";
import { http2 } from "./http2.ts";
import { json } from "./json.ts";
import { keys } from "./keys.ts";
import { stream } from "./stream.ts";
import type { Target } from "./target.ts";
import { token } from "./token.ts";

export const TARGETS: Readonly<Record<string, Target>> = {
  json,
  codec,
  token,
  keys,
  stream,
  definitions,
  http2,
  hpack,
};
