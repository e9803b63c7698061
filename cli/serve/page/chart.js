// chart.js -- curves over steps, drawn as SVG; and the series that they are drawn from
//
// A series is { x, y } with growing x. A curve is a series with a name for those who do not see it, and a class for its
// colour.

// ---- series -------------------------------------------------------------------------------------------------------

/* After a resume steps are repeated; the later value counts. */
export function push(series, x, y) {
  if (!Number.isFinite(x) || !Number.isFinite(y)) return;
  while (series.x.length && series.x.at(-1) >= x) series.x.pop(), series.y.pop();
  series.x.push(x), series.y.push(y);
}

/* The last value at x or before it. */
export function valueAt(series, x) {
  let low = 0, high = series?.x.length ?? 0;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (series.x[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return low ? series.y[low - 1] : undefined;
}

/* Means of the last n values. */
export function smooth(series, n) {
  if (n <= 1) return series;
  let sum = 0;
  const y = series.y.map((value, i) => {
    sum += value - (i >= n ? series.y[i - n] : 0);
    return sum / Math.min(i + 1, n);
  });
  return { x: series.x, y };
}

// ---- drawing ------------------------------------------------------------------------------------------------------

function element(name, attributes, ...children) {
  const space = document.getElementById("svg").content.firstElementChild.namespaceURI;
  const e = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  e.append(...children);
  return e;
}

/* Round numbers between low and high, some n of them, and two at least, since one alone tells no scale. */
function ticks(low, high, n) {
  const raw = (high - low) / n || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((k) => k * power >= raw) * power, out = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) out.push(k * step);
  return out.length < 2 && n < 16 ? ticks(low, high, 2 * n) : out;
}

export function short(v, digits = 4) {
  const size = Math.abs(v), cut = (x) => String(Number(x.toPrecision(digits)));
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return Number(v.toPrecision(digits)).toExponential().replace("e+", "e");
  return size >= 1000 ? cut(v / 1000) + "k" : cut(v);
}

/* With as many digits as tell one from the other. */
function labels(values) {
  for (let digits = 1; ; digits++) {
    const texts = values.map((v) => short(v, digits));
    if (digits === 12 || values.every((v, i) => Math.abs(Number(v.toPrecision(digits)) - v) <= 1e-3 * Math.abs(values[1] - values[0] || v)))
      return texts;
  }
}

/* Curves of more points than there are pixels become means over pixels. */
function points(curve, across, up, width) {
  const out = [];
  for (let i = 0, end; i < curve.x.length; i = end) {
    const at = Math.round(across(curve.x[i]));
    let sum = 0;
    for (end = i; end < curve.x.length && Math.round(across(curve.x[end])) === at; end++) sum += curve.y[end];
    out.push([at, up(sum / (end - i))]);
    if (out.length > 4 * width) break;
  }
  return out;
}

/* The first hundredth of many steps is steep and would leave no height for what follows, unless steps are logarithmic. */
function heights(curves, first, last, log) {
  const from = log ? first : first + 0.01 * (last - first);
  let low = Infinity, high = -Infinity;
  for (const c of curves)
    for (let i = 0; i < c.y.length; i++) {
      if (c.x[i] < from && c.y.length > 100) continue;
      low = Math.min(low, c.y[i]), high = Math.max(high, c.y[i]);
    }
  const room = 0.04 * (high - low) || 0.02 * Math.abs(high) || 1;
  return [low - room, high + room];
}

/* Lays the curves into a figure; steps are the first and the last one, for all figures the same. */
export function draw(figure, { title, curves, steps, at, log }) {
  const some = curves.filter((c) => c.x.length);
  const caption = Object.assign(document.createElement("figcaption"), { textContent: title });
  figure.hidden = !some.length;
  if (!some.length) return figure.replaceChildren(caption);
  const old = figure.querySelector("svg"), box = (old ?? figure).getBoundingClientRect();
  const width = Math.max(200, Math.round(box.width || 600)), height = Math.max(120, Math.round(old ? box.height : 208));
  const left = 48, right = width - 8, top = 8, bottom = height - 20;
  const first = steps[0], last = Math.max(steps[1], first + 1);
  const [low, high] = heights(some, first, last, log), place = (x) => (log ? Math.log(Math.max(x, 1)) : x);
  const across = (x) => left + (right - left) * (place(x) - place(first)) / (place(last) - place(first) || 1);
  const up = (y) => bottom - (bottom - top) * (y - low) / (high - low);
  const name = `${title}: ` + some.map((c) => `${c.name} ${short(c.y.at(-1))} at step ${c.x.at(-1)}`).join("; ");
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": name });
  const inner = element("svg", { x: left, y: 0, width: right - left, height: bottom, viewBox: `${left} 0 ${right - left} ${bottom}` });
  const values = ticks(low, high, height / 45), names = labels(values);
  values.forEach((y, i) => svg.append(element("line", { class: "grid", x1: left, x2: right, y1: up(y), y2: up(y) }),
                                      element("text", { x: left - 5, y: up(y) + 4, "text-anchor": "end" }, names[i])));
  const marks = log ? [1, 10, 100, 1e3, 1e4, 1e5, 1e6].filter((x) => x >= first && x <= last) : ticks(first, last, width / 110);
  for (const x of marks.filter(Number.isInteger))
    svg.append(element("text", { x: Math.min(across(x), right - 10), y: height - 4, "text-anchor": "middle" }, short(x)));
  for (const c of some) {
    const line = points(c, across, up, width);
    inner.append(element("polyline", { class: "curve " + c.look, points: line.map((p) => p.map((v) => v.toFixed(1)).join(",")).join(" ") }));
    if (line.length < 40) for (const [x, y] of line) inner.append(element("circle", { class: "dot " + c.look, cx: x, cy: y, r: 2.5 }));
  }
  if (at !== undefined && at >= first && at < last)
    inner.append(element("line", { class: "at", x1: across(at), x2: across(at), y1: top, y2: bottom }));
  svg.append(inner);
  figure.replaceChildren(caption, svg);
}
