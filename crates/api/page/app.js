// The dashboard: reads /v1 once, then follows /v1/events. Text only ever enters the page as text.
"use strict";

const $ = (id) => document.getElementById(id);

/** An element with properties, attributes (names with a dash) and children. */
function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "class") element.className = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((c) => c !== null && c !== undefined));
  return element;
}

// -- Words and numbers

const count = (n) => Number(n).toLocaleString("en-US");

/** Wei as a decimal with at most `digits` significant digits after the integer part. */
function units(wei, digits = 4) {
  const value = BigInt(wei);
  const whole = value / 10n ** 18n;
  const fraction = (value % 10n ** 18n).toString().padStart(18, "0");
  if (whole >= 1000n) return whole.toLocaleString("en-US");
  const zeros = whole > 0n ? 0 : (fraction.match(/^0*/) || [""])[0].length;
  const cut = fraction.slice(0, Math.min(18, zeros + digits)).replace(/0+$/, "");
  return whole.toLocaleString("en-US") + (cut ? "." + cut : "");
}

/** Ether, in gwei or wei where that reads better. */
function ether(wei) {
  const value = BigInt(wei);
  if (value === 0n) return "0 ETH";
  if (value < 10n ** 6n) return `${value} wei`;
  if (value < 10n ** 14n) return `${Number(value / 10n ** 3n) / 1e6} gwei`.replace(/(\.\d{1,3})\d*/, "$1");
  return `${units(value)} ETH`;
}

const tokens = (wei) => units(wei, 2);

