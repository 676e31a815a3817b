// The page's maps, matrices and lists of pictures. Names are only ever text; nothing is fetched.
"use strict";

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const texts = data.texts;
const say = (text) => { byId("announcement").textContent = text; };
const textOf = (key, n) => (String(n) === "1" && texts[`${key}_one`]) || texts[key];
const fill = (key, values) => textOf(key, values.n).replace(/\{(\w+)\}/g, (_, name) => values[name]);
const count = (n) => n.toLocaleString(data.language);
const N_COLORS = 20, N_MARKERS = 9, MOST_SHOWN = 60, MOST_NUMBERS = 30;

function unpack(text, Kind) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new Kind(bytes.buffer);
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const nameOf = (row) => (data.names ? data.names[row] : data.ids[row]);

// pictures

function pictureOf(row) {
  const frame = element("span", "frame");
  if (data.thumbs && data.thumbs[row]) {
    const image = element("img");
    image.loading = "lazy";
    image.decoding = "async";
    image.alt = nameOf(row);
    image.src = `data:image/webp;base64,${data.thumbs[row]}`;
    frame.append(image);
  } else if (data.sheets) {
    const { across, each, files } = data.sheets, at = row % each;
    const high = Math.ceil(Math.min(each, data.n - Math.floor(row / each) * each) / across);
    const part = element("span", "sprite"), step = (i, n) => (n > 1 ? (100 * i) / (n - 1) : 0);
    part.setAttribute("role", "img");
    part.setAttribute("aria-label", nameOf(row));
    part.style.setProperty("background-image", `url("${files[Math.floor(row / each)]}")`);
    part.style.setProperty("background-size", `${100 * across}% ${100 * high}%`);
    part.style.setProperty("background-position",
      `${step(at % across, across)}% ${step(Math.floor(at / across), high)}%`);
    frame.append(part);
  } else frame.append(element("span", "none", texts.no_picture));
  frame.dataset.row = row;
  return frame;
}

const hasPictures = Boolean(data.thumbs || data.sheets); // else names stand in their places

function showPictures(list, rows, most = MOST_SHOWN) {
  list.classList.toggle("named", !hasPictures);
  list.replaceChildren(...rows.slice(0, most).map((row) => {
    const item = element("li");
    if (hasPictures) item.append(pictureOf(row));
    item.append(element("p", "", nameOf(row)));
    item.title = nameOf(row);
    return item;
  }));
}

for (const each of document.querySelectorAll(".row-picture")) {
  if (!hasPictures) {
    each.textContent ||= each.title;
    continue;
  }
  const frame = pictureOf(Number(each.dataset.row));
  frame.classList.add("small");
  each.prepend(frame);
}

function open(title, rows) {
  byId("opened-title").textContent = title;
  showPictures(byId("opened-pictures"), rows);
  const more = rows.length - MOST_SHOWN;
  byId("opened-more").textContent = more > 0 ? fill("n_more", { n: count(more) }) : "";
  byId("opened").showModal();
}

// colors and markers: those of all figures

const columns = data.columns.map((each) => ({ ...each, codes: unpack(each.codes, Int32Array) }));
const columnSizes = columns.map((each) => {
  const sizes = new Int32Array(each.categories.length);
  for (const code of each.codes) if (code >= 0) sizes[code] += 1;
  return sizes;
});
const SEQUENTIAL = ["#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725"]; // viridis
let theme = {};

function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  theme = {
    classes: Array.from({ length: N_COLORS }, (_, i) => of(`--c${i}`)),
    none: of("--c-none"), sheet: of("--sheet"), ink: of("--ink"), called: of("--called"),
  };
}

function look(column, category) { // color and marker of a category
  if (category < 0) return { color: theme.none, marker: 0, gray: true };
  const style = column.styles[category];
  if (column.kind === "number") {
    const last = Math.max(1, column.categories.length - 1);
    return { color: SEQUENTIAL[Math.round((category / last) * 5)], marker: 0, gray: false };
  }
  if (style < 0) return { color: theme.none, marker: 0, gray: true };
  return { color: theme.classes[style], marker: style % N_MARKERS, gray: false };
}

