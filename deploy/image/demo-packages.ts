// Adds the lab's packages to the production ones, from the same lockfile: it stays the one place that names versions.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const LAB = [
  "@modelcontextprotocol/node",
  "@modelcontextprotocol/server",
  "@modelcontextprotocol/server-budget-allocator",
  "@modelcontextprotocol/server-everything",
  "oidc-provider",
];
const { devDependencies } = JSON.parse(readFileSync("package.json", "utf8")) as {
  devDependencies: Readonly<Record<string, string>>;
};
const packages = LAB.map((name) => `${name}@${devDependencies[name] ?? "missing"}`);
const flags = ["--no-save", "--save-prod", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"];
execFileSync("npm", ["install", ...flags, ...packages], { stdio: "inherit" });
