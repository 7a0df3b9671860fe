// What long lists have beside their rows: the histogram (drag or arrow keys choose a time), errors at the fields.
"use strict";

(() => {
  const one = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const PACE = 10000; // of a histogram that is drawn anew because something changed

  // The histogram comes after the rows: nobody waits for it.
  let loadedAt = 0;
  async function histogram(anew) {
    const box = one("[data-histogram]");
    if (!box || (!anew && box.dataset.loaded === box.dataset.histogram)) return;
    const address = box.dataset.histogram;
    box.dataset.loaded = address;
    loadedAt = Date.now();
    let answer;
    try { answer = await fetch(address); } catch { return; }
    if (!answer.ok || answer.redirected || box.dataset.histogram !== address) return;
    if (box.contains(document.activeElement) || one("[data-chosen]", box)) return; // somebody is choosing
    const text = await answer.text();
    box.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.childNodes);
    box.classList.toggle("none", !one("svg", box)); // until then its place is kept
  }
  document.addEventListener("ferris:listed", () => { if (Date.now() - loadedAt > PACE) histogram(true); });

  // Choosing a time: from the column where it began to the one where it is now.
  let begun = null;
  const columns = (svg) => all("a", svg);
  function mark(svg, from, to) {
    const [low, high] = [Math.min(from, to), Math.max(from, to)];
    columns(svg).forEach((column, n) => column.toggleAttribute("data-chosen", n >= low && n <= high));
  }
  function go(svg, from, to) {
    const found = columns(svg);
    const [low, high] = [Math.min(from, to), Math.max(from, to)];
    const address = new URL(found[low].getAttribute("href"), location.href);
    address.searchParams.set("until", found[high].dataset.until);
    location.assign(address.href);
  }
  function at(svg, x) {
    const box = svg.getBoundingClientRect(), count = columns(svg).length;
    return Math.max(0, Math.min(count - 1, Math.floor((x - box.left) / box.width * count)));
  }
  document.addEventListener("pointerdown", (event) => {
    const svg = event.target.closest("[data-columns]");
    if (!svg || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
    begun = { svg, from: at(svg, event.clientX), to: at(svg, event.clientX), moved: false };
    event.preventDefault();
  });
  document.addEventListener("pointermove", (event) => {
    if (!begun) return;
    const to = at(begun.svg, event.clientX);
    if (to !== begun.to) begun.moved = true;
    begun.to = to;
    if (begun.moved) mark(begun.svg, begun.from, to);
  });
  document.addEventListener("pointerup", () => {
    if (!begun) return;
    const { svg, from, to } = begun;
    begun = null;
    go(svg, from, to);
  });
  document.addEventListener("pointercancel", () => { if (begun) { mark(begun.svg, -1, -1); begun = null; } });
  document.addEventListener("click", (event) => { // the pointer's own way is above; this is Enter's
    if (event.target.closest("[data-columns] a") && event.detail && !(event.ctrlKey || event.metaKey || event.shiftKey)) event.preventDefault();
  });
  let anchor = -1;
  document.addEventListener("keydown", (event) => {
    const svg = event.target.closest && event.target.closest("[data-columns]");
    if (!svg) return;
    const found = columns(svg), here = found.indexOf(event.target.closest("a"));
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const there = step ? here + step : event.key === "Home" ? 0 : event.key === "End" ? found.length - 1 : null;
    if (there !== null) {
      event.preventDefault();
      const next = Math.max(0, Math.min(found.length - 1, there));
      if (event.shiftKey) { if (anchor < 0) anchor = here; mark(svg, anchor, next); } else { anchor = -1; mark(svg, -1, -1); }
      found.forEach((column, n) => column.setAttribute("tabindex", n === next ? 0 : -1));
      found[next].focus();
    } else if (event.key === "Escape") {
      anchor = -1; mark(svg, -1, -1);
    } else if (event.key === "Enter" && anchor >= 0) {
      event.preventDefault();
      go(svg, anchor, here);
    }
  });

  // After the rows were fetched anew: errors go to their fields, "Clear" is there when there is something to clear.
  function state() {
    const box = one(".list-state"), form = one("form.filters");
    if (!box || !form) return;
    const errors = new Map(all("[data-field-error]", box).map((note) => [note.dataset.fieldError, note.dataset.text]));
    for (const field of all("[aria-describedby]", form)) {
      const text = errors.get(field.id) || "";
      field.toggleAttribute("aria-invalid", Boolean(text));
      if (text) field.setAttribute("aria-invalid", "true");
      const said = document.getElementById(`${field.id}-error`);
      if (said && said.textContent !== text) said.textContent = text;
    }
    const clear = one("[data-clear]", form);
    if (clear) clear.hidden = !box.dataset.filtered;
  }
  document.addEventListener("htmx:after:swap", () => { state(); histogram(false); });
  // The fields must say what the address says. A step to a part of the page (#main) has no state, and changes nothing.
  addEventListener("popstate", (event) => { if (event.state || !location.hash) location.reload(); });
  histogram(false);
})();
