// The page works without this; with it a picture can be dropped or pasted, choices apply at once,
// and keys lead through the catalogue. What the service sends is only ever parsed as its own page.
"use strict";

document.documentElement.classList.add("js");
let inHand = null; // the picture last sent, to be asked about again with other choices
let asked = 0; // only what was asked last is shown

const byId = (id) => document.getElementById(id);
const say = (text) => { byId("said").textContent = text; };

// a picture that is chosen, dropped or pasted

async function lookUp(file) {
  const form = byId("ask");
  const sent = new FormData();
  sent.append("image", file, "picture");
  if (form) {
    for (const [name, value] of new FormData(form)) {
      if (["where", "model", "diverse", "seen"].includes(name) && value) sent.append(name, value);
    }
  }
  const turn = ++asked;
  document.body.classList.add("busy");
  say("Looking for look-alikes …");
  try {
    const answer = await fetch("/similar", {
      method: "POST", body: sent, headers: { Accept: "text/html" },
    });
    const text = await answer.text();
    if (turn !== asked) return;
    if (!answer.ok) { refused(text); return; }
    inHand = file;
    history.pushState({ picture: Date.now() }, "", "/#your-picture");
    show(text);
    keep(history.state.picture, text, file);
  } catch {
    if (turn === asked) problem("The service cannot be reached. Is it still running?");
  } finally {
    if (turn === asked) document.body.classList.remove("busy");
  }
}

function refused(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  const heading = page.querySelector("h1"), words = [...page.querySelectorAll("#problem p")];
  problem([heading, ...words.slice(0, 2)].map((e) => (e ? e.textContent.trim() : "")).join(" "));
}

function show(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  document.title = page.title;
  for (const part of ["main", "footer"]) {
    document.querySelector(part).replaceWith(document.adoptNode(page.querySelector(part)));
  }
  const controls = page.querySelector(".controls");
  if (controls) document.querySelector(".controls").replaceWith(document.adoptNode(controls));
  begin();
  const n = document.querySelectorAll(".hit").length;
  say(`${n} look-alikes found`);
  byId("main").focus({ preventScroll: true });
  window.scrollTo({ top: 0 });
}

// the answer is kept in this tab, so that one may walk on from it and come back

async function keep(picture, text, file) {
  const read = new FileReader();
  read.readAsDataURL(file);
  await new Promise((done) => { read.onloadend = done; });
  for (const content of [read.result, ""]) { // a large picture has no room: its answer has
    try {
      sessionStorage.setItem("answer", JSON.stringify({ picture, text, content, type: file.type }));
      return;
    } catch { sessionStorage.removeItem("answer"); }
  }
}

function comeBack() {
  if (!history.state?.picture) return false;
  const kept = JSON.parse(sessionStorage.getItem("answer") || "{}");
  if (kept.picture !== history.state.picture) return false;
  const bytes = kept.content && atob(kept.content.split(",")[1]);
  inHand = bytes
    ? new File([Uint8Array.from(bytes, (c) => c.charCodeAt(0))], "picture", { type: kept.type })
    : null;
  show(kept.text);
  return true;
}

function problem(text) {
  say(text);
  document.querySelectorAll(".problem").forEach((each) => each.remove());
  const shown = document.createElement("p");
  shown.className = "problem";
  shown.textContent = text;
  document.querySelector(".controls").append(shown);
}

function preview(file) {
  const mark = document.querySelector(".drop .mark");
  if (!mark) return;
  const image = document.createElement("img");
  image.className = "preview";
  image.alt = "";
  image.src = URL.createObjectURL(file);
  image.onload = image.onerror = () => URL.revokeObjectURL(image.src);
  mark.replaceWith(image);
}

const pictureOf = (files) => [...(files || [])].find((file) => file.type.startsWith("image/"));
const hasFiles = (event) => [...(event.dataTransfer?.types || [])].includes("Files");

