// `mcp-authz envoy-config`: prints what Envoy is started with, or writes it as files that Envoy watches. I/O.
import { setTimeout as delay } from "node:timers/promises";
import { envoyConfigYaml } from "../envoy-config/envoy-config.ts";
import { loadConfig, type Config } from "../config/load.ts";
import {
  CONFIG_USAGE,
  configPath,
  EXIT,
  loadWithWarnings,
  textOption,
  UsageError,
  type Arguments,
  type Command,
} from "./command.ts";
import { manifestsOf, MESH_OPTIONS, MESH_USAGE, meshChoice } from "./mesh-options.ts";
import { writeXdsFolder } from "./xds-folder.ts";

const WATCH_MS = 1000;

export const command: Command = {
  summary: "Print the Envoy configuration for a configuration file",
  usage: [
    "--config FILE > envoy.yaml",
    "       mcp-authz envoy-config --config FILE --xds FOLDER [--watch]",
    "       mcp-authz envoy-config --config FILE --for MESH [--namespace NAME] [--selector LABEL=VALUE] > mesh.yaml",
    "",
    CONFIG_USAGE,
    "  --xds FOLDER        write files instead: envoy.json, and the clusters, listeners and routes that Envoy watches.",
    "                      Run it again when servers have changed: Envoy follows without a restart",
    "  --watch             with --xds: stay, and write them again whenever the configuration changes",
    ...MESH_USAGE,
    "",
    "Run it with: envoy -c envoy.yaml, or envoy -c FOLDER/envoy.json --reject-unknown-dynamic-fields. Warnings go to",
    "standard error. Exit code 2 when the configuration is at fault; nothing is written then.",
  ].join("\n"),
  options: {
    config: { type: "string", short: "c" },
    xds: { type: "string" },
    watch: { type: "boolean" },
    ...MESH_OPTIONS,
  },
  positionals: { min: 0, max: 0 },
  async run(args) {
    const folder = textOption(args, "xds");
    if (folder === undefined && args.values["watch"] === true) throw new UsageError("--watch needs --xds FOLDER");
    const mesh = meshChoice(args);
    if (mesh !== null && folder !== undefined)
      throw new UsageError("--for prints manifests, --xds writes files: choose one");
    const config = loadWithWarnings(configPath(args));
    if (mesh !== null) process.stdout.write(manifestsOf(configPath(args), config, mesh));
    else if (folder === undefined) process.stdout.write(envoyConfigYaml(config));
    else {
      await write(config, folder);
      if (args.values["watch"] === true) await follow(args, config, folder);
    }
    return EXIT.ok;
  },
};

async function write(config: Config, folder: string): Promise<void> {
  const written = await writeXdsFolder(config, folder);
  console.error(written.length === 0 ? `${folder}: nothing has changed` : `${folder}: wrote ${written.join(", ")}`);
}

/** Writes the files again at each change of the configuration, until SIGINT or SIGTERM. One at fault changes nothing. */
async function follow(args: Arguments, first: Config, folder: string): Promise<void> {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  let live = JSON.stringify(first);
  let fault = "";
  while (!stop.signal.aborted) {
    await delay(WATCH_MS, null, { signal: stop.signal }).catch(() => {});
    try {
      const { config } = loadConfig(configPath(args), process.env);
      const text = JSON.stringify(config);
      if (text !== live) await write(config, folder);
      live = text;
      fault = "";
    } catch (error) {
      const message = error instanceof Error ? error.message : "failed";
      if (message !== fault) console.error(`${message}\nThe files of ${folder} stay as they are.`);
      fault = message;
    }
  }
}