for (const [i, column] of columns.entries()) { // what has a color is in the legend, the rest gray
  const there = column.categories.map((_, k) => k).filter((k) => columnSizes[i][k]);
  const few = there.length <= N_COLORS;
  column.inLegend = there.filter((k) => few || column.styles[k] >= 0);
  column.nMore = there.length - column.inLegend.length;
}

function path(context, marker, x, y, r) { // as Matplotlib's o s ^ D v p h < >
  const around = (n, turn, size = r) => {
    for (let k = 0; k < n; k += 1) {
      const angle = turn + (2 * Math.PI * k) / n;
      context.lineTo(x + size * Math.cos(angle), y + size * Math.sin(angle));
    }
  };
  const up = -Math.PI / 2;
  context.beginPath();
  if (marker === 0) context.arc(x, y, r * 0.92, 0, 2 * Math.PI);
  else if (marker === 1) context.rect(x - 0.8 * r, y - 0.8 * r, 1.6 * r, 1.6 * r);
  else if (marker === 3) around(4, up, 1.12 * r);
  else if (marker === 5) around(5, up);
  else if (marker === 6) around(6, up);
  else around(3, { 2: up, 4: -up, 7: Math.PI, 8: 0 }[marker], 1.1 * r);
  context.closePath();
}

function drawShape(canvas, { color, marker }) {
  canvas.width = canvas.height = 32;
  const context = canvas.getContext("2d");
  context.fillStyle = color;
  path(context, marker, 16, 16, 12);
  context.fill();
}

// maps: pixels are set one by one, which is as fast for 100,000 points as a page can do without a GPU

const stamps = new Map();

const SOLID_RADIUS = 1.6; // points this small are pixels that are set or not

function stampOf(marker, radius, width) { // [dx, dy, how much of the pixel] of a marker
  const key = `${marker} ${radius} ${width}`;
  if (!stamps.has(key)) {
    const half = Math.ceil(radius * 1.25) + 1, side = 2 * half + 1;
    const canvas = element("canvas");
    canvas.width = canvas.height = side;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    path(context, marker, half + 0.5, half + 0.5, radius);
    context.fill();
    const found = [], offsets = [], pixels = context.getImageData(0, 0, side, side).data;
    for (let i = 0; i < side * side; i += 1) {
      const covered = pixels[4 * i + 3], dx = (i % side) - half, dy = Math.floor(i / side) - half;
      if (covered > 24) found.push(dx, dy, covered);
      if (covered > 110) offsets.push(dy * width + dx);
    }
    stamps.set(key, { half, parts: Int32Array.from(found), offsets: Int32Array.from(offsets) });
  }
  return stamps.get(key);
}

