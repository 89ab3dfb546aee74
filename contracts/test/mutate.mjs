#!/usr/bin/env node
// Breaks one operator or one check of the sources at a time and sees whether a test notices.
//
//   node test/mutate.mjs [seed = 1] [--count N = 40] [--minutes M] [--log FILE] [file of src, without .sol ...]
//
// The mutants of all files together are put into one order that depends on the seed only, and tried from its beginning until N of them have
// been judged or M minutes are over: a shorter run is the beginning of a longer one, and each mutant is as likely as any other.
//
// Works on a copy (`MUTANTS`, default /tmp/baton-mutants); the sources here stay as they are. Forge compiles the copy once. For a mutant, the
// contracts that hold it are compiled in this process and put into forge's artifacts, from which the tests deploy (`vm.deployCode`); tests that
// embed the code themselves are compiled as well. First the file's own tests run, then all others but the figures of gas; what
// they let pass meets the invariants. Prints one line a mutant, then the survivors.
import { appendFileSync, cpSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { basename, dirname, join, normalize, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const copy = process.env.MUTANTS ?? "/tmp/baton-mutants";
const work = join(copy, "contracts");

const options = { count: Infinity, minutes: Infinity, log: undefined };
const words = [];
for (let i = 2; i < process.argv.length; ++i) {
  const word = process.argv[i];
  if (word === "--log") options.log = resolve(process.argv[++i]);
  else if (word.startsWith("--")) options[word.slice(2)] = Number(process.argv[++i]);
  else words.push(word);
}
const seed = Number(words.length > 0 && /^\d+$/.test(words[0]) ? words.shift() : 1);
if (options.count === Infinity && options.minutes === Infinity) options.count = 40;

// Which tests answer for a file first.
const own = {
  Staking: "{unit/Staking*,integration/*}",
  SequencerPool: "{unit/SequencerPool,unit/Commitments,unit/Corners,unit/Slasher,unit/JailAbsent}",
  Commitments: "unit/Commitments",
  BatchInbox: "{unit/BatchInbox,unit/Corners,unit/Recovery}",
  Portal: "unit/Portal",
  RevenueShare: "{unit/RevenueShare,unit/Emissions,unit/Corners}",
  Slasher: "{unit/Slasher,unit/JailAbsent}",
  Recovery: "unit/Recovery",
  Parameters: "{unit/Parameters,integration/*}",
  Governance: "integration/*",
  Lens: "unit/Views",
};
// Tests that embed code of the sources.
const embedding = {
  Parameters: ["test/unit/Parameters.t.sol:ParametersTest"],
  Governance: ["test/integration/Permissions.t.sol:PermissionsTest"],
  MessagePasser: ["test/unit/Portal.t.sol:PortalTest", "test/unit/Corners.t.sol:CornersTest"],
  FeeVault: ["test/unit/Portal.t.sol:PortalTest"],
  L1Block: ["test/unit/Portal.t.sol:PortalTest", "test/unit/Corners.t.sol:CornersTest"],
};
const librariesTest = "test/unit/Libraries.t.sol:LibrariesTest";
for (const library of ["Code", "History", "Snapshots", "Tally"]) embedding[library] = [librariesTest];
embedding.Bls = ["test/unit/Bls.t.sol:BlsTest"];

const operators = [
  [/ < /g, " <= "], [/ <= /g, " < "], [/ > /g, " >= "], [/ >= /g, " > "], [/ == /g, " != "], [/ != /g, " == "],
  [/ \+ /g, " - "], [/ - /g, " + "], [/ \* /g, " / "], [/ \/ /g, " * "], [/ && /g, " || "], [/ \|\| /g, " && "], [/\btrue\b/g, "false"],
  [/ \+= /g, " -= "], [/ -= /g, " += "], [/Rounding\.Ceil/g, "Rounding.Floor"], [/^( *)if \(.*\) revert .*;$/g, "$1"],
];

function mutants(file) {
  const lines = readFileSync(join(work, file), "utf8").split("\n");
  const from = lines.findIndex((line) => /^(contract|library) /.test(line));
  const found = [];
  lines.forEach((line, number) => {
    if (number <= from || /^\s*(\/\/|emit |error |event |import )/.test(line) || line.includes("constant")) return;
    for (const [pattern, replacement] of operators) {
      for (const match of line.matchAll(pattern)) {
        const changed = line.slice(0, match.index) + match[0].replace(new RegExp(pattern.source), replacement) + line.slice(match.index + match[0].length);
        found.push({ file, number, line, changed });
      }
    }
  });
  return found;
}

// A small generator (mulberry32): the same seed gives the same order.
function random(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// -- Compiling

const solc = createRequire(join(here, "../anvil/package.json"))("solc");
const remapped = (path) =>
  path.replace(/^@openzeppelin\//, "lib/@openzeppelin/").replace(/^forge-std\//, "lib/@layerzerolabs/toolbox-foundry/lib/forge-std/");

function importsOf(file, seen = new Set()) {
  for (const [, path] of readFileSync(join(work, file), "utf8").matchAll(/^import .*"(.*)";$/gm)) {
    const target = path.startsWith(".") ? normalize(join(dirname(file), path)) : remapped(path);
    if (!target.startsWith("src/") || seen.has(target)) continue;
    seen.add(target);
    importsOf(target, seen);
  }
  return seen;
}

// Compiles `units` ("file:Contract") and returns their bytecode, or nothing if the compiler refuses.
function compile(units) {
  const sources = {};
  const outputSelection = {};
  for (const unit of units) {
    const [file, name] = unit.split(":");
    sources[file] = { content: readFileSync(join(work, file), "utf8") };
    outputSelection[file] = { ...outputSelection[file], [name]: ["evm.bytecode", "evm.deployedBytecode"] };
  }
  const settings = {
    optimizer: { enabled: true, runs: 200 },
    evmVersion: "osaka",
    metadata: { bytecodeHash: "none" },
    remappings: ["@openzeppelin/=lib/@openzeppelin/", "forge-std/=lib/@layerzerolabs/toolbox-foundry/lib/forge-std/"],
    outputSelection,
  };
  const read = (path) => ({ contents: readFileSync(join(work, path), "utf8") });
  const output = JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources, settings }), { import: read }));
  if ((output.errors ?? []).some((error) => error.severity === "error")) return undefined;
  return units.map((unit) => {
    const [file, name] = unit.split(":");
    return { unit, evm: output.contracts[file][name].evm };
  });
}

