#!/usr/bin/env node
// The command `mcp-authz`: runs the sources in a clone, and in the npm package, which has none, what the compiler made of them.
import { existsSync } from "node:fs";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major > 24 || (major === 24 && minor >= 6)) {
  const source = new URL("../src/cli/mcp-authz.ts", import.meta.url);
  const compiled = new URL("../dist/cli/mcp-authz.js", import.meta.url);
  await import((existsSync(source) ? source : compiled).href);
} else {
  process.stderr.write(`mcp-authz needs Node.js 24.6 or newer. This is ${process.version}: ${process.execPath}\n`);
  process.exitCode = 1;
}
