#!/usr/bin/env node
// The local L1: Anvil under Osaka rules, one block a second, `finalized` two epochs of two slots behind. More flags are passed on,
// for example `node start.mjs --port 9545`.
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const flags = ["--hardfork", "osaka", "--block-time", "1", "--slots-in-an-epoch", "2", ...process.argv.slice(2)];
const anvil = spawn(join(here, "node_modules/.bin/anvil"), flags, { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => anvil.kill(signal));
anvil.on("error", (error) => {
  console.error(`anvil does not start: ${error.message}; run \`npm ci\` in ${here}`);
  process.exit(1);
});
anvil.on("exit", (code) => process.exit(code ?? 0));