function bytesOf(color) {
  return [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
}

const mixed = (a, b, share) => a.map((each, i) => Math.round(each + (b[i] - each) * share));
const packed = ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;

const state = { column: 0, kept: new Set(), chosen: null, lit: -1, pinned: -1 };
const SIDE = 128; // cells of the index of points

class MapView {
  constructor(frame, points, { name, shape }) {
    this.shape = shape; // how wide and how high the points reach, of their square
    const [across, down] = shape;
    frame.style.setProperty("aspect-ratio", `1 / ${Math.min(1.15, Math.max(0.5, (down + 0.06) / (across + 0.06)))}`);
    [this.canvas, this.over] = frame.querySelectorAll("canvas");
    this.frame = frame;
    this.name = name;
    this.points = points;
    this.view = { x: 0.5, y: 0.5, scale: 1 };
    this.frames = 0;
    this.indexPoints();
    this.listen();
  }

  indexPoints() { // rows by the cell they lie in, one cell after the other
    const n = data.n, cells = new Int32Array(n), starts = new Int32Array(SIDE * SIDE + 1);
    for (let i = 0; i < n; i += 1) {
      cells[i] = (this.points[2 * i + 1] >> 9) * SIDE + (this.points[2 * i] >> 9);
      starts[cells[i] + 1] += 1;
    }
    for (let k = 0; k < SIDE * SIDE; k += 1) starts[k + 1] += starts[k];
    const next = starts.slice(), rows = new Int32Array(n);
    for (let i = 0; i < n; i += 1) { rows[next[cells[i]]] = i; next[cells[i]] += 1; }
    this.index = { starts, rows };
  }

  size() {
    const ratio = Math.min(2, devicePixelRatio || 1), box = this.frame.getBoundingClientRect();
    return { width: Math.max(1, Math.round(box.width * ratio)), height: Math.max(1, Math.round(box.height * ratio)), ratio };
  }

  transform() { // from units of the points to pixels of the canvas
    const { width, height } = this.canvas, [across, down] = this.shape;
    const per = 0.93 * Math.min(width / across, height / down) * this.view.scale / 65535;
    return {
      per,
      left: width / 2 - this.view.x * 65535 * per,
      top: height / 2 - this.view.y * 65535 * per,
    };
  }

  radius(ratio) {
    const usual = Math.min(4.2, Math.max(1.1, 130 / Math.sqrt(data.n)));
    return Math.round(usual * ratio * Math.min(2.2, Math.max(1, this.view.scale ** 0.35)) * 4) / 4;
  }

  draw() {
    this.queued = false;
    const { width, height, ratio } = this.size();
    for (const canvas of [this.canvas, this.over]) {
      if (canvas.width !== width || canvas.height !== height) {
        canvas.width = width;
        canvas.height = height;
        this.image = null;
      }
    }
    const context = this.canvas.getContext("2d");
    this.image ||= context.createImageData(width, height);
    const pixels = new Uint32Array(this.image.data.buffer);
    pixels.fill(packed(bytesOf(theme.sheet)));
    const { per, left, top } = this.transform(), radius = this.radius(ratio);
    const { order, styleOf, looks } = painting();
    const solid = radius < SOLID_RADIUS, ready = looks.map((own) => {
      const { half, parts, offsets } = stampOf(own.marker, radius, width);
      return { half, parts, offsets, full: own.full, dim: own.dim };
    });
    const fading = state.kept.size > 0 || state.chosen !== null, { points } = this, { length } = order;
    for (let k = 0; k < length; k += 1) {
      const row = order[k], own = ready[styleOf[row]];
      const x = (left + points[2 * row] * per + 0.5) | 0, y = (top + points[2 * row + 1] * per + 0.5) | 0;
      const { half } = own;
      if (x < -half || y < -half || x > width + half || y > height + half) continue;
      const color = fading && faded(row) ? own.dim : own.full;
      if (solid && x >= half && y >= half && x < width - half && y < height - half) {
        const { offsets } = own, at = y * width + x, { whole } = color;
        for (let i = 0; i < offsets.length; i += 1) pixels[at + offsets[i]] = whole;
      } else stamp(pixels, width, height, x, y, own, color);
    }
    context.putImageData(this.image, 0, 0);
    this.frames += 1;
    this.drawOver();
  }

  drawOver() {
    const context = this.over.getContext("2d"), { per, left, top } = this.transform();
    context.clearRect(0, 0, this.over.width, this.over.height);
    const ratio = this.size().ratio;
    if (this.loop && this.loop.length > 1) {
      context.beginPath();
      for (const [x, y] of this.loop) context.lineTo(left + x * per, top + y * per);
      context.closePath();
      context.strokeStyle = theme.called;
      context.lineWidth = 2 * ratio;
      context.stroke();
    }
    if (state.lit < 0) return;
    const x = left + this.points[2 * state.lit] * per, y = top + this.points[2 * state.lit + 1] * per;
    for (const [color, line] of [[theme.sheet, 6], [theme.called, 3]]) {
      context.beginPath();
      context.arc(x, y, this.radius(ratio) + 5 * ratio, 0, 2 * Math.PI);
      context.strokeStyle = color;
      context.lineWidth = line * ratio;
      context.stroke();
    }
  }

  later() {
    if (this.queued) return;
    this.queued = true;
    requestAnimationFrame(() => this.draw());
  }

  place(event) { // of the pointer, in units of the points
    const box = this.frame.getBoundingClientRect(), { per, left, top } = this.transform();
    const ratio = this.canvas.width / box.width;
    return [((event.clientX - box.left) * ratio - left) / per, ((event.clientY - box.top) * ratio - top) / per];
  }

  nearest([x, y], pixels) {
    const reach = (pixels * this.size().ratio) / this.transform().per;
    const cell = (v) => Math.min(SIDE - 1, Math.max(0, Math.floor(v / 512)));
    let found = -1, least = reach * reach;
    for (let down = cell(y - reach); down <= cell(y + reach); down += 1) {
      for (let across = cell(x - reach); across <= cell(x + reach); across += 1) {
        const at = down * SIDE + across;
        for (let k = this.index.starts[at]; k < this.index.starts[at + 1]; k += 1) {
          const row = this.index.rows[k];
          const far = (this.points[2 * row] - x) ** 2 + (this.points[2 * row + 1] - y) ** 2;
          if (far < least) { least = far; found = row; }
        }
      }
    }
    return found;
  }

  zoom(factor, at) {
    if (!factor) this.view = { x: 0.5, y: 0.5, scale: 1 };
    else {
      const { view } = this, scale = Math.min(200, Math.max(1, view.scale * factor));
      const [x, y] = at ? [at[0] / 65535, at[1] / 65535] : [view.x, view.y], by = view.scale / scale;
      this.view = { x: x - (x - view.x) * by, y: y - (y - view.y) * by, scale };
    }
    this.keepInside();
  }

  move(dx, dy) { // in pixels of the canvas
    const { per } = this.transform();
    this.view.x -= dx / per / 65535;
    this.view.y -= dy / per / 65535;
    this.keepInside();
  }

  keepInside() {
    const room = 0.5 * (1 - 1 / this.view.scale);
    for (const axis of ["x", "y"]) {
      this.view[axis] = Math.min(0.5 + room + 0.02, Math.max(0.5 - room - 0.02, this.view[axis]));
    }
    this.canvas.classList.toggle("near", this.view.scale > 1);
    this.later();
  }

  listen() {
    const fingers = new Map(), { canvas } = this;
    let moved = false;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, this.place(event));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, event);
      moved = false;
      canvas.setPointerCapture(event.pointerId);
      if (lassoing()) this.loop = [this.place(event)];
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) { light(this.nearest(this.place(event), 12), event); return; }
      const ratio = this.size().ratio;
      const dx = (event.clientX - before.clientX) * ratio, dy = (event.clientY - before.clientY) * ratio;
      if (Math.hypot(dx, dy) > 3) moved = true;
      if (this.loop) {
        this.loop.push(this.place(event));
        this.drawOver();
      } else if (fingers.size === 2) {
        const [other] = [...fingers.values()].filter((each) => each.pointerId !== event.pointerId);
        const far = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
        if (far(before) > 0) this.zoom(far(event) / far(before), this.place(event));
      } else if (this.view.scale > 1) this.move(dx, dy);
      fingers.set(event.pointerId, event);
    });
    canvas.addEventListener("pointerup", (event) => {
      if (this.loop) {
        choose(this.inside(this.loop));
        this.loop = null;
        this.drawOver();
      } else if (!moved) {
        const row = this.nearest(this.place(event), 16);
        state.pinned = row === state.pinned ? -1 : row;
        light(row, event);
      }
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => { fingers.delete(event.pointerId); });
    }
    canvas.addEventListener("pointerleave", () => light(state.pinned));
    canvas.addEventListener("keydown", (event) => {
      const step = 0.15 * canvas.width, keys = {
        ArrowLeft: () => this.move(step, 0), ArrowRight: () => this.move(-step, 0),
        ArrowUp: () => this.move(0, step), ArrowDown: () => this.move(0, -step),
        "+": () => this.zoom(1.3), "-": () => this.zoom(1 / 1.3), 0: () => this.zoom(0),
      };
      if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
    });
  }

  inside(loop) { // rows inside of a polygon: a ray to the right crosses it an odd number of times
    const found = [];
    for (let row = 0; row < data.n; row += 1) {
      const x = this.points[2 * row], y = this.points[2 * row + 1];
      let odd = false;
      for (let i = 0, j = loop.length - 1; i < loop.length; j = i, i += 1) {
        const [ax, ay] = loop[i], [bx, by] = loop[j];
        if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) odd = !odd;
      }
      if (odd) found.push(row);
    }
    return found;
  }
}

