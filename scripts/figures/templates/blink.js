"use strict";
// Shows the images of a stack in one frame: the same pixels of each, one image after the other.

const facts = JSON.parse(document.getElementById("facts").textContent);
const [ny, nx] = facts.shape;
const element = (id) => document.getElementById(id);
const canvas = element("image");
const context = canvas.getContext("2d");

// ---- the data: planes of 16-bit codes, deflated, in base64 --------------------------------------

async function inflated(id) {
  const text = atob(element(id).textContent);
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Code to value: near zero in equal steps, far from it in steps of equal ratio.
const values = new Float32Array(65536);
for (let i = 0; i < 65536; i++) {
  values[i] = facts.linear * facts.step * Math.sinh((i - 32768) / facts.linear);
}

async function plane(id, along, coarser = 1) {
  const bytes = await inflated(id);
  const n = nx * ny;
  const half = (n + 1) >> 1;
  const before = along === 1 ? 1 : nx;
  const codes = new Int32Array(n);
  const plane = new Float32Array(n);
  for (let i = 0; i < n; i++) {
    const four = (bytes[i >> 1] >> (4 * (i & 1))) & 15;
    const folded = four | (bytes[half + i] << 4) | (bytes[half + n + i] << 12);
    let code = (folded >>> 1) ^ -(folded & 1);
    if (along && (along === 1 ? i % nx : i >= nx)) code += codes[i - before];
    codes[i] = code;
    plane[i] = coarser * values[code + 32768];
  }
  return plane;
}

const LOW = 1, HIGH = 2, NO_MINIMUM = 4, NO_MEDIAN = 8, NO_BEFORE = 16, NO_AFTER = 32, KNOWN = 64;
const data = {};
let flagged = []; // the places of the flagged pixels, row by row
let exact = {}; // what is known of them to the last digit

async function load() {
  const axis = facts.axis;
  const mask = await inflated("mask");
  const median = await plane("median", axis);
  const residual = await plane("residual", 0);
  const before = await plane("exposure", axis, 2);
  const minimum = new Float32Array(nx * ny);
  for (let i = 0; i < minimum.length; i++) {
    minimum[i] = median[i] + residual[i];
    before[i] += minimum[i];
    if (mask[i] & 3) flagged.push(i);
  }
  const numbers = new Float32Array((await inflated("exact")).buffer);
  ["minimum", "median", "before", "wavelength"].forEach((name, row) => {
    exact[name] = numbers.subarray(row * flagged.length, (row + 1) * flagged.length);
  });
  flagged.forEach((place, i) => {
    minimum[place] = exact.minimum[i];
    median[place] = exact.median[i];
    before[place] = exact.before[i];
    residual[place] = exact.minimum[i] - exact.median[i];
  });
  const blank = { minimum: NO_MINIMUM, median: NO_MEDIAN, residual: NO_MINIMUM | NO_MEDIAN,
                  before: NO_BEFORE, after: NO_AFTER };
  Object.assign(data, { mask, minimum, median, residual, before, after: before });
  return blank;
}

// ---- pictures: each image in colour, redrawn when the stretch changes ----------------------------

const NAMES = ["minimum", "median", "residual", "flags", "before", "after"];
const NO_DATA = [122, 104, 150];
const COLOURS = { [LOW]: [86, 180, 233], [HIGH]: [255, 120, 30] };
const grey = Array.from({ length: 256 }, (_, i) => [i, i, i]);
// From blue over white to orange, told apart by the colour-blind.
const diverging = Array.from({ length: 256 }, (_, i) => {
  const t = (i - 127.5) / 127.5;
  const end = t < 0 ? [0, 88, 168] : [214, 84, 0];
  const s = Math.abs(t) ** 0.8;
  return end.map((c) => Math.round(245 + (c - 245) * s));
});

let blank;
const stretch = { images: 0, residual: 0 };
const pictures = {}; // name to {canvas, key of its stretch}
const kind = (name) => (name === "residual" ? name : "images"); // images share their stretch

function limits(name) {
  const factor = 10 ** (stretch[kind(name)] / 50);
  const [low, high] = facts.limits[kind(name)];
  return name === "residual" ? [low * factor, high * factor] : [low, low + (high - low) * factor];
}

function picture(name) {
  const [low, high] = limits(name);
  const key = `${low} ${high}`;
  if (pictures[name]?.key === key) return pictures[name].canvas;
  const target = pictures[name]?.canvas ?? document.createElement("canvas");
  target.width = nx;
  target.height = ny;
  const paper = target.getContext("2d");
  const image = paper.createImageData(nx, ny);
  const pixels = new Uint32Array(image.data.buffer);
  const word = ([r, g, b]) => (255 << 24) | (b << 16) | (g << 8) | r;
  const table = (name === "residual" ? diverging : grey).map(word);
  const none = word(NO_DATA), scale = 255 / (high - low);
  const marks = [0, word(COLOURS[LOW]), word(COLOURS[HIGH])];
  const good = word([38, 38, 42]), known = word([92, 92, 98]);
  const source = data[name], mask = data.mask, bit = blank[name];
  for (let y = 0; y < ny; y++) {
    let to = (ny - 1 - y) * nx; // y goes up, as in ds9
    for (let i = y * nx; i < (y + 1) * nx; i++, to++) {
      if (name === "flags") {
        pixels[to] = marks[mask[i] & 3] || (mask[i] & KNOWN ? known : good);
      } else if (mask[i] & bit) {
        pixels[to] = none;
      } else {
        const level = (source[i] - low) * scale;
        pixels[to] = table[level > 255 ? 255 : level > 0 ? level | 0 : 0];
      }
    }
  }
  paper.putImageData(image, 0, 0);
  pictures[name] = { canvas: target, key };
  return target;
}

// ---- the view: which image, where, how large ----------------------------------------------------

const view = { image: "minimum", other: "flags", x: nx / 2, y: ny / 2, scale: 1, marks: true,
               current: -1, pointer: null };
const MOST = 64; // screen pixels to a detector pixel
let fitted = true;

const fit = () => Math.min(canvas.width / nx, canvas.height / ny);

function resize() {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (fitted) showAll();
  draw();
}

function showAll() {
  Object.assign(view, { x: nx / 2, y: ny / 2, scale: fit() });
  fitted = true;
}

// Screen to image: pixel (x, y) covers x to x + 1, from the left and from below.
const toImage = (sx, sy) => [
  view.x + (sx - canvas.width / 2) / view.scale,
  view.y - (sy - canvas.height / 2) / view.scale,
];
const toScreen = (x, y) => [
  (x - view.x) * view.scale + canvas.width / 2,
  (view.y - y) * view.scale + canvas.height / 2,
];

let waiting = false;
function draw() {
  if (waiting || !data.mask) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    paint();
  });
}

