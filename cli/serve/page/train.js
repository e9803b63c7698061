// train.js -- training runs while they are written: curves of several, one over another, and what they are at
//
// The server gives what a log has from a byte on, so each line comes once; a run that is trained is asked for more every
// two seconds while somebody looks.

import { $, read } from "./ask.js";
import { draw, push, short, smooth, valueAt } from "./chart.js";

const EVERY = 2000, LOOKS = 8, LAYERS = 256, BRANCHES = 16;
const runs = new Map(); // by id, as the server lists them
let open = false, timer = 0, busy = false, latest = true;

const empty = () => ({ x: [], y: [] });

function forget(run) {
  Object.assign(run, { offset: 0, file: "", ended: false, unreadable: 0, last: 0,
                       loss: empty(), valid: empty(), lr: empty(), speed: empty(), mix: Object.create(null) });
}

function add(id) {
  const used = [...runs.values()].map((r) => r.look), look = [0, 1, 2, 3, 4, 5, 6, 7].find((k) => !used.includes(k));
  const run = { id, shown: false, look: look ?? runs.size % LOOKS, about: null };
  forget(run);
  runs.set(id, run);
  return run;
}

// ---- lines of a log -----------------------------------------------------------------------------------------------

function takeMixing(run, line) {
  (line.layers ?? []).slice(0, LAYERS).forEach((layer, i) => {
    for (const [name, share] of Object.entries(layer.mix_scaled ?? layer.mix ?? {}).slice(0, BRANCHES))
      push(((run.mix[name] ??= [])[i] ??= empty()), line.step, share);
  });
}

function take(run, line) {
  if (line.event === "step") {
    push(run.loss, line.step, line.loss), push(run.lr, line.step, line.lr);
    push(run.speed, line.step, line.tokens_per_second);
    run.last = line.step, run.ended = false;
  } else if (line.event === "eval") push(run.valid, line.step, line.valid_loss);
  else if (line.event === "detail") takeMixing(run, line);
  else if (line.event === "end") run.ended = true;
}

/* Everything that its log has by now; what is long is drawn as it comes. */
async function follow(run) {
  const path = "train/" + encodeURIComponent(run.id);
  run.about ??= await read("GET", path);
  for (let pieces = 1; open && run.shown; pieces++) {
    const piece = await read("GET", `${path}/log?from=${run.offset}`);
    if ((run.file && piece.file !== run.file) || piece.next < run.offset) { // another log under this name
      forget(run), run.about = await read("GET", path);
      continue;
    }
    for (const line of piece.lines) take(run, line);
    run.unreadable += piece.unreadable;
    const more = piece.next > run.offset && piece.next < piece.size;
    run.file = piece.file, run.offset = piece.next;
    if (!more) return;
    if (pieces % 8 === 0) show();
  }
}

// ---- showing ------------------------------------------------------------------------------------------------------

const shown = () => [...runs.values()].filter((r) => r.shown);
const look = (run) => "r" + run.look;

function state(run) {
  if (run.ended) return "ended";
  const minutes = Math.max(0, Date.now() / 1000 - run.changed) / 60;
  if (minutes < 1.5) return "goes on";
  return "last written " + (minutes < 90 ? Math.round(minutes) + " minutes" : minutes < 2880 ? Math.round(minutes / 60) + " hours"
    : Math.round(minutes / 1440) + " days") + " ago";
}

function words(run, at) {
  const step = Math.min(at, run.last), parts = [];
  const value = (name, series, how) => {
    const v = valueAt(series, step);
    if (v !== undefined) parts.push(name + " " + how(v));
  };
  if (!run.last) return "no step yet";
  parts.push(`step ${step}` + (run.about?.steps ? ` of ${run.about.steps}` : ""));
  value("loss", run.loss, (v) => v.toFixed(4));
  value("validation", run.valid, (v) => v.toFixed(4));
  value("rate", run.lr, (v) => v.toExponential(2));
  value("tokens/s", run.speed, (v) => Math.round(v).toLocaleString("en"));
  if (run.unreadable) parts.push(run.unreadable + " unreadable lines");
  return parts.concat(state(run)).join(", ");
}

function listRuns() {
  const list = $("run-list"), ids = [...runs.keys()].join("\n");
  if (list.dataset.ids !== ids) {
    list.dataset.ids = ids;
    list.replaceChildren(...[...runs.values()].map((run) => {
      const li = document.createElement("li"), label = document.createElement("label");
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: run.shown });
      const swatch = Object.assign(document.createElement("span"), { className: "swatch " + look(run) });
      box.addEventListener("change", () => { run.shown = box.checked, show(), poll(); });
      label.append(box, " ", swatch, " " + run.id);
      li.append(label, document.createElement("p"));
      return li;
    }));
  }
  const at = latest ? Infinity : Number($("at-step").value);
  [...runs.values()].forEach((run, i) => { list.children[i].querySelector("p").textContent = run.shown ? words(run, at) : ""; });
}