function stamp(pixels, width, height, x, y, { half, parts }, { whole, bytes }) {
  const free = x >= half && y >= half && x < width - half && y < height - half;
  for (let k = 0; k < parts.length; k += 3) {
    const px = x + parts[k], py = y + parts[k + 1];
    if (!free && (px < 0 || py < 0 || px >= width || py >= height)) continue;
    const at = py * width + px, covered = parts[k + 2];
    if (covered > 230) pixels[at] = whole;
    else {
      const under = pixels[at], rest = 255 - covered;
      const r = ((under & 255) * rest + bytes[0] * covered) >> 8;
      const g = (((under >> 8) & 255) * rest + bytes[1] * covered) >> 8;
      const b = (((under >> 16) & 255) * rest + bytes[2] * covered) >> 8;
      pixels[at] = ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
    }
  }
}

const faded = (row) => (state.kept.size > 0 && !state.kept.has(painted.codeOf[row]))
  || (state.chosen !== null && !state.chosen.has(row));

let painted = null; // which row in which color, until another column or theme is chosen

function painting() {
  if (painted) return painted;
  const column = columns[state.column], sheet = bytesOf(theme.sheet);
  const codeOf = column ? column.codes : new Int32Array(data.n).fill(-1);
  const looks = [-1, ...(column ? column.categories.keys() : [])].map((category) => {
    const { color, marker, gray } = look(column, category), bytes = bytesOf(color);
    const pale = mixed(sheet, bytes, 0.16);
    return {
      marker, gray,
      full: { whole: packed(bytes), bytes }, dim: { whole: packed(pale), bytes: pale },
    };
  });
  const order = new Int32Array(data.n), styleOf = new Uint16Array(data.n);
  let next = 0;
  for (const gray of [true, false]) { // gray below the rest
    for (let row = 0; row < data.n; row += 1) {
      styleOf[row] = codeOf[row] + 1;
      if (looks[styleOf[row]].gray === gray) { order[next] = row; next += 1; }
    }
  }
  painted = { order, styleOf, looks, codeOf };
  return painted;
}