const artifact = (unit) => join(work, "out", basename(unit.split(":")[0]), `${unit.split(":")[1]}.json`);

// Puts bytecode into forge's artifacts; returns how to undo it.
function install(compiled) {
  const former = compiled.map(({ unit, evm }) => {
    const text = readFileSync(artifact(unit), "utf8");
    const json = JSON.parse(text);
    for (const part of ["bytecode", "deployedBytecode"]) {
      Object.assign(json[part], { object: `0x${evm[part].object}`, linkReferences: evm[part].linkReferences });
    }
    if (evm.deployedBytecode.immutableReferences) json.deployedBytecode.immutableReferences = evm.deployedBytecode.immutableReferences;
    writeFileSync(artifact(unit), JSON.stringify(json));
    return [unit, text];
  });
  return () => former.forEach(([unit, text]) => writeFileSync(artifact(unit), text));
}

// -- Testing

// The binary itself: the wrapper in node_modules/.bin exits with 0 when tests fail.
const platform = `${process.platform}-${process.arch === "x64" ? "amd64" : process.arch}`;
const binary = join(here, `../anvil/node_modules/@foundry-rs/forge-${platform}/bin/forge`);

function forge(...args) {
  const env = { ...process.env, FOUNDRY_FUZZ_RUNS: "16", FOUNDRY_FUZZ_SEED: "0x1", FORGE_SNAPSHOT_CHECK: "false" };
  // A mutant that loops forever is noticed by whoever waits for it.
  const run = spawnSync("nice", ["-n", "19", binary, ...args], { cwd: work, env, encoding: "utf8", timeout: 900_000, maxBuffer: 1 << 28 });
  return { passed: run.status === 0, output: run.stdout + run.stderr };
}

