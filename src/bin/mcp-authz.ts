#!/usr/bin/env node
// The command line: finds the command and hands over. One file per command.
import { runMain, type Command } from "./cli.ts";

const COMMANDS: Readonly<Record<string, () => Promise<{ command: Command }>>> = {
  serve: () => import("./serve.ts"),
  broker: () => import("./broker.ts"),
  "check-config": () => import("./check-config.ts"),
  "envoy-config": () => import("./envoy-config.ts"),
  "build-policy": () => import("./build-policy.ts"),
  input: () => import("./input.ts"),
  healthcheck: () => import("./healthcheck.ts"),
  why: () => import("./why.ts"),
};

process.exitCode = await runMain(COMMANDS, process.argv.slice(2));