const maps = [...document.querySelectorAll(".map-frame")].map((frame, i) => (
  new MapView(frame, unpack(data.maps[i].points, Uint16Array), data.maps[i])));
const drawMaps = () => { for (const map of maps) map.later(); };
const lassoing = () => byId("lasso").getAttribute("aria-pressed") === "true";

function light(row, event) { // one picture, in all maps at once
  const peek = byId("peek");
  if (row < 0) row = state.pinned;
  if (row !== state.lit) {
    state.lit = row;
    for (const map of maps) map.drawOver();
    if (row >= 0) {
      peek.querySelector(".peek-picture").replaceChildren(pictureOf(row));
      const [name, label] = peek.querySelectorAll("p");
      name.textContent = nameOf(row);
      const column = columns[state.column], code = column ? column.codes[row] : -1;
      label.textContent = code >= 0 ? column.categories[code] : "";
    }
  }
  peek.hidden = row < 0 || !event;
  if (!peek.hidden) {
    peek.style.setProperty("left", `${Math.max(4, Math.min(event.clientX + 16, innerWidth - 160))}px`);
    peek.style.setProperty("top", `${Math.max(4, Math.min(event.clientY + 16, innerHeight - 230))}px`);
  }
}

function choose(rows) {
  state.chosen = rows.length ? new Set(rows) : null;
  byId("chosen-words").textContent = rows.length
    ? fill("chosen", { n: count(rows.length) }) : texts.chosen_none;
  byId("chosen-tools").hidden = !rows.length;
  showPictures(byId("chosen-pictures"), rows);
  say(byId("chosen-words").textContent);
  drawMaps();
}