document.addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.classList.remove("dragging");
  const file = pictureOf(event.dataTransfer.files);
  if (file) lookUp(file);
  else problem("That is no picture: drop a JPEG, PNG or WebP.");
});
document.addEventListener("paste", (event) => {
  const file = pictureOf(event.clipboardData?.files);
  if (file) { event.preventDefault(); lookUp(file); }
});
document.addEventListener("change", (event) => {
  const control = event.target, form = control.form;
  if (!form || !form.matches("#ask")) return; // its id may be that of a field named so
  if (control.type === "file") {
    if (control.files[0]) { preview(control.files[0]); lookUp(control.files[0]); }
    return;
  }
  if (control.dataset.level) { // what is chosen below was inside of what was chosen here
    for (const other of form.querySelectorAll("select[data-level]")) {
      if (Number(other.dataset.level) > Number(control.dataset.level)) other.value = "";
    }
  }
  if (inHand) lookUp(inHand);
  else form.requestSubmit();
});
document.addEventListener("submit", (event) => { // short addresses: what is not chosen is not said
  const form = event.target;
  if (form.getAttribute("method") !== "get") return;
  for (const control of form.elements) {
    if (control.name && (!control.value || control.type === "file")) control.disabled = true;
  }
  setTimeout(() => { for (const control of form.elements) control.disabled = false; });
});
window.addEventListener("popstate", () => { if (!comeBack() && inHand) location.reload(); });

// keys

// for a frame a dialog that was just closed keeps the focus, hidden
const typing = (target) => target.checkVisibility()
  && target.closest("input, select, textarea, dialog, button, summary");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const keys = {
    "/": () => byId("find").focus(),
    u: () => byId("image")?.click(),
    m: () => document.querySelector('.top nav a[href^="/map"]').click(),
    "?": () => byId("keys").showModal(),
  };
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); return; }
  if (event.key.startsWith("Arrow") && !event.target.closest("svg")) walk(event);
});

function walk(event) {
  const cards = [...document.querySelectorAll(".card > a")];
  if (!cards.length) return;
  const at = cards.indexOf(document.activeElement);
  if (at < 0) {
    if (event.key === "ArrowRight") { event.preventDefault(); cards[0].focus(); }
    return;
  }
  const top = cards[0].getBoundingClientRect().top;
  const across = cards.findIndex((card) => card.getBoundingClientRect().top > top + 4);
  const row = across < 0 ? cards.length : across;
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row }[event.key];
  const to = cards[at + step];
  if (to) { event.preventDefault(); to.focus(); }
}

// the map

