// app.js -- the page: texts and chats that go on, what else each token might have been, and branches from there
//
// A branch is a named state of the server, which is the tokens of a text; going on from any token is a fork of it.
// Nothing is asked of any other server, and nothing is kept when the page is left.

import { $, page, ask, read } from "./ask.js";
import { training } from "./train.js";

/* The events of a stream, one after another. */
async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const event = text.slice(0, end);
      if (event.startsWith("data: {")) yield JSON.parse(event.slice(6));
    }
  }
}

function say(text, wrong) {
  $("about").textContent = text;
  $("about").classList.toggle("wrong", !!wrong);
}

// ---- tokens on the page -------------------------------------------------------------------------------------------

const percent = (logprob) => {
  const p = 100 * Math.exp(logprob);
  return p >= 99.95 ? "100 %" : p >= 10 ? p.toFixed(0) + " %" : p >= 0.1 ? p.toFixed(1) + " %" : "under 0.1 %";
};
const shade = (logprob) => {
  const p = Math.exp(logprob);
  return p > 0.8 ? "p0" : p > 0.4 ? "p1" : p > 0.15 ? "p2" : p > 0.03 ? "p3" : "p4";
};
const visible = (token) => token.replace(/\n/g, "\u23ce").replace(/\t/g, "\u21e5") || "(end)";

/* A token that is no text by itself is part of a character, which is there with its last part. */
function bytesOf(token) {
  if (!token.startsWith("bytes:\\x")) return new TextEncoder().encode(token);
  return Uint8Array.from(token.slice(8).split("\\x"), (digits) => parseInt(digits, 16));
}

function tokenElement(branch, i) {
  const t = branch.tokens[i], e = document.createElement("span");
  e.textContent = t.text || "\u00b7";
  e.className = shade(t.logprob);
  e.setAttribute("role", "button");
  e.setAttribute("aria-expanded", "false");
  e.setAttribute("aria-label", visible(t.token) + ", " + percent(t.logprob));
  e.tabIndex = i === branch.tokens.length - 1 && i === 0 ? 0 : -1;
  e.dataset.token = i;
  e.title = percent(t.logprob);
  return e;
}

function show(branch) {
  const answer = $("answer"), given = document.createElement("span");
  given.className = "given";
  given.textContent = branch.given;
  answer.replaceChildren(given, ...branch.tokens.map((_, i) => tokenElement(branch, i)));
  if (answer.children[1]) answer.children[1].tabIndex = 0;
  answer.hidden = false;
  closeToken();
}

function listBranches() {
  const select = $("branch");
  select.replaceChildren(...page.branches.map((b, i) => new Option(b.name, i, false, i === page.at)));
  $("branches").hidden = page.branches.length < 2;
}

function closeToken() {
  const open = $("answer").querySelector('[aria-expanded="true"]');
  if (open) open.setAttribute("aria-expanded", "false");
  $("token").hidden = true;
  return open;
}

function choice(label, run, disabled) {
  const li = document.createElement("li"), b = document.createElement("button");
  b.type = "button";
  b.textContent = label;
  b.disabled = !!disabled;
  b.addEventListener("click", run);
  li.append(b);
  return li;
}

function openToken(element) {
  const branch = page.branches[page.at], i = Number(element.dataset.token), t = branch.tokens[i];
  closeToken();
  element.setAttribute("aria-expanded", "true");
  const title = document.createElement("p"), list = document.createElement("ul");
  title.textContent = "Token " + (branch.start + i) + ": " + visible(t.token) + ", " + percent(t.logprob) + ". Go on with";
  for (const [token, logprob] of Object.entries(t.top).sort((a, b) => b[1] - a[1]))
    list.append(choice(visible(token) + "  " + percent(logprob), () => fork(i, token), token.startsWith("bytes:") || page.stop));
  list.append(choice("another draw from here", () => fork(i, ""), page.stop));
  $("token").replaceChildren(title, list);
  $("token").hidden = false;
  list.querySelector("button:not(:disabled)")?.focus();
}

// ---- going on -----------------------------------------------------------------------------------------------------

const number = (id) => Number($(id).value);

