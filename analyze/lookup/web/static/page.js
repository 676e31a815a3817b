// The page works without scripts; with this one choices apply at once, and keys lead through the
// catalogue. upload.js adds pictures of one's own, map.js what the map does.
"use strict";

document.documentElement.classList.add("js");
const byId = (id) => document.getElementById(id);
const say = (text) => { byId("announcement").textContent = text; };

// choices apply at once

document.addEventListener("change", (event) => {
  const control = event.target, form = control.form;
  if (!form || !form.matches("#ask")) return; // its id may be that of a field named so
  if (control.type === "file") {
    if (control.files[0]) take(control.files[0]);
    return;
  }
  if (control.dataset.level) { // what is chosen below was inside of what was chosen here
    for (const other of form.querySelectorAll("select[data-level]")) {
      if (Number(other.dataset.level) > Number(control.dataset.level)) other.value = "";
    }
  }
  if (waiting && control.name !== "model") return; // it is sent with what is chosen by then
  const picture = waiting || inHand;
  waiting = null;
  if (picture) lookUp(picture);
  else form.requestSubmit();
});
document.addEventListener("submit", (event) => { // short addresses: what is not chosen is left out
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

function begin() {
  beginMap();
  watchLoading();
}

byId("keys-open").addEventListener("click", () => byId("keys").showModal());
if (!comeBack()) begin();