function ago(time) {
  const seconds = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

const short = (hex) => (hex.length > 16 ? `${hex.slice(0, 8)}…${hex.slice(-4)}` : hex);

// One colour a sequencer, spread by the golden angle, so that neighbours differ.
const colour = (id) => `hsl(${Math.round((id * 137.508 + 20) % 360)} 52% 52%)`;

function dot(id) {
  const mark = h("i");
  mark.style.background = id === null || id === undefined ? "" : colour(id);
  return mark;
}

const who = (id, note) =>
  id === null || id === undefined
    ? h("span", { class: "muted" }, note || "–")
    : h("span", { class: "who" }, dot(id), `#${id}`, note ? h("small", {}, note) : null);

const tag = (word) => h("span", { class: `tag ${word}` }, word);
const cell = (content, kind = "") => h("td", kind ? { class: kind } : {}, content ?? "–");

function fill(table, rows, empty, columns) {
  const body = $(table).tBodies[0];
  body.replaceChildren(...(rows.length ? rows : [h("tr", {}, h("td", { colspan: columns, class: "muted" }, empty))]));
}

function define(list, pairs) {
  list.replaceChildren(...pairs.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

// -- The API

class Problem extends Error {
  constructor(body) {
    super(`${body.title}. ${body.detail} ${body.action}`);
    this.status = body.status;
  }
}

async function get(path) {
  const response = await fetch(path, { headers: { accept: "application/json" } });
  const body = await response.json().catch(() => null);
  if (!response.ok || body === null) {
    throw new Problem(body || { title: `HTTP ${response.status}`, detail: "No answer that could be read.", action: "Reload." });
  }
  return body;
}

function trouble(error) {
  $("problem").textContent = error ? error.message : "";
  $("problem").hidden = !error;
}

// -- Rendering

let last = null;

function renderOverview(o) {
  last = o;
  $("chain").textContent = `chain ${o.l2ChainId} on L1 ${o.l1ChainId}`;
  $("height").textContent = count(o.height);
  define($("ladder"), [
    ["final", `${ago(o.time)} ago`],
    ["posted", o.postedHeight === null ? "none yet" : count(o.postedHeight)],
    ["settled", o.settledHeight === null ? "none yet" : count(o.settledHeight)],
  ]);
  const now = o.leader.now;
  $("leader").replaceChildren(now ? who(now.sequencer) : "–");
  $("leader-term").textContent = now
    ? `epoch ${count(now.epoch)}, term ${now.term}: views ${count(now.firstView)} to ${count(now.lastView)}`
    : "The epoch's set is not indexed yet.";
  $("next").replaceChildren(
    ...o.leader.next.map((t) => h("li", { class: "chip", title: `term ${t.term}` }, dot(t.sequencer), `#${t.sequencer}`)),
  );
  $("epoch").textContent = count(o.epoch);
  const bar = $("epoch-bar");
  bar.firstElementChild.style.width = `${(100 * o.epochDone) / o.epochBlocks}%`;
  bar.setAttribute("aria-valuemax", o.epochBlocks);
  bar.setAttribute("aria-valuenow", o.epochDone);
  $("epoch-note").textContent = `${count(o.epochDone)} of ${count(o.epochBlocks)} blocks`;
  const batch = o.lastBatch;
  $("batch").textContent = batch ? count(batch.batch) : "none yet";
  $("batch-note").replaceChildren(
    ...(batch
      ? [`to height ${count(batch.lastHeight)}, ${ago(batch.postedAt)} ago `, tag(batch.finality)]
      : ["L1 has accepted no batch yet."]),
  );
  $("income").textContent = ether(o.income);
  $("income-note").textContent = `of ${ether(o.fees)} fees; ${ether(o.claimed)} claimed`;
  $("set-note").textContent = o.members
    ? `${o.members} members, ${tokens(o.setStake)} tokens serve epoch ${count(o.epoch)}; ${tokens(o.totalStake)} bonded in all`
    : `${tokens(o.totalStake)} tokens bonded`;
  const speed = [];
  if (o.blockIntervalMs !== null) speed.push(`every ${Math.round(o.blockIntervalMs)} ms`);
  if (o.transactionsPerSecond !== null) speed.push(`${o.transactionsPerSecond.toFixed(1)} transactions a second`);
  $("speed").textContent = speed.join(", ");
  const behind = Math.max(0, o.l2Head - o.height);
  $("index").textContent =
    o.l1Block === null
      ? "L1 is not indexed yet"
      : `Index: L2 ${behind === 0 ? "up to date" : `${count(behind)} blocks behind`}, L1 block ${count(o.l1Block)}` +
        (o.l1Head > o.l1Block ? ` of ${count(o.l1Head)}` : "") + ` (finalized ${count(o.l1Finalized ?? 0)})`;
}

let set = [];

function renderSequencers(list) {
  set = list;
  const sorted = [...list].sort((a, b) => (BigInt(b.stake) > BigInt(a.stake) ? 1 : BigInt(b.stake) < BigInt(a.stake) ? -1 : a.sequencer - b.sequencer));
  const leader = last?.leader.now?.sequencer;
  $("stack").replaceChildren(
    ...sorted.filter((s) => s.weight).map((s) => {
      const part = h("i", { title: `#${s.sequencer}: ${(100 * s.weight).toFixed(1)} % of the stake` });
      part.style.background = colour(s.sequencer);
      part.style.flexGrow = s.weight;
      return part;
    }),
  );
  const rows = sorted.map((s) =>
    h("tr", {},
      cell(who(s.sequencer, s.sequencer === leader ? "leads" : "")),
      cell(tag(s.status)),
      cell(tokens(s.stake), "n"),
      cell(s.weight === null ? "–" : `${(100 * s.weight).toFixed(1)} %`, "n"),
      cell(tokens(s.delegated), "n wide"),
      cell(`${s.commission / 100} %`, "n wide"),
      cell(count(s.blocks), "n"),
      cell(`${count(s.termsMissed)} + ${count(s.dutiesMissed)}`, "n wide"),
      cell(ether(s.income), "n")));
  fill("sequencers", rows, "No sequencer has bonded yet.", 9);
}

function renderBlocks(list) {
  fill("blocks", list.map((b) =>
    h("tr", {},
      cell(count(b.number)), cell(who(b.leader)), cell(count(Math.max(0, b.transactions - 1)), "n"),
      cell(count(b.gasUsed), "n wide"), cell(ago(b.time), "n"), cell(tag(b.finality)))), "No block yet.", 6);
}

function renderBatches(list) {
  fill("batches", list.map((b) =>
    h("tr", {},
      cell(count(b.batch)), cell(h("span", b.closing ? { title: "closes its epoch" } : {}, `${count(b.firstHeight)}–${count(b.lastHeight)}${b.closing ? " ■" : ""}`)),
      cell(b.postedBy === null ? short(b.poster) : who(b.postedBy, b.dutyMissed ? `for #${b.onDuty}` : "")),
      cell(`${b.signerCount}${b.members === null ? "" : ` / ${b.members}`}`, "n wide"), cell(ether(b.l1Fee), "n wide"),
      cell(ago(b.postedAt), "n"), cell(tag(b.finality)))), "L1 has accepted no batch yet.", 7);
}

function renderEpochs(list) {
  const amount = (wei) => (wei === null ? "–" : ether(wei));
  fill("epochs", list.map((e) =>
    h("tr", {},
      cell(count(e.epoch)), cell(tag(e.status)), cell(`${count(e.blocks)} / ${count(e.blocksPlanned)}`, "n"),
      cell(e.snapshot === null ? "–" : count(e.snapshot), "n wide"), cell(amount(e.fees), "n"),
      cell(amount(e.producers), "n wide"), cell(amount(e.attesters), "n wide"),
      cell(e.closedAt === null ? "–" : `${ago(e.closedAt)} ago`, "n"))), "No epoch yet.", 8);
}

// -- Looking things up

async function lookUp(text) {
  const box = $("found");
  const close = h("button", { type: "button", "aria-label": "Close" }, "✕");
  close.addEventListener("click", () => { box.hidden = true; });
  const show = (title, ...content) => {
    box.replaceChildren(h("div", { class: "title" }, h("h2", {}, title), close), ...content);
    box.hidden = false;
  };
  try {
    if (/^0x[0-9a-f]{40}$/i.test(text)) show(`Account ${short(text)}`, ...(await account(text)));
    else if (/^0x[0-9a-f]{64}$/i.test(text)) show(...(await hashed(text)));
    else if (/^\d{1,18}$/.test(text)) show(...(await numbered(text)));
    else show("Nothing to look up", h("p", {}, "Enter an address (0x and 40 hex digits), a transaction or block hash (64), or a height."));
  } catch (error) {
    show("Not found", h("p", {}, error.message));
  }
}

async function account(address) {
  const [stake, income] = (await Promise.all([get(`/v1/accounts/${address}/stake`), get(`/v1/accounts/${address}/income`)])).map((a) => a.data);
  const list = h("dl");
  define(list, [
    ["Bonded", `${tokens(stake.total)} tokens`],
    ["Income", `${ether(income.earned)} earned, ${ether(income.claimed)} claimed`],
    ["Claimable now", ether(income.claimable)],
  ]);
  if (!stake.positions.length && !stake.exits.length && !income.positions.length) {
    return [h("p", {}, "This account has no stake and no income here.")];
  }
  const earned = (p) => income.positions.find((i) => i.sequencer === p.sequencer && i.selfStake === p.selfStake);
  const rows = stake.positions.map((p) =>
    h("tr", {}, cell(who(p.sequencer, p.selfStake ? "own" : "delegated")), cell(tokens(p.stake), "n"),
      cell(`snapshot ${p.sinceSnapshot}`), cell(earned(p) ? ether(earned(p).claimable) : "0 ETH", "n")));
  const exits = stake.exits.map((x) =>
    h("tr", {}, cell(who(x.sequencer, `exit ${x.exitId}`)), cell(tokens(x.amount), "n"),
      cell(tag(x.status)), cell(x.status === "unbonding" ? `ready ${new Date(x.readyAt).toLocaleString()}` : "", "n")));
  const head = h("thead", {}, h("tr", {}, h("th", {}, "Behind"), h("th", { class: "n" }, "Tokens"), h("th", {}, "Since"), h("th", { class: "n" }, "Claimable")));
  return [list, h("div", { class: "scroll" }, h("table", {}, head, h("tbody", {}, ...rows, ...exits)))];
}

async function hashed(hash) {
  const found = await get(`/v1/transactions/${hash}`).catch((error) => {
    if (error.status !== 404) throw error;
    return null;
  });
  if (!found) {
    const missing = new Error("No final transaction or block has this hash. It may be pending: ask a node.");
    const block = await get(`/v1/blocks/${hash}`).catch((error) => { throw error.status === 404 ? missing : error; });
    return blockDetails(block.data);
  }
  const t = found.data;
  const list = h("dl");
  define(list, [
    ["State", tag(t.finality)],
    ["Result", t.status ? tag("ok") : tag("failed")],
    ["Block", `${count(t.block)}, ${ago(t.time)} ago`],
    ["Batch", t.batch === null ? "not on L1 yet" : `${count(t.batch)}, in L1 transaction ${t.l1Transaction}`],
    ["From", t.sender],
    ["To", t.recipient ?? `creates ${t.contractAddress ?? "a contract"}`],
    ["Value", ether(t.value)],
    ["Fee", t.deposit === null ? ether(t.fee) : `none: deposit ${t.deposit}`],
    ["Gas", `${count(t.gasUsed)} of ${count(t.gasLimit)}`],
  ]);
  return [`Transaction ${short(hash)}`, list];
}

async function numbered(height) {
  return blockDetails((await get(`/v1/blocks/${height}`)).data);
}

function blockDetails(b) {
  const list = h("dl");
  define(list, [
    ["State", tag(b.finality)],
    ["Hash", b.hash],
    ["Time", new Date(b.time).toLocaleString()],
    ["Leader", who(b.leader)],
    ["Consensus", `epoch ${b.epoch}, term ${b.term}, view ${b.view}`],
    ["Origin", b.originNumber === null ? "genesis" : `L1 block ${count(b.originNumber)}`],
    ["Transactions", count(b.transactions)],
    ["Gas", `${count(b.gasUsed)} of ${count(b.gasLimit)}`],
    ["State root", b.stateRoot],
  ]);
  return [`Block ${count(b.number)}`, list];
}

$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("query").value.trim();
  if (text) location.hash = text;
  if (text && location.hash === `#${text}`) lookUp(text);
});
addEventListener("hashchange", () => {
  const text = decodeURIComponent(location.hash.slice(1));
  if (text) { $("query").value = text; lookUp(text); }
});

// -- Live

/** Runs `work` at most every `pace` milliseconds, and once more if it was asked for meanwhile. */
function paced(pace, work) {
  let timer = null, again = false;
  const run = async () => {
    if (timer) { again = true; return; }
    timer = setTimeout(() => { timer = null; if (again) { again = false; run(); } }, pace);
    try { await work(); trouble(null); } catch (error) { trouble(error); }
  };
  return run;
}

const refreshBlocks = paced(1000, async () => renderBlocks((await get("/v1/blocks?limit=12")).data));
const refreshBatches = paced(2000, async () => renderBatches((await get("/v1/batches?limit=12")).data));
const refreshEpochs = paced(4000, async () => renderEpochs((await get("/v1/epochs?limit=8")).data));
const refreshSequencers = paced(4000, async () => renderSequencers((await get("/v1/sequencers?limit=100")).data));

function refresh(before, o) {
  if (!before || before.height !== o.height) refreshBlocks();
  if (!before || before.lastBatch?.batch !== o.lastBatch?.batch || before.settledHeight !== o.settledHeight) refreshBatches();
  if (!before || before.height !== o.height) refreshEpochs();
  if (!before || before.height !== o.height || before.l1Block !== o.l1Block) refreshSequencers();
}

function state(word, kind) {
  $("live").className = `live ${kind}`;
  $("live").lastElementChild.textContent = word;
}

function update(o) {
  const before = last;
  renderOverview(o);
  if (set.length && before?.leader.now?.sequencer !== o.leader.now?.sequencer) renderSequencers(set);
  refresh(before, o);
}

async function begin() {
  try {
    update((await get("/v1/overview")).data);
    trouble(null);
  } catch (error) {
    trouble(error);
  }
}

const events = new EventSource("/v1/events");
events.addEventListener("overview", (event) => { trouble(null); update(JSON.parse(event.data)); state("live", "on"); });
events.addEventListener("open", () => state(last ? "live" : "waiting for the index", last ? "on" : ""));
events.addEventListener("error", () => {
  state("reconnecting", "off");
  // After a refusal the browser does not try again by itself.
  if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
});
setInterval(() => { if (last) renderOverview(last); }, 1000);
begin();
if (location.hash) dispatchEvent(new Event("hashchange"));
