// Keeps in this browser what is written in the editor and not saved, file by file: a reload, a crash or a session that
// ended loses nothing. The next page of the editor offers it. What is there already, as after saving, is forgotten.
"use strict";

(() => {
  const form = document.querySelector("form[data-editor]"), note = document.querySelector("[data-kept]");
  let store;
  try { store = localStorage; } catch { return; } // switched off by the person
  if (!form || !note) return;

  const MARK = "ferris-draft:", FIELDS = ["path", "text", "seen", "base"], MONTH = 30 * 86400000;
  const { user, service } = form.dataset, fields = form.elements, area = form.querySelector("textarea");
  const key = (path) => MARK + JSON.stringify([user, service, path]);
  const even = (text) => text.replace(/\r\n?/g, "\n"); // a field has these ends of lines only
  const write = (draft) => {
    try { store.setItem(key(draft.path), JSON.stringify({ ...draft, at: Date.now() })); } catch { /* full: leaving asks first */ }
  };

  // This page's own: the file that is open, and those that the form carries.
  const mark = document.querySelector("[data-mark]"), first = area && area.value;
  const began = Boolean(area) && (mark ? !mark.hidden : !fields.seen.value && area.value.trim() !== "");
  const lists = Object.fromEntries(FIELDS.map((field) => [field, [...form.querySelectorAll(`[name=draft-${field}]`)]]));
  const carried = lists.path.map((_, n) => Object.fromEntries(FIELDS.map((field) => [field, lists[field][n].value])));
  const offered = new Map();
  let at = fields.path.value, due = 0;
  function keep() {
    clearTimeout(due);
    due = 0;
    const path = fields.path.value.trim();
    if (path !== at && !offered.has(at)) store.removeItem(key(at));
    at = path;
    if (offered.has(path)) return; // somebody decides on what is kept of this file first
    if (began || area.value !== first) write({ path, text: area.value, seen: fields.seen.value, base: fields.base.value });
    else store.removeItem(key(path));
  }
  carried.forEach(write);
  if (area) {
    if (began) keep();
    const soon = () => { if (!due) due = setTimeout(keep, 300); };
    area.addEventListener("input", soon);
    fields.path.addEventListener("input", soon);
    addEventListener("pagehide", () => { if (due) keep(); });
  }
  form.addEventListener("submit", (event) => {
    if (due) keep();
    if (event.submitter && event.submitter.name === "drop") store.removeItem(key(event.submitter.value));
  });
  offer();

  async function offer() {
    const own = new Set([...carried.map((draft) => draft.path), ...(began ? [at] : [])]);
    for (const draft of stored()) if (!own.has(draft.path)) offered.set(draft.path, draft);
    for (const draft of [...offered.values()]) {
      if (await differs(draft)) continue;
      offered.delete(draft.path);
      store.removeItem(key(draft.path));
    }
    if (!offered.size) return;
    const drafts = [...offered.values()], time = note.querySelector("time"), paths = note.querySelector("[data-kept-paths]");
    paths.textContent = drafts.map((draft) => draft.path || paths.dataset.new).join(", ");
    const when = new Date(Math.max(...drafts.map((draft) => draft.at)));
    time.dateTime = when.toISOString();
    time.textContent = when.toLocaleString(document.documentElement.lang);
    note.querySelector("[data-kept-moved]").hidden = drafts.every((draft) => draft.base === form.dataset.version);
    note.querySelector("[data-kept-restore]").addEventListener("click", () => restore(drafts));
    note.querySelector("[data-kept-discard]").addEventListener("click", () => {
      drafts.forEach((draft) => store.removeItem(key(draft.path)));
      offered.clear();
      note.hidden = true;
      if (area) { area.focus(); if (area.value !== first) keep(); }
    });
    note.hidden = false;
  }
  // What is kept of this service; whatever is older than a month goes.
  function stored() {
    const found = [];
    for (const name of Object.keys(store).filter((name) => name.startsWith(MARK))) {
      let of = [], draft = null;
      try { of = JSON.parse(name.slice(MARK.length)); draft = JSON.parse(store.getItem(name)); } catch { /* not ours */ }
      if (!draft || !(draft.at > Date.now() - MONTH)) store.removeItem(name);
      else if (of[0] === user && of[1] === service) found.push(draft);
    }
    return found;
  }
  async function differs(draft) {
    if (area && draft.path === at) return even(draft.text) !== even(first);
    if (!draft.path) return true;
    try {
      const answer = await fetch(form.dataset.file + encodeURIComponent(draft.path));
      return !answer.ok || even(new TextDecoder("utf-8", { ignoreBOM: true }).decode(await answer.arrayBuffer())) !== even(draft.text);
    } catch { return true; }
  }
  // The form carries them as those that were changed on pages before: the server knows what became of their files.
  function restore(drafts) {
    const add = (tag, more) => { const made = Object.assign(document.createElement(tag), { hidden: true, ...more }); form.append(made); return made; };
    offered.clear();
    for (const draft of drafts) {
      if (area && draft.path === at) {
        Object.assign(area, { value: draft.text });
        Object.assign(fields.seen, { value: draft.seen });
        Object.assign(fields.base, { value: draft.base });
      } else for (const field of FIELDS) add("input", { type: "hidden", name: `draft-${field}`, value: draft[field] });
    }
    add("input", { type: "hidden", name: "do", value: "restore" });
    const open = drafts.some((draft) => draft.path === at) ? at : drafts[0].path;
    form.requestSubmit(add("button", { type: "submit", name: "open", value: open, formNoValidate: true }));
  }
})();