function paint() {
  context.fillStyle = "#101012";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = view.scale < 1;
  const [left, top] = toScreen(0, ny);
  context.drawImage(picture(view.image), left, top, nx * view.scale, ny * view.scale);
  if (view.marks) drawMarks();
  if (view.current >= 0) drawCurrent();
  canvas.dataset.image = view.image;
  canvas.dataset.scale = view.scale;
  canvas.dataset.x = view.x;
  canvas.dataset.y = view.y;
  tell();
}

function drawMarks() {
  const scale = view.scale;
  const ratio = window.devicePixelRatio || 1;
  const [x0, y1] = toImage(0, 0), [x1, y0] = toImage(canvas.width, canvas.height);
  // Of the whole detector, all marks together cover a twentieth, so that the image is seen.
  const dot = scale * Math.sqrt((0.05 * nx * ny) / flagged.length);
  const size = Math.max(scale, Math.min(2.5 * ratio, Math.max(ratio, dot)));
  context.lineWidth = Math.max(1.5 * ratio, scale / 16);
  for (const place of flagged) {
    const x = place % nx, y = (place / nx) | 0;
    if (x < x0 - 1 || x > x1 || y < y0 - 1 || y > y1) continue;
    const flag = data.mask[place] & 3;
    const [sx, sy] = toScreen(x + 0.5, y + 0.5);
    const colour = `rgb(${COLOURS[flag]})`;
    if (scale < 3 * ratio) {
      context.fillStyle = colour;
      context.fillRect(sx - size / 2, sy - size / 2, size, size);
      continue;
    }
    context.strokeStyle = colour; // high: a square; low: a circle
    context.beginPath();
    if (flag === HIGH) context.rect(sx - size / 2, sy - size / 2, size, size);
    else context.arc(sx, sy, size / 2, 0, 7);
    context.stroke();
  }
}

function drawCurrent() {
  const place = order[view.current];
  const [sx, sy] = toScreen((place % nx) + 0.5, ((place / nx) | 0) + 0.5);
  const ratio = window.devicePixelRatio || 1;
  const radius = Math.max(1.5 * view.scale, 12 * ratio);
  for (const [colour, width] of [["#000", 5], ["#fff", 2]]) {
    context.strokeStyle = colour;
    context.lineWidth = width * ratio;
    context.beginPath();
    context.arc(sx, sy, radius, 0, 7);
    context.stroke();
  }
}

