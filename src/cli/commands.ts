// The table of commands. Pure: each is loaded when it is asked for, so that `serve` loads nothing of the broker.
import type { Command } from "./command.ts";

/** Every command, loaded when it is asked for. */
export const COMMANDS: Readonly<Record<string, () => Promise<{ command: Command }>>> = {
  serve: () => import("./serve.ts"),
  broker: () => import("./broker.ts"),
  "check-config": () => import("./check-config.ts"),
  "envoy-config": () => import("./envoy-config.ts"),
  "lint-envoy": () => import("./lint-envoy.ts"),
  "build-policy": () => import("./build-policy.ts"),
  "test-policy": () => import("./test-policy.ts"),
  import: () => import("./import.ts"),
  "policy-schema": () => import("./policy-schema.ts"),
  "policy-capabilities": () => import("./policy-capabilities.ts"),
  input: () => import("./input.ts"),
  why: () => import("./why.ts"),
  status: () => import("./status.ts"),
  healthcheck: () => import("./healthcheck.ts"),
};