function listLayers(some) {
  const n = Math.max(0, ...some.flatMap((r) => Object.values(r.mix).map((layers) => layers.length)));
  const select = $("layer"), chosen = select.value;
  if (select.options.length === n + 1) return;
  select.replaceChildren(new Option("all layers, mean", ""), ...Array.from({ length: n }, (_, i) => new Option("layer " + i, i)));
  select.value = chosen < n ? chosen : "";
}

/* The share of a branch in one layer, or its mean over all. */
function share(layers, layer) {
  if (layer !== "") return layers[layer] ?? empty();
  const all = layers.filter((s) => s?.x.length), out = empty();
  if (!all.length) return out;
  all[0].x.forEach((x, i) => {
    const y = all.map((s) => s.y[i]).filter((v) => v !== undefined);
    push(out, x, y.reduce((a, b) => a + b, 0) / y.length);
  });
  return out;
}

function figure(name, into) {
  let f = $("chart-" + name);
  if (!f) f = Object.assign(document.createElement("figure"), { id: "chart-" + name }), into.append(f);
  return f;
}

function show() {
  const some = shown(), charts = $("charts"), n = Math.max(1, Number($("smooth").value) || 1);
  const last = Math.max(1, ...some.map((r) => r.last));
  $("at-step").max = last;
  if (latest) $("at-step").value = last;
  $("train-options").hidden = !some.length;
  listRuns();
  listLayers(some);
  const first = Math.min(...some.map((r) => r.loss.x[0] ?? last), last);
  const all = { steps: [first, last], log: $("log-steps").checked, at: latest ? undefined : Number($("at-step").value) };
  const lines = (get, dashed) => some.map((r) => ({ ...get(r), name: r.id, look: look(r) + (dashed ? " dashed" : "") }));
  draw(figure("loss", charts), { title: n > 1 ? `Training loss, mean of ${n} steps` : "Training loss", ...all,
                                 curves: lines((r) => smooth(r.loss, n)) });
  draw(figure("valid", charts), { title: "Validation loss", ...all, curves: lines((r) => r.valid) });
  draw(figure("lr", charts), { title: "Learning rate", ...all, curves: lines((r) => r.lr) });
  let small = $("chart-mix");
  if (!small) small = Object.assign(document.createElement("div"), { id: "chart-mix", className: "small-charts" }), charts.append(small);
  const branches = [...new Set(some.flatMap((r) => Object.keys(r.mix)))].slice(0, BRANCHES), layer = $("layer").value;
  for (const old of [...small.children]) if (!branches.includes(old.id.slice(10))) old.remove();
  for (const name of branches)
    draw(figure("mix-" + name, small), { title: "Share of " + name, ...all, curves: lines((r) => share(r.mix[name] ?? [], layer)) });
}

// ---- looking again and again --------------------------------------------------------------------------------------

async function list() {
  const { data } = await read("GET", "train"), known = new Map(runs);
  runs.clear();
  for (const { id, changed } of data) {
    const run = known.get(id);
    if (run) runs.set(id, run);
    Object.assign(run ?? add(id), { changed });
  }
  if (!known.size && data.length) runs.get(data[0].id).shown = true;
  $("runs").hidden = !data.length;
  return data.length;
}

async function poll() {
  if (busy) return;
  busy = true;
  clearTimeout(timer);
  try {
    const n = await list();
    for (const run of shown()) await follow(run);
    if (open) show();
    $("train-about").textContent = n ? "" : "There are no runs in the folder that --runs names.";
    $("train-about").classList.remove("wrong");
  } catch (error) {
    $("train-about").textContent = error.message;
    $("train-about").classList.add("wrong");
  }
  busy = false;
  if (open && !document.hidden) timer = setTimeout(poll, EVERY);
}

/* The view was opened, or another one was. */
export function training(yes) {
  open = yes;
  clearTimeout(timer);
  if (open) poll();
}

for (const id of ["smooth", "layer", "log-steps"]) $(id).addEventListener("input", show);
$("at-step").addEventListener("input", () => { latest = $("at-step").value === $("at-step").max, show(); });
document.addEventListener("visibilitychange", () => { if (open && !document.hidden) poll(); });
let width = 0; // a change of height is what drawing makes itself
new ResizeObserver(([e]) => { if (open && e.contentRect.width !== width) width = e.contentRect.width, show(); }).observe($("charts"));
