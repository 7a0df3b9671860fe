// What was typed into a form that came after the session had ended is there again once the same person has signed in, in
// this tab: nothing is sent by itself. Secrets and files are not kept; the editor has a way of its own (editor-drafts.js).
"use strict";

(() => {
  let store;
  try { store = sessionStorage; } catch { return; } // switched off by the person
  const KEY = "ferris-unsent", LEFT_OUT = ["hidden", "password", "file", "submit", "button"];
  const say = window.ferrisSay, main = document.querySelector("main"), late = document.querySelector("[data-unsent]");
  const page = location.pathname + location.search;
  const person = document.querySelector("[data-sign-out]")?.dataset.signOut;
  const forms = () => [...main.querySelectorAll('form[method="post"]:not([data-editor])')];
  const fields = (form) => [...form.elements].filter((one) => one.name && !LEFT_OUT.includes(one.type) && !("secret" in one.dataset));
  const read = () => { try { return JSON.parse(store.getItem(KEY)); } catch { return null; } };

  if (late) { // the page of signing in, which says that what was sent was not done
    const kept = read();
    if (!kept) return;
    store.setItem(KEY, JSON.stringify({ ...kept, late: true }));
    late.hidden = false;
    return;
  }
  if (!person || !main) return; // on the way of signing in

  const kept = read();
  store.removeItem(KEY);
  if (kept && kept.late && kept.person === person && kept.page === page) again(kept);
  document.addEventListener("submit", (event) => {
    const form = event.target, number = forms().indexOf(form);
    if (number < 0) return;
    const values = fields(form).map((one) => [one.name, one.type, one.type === "select-multiple" ? [...one.selectedOptions].map((option) => option.value) : one.value, one.checked]);
    try { store.setItem(KEY, JSON.stringify({ person, page, number, values })); } catch { /* full: it is not kept */ }
  });

  function again({ number, values }) {
    const form = forms()[number];
    if (!form) return;
    const there = fields(form);
    for (const [name, type, value, checked] of values) {
      const at = there.findIndex((one) => one.name === name && one.type === type && (!["radio", "checkbox"].includes(type) || one.value === value));
      if (at < 0) continue;
      const [field] = there.splice(at, 1);
      if (type === "radio" || type === "checkbox") field.checked = checked;
      else if (type === "select-multiple") for (const option of field.options) option.selected = value.includes(option.value);
      else field.value = value;
    }
    const note = Object.assign(document.createElement("div"), { className: "note warning" });
    note.setAttribute("role", "status");
    note.append(Object.assign(document.createElement("div"), { textContent: say("What you typed is here again. It was not sent; secrets and files are to be given again.") }));
    form.before(note);
  }
})();
