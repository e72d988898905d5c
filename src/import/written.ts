// The files of an import as text. Pure.
import { stringify } from "yaml";
import type { Imported } from "./authpolicy.ts";
import type { Finding } from "./report.ts";

/** A finding as `F.yaml:12: key: message`. */
export function findingLine(file: string, { line, key, message }: Finding): string {
  return `${file}:${line}: ${key}: ${message}`;
}

/** Texts by name: the configuration and the policy's files. @param file the source's name */
export function importedFiles(file: string, { report, config, policy }: Imported): ReadonlyMap<string, string> {
  const comment = (text: string) => `# ${text.replaceAll(/[^\x20-\x7e]/g, "?")}\n`;
  const head = [
    `Made by \`mcp-authz import\` of ${file}. Then: mcp-authz check-config, and mcp-authz why for a call or two.`,
    ...(config.open.length > 0 ? ["", "To fill in:", ...config.open.map((one) => `- ${one}`)] : []),
    ...(report.faults.length > 0
      ? [
          "",
          "NOT MAPPED, and refused until it is: what is below is less than the source allows.",
          ...report.faults.map((finding) => `- ${findingLine(file, finding)}`),
        ]
      : []),
  ];
  return new Map([
    ["mcp-authz.yaml", `${head.map(comment).join("")}\n${stringify(config.tree, { lineWidth: 0 })}`],
    ...[...policy()].map(([name, text]) => [`policy/${name}`, text] as const),
  ]);
}
