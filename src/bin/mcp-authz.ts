#!/usr/bin/env node
// The command line: finds the command and hands over. One file per command.
import { runMain } from "./cli.ts";
import { COMMANDS } from "./commands.ts";

process.exitCode = await runMain(COMMANDS, process.argv.slice(2));