function zoom(factor, sx = canvas.width / 2, sy = canvas.height / 2) {
  const [x, y] = toImage(sx, sy);
  const ratio = window.devicePixelRatio || 1;
  view.scale = Math.min(MOST * ratio, Math.max(fit() / 2, view.scale * factor));
  view.x = x - (sx - canvas.width / 2) / view.scale;
  view.y = y + (sy - canvas.height / 2) / view.scale;
  moved();
}

function moved() {
  fitted = false;
  view.x = Math.min(nx, Math.max(0, view.x));
  view.y = Math.min(ny, Math.max(0, view.y));
  draw();
}

function show(name) {
  if (name !== view.image) view.other = view.image;
  view.image = name;
  mark();
  draw();
}
const blink = () => show(view.other);

function mark() {
  for (const button of document.querySelectorAll("[data-show]")) {
    const name = button.dataset.show;
    button.setAttribute("aria-pressed", name === view.image);
    button.classList.toggle("other", name === view.other);
  }
  const slider = element("stretch");
  slider.value = -stretch[kind(view.image)];
  slider.disabled = view.image === "flags";
  element("scale").hidden = view.image === "flags";
  element("bar").className = view.image === "residual" ? "residual" : "grey";
  limits(view.image).forEach((value, i) => (element(i ? "high" : "low").textContent = short(value)));
}

let beat = null;
function toggleBlinking() {
  beat = beat ? clearInterval(beat) : setInterval(blink, 600);
  element("play").setAttribute("aria-pressed", Boolean(beat));
}

// ---- flagged pixels, one after the other ---------------------------------------------------------

let order = [];
function sort() {
  const size = (p) => Math.abs(data.residual[p]);
  const by = element("order").value;
  order = flagged.filter((p) => by !== "high" && by !== "low"
    || (data.mask[p] & 3) === (by === "high" ? HIGH : LOW));
  if (by !== "place") {
    const sign = by === "weakest" ? 1 : -1;
    order.sort((a, b) => sign * (size(a) - size(b)));
  }
  view.current = -1;
  told();
  draw();
}

function step(by) {
  if (!order.length) return;
  view.current = view.current < 0 ? (by > 0 ? 0 : order.length - 1)
                                  : (view.current + by + order.length) % order.length;
  const place = order[view.current];
  view.x = (place % nx) + 0.5;
  view.y = ((place / nx) | 0) + 0.5;
  const ratio = window.devicePixelRatio || 1;
  view.scale = Math.max(view.scale, 12 * ratio);
  view.pointer = null;
  moved();
  told();
}

function told() {
  element("count").textContent = view.current < 0
    ? `${order.length} flagged pixels`
    : `${view.current + 1} of ${order.length}`;
}

// ---- the readout -------------------------------------------------------------------------------

const short = (value) => (value === 0 ? "0" : Number(value.toPrecision(4)).toString());
function rounded(value, error) { // to two digits of its error
  if (!error) return short(value);
  const digits = Math.min(20, Math.max(0, 1 - Math.floor(Math.log10(error))));
  return `${value.toFixed(digits)} ± ${error.toFixed(digits)}`;
}

function tell() {
  let x, y;
  if (view.pointer) [x, y] = toImage(...view.pointer).map(Math.floor);
  else if (view.current >= 0) [x, y] = [order[view.current] % nx, (order[view.current] / nx) | 0];
  const inside = x >= 0 && y >= 0 && x < nx && y < ny;
  const place = y * nx + x;
  const bits = inside ? data.mask[place] : 0;
  element("xy").textContent = inside ? `x ${x}  y ${y}` : "–";
  element("ds9").textContent = inside ? `(${x + 1}, ${y + 1})` : "–";
  for (const name of ["minimum", "median", "residual", "before", "after"]) {
    const value = data[name]?.[place], error = bits & 3 ? 0 : facts.errors[name] + 0.01 * Math.abs(value);
    const text = (unit) => rounded(value / unit, error / unit);
    element(`at-${name}`).textContent = !inside ? "–" : bits & blank[name] ? "no value" : text(1);
    if (name !== "residual") continue;
    const known = inside && !(bits & blank[name]) && facts.sigma;
    element("at-sigma").textContent = known ? `${text(facts.sigma)} σ` : "–";
  }
  const words = [];
  if (bits & 3) words.push((bits & 3) === HIGH ? "flagged high" : "flagged low");
  if (bits & KNOWN) words.push("DO_NOT_USE before");
  element("at-flags").textContent = !inside ? "–" : words.join(", ") || "good";
  const i = bits & 3 ? at(place) : -1;
  const wavelength = i < 0 ? NaN : exact.wavelength[i];
  element("at-wavelength").textContent = wavelength > 0 ? `${wavelength.toFixed(4)} µm` : "–";
}

