// A picture of one's own: chosen, dropped or pasted, refused here if it cannot be one, and looked up
// once its backbone has loaded. What the service sends is only ever parsed as its own page.
"use strict";

const MOST_BYTES = 20e6, MOST_PIXELS = 50e6; // as the service takes them
const FIRST_BYTES = new RegExp([ // of the formats that are read, some of which no browser shows
  "\xff\xd8\xff", "\x89PNG", "GIF8", "RIFF....WEBP", "BM", "[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",
  "(II|MM)[*+\0]", "....ftyp", "\0\0\0\x0c(jP|JXL) ", "\xff\x4f\xff\x51", "\xff\x0a", "P[1-7fFy]\\s",
].map((each) => `^${each}`).join("|"), "s");

let inHand = null; // the picture last sent, to be searched again with other choices
let waiting = null; // a picture that is looked up once the backbone has loaded
let lastTurn = 0; // only the answer to the last request is shown

const controls = () => document.querySelector(".controls");

async function take(file) {
  const image = await loaded(file);
  const refusal = await refusalOf(file, image);
  if (refusal) { problem(refusal); return; }
  preview(image);
  if (controls().dataset.uploads === "loading") {
    waiting = file;
    tellBelow("note held", "The search starts as soon as the model has loaded.");
  } else await lookUp(file);
}

async function refusalOf(file, image) {
  if (!file.size) return "This file is empty: copy or save it again.";
  if (file.size > MOST_BYTES) {
    return `This file has ${Math.ceil(file.size / 1e6)} MB, 20 MB at most can be sent: make the picture smaller.`;
  }
  const read = await file.slice(0, 64).arrayBuffer().catch(() => null);
  if (!read) return "This file cannot be read: choose it again.";
  if (!FIRST_BYTES.test(String.fromCharCode(...new Uint8Array(read)))) {
    return "This file is not a picture that can be read: save it as JPEG or PNG.";
  }
  if (image && image.naturalWidth * image.naturalHeight > MOST_PIXELS) {
    return `This picture has ${image.naturalWidth} × ${image.naturalHeight} pixels: make it smaller, 50 megapixels at most.`;
  }
  return "";
}

// gives the picture as far as this browser can show it; null for what it cannot
function loaded(file) {
  const image = document.createElement("img");
  image.src = URL.createObjectURL(file);
  return new Promise((done) => {
    image.onload = () => done(image);
    image.onerror = () => done(null);
  }).finally(() => URL.revokeObjectURL(image.src));
}

function preview(image) {
  const shown = document.querySelector(".drop .mark, .drop .preview");
  if (!shown || !image) return;
  image.className = "preview";
  image.alt = "";
  shown.replaceWith(image);
}

async function lookUp(file) {
  const form = byId("ask");
  const sent = new FormData();
  sent.append("image", file, "picture");
  if (form) {
    for (const [name, value] of new FormData(form)) {
      if (["where", "model", "diverse", "seen"].includes(name) && value) sent.append(name, value);
    }
  }
  const turn = ++lastTurn;
  document.body.classList.add("busy");
  say("Searching for similar products …");
  try {
    const answer = await fetch("/similar", {
      method: "POST", body: sent, headers: { Accept: "text/html" },
    });
    const text = await answer.text();
    if (turn !== lastTurn) return;
    if (!answer.ok) { refused(text); return; }
    inHand = file;
    history.pushState({ picture: Date.now() }, "", "/#your-picture");
    show(text);
    keep(history.state.picture, text, file);
  } catch {
    if (turn === lastTurn) problem("The service cannot be reached. Is it still running?");
  } finally {
    if (turn === lastTurn) document.body.classList.remove("busy");
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
  const asking = page.querySelector(".controls");
  if (asking) controls().replaceWith(document.adoptNode(asking));
  begin();
  const n = document.querySelectorAll(".hit").length;
  say(n === 1 ? "1 similar product found" : `${n} similar products found`);
  byId("main").focus({ preventScroll: true });
  window.scrollTo({ top: 0 });
}

function problem(text) {
  tellBelow("problem", text);
  const image = byId("image");
  if (image) image.value = ""; // so that the same file can be chosen again
}

function tellBelow(kind, text) {
  say(text);
  document.querySelectorAll(".problem, .held").forEach((each) => each.remove());
  const shown = document.createElement("p");
  shown.className = kind;
  shown.textContent = text;
  controls().append(shown);
}

// while the backbone loads, and where it is not available: requested until it is there

async function watchLoading() {
  const watched = controls();
  const { key } = watched.dataset;
  for (let pause = 500; watched.dataset.uploads !== "ready"; pause = Math.min(pause * 1.5, 5000)) {
    if (!key || !watched.isConnected) return;
    try {
      const { files } = await (await fetch("/api/health")).json();
      const file = files.find((each) => each.key === key);
      if (file && watched.isConnected) tell(watched, file.uploads, file.uploads_reason);
    } catch { /* it may come back */ }
    await new Promise((done) => { setTimeout(done, pause); });
  }
}

function tell(watched, state, reason) {
  const before = watched.dataset.uploads;
  watched.dataset.uploads = state;
  if (reason) for (const why of watched.querySelectorAll(".why")) why.textContent = reason;
  if (state === before || state === "loading") return;
  const picture = waiting;
  waiting = null;
  document.querySelectorAll(".held").forEach((each) => each.remove());
  if (state === "ready") {
    say("The model has loaded: you can search by picture now.");
    if (picture) lookUp(picture);
  } else if (picture) problem("Your picture cannot be searched for: the model did not load.");
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

// dropped or pasted anywhere

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
  const { files } = event.dataTransfer;
  const file = pictureOf(files) || files[0]; // a browser knows no type of some pictures
  if (file) take(file);
});
document.addEventListener("paste", (event) => {
  const file = pictureOf(event.clipboardData?.files);
  if (file) { event.preventDefault(); take(file); }
});
