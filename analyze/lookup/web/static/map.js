// The map: a point shows its picture, classes are picked out, and it is drawn nearer.
"use strict";

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
