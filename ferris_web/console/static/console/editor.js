// The editor of a service's files, and the order of its scripts. Without this the pages work as plain forms.
"use strict";

(() => {
  const announce = (text) => { const box = document.querySelector("#announce"); if (box) box.textContent = text; };

  const form = document.querySelector("form[data-editor]");
  const area = form && form.querySelector("textarea");
  if (area) edit(form, area);
  const order = document.querySelector("form[data-order]");
  if (order) arrange(order);

  function edit(form, area) {
    const gutter = form.querySelector(".gutter"), first = area.value;
    const mark = document.querySelector("[data-mark]"), kept = "unsaved" in form.dataset;
    const changed = () => kept || area.value !== first;
    let lines = 0, leaving = false, sent = false;
    const number = () => {
      const count = area.value.split("\n").length;
      if (count !== lines) gutter.textContent = Array.from({ length: lines = count }, (_, n) => n + 1).join("\n");
      gutter.scrollTop = area.scrollTop;
    };
    gutter.hidden = false;
    form.querySelector("[data-keys]").hidden = false;
    number();
    area.addEventListener("input", () => { number(); if (mark) mark.hidden = !changed(); });
    area.addEventListener("scroll", () => { gutter.scrollTop = area.scrollTop; });
    area.addEventListener("focus", () => { leaving = false; });
    area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { leaving = true; announce(ferrisSay("Tab leaves the text now")); return; }
      if (event.key === "Tab" && !leaving && !event.ctrlKey && !event.altKey && !event.metaKey) {
        event.preventDefault();
        indent(event.shiftKey);
      }
      if (event.key !== "Shift") leaving = false;
    });
    document.addEventListener("keydown", (event) => {
      if (event.key.toLowerCase() !== "s" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
      event.preventDefault();
      form.requestSubmit(form.querySelector("button[value=save]"));
    });
    form.addEventListener("submit", () => { sent = true; });
    addEventListener("beforeunload", (event) => { if (!sent && changed()) event.preventDefault(); });
    // Another file is opened without losing this one: the form carries what was written, and all is saved together.
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-open]");
      if (!link || !changed() || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      const button = Object.assign(document.createElement("button"), { type: "submit", name: "open", value: link.dataset.open, hidden: true, formNoValidate: true });
      form.append(button);
      form.requestSubmit(button);
    });
    addEventListener("pageshow", () => { sent = false; number(); });
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-line]");
      if (!link) return;
      event.preventDefault();
      go(Number(link.dataset.line));
    });

    const step = /\.(json|html|jinja|ya?ml|sql)$/.test(form.elements.path.value) ? "  " : "    ";
    // By way of the browser's own editing where it can, so that undoing undoes it.
    function put(text, from, to) {
      area.setSelectionRange(from, to);
      if (!document.execCommand("insertText", false, text)) area.setRangeText(text, from, to, "end");
    }
    function indent(back) {
      const { selectionStart: from, selectionEnd: to, value } = area;
      if (from === to && !back) { put(step, from, to); number(); return; }
      const start = value.lastIndexOf("\n", from - 1) + 1, line = value.indexOf("\n", to);
      const end = from < to ? to : line < 0 ? value.length : line;
      const before = value.slice(start, end);
      const after = before.split("\n").map((line) => back ? line.replace(/^(\t| {1,4})/, (found) => found.slice(Math.min(step.length, found.length))) : line && step + line).join("\n");
      if (after !== before) {
        put(after, start, end);
        const caret = Math.max(start, from - before.length + after.length);
        if (from < to) area.setSelectionRange(start, start + after.length); else area.setSelectionRange(caret, caret);
      }
      number();
    }
    function go(line) {
      const at = area.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
      const end = area.value.indexOf("\n", at);
      area.focus();
      area.setSelectionRange(at, end < 0 ? area.value.length : end);
      area.scrollTop = (line - 5) * parseFloat(getComputedStyle(area).lineHeight);
    }
  }

  function arrange(form) {
    const list = form.querySelector("ol.order");
    if (!list) return;
    const name = (item) => item.dataset.name || item.querySelector("input").value;
    const told = (item) => announce(ferrisSay("{name} is number {number} of {count}", { name: name(item), number: [...list.children].indexOf(item) + 1, count: list.children.length }));
    form.addEventListener("click", (event) => {
      const button = event.target.closest("button[name=move]");
      const way = button && button.value.split(":", 1)[0];
      if (way !== "up" && way !== "down") return;
      event.preventDefault();
      const item = button.closest("li"), other = way === "up" ? item.previousElementSibling : item.nextElementSibling;
      if (other) way === "up" ? other.before(item) : other.after(item);
      button.focus();
      told(item);
    });
    let dragged = null;
    list.addEventListener("dragstart", (event) => {
      dragged = event.target.closest("li");
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/plain", name(dragged));
      dragged.classList.add("dragged");
    });
    list.addEventListener("dragover", (event) => {
      const item = event.target.closest("li");
      if (!dragged || !item) return;
      event.preventDefault();
      if (item === dragged) return;
      // It takes the other's place once the pointer is a third into that, from whichever side it comes.
      const box = item.getBoundingClientRect(), third = box.height / 3;
      const down = dragged.compareDocumentPosition(item) & Node.DOCUMENT_POSITION_FOLLOWING;
      if (down && event.clientY > box.top + third) item.after(dragged);
      if (!down && event.clientY < box.bottom - third) item.before(dragged);
    });
    list.addEventListener("drop", (event) => { if (dragged) event.preventDefault(); });
    list.addEventListener("dragend", () => { dragged.classList.remove("dragged"); told(dragged); dragged = null; });
  }
})();
