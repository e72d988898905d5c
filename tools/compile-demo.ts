// Compiles policies/demo into its .compiled folder, so that the demo starts without opa. Run it after a change there.
import { resolve } from "node:path";
import { writeCompiled } from "../src/policy/build.ts";
import { requireTool } from "../src/files/program.ts";

const dir = resolve(import.meta.dirname, "../policies/demo");
const { revision } = await writeCompiled({ dir, rego: "v1", opaPath: requireTool("opa") });
console.log(`policies/demo/.compiled: revision ${revision}`);
