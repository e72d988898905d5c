#!/usr/bin/env node
// The command `mcp-authz`: runs the sources in a clone, and in the npm package, which has none, what the compiler made of them.
import { existsSync } from "node:fs";

const source = new URL("../src/cli/mcp-authz.ts", import.meta.url);
const compiled = new URL("../dist/cli/mcp-authz.js", import.meta.url);
await import((existsSync(source) ? source : compiled).href);