function beginMap() {
  const map = byId("map");
  if (!map) return;
  const names = JSON.parse(byId("names").textContent);
  const peek = byId("peek");
  const { version, model, seen } = map.dataset;
  const query = `?model=${encodeURIComponent(model)}${seen ? "&seen=1" : ""}`;
  const height = map.viewBox.baseVal.height; // of the whole, which is 1000 wide
  let view = { x: 0, y: 0, side: 1000 }, held = null, moved = false;

  const rowOf = (target) => target.closest?.("[data-row]")?.dataset.row;
  function look(target) {
    const row = rowOf(target);
    peek.hidden = row === undefined;
    if (row === undefined) return;
    const image = peek.querySelector("img"), place = target.getBoundingClientRect();
    const source = `/picture/${version}/${row}${query}&size=256`;
    if (image.getAttribute("src") !== source) image.setAttribute("src", source);
    peek.querySelector("p").textContent = names[row] || "";
    const left = Math.min(place.right + 10, innerWidth - 190);
    peek.style.setProperty("left", `${Math.max(4, left)}px`);
    peek.style.setProperty("top", `${Math.max(4, Math.min(place.top, innerHeight - 230))}px`);
  }
  function draw() {
    view.side = Math.min(1000, Math.max(20, view.side));
    const down = view.side * height / 1000;
    view.x = Math.min(1000 - view.side, Math.max(0, view.x));
    view.y = Math.min(height - down, Math.max(0, view.y));
    map.setAttribute("viewBox", `${view.x} ${view.y} ${view.side} ${down}`);
    // points keep their size on the screen, be it small or the map drawn near
    const scale = Math.max(0.12, view.side / 1000) * Math.max(1, 620 / map.clientWidth);
    map.classList.toggle("near", view.side < 1000);
    for (const circle of map.querySelectorAll("circle")) {
      circle.dataset.r ||= circle.getAttribute("r");
      circle.setAttribute("r", (circle.dataset.r * scale).toFixed(2));
    }
    for (const text of map.querySelectorAll("text")) {
      text.setAttribute("font-size", (15 * scale).toFixed(2));
      text.setAttribute("dx", (12 * scale).toFixed(2));
      text.setAttribute("dy", (5 * scale).toFixed(2));
    }
  }
  function zoom(factor, at) {
    if (!factor) view = { x: 0, y: 0, side: 1000 };
    else {
      const [x, y] = at || [view.x + view.side / 2, view.y + view.side * height / 2000];
      const side = Math.min(1000, Math.max(20, view.side * factor)), by = side / view.side;
      view = { x: x - (x - view.x) * by, y: y - (y - view.y) * by, side };
    }
    draw();
  }
  function inside(event) {
    const box = map.getBoundingClientRect();
    const per = view.side / Math.min(box.width, box.height * 1000 / height);
    const left = box.left + (box.width - view.side / per) / 2;
    const top = box.top + (box.height - view.side * height / 1000 / per) / 2;
    return [view.x + (event.clientX - left) * per, view.y + (event.clientY - top) * per, per];
  }
  const fingers = new Map();
  map.addEventListener("pointerover", (event) => look(event.target));
  map.addEventListener("focusin", (event) => look(event.target.querySelector("circle") || event.target));
  map.addEventListener("pointerleave", () => { peek.hidden = true; });
  map.addEventListener("focusout", () => { peek.hidden = true; });
  map.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.2 : 1 / 1.2, inside(event).slice(0, 2));
  }, { passive: false });
  map.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, event);
    held = event;
    moved = false;
  });
  map.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const before = fingers.get(event.pointerId), per = inside(event)[2];
    if (fingers.size === 2) {
      const [other] = [...fingers.values()].filter((each) => each.pointerId !== event.pointerId);
      const far = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      if (far(event) > 0) zoom(far(before) / far(event), inside(event).slice(0, 2));
    } else {
      view.x -= (event.clientX - before.clientX) * per;
      view.y -= (event.clientY - before.clientY) * per;
      draw();
    }
    if (Math.hypot(event.clientX - held.clientX, event.clientY - held.clientY) > 5) moved = true;
    fingers.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    addEventListener(end, (event) => fingers.delete(event.pointerId));
  }
  map.addEventListener("click", (event) => {
    if (moved) { event.preventDefault(); return; }
    const row = rowOf(event.target);
    if (row !== undefined && !event.target.closest("a")) {
      location.assign(`/row/${version}/${row}${query}`);
    }
  });
  addEventListener("resize", () => { if (map.isConnected) draw(); });
  draw();
  map.addEventListener("dragstart", (event) => event.preventDefault());
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => zoom(Number(button.dataset.zoom)));
  }
  for (const link of document.querySelectorAll("[data-lights]")) {
    const circle = map.querySelector(`.lit[data-row="${link.dataset.lights}"]`);
    const call = (called) => {
      circle.classList.toggle("called", called);
      if (called) look(circle); else peek.hidden = true;
    };
    link.addEventListener("pointerenter", () => call(true));
    link.addEventListener("pointerleave", () => call(false));
    link.addEventListener("focus", () => call(true));
    link.addEventListener("blur", () => call(false));
  }
  for (const button of document.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
      const kept = new Set([...document.querySelectorAll('.legend [aria-pressed="true"]')]
        .map((each) => each.dataset.class));
      map.classList.toggle("dimmed", kept.size > 0);
      for (const point of map.querySelectorAll(".point")) {
        point.classList.toggle("kept", kept.has(point.dataset.class));
      }
    });
  }
}

function begin() {
  beginMap();
}

byId("keys-open").addEventListener("click", () => byId("keys").showModal());
if (!comeBack()) begin();