/* Lets a branch go on; the prompt is read behind what its state has. */
async function goOn(branch, prompt) {
  const stop = new AbortController(), began = performance.now();
  page.stop = stop;
  $("go").disabled = true, $("stop").disabled = false;
  show(branch);
  say("reading");
  try {
    const answer = await ask("POST", "v1/completions", {
      state: branch.id, prompt, max_tokens: number("most"), temperature: number("temperature"), top_p: number("top-p"),
      seed: number("seed") + branch.draws, logprobs: 5, stream: true, stream_options: { include_usage: true },
    }, stop.signal);
    for await (const e of events(answer)) take(branch, e, began);
  } catch (error) {
    if (error.name === "AbortError") say("stopped; the branch is as it was before");
    else say(error.message, true);
    branch.broken = true;
  }
  page.stop = null;
  $("go").disabled = false, $("stop").disabled = true;
}

/* Why not more of a text was known; @ is the token from which on it was not. */
const REASONS = {
  none: "all that is stored of this text", first_use: "none of it was read before", short: "texts are kept by 64 tokens",
  differs: "what was read before differs from token @ on", evicted: "what was known from token @ on had to go",
  disabled: "texts are not kept here", no_room: "there was no room to keep it", damaged: "what was kept was damaged",
  other_model: "it was read by another model", scored: "every token was wanted",
};

function take(branch, e, began) {
  if (e.error) throw new Error(e.error.message);
  for (const c of e.choices) {
    const l = c.logprobs;
    for (let k = 0; l && k < l.tokens.length; k++) {
      const token = l.tokens[k], last = c.finish_reason === "stop" && k === l.tokens.length - 1;
      branch.decoder ??= new TextDecoder();
      const text = last && !c.text ? "" : branch.decoder.decode(bytesOf(token), { stream: true });
      branch.tokens.push({ token, text, logprob: l.token_logprobs[k], top: l.top_logprobs[k] });
      const element = tokenElement(branch, branch.tokens.length - 1);
      if (branch === page.branches[page.at]) $("answer").append(element);
    }
  }
  if (!e.usage) return;
  const made = e.usage.completion_tokens, seconds = (performance.now() - began) / 1000;
  branch.about = `${e.usage.prompt_tokens} tokens read, ${e.pha.reused} of them known already (` +
    `${(REASONS[e.pha.miss] ?? e.pha.miss).replace("@", e.pha.at)}), ${made} made in ` +
    `${seconds.toFixed(1)} s, seed ${e.pha.seed}`;
  say(branch.about);
}

async function begin(given, make) {
  await forget();
  try {
    const state = await make();
    page.branches = [{ id: state.id, name: "the first", given, start: state.tokens, tokens: [], draws: 0 }];
    page.at = 0;
    listBranches();
    await goOn(page.branches[0], []);
  } catch (error) {
    say(error.message, true);
  }
}

/* Another branch behind the first i tokens of this one, and a token of one's own. A branch that was stopped has its
 * text on the page only, so its state is made of that text. */
async function fork(i, token) {
  const from = page.branches[page.at], kept = from.tokens.slice(0, i);
  try {
    const position = from.start + i;
    const state = from.broken && i > 0
      ? await read("POST", "v1/states", { prompt: from.given + kept.map((t) => t.text).join("") })
      : await read("POST", `v1/states/${from.id}/fork`, { position });
    const branch = {
      id: state.id, name: `${page.branches.length + 1}: ${visible(token) === "(end)" ? "again" : visible(token)} at ${position}`,
      given: from.given + kept.map((t) => t.text).join("") + token, start: position + (token ? 1 : 0), tokens: [],
      draws: from.draws + 1,
    };
    page.branches.push(branch);
    page.at = page.branches.length - 1;
    listBranches();
    await goOn(branch, token ? token : []);
    $("answer").querySelector('[tabindex="0"]')?.focus();
  } catch (error) {
    say(error.message, true);
  }
}

async function forget() {
  const old = page.branches;
  page.branches = [], page.at = -1;
  listBranches();
  await Promise.allSettled(old.map((b) => ask("DELETE", "v1/states/" + b.id)));
}

// ---- chats --------------------------------------------------------------------------------------------------------

function listMessages() {
  $("messages").replaceChildren(...page.messages.map((m) => {
    const li = document.createElement("li"), who = document.createElement("strong");
    who.textContent = m.role;
    li.append(who, m.content);
    return li;
  }));
}

/* As the model's template makes it, so that it goes on and forks as any text does. */
async function chat(content) {
  const last = page.branches[page.at];
  if (last && last.tokens.length) page.messages.push({ role: "assistant", content: last.tokens.map((t) => t.text).join("") });
  page.messages.push({ role: "user", content });
  listMessages();
  $("prompt").value = "";
  await begin("", async () => {
    const { tokens } = await read("POST", "tokenize", { messages: page.messages });
    return read("POST", "v1/states", { prompt: tokens });
  });
}

