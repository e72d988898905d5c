#!/usr/bin/env node
// The command line: finds the command and hands over. One file per command.
import { runMain } from "./command.ts";
import { COMMANDS } from "./commands.ts";

// However the program is started: Node's own listener opens an inspector on 127.0.0.1:9229, where every user of the machine
// can read keys and tokens.
process.on("SIGUSR1", () => {});
process.exitCode = await runMain(COMMANDS, process.argv.slice(2));
