#!/usr/bin/env node
// Breaks one operator or one check of a contract at a time and sees whether its tests notice.
//
//   node test/mutate.mjs [mutants per contract = 5] [seed = 1] [contract ...]
//
// Works on a copy beside the repository's tools (`MUTANTS`, default /tmp/baton-mutants); the sources here stay as they are.
// Prints one line a mutant, then the survivors. The choice depends on the seed only.
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const copy = process.env.MUTANTS ?? "/tmp/baton-mutants";
const [count = "5", seed = "1", ...chosen] = process.argv.slice(2);

// Which tests answer for a contract.
const tests = {
  Staking: "{unit/Staking*,integration/*}",
  SequencerPool: "{unit/SequencerPool,unit/Corners,unit/Slasher,integration/*}",
  BatchInbox: "{unit/BatchInbox,unit/Corners,unit/Recovery,integration/*}",
  Portal: "{unit/Portal,integration/*}",
  RevenueShare: "{unit/RevenueShare,unit/Emissions,unit/Corners,unit/BatchInbox,integration/*}",
  Slasher: "unit/Slasher",
  Recovery: "unit/Recovery",
  Parameters: "{unit/Parameters,integration/*}",
};

const operators = [
  [/ < /g, " <= "], [/ <= /g, " < "], [/ > /g, " >= "], [/ >= /g, " > "], [/ == /g, " != "], [/ != /g, " == "],
  [/ \+ /g, " - "], [/ - /g, " + "], [/ \* /g, " / "], [/ && /g, " || "], [/ \|\| /g, " && "], [/\btrue\b/g, "false"],
  [/ \+= /g, " -= "], [/ -= /g, " += "], [/^( *)if \(.*\) revert .*;$/g, "$1"],
];

function mutants(source) {
  const lines = source.split("\n");
  const from = lines.findIndex((line) => /^contract /.test(line));
  const found = [];
  lines.forEach((line, number) => {
    if (number <= from || /^\s*(\/\/|emit |error |event |import )/.test(line) || line.includes("constant")) return;
    for (const [pattern, replacement] of operators) {
      for (const match of line.matchAll(pattern)) {
        const changed = line.slice(0, match.index) + match[0].replace(new RegExp(pattern.source), replacement) + line.slice(match.index + match[0].length);
        found.push({ number, line, changed });
      }
    }
  });
  return { lines, found };
}

// A small generator (mulberry32): the same seed gives the same mutants.
function random(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// The binary itself: the wrapper in node_modules/.bin exits with 0 when tests fail.
const binary = join(here, `../anvil/node_modules/@foundry-rs/forge-${process.platform}-${process.arch === "x64" ? "amd64" : process.arch}/bin/forge`);

function forge(contract) {
  const path = `test/${tests[contract]}.t.sol`;
  const env = { ...process.env, FOUNDRY_FUZZ_RUNS: "16", FORGE_SNAPSHOT_CHECK: "false" };
  const run = spawnSync("nice", ["-n", "19", binary, "test", "--match-path", path], { cwd: join(copy, "contracts"), env, encoding: "utf8" });
  return { passed: run.status === 0, compiled: !/Compiler run failed/.test(run.stdout + run.stderr) };
}

rmSync(copy, { recursive: true, force: true });
mkdirSync(join(copy, "tests"), { recursive: true });
cpSync(here, join(copy, "contracts"), { recursive: true, filter: (path) => !/\/(out|cache|lib)$/.test(path) });
cpSync(join(here, "../tests/vectors"), join(copy, "tests/vectors"), { recursive: true });
cpSync(join(here, "../anvil"), join(copy, "anvil"), { recursive: true, filter: (path) => !path.endsWith("node_modules") });
symlinkSync(resolve(here, "../anvil/node_modules"), join(copy, "anvil/node_modules"));
symlinkSync("../anvil/node_modules", join(copy, "contracts/lib"));

const next = random(Number(seed));
const survivors = [];
let killed = 0;
for (const contract of chosen.length > 0 ? chosen : Object.keys(tests)) {
  const file = join(copy, "contracts/src", `${contract}.sol`);
  const original = readFileSync(file, "utf8");
  const { lines, found } = mutants(original);
  for (let i = 0; i < Number(count) && found.length > 0; ++i) {
    const [mutant] = found.splice(Math.floor(next() * found.length), 1);
    writeFileSync(file, lines.map((line, number) => (number === mutant.number ? mutant.changed : line)).join("\n"));
    const { passed, compiled } = forge(contract);
    if (!compiled) {
      --i;
      continue;
    }
    const place = `${contract}.sol:${mutant.number + 1}: ${mutant.line.trim()} -> ${mutant.changed.trim() || "(nothing)"}`;
    console.log(`${passed ? "SURVIVED" : "killed  "} ${place}`);
    if (passed) survivors.push(place);
    else ++killed;
  }
  writeFileSync(file, original);
}
console.log(`${killed} killed, ${survivors.length} survived`);
for (const place of survivors) console.log(place);