// of a path the last part tells most; all of it is in the title
const short = (name) => name.replace(/^(.* · )?.* >> /, "$1");

function showLegend() {
  const column = columns[state.column], legend = byId("legend");
  legend.replaceChildren();
  state.kept.clear();
  if (!column) return;
  for (const category of column.inLegend) {
    const item = element("li"), button = element("button"), shape = element("canvas", "shape");
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    drawShape(shape, look(column, category));
    button.append(shape, element("span", "word", short(column.categories[category])),
      element("span", "count", count(columnSizes[state.column][category])));
    button.title = column.categories[category];
    button.addEventListener("click", () => {
      const on = !state.kept.delete(category);
      if (on) state.kept.add(category);
      button.setAttribute("aria-pressed", String(on));
      drawMaps();
    });
    item.append(button);
    legend.append(item);
  }
  if (column.nMore) legend.append(element("li", "count", fill("not_listed", { n: count(column.nMore) })));
}

function csvOf(rows) { // as the commands write tables: no cell is run as a formula
  const cell = (value) => `"${String(value ?? "").replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`;
  const header = ["id", ...(data.names ? ["name"] : []), ...columns.map((each) => each.title)];
  const lines = rows.map((row) => [data.ids[row], ...(data.names ? [data.names[row]] : []),
    ...columns.map((each) => (each.codes[row] < 0 ? "" : each.categories[each.codes[row]]))]);
  return [header, ...lines].map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
}