function survives(file) {
  const first = own[basename(file, ".sol")];
  if (first && !forge("test", "--fail-fast", "--match-path", `test/${first}.t.sol`).passed) return false;
  if (!forge("test", "--fail-fast", "--no-match-path", "test/{invariant,gas,proofs}/*").passed) return false;
  return forge("test", "--fail-fast", "--match-path", "test/invariant/*").passed;
}

// -- The run

rmSync(copy, { recursive: true, force: true });
mkdirSync(join(copy, "tests"), { recursive: true });
cpSync(here, work, { recursive: true, filter: (path) => !/\/contracts\/(out|cache|lib|test\/mutate\.mjs)$/.test(path) });
cpSync(join(here, "../tests/vectors"), join(copy, "tests/vectors"), { recursive: true });
cpSync(join(here, "../anvil"), join(copy, "anvil"), { recursive: true, filter: (path) => !path.endsWith("node_modules") });
symlinkSync(resolve(here, "../anvil/node_modules"), join(copy, "anvil/node_modules"));
symlinkSync("../anvil/node_modules", join(work, "lib"));

const all = readdirSync(join(work, "src"), { recursive: true })
  .filter((path) => path.endsWith(".sol") && !path.startsWith("interfaces/"))
  .sort()
  .map((path) => `src/${path}`);
const files = all.filter((file) => words.length === 0 || words.includes(basename(file, ".sol")));
const users = Object.fromEntries(all.map((file) => [file, all.filter((other) => other === file || importsOf(other).has(file))]));

const queue = files.flatMap(mutants);
const next = random(seed);
for (let i = queue.length - 1; i > 0; --i) {
  const k = Math.floor(next() * (i + 1));
  [queue[i], queue[k]] = [queue[k], queue[i]];
}

function tell(line) {
  console.log(line);
  if (options.log) appendFileSync(options.log, `${line}\n`);
}

tell(`${queue.length} mutants in ${files.length} files, seed ${seed}`);
if (!forge("test", "--no-match-path", "test/{invariant,gas,proofs}/*").passed) throw new Error("the tests fail without any mutation");
const began = Date.now();
const survivors = [];
let [judged, refused] = [0, 0];
for (const mutant of queue) {
  if (judged >= options.count || Date.now() - began > options.minutes * 60_000) break;
  const path = join(work, mutant.file);
  const original = readFileSync(path, "utf8");
  writeFileSync(path, original.split("\n").map((line, number) => (number === mutant.number ? mutant.changed : line)).join("\n"));
  const name = basename(mutant.file, ".sol");
  const units = users[mutant.file]
    .filter((file) => !file.startsWith("src/libraries/"))
    .map((file) => `${file}:${basename(file, ".sol")}`)
    .concat(embedding[name] ?? []);
  const compiled = compile(units);
  writeFileSync(path, original);
  const place = `${mutant.file.slice(4)}:${mutant.number + 1}: ${mutant.line.trim()} -> ${mutant.changed.trim() || "(nothing)"}`;
  if (!compiled) {
    ++refused;
    continue;
  }
  const undo = install(compiled);
  const survived = survives(mutant.file);
  undo();
  ++judged;
  if (survived) survivors.push(place);
  tell(`${survived ? "SURVIVED" : "killed  "} ${place}`);
}
const killed = judged - survivors.length;
const minutes = Math.round((Date.now() - began) / 60_000);
tell(`${killed} of ${judged} killed (${((100 * killed) / judged).toFixed(1)} %), seed ${seed}, ${minutes} min; ${refused} more did not compile`);
for (const place of survivors) tell(place);