function at(place) { // where in `flagged`, which is sorted
  let low = 0, high = flagged.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (flagged[middle] < place) low = middle + 1;
    else high = middle;
  }
  return flagged[low] === place ? low : -1;
}

// ---- pointer, keys, buttons --------------------------------------------------------------------

const fingers = new Map();
let travelled = 0;
const where = (event) => {
  const box = canvas.getBoundingClientRect();
  const ratio = canvas.width / box.width;
  return [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
};
const spread = () => {
  const [a, b] = [...fingers.values()];
  return { size: Math.hypot(a[0] - b[0], a[1] - b[1]), x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2 };
};

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  if (!fingers.size) travelled = 0;
  fingers.set(event.pointerId, where(event));
});
canvas.addEventListener("pointermove", (event) => {
  const now = where(event);
  view.pointer = now;
  const last = fingers.get(event.pointerId);
  if (!last) return tell();
  const old = fingers.size === 2 ? spread() : null;
  fingers.set(event.pointerId, now);
  const [dx, dy] = [now[0] - last[0], now[1] - last[1]];
  travelled += Math.hypot(dx, dy);
  if (old) {
    const { size, x, y } = spread();
    travelled += 100; // never a click
    view.x -= (x - old.x) / view.scale;
    view.y += (y - old.y) / view.scale;
    zoom(size / Math.max(1, old.size), x, y);
  } else if (fingers.size === 1) {
    view.x -= dx / view.scale;
    view.y += dy / view.scale;
    moved();
  }
});
const lifted = (event) => {
  const click = event.type === "pointerup" && fingers.size === 1 && travelled < 6
    && event.button === 0;
  fingers.delete(event.pointerId);
  if (click) blink();
};
canvas.addEventListener("pointerup", lifted);
canvas.addEventListener("pointercancel", lifted);
canvas.addEventListener("pointerleave", () => {
  view.pointer = null;
  tell();
});
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : 1); // some count lines
  zoom(2 ** (-pixels / 240), ...where(event));
}, { passive: false });

const pan = (dx, dy) => {
  view.x += (dx * canvas.width) / 8 / view.scale;
  view.y += (dy * canvas.height) / 8 / view.scale;
  moved();
};
const keys = {
  " ": blink, b: toggleBlinking, n: () => step(1), p: () => step(-1), m: toggleMarks,
  "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5),
  0: () => { showAll(); draw(); }, "[": () => stretchBy(-4), "]": () => stretchBy(4),
  ArrowLeft: () => pan(-1, 0), ArrowRight: () => pan(1, 0),
  ArrowUp: () => pan(0, 1), ArrowDown: () => pan(0, -1),
};
NAMES.forEach((name, i) => (keys[i + 1] = () => show(name)));

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " " && event.target.matches("a, button, input, select, summary")) return;
  if (event.key.startsWith("Arrow") && event.target.matches("input, select")) return;
  const action = keys[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

function toggleMarks() {
  view.marks = !view.marks;
  element("marks").setAttribute("aria-pressed", view.marks);
  draw();
}
function stretchBy(change) {
  const of = kind(view.image);
  stretch[of] = Math.min(100, Math.max(-100, stretch[of] + change));
  mark();
  draw();
}

for (const button of document.querySelectorAll("[data-show]")) {
  button.addEventListener("click", () => show(button.dataset.show));
}
for (const button of document.querySelectorAll("[data-key]")) {
  button.addEventListener("click", () => keys[button.dataset.key]());
}
element("stretch").addEventListener("input", (event) => {
  stretch[kind(view.image)] = -Number(event.target.value);
  mark();
  draw();
});
element("order").addEventListener("change", () => {
  sort();
  step(1);
});
document.addEventListener("click", (event) => { // so that the space bar blinks after it
  if (event.detail) event.target.closest("button")?.blur();
});
new ResizeObserver(resize).observe(canvas);

load().then((bits) => {
  blank = bits;
  sort();
  mark();
  resize();
  document.body.dataset.ready = Math.round(performance.now());
  element("wait").remove();
}).catch((error) => {
  element("wait").textContent =
    typeof DecompressionStream === "undefined"
      ? "This browser is too old for this page: it needs DecompressionStream (2023)."
      : `The images could not be read: ${error}`;
  throw error;
});
