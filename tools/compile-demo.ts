// Compiles policies/demo into its .compiled folder, so that the demo starts without opa. Run it after a change there.
import { resolve } from "node:path";
import { buildCompiled } from "../src/policy/build.ts";
import { findOpa } from "../src/policy/opa.ts";

const dir = resolve(import.meta.dirname, "../policies/demo");
const { revision } = await buildCompiled({ dir, rego: "v1", findOpa });
console.log(`policies/demo/.compiled: revision ${revision}`);