function beginMaps() {
  const select = byId("color-by");
  if (!select) return;
  for (const [i, column] of columns.entries()) {
    const option = element("option", "", column.title);
    option.value = i;
    select.append(option);
  }
  select.addEventListener("change", () => {
    state.column = Number(select.value);
    painted = null;
    showLegend();
    drawMaps();
  });
  byId("lasso").addEventListener("click", () => {
    byId("lasso").setAttribute("aria-pressed", String(!lassoing()));
    byId("map-grid").classList.toggle("lassoing", lassoing());
  });
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => { for (const map of maps) map.zoom(Number(button.dataset.zoom)); });
  }
  byId("find").addEventListener("input", () => {
    const text = byId("find").value.trim().toLowerCase(), found = [];
    for (let row = 0; text && row < data.n && found.length < 20; row += 1) {
      if (nameOf(row).toLowerCase().includes(text) || data.ids[row].toLowerCase().includes(text)) found.push(row);
    }
    byId("found").replaceChildren(...found.map((row) => {
      const option = element("option");
      option.value = nameOf(row);
      return option;
    }));
    state.pinned = found.length ? found[0] : -1;
    light(state.pinned);
    if (found.length) showPictures(byId("chosen-pictures"), found);
  });
  byId("copy-ids").addEventListener("click", async () => {
    const text = [...state.chosen].map((row) => data.ids[row]).join("\n");
    try { await navigator.clipboard.writeText(text); } catch { // a page from a disk may not
      const area = element("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    say(texts.copied);
  });
  byId("save-csv").addEventListener("click", () => {
    const link = element("a");
    link.href = URL.createObjectURL(new Blob([csvOf([...state.chosen])], { type: "text/csv" }));
    link.download = "pictures.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  byId("clear").addEventListener("click", () => choose([]));
  showLegend();
  drawMaps();
  addEventListener("resize", drawMaps);
}

// confusion matrices

const clusterings = data.clusterings.map((each) => ({ ...each, codes: columns[each.column].codes }));

function beginMatrices() {
  const place = byId("matrices");
  if (!place) return;
  const labels = columns[0].codes;
  for (const clustering of clusterings) {
    const classes = columns[0].categories;
    const names = columns[clustering.column].categories.map((name, k) => (
      clustering.matched[k] < 0 ? name : classes[clustering.matched[k]]));
    const order = [...data.classes.map((code) => clustering.matched.indexOf(code)).filter((k) => k >= 0)];
    order.push(...names.map((_, k) => k).filter((k) => !order.includes(k)));
    const rowsOf = new Map();
    for (let row = 0; row < data.n; row += 1) {
      if (labels[row] < 0) continue;
      const key = `${labels[row]} ${clustering.codes[row]}`;
      if (!rowsOf.has(key)) rowsOf.set(key, []);
      rowsOf.get(key).push(row);
    }
    const matrix = element("div", "matrix");
    matrix.append(element("h3", "", `${clustering.name} · ${clustering.setting}`));
    const cells = {
      names, order, matched: clustering.matched,
      rows: (code, k) => rowsOf.get(`${code} ${k}`) || [],
      total: (code) => columnSizes[0][code],
      title: (code, k, n) => fill("in_cell", {
        n: count(n), a: classes[code], b: columns[clustering.column].categories[k],
      }),
    };
    const small = Math.max(data.classes.length, order.length) <= MOST_NUMBERS;
    if (!small) place.classList.add("large");
    matrix.append(small ? numbered(cells) : colored(cells));
    place.append(matrix);
  }
}

const shade = (share) => `color-mix(in oklab, var(--accent) ${Math.round(8 + 84 * share)}%, var(--panel))`;

function numbered(cells) {
  const table = element("table"), head = element("tr"), body = element("tbody");
  head.append(element("td"));
  for (const k of cells.order) {
    const cell = element("th");
    cell.scope = "col";
    cell.append(element("span", "", short(cells.names[k])));
    cell.title = cells.names[k];
    head.append(cell);
  }
  for (const code of data.classes) {
    const line = element("tr"), name = element("th", "", short(columns[0].categories[code]));
    name.scope = "row";
    name.title = columns[0].categories[code];
    line.append(name);
    for (const k of cells.order) {
      const cell = element("td"), rows = cells.rows(code, k);
      if (rows.length) {
        const button = element("button", "", count(rows.length)), share = rows.length / cells.total(code);
        button.type = "button";
        button.style.setProperty("background", shade(share));
        button.style.setProperty("color", share > 0.45 ? "var(--on-accent)" : "var(--ink)");
        button.setAttribute("aria-label", cells.title(code, k, rows.length));
        button.addEventListener("click", () => open(cells.title(code, k, rows.length), rows));
        cell.append(button);
      }
      line.append(cell);
    }
    body.append(line);
  }
  const top = element("thead"), wide = element("div", "wide");
  wide.tabIndex = 0;
  top.append(head);
  table.append(top, body);
  wide.append(table);
  return wide;
}

function colored(cells) { // of many classes: a picture of the matrix, with a box about each parent
  const made = element("div"), canvas = element("canvas"), words = element("p", "cell-words");
  const side = Math.max(3, Math.floor(900 / Math.max(cells.order.length, data.classes.length)));
  canvas.width = side * cells.order.length;
  canvas.height = side * data.classes.length;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", texts.confusion);
  const paint = () => {
    const context = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    const ground = bytesOf(theme.sheet), full = bytesOf(style.getPropertyValue("--accent").trim());
    context.fillStyle = theme.sheet;
    context.fillRect(0, 0, canvas.width, canvas.height);
    data.classes.forEach((code, i) => cells.order.forEach((k, j) => {
      const n = cells.rows(code, k).length;
      if (!n) return;
      context.fillStyle = `rgb(${mixed(ground, full, 0.12 + 0.88 * (n / cells.total(code))).join(" ")})`;
      context.fillRect(j * side, i * side, side, side);
    }));
    context.strokeStyle = theme.ink;
    let down = 0, left = 0;
    context.fillStyle = theme.ink;
    context.font = "13px system-ui, sans-serif";
    context.textBaseline = "middle";
    for (const [name, n] of data.groups) { // the clusters of a parent's classes stand together too
      const own = new Set(data.classes.slice(down, down + n));
      const wide = cells.matched.filter((code) => own.has(code)).length;
      context.strokeRect(left * side + 0.5, down * side + 0.5, wide * side - 1, n * side - 1);
      if (n * side >= 14) { // its name goes where most room is
        const after = left + wide < cells.order.length / 2;
        context.textAlign = after ? "left" : "right";
        context.fillText(name, (after ? left + wide : left) * side + (after ? 6 : -6), (down + n / 2) * side);
      }
      down += n;
      left += wide;
    }
  };
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    const i = Math.floor(((event.clientY - box.top) / box.height) * data.classes.length);
    const j = Math.floor(((event.clientX - box.left) / box.width) * cells.order.length);
    return [data.classes[i], cells.order[j]];
  };
  canvas.addEventListener("pointermove", (event) => {
    const [code, k] = at(event);
    if (code !== undefined && k !== undefined) words.textContent = cells.title(code, k, cells.rows(code, k).length);
  });
  canvas.addEventListener("click", (event) => {
    const [code, k] = at(event), rows = cells.rows(code, k);
    if (rows.length) open(cells.title(code, k, rows.length), rows);
  });
  themed.push(paint);
  paint();
  made.append(canvas, words);
  return made;
}

// clusters and pairs

const MOST_CARDS = 24;

function beginClusters() {
  const select = byId("cluster-of");
  if (!select) return;
  clusterings.forEach((each, i) => {
    const option = element("option", "", `${each.name} · ${each.setting}`);
    option.value = i;
    select.append(option);
  });
  let shown = MOST_CARDS;
  const show = () => {
    const { cards } = clusterings[Number(select.value)];
    byId("cluster-cards").replaceChildren(...cards.slice(0, shown).map(cardOf));
    byId("more-clusters").hidden = cards.length <= shown;
  };
  select.addEventListener("change", () => { shown = MOST_CARDS; show(); });
  byId("more-clusters").addEventListener("click", () => { shown += MOST_CARDS; show(); });
  show();
}

function cardOf(card) {
  const made = element("article", "card"), title = element("h3");
  title.append(element("span", "", fill("cluster", { n: card.number })),
    element("span", "count", fill("n_images", { n: count(card.n_images) })));
  made.append(title);
  if (card.words.length) made.append(element("p", "words", card.words.join(" · ")));
  const about = [];
  if (card.matched !== null) about.push(fill("matched_to", { name: card.matched }));
  if (card.classes.length) about.push(card.classes.map(([name, n]) => `${name}: ${count(n)}`).join(", "));
  if (about.length) made.append(element("p", "of", about.join(" · ")));
  for (const kind of ["central", "doubtful"]) {
    if (!card[kind].length) continue;
    const list = element("ul", "pictures");
    showPictures(list, card[kind]);
    made.append(element("p", "of", texts[kind]), list);
  }
  return made;
}

function beginPairs() {
  const place = byId("pair-list");
  if (!place) return;
  for (const pair of data.pairs) {
    const made = element("div", "pair"), list = element("ul", "pictures");
    const n = pair.nOfA, back = pair.rows.length - n;
    const words = [fill("of_in", { n: count(n), a: pair.a, b: pair.b })];
    if (back > 0) words.push(fill("of_in", { n: count(back), a: pair.b, b: pair.a }));
    made.append(element("h3", "", words.join(" · ")));
    showPictures(list, pair.rows, 24);
    made.append(list);
    place.append(made);
  }
}

const themed = [];

addEventListener("beforeprint", () => { // paper shows all: what is folded would be lost
  for (const each of document.querySelectorAll("details")) each.open = true;
});

function begin() {
  readTheme();
  beginMaps();
  beginMatrices();
  beginClusters();
  beginPairs();
  document.documentElement.classList.add("ready");
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readTheme();
    painted = null;
    showLegend();
    drawMaps();
    for (const paint of themed) paint();
  });
}

begin();