// ---- mixing -------------------------------------------------------------------------------------------------------

async function mixing() {
  const section = $("mixing"), about = await read("GET", "mixing");
  const names = Object.keys(about.layers?.[0]?.scaled ?? {});
  if (!names.length) {
    section.textContent = "This model has no branches that are mixed.";
    return;
  }
  const title = document.createElement("p"), table = document.createElement("table");
  title.textContent = "Shares of the branches by layer, scaled by the rms of their gains";
  const head = table.insertRow();
  for (const name of ["layer", ...names]) {
    const cell = document.createElement("th"), key = document.createElement("span");
    key.className = "key " + name;
    cell.append(...(name === "layer" ? [] : [key]), name);
    head.append(cell);
  }
  const bars = about.layers.map((l) => {
    const row = document.createElement("div"), bar = document.createElement("div"), line = table.insertRow();
    const all = names.reduce((sum, n) => sum + Math.abs(l.scaled[n]), 0) || 1;
    row.className = "layer", bar.className = "bar";
    row.append("layer " + l.layer, bar);
    line.insertCell().textContent = l.layer;
    for (const n of names) {
      const part = document.createElement("span");
      part.className = n, part.style.width = (100 * Math.abs(l.scaled[n]) / all) + "%";
      bar.append(part);
      line.insertCell().textContent = l.scaled[n].toFixed(3);
    }
    bar.setAttribute("aria-hidden", "true"); // the table says the same
    return row;
  });
  section.replaceChildren(title, ...bars, table);
}

// ---- the page -----------------------------------------------------------------------------------------------------

async function view(name) {
  page.view = name;
  for (const b of document.querySelectorAll("[data-view]")) b.setAttribute("aria-pressed", String(b.dataset.view === name));
  const text = name === "complete" || name === "chat";
  $("text").hidden = !text, $("mixing").hidden = name !== "mixing";
  $("training").hidden = name !== "training";
  training(name === "training");
  $("messages").hidden = name !== "chat";
  $("prompt-label").textContent = name === "chat" ? "What you say" : "Text to go on from";
  if (name !== "mixing") return;
  try { await mixing(); } catch (error) { $("mixing").textContent = error.message; }
}

async function hello() {
  try {
    const { data } = await read("GET", "v1/models");
    $("model").textContent = data[0].id + ", " + data[0].pha.parameters.toLocaleString("en") + " parameters";
    say("");
  } catch (error) {
    say(error.message, true);
  }
}

function move(e) {
  const tokens = [...$("answer").querySelectorAll("[data-token]")], at = tokens.indexOf(document.activeElement);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tokens.length - 1 }[e.key];
  if (at < 0) return;
  if (e.key === "Enter" || e.key === " ") openToken(tokens[at]);
  else if (to === undefined || !tokens[to]) return;
  else tokens[at].tabIndex = -1, tokens[to].tabIndex = 0, tokens[to].focus();
  e.preventDefault();
}

$("answer").addEventListener("keydown", move);
$("answer").addEventListener("click", (e) => e.target.dataset.token !== undefined && openToken(e.target));
$("token").addEventListener("keydown", (e) => e.key === "Escape" && closeToken()?.focus());
$("prompt").addEventListener("keydown", (e) => e.key === "Enter" && (e.ctrlKey || e.metaKey) && $("ask").requestSubmit());
$("branch").addEventListener("change", () => {
  page.at = Number($("branch").value);
  show(page.branches[page.at]);
  say(page.branches[page.at].about ?? "");
});
$("stop").addEventListener("click", () => page.stop?.abort());
$("clear").addEventListener("click", () => {
  page.stop?.abort();
  page.messages = [];
  listMessages();
  closeToken();
  $("answer").hidden = true;
  say("");
  forget();
});
$("ask").addEventListener("submit", (e) => {
  e.preventDefault();
  if (page.stop) return;
  const text = $("prompt").value;
  if (page.view === "chat") chat(text);
  else begin(text, () => read("POST", "v1/states", text ? { prompt: text } : {}));
});
$("key-form").addEventListener("submit", (e) => {
  e.preventDefault();
  page.key = $("key").value;
  $("key-form").hidden = true;
  hello();
  view(page.view);
});
for (const b of document.querySelectorAll("[data-view]")) b.addEventListener("click", () => view(b.dataset.view));
hello();
