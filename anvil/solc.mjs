#!/usr/bin/env node
// The pinned WebAssembly compiler behind the command line of a native solc: `--version` and `--standard-json` on stdin.
// Path flags that forge and foundry-compilers add after `--standard-json` do not matter: all sources come in the JSON.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const args = process.argv.slice(2);
const solc = createRequire(import.meta.url)("solc");
if (args.includes("--version")) {
  const [version] = solc.version().split(".Emscripten");
  process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${version}.Linux.g++\n`);
} else if (args.includes("--standard-json")) {
  process.stdout.write(solc.compile(readFileSync(0, "utf8")) + "\n");
} else {
  process.stderr.write("solc.mjs understands --version and --standard-json only\n");
  process.exit(1);
}
