// What every page of the console does in the browser. No inline handlers: elements say by data- attributes what they want.
"use strict";

(() => {
  const one = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  // Texts are English here; a page in another language brings its own (script_words.py).
  const words = JSON.parse(document.documentElement.dataset.words || "{}");
  const say = (text, values = {}) => (words[text] || text).replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
  window.ferrisSay = say;
  const announce = (text) => { const box = one("#announce"); if (box && text) box.textContent = text; };

  // Theme: system, light, dark. A cookie, so that the server draws the right one at once.
  const THEMES = ["system", "light", "dark"];
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-theme-toggle]");
    if (!button) return;
    const root = document.documentElement;
    const next = THEMES[(THEMES.indexOf(root.dataset.theme || "system") + 1) % THEMES.length];
    if (next === "system") delete root.dataset.theme; else root.dataset.theme = next;
    const secure = location.protocol === "https:" ? ";Secure" : "";
    document.cookie = `ferris_theme=${next};path=/;max-age=31536000;SameSite=Lax${secure}`;
    const told = { system: say("Theme: system"), light: say("Theme: light"), dark: say("Theme: dark") }[next];
    one("span", button).textContent = told;
    announce(told);
  });

  // What the editor kept of somebody (editor-drafts.js) is not left to the next one at this machine.
  document.addEventListener("submit", (event) => {
    const who = event.target.dataset.signOut;
    if (!who) return;
    try {
      for (const name of Object.keys(localStorage)) if (name.startsWith(`ferris-draft:["${who}",`)) localStorage.removeItem(name);
    } catch { /* switched off: nothing is kept */ }
  });

  // The menu of narrow screens.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-menu]");
    if (button) toggleMenu(button, button.getAttribute("aria-expanded") !== "true");
  });
  document.addEventListener("keydown", (event) => {
    const button = one("[data-menu][aria-expanded=true]");
    if (event.key === "Escape" && button) { toggleMenu(button, false); button.focus(); }
  });
  function toggleMenu(button, open) {
    button.setAttribute("aria-expanded", open);
    one("#side").classList.toggle("open", open);
    if (open) one("#side li a").focus();
  }

  // Copy, dialogs, forms that send themselves.
  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      const label = one("span", copy) || copy;
      const before = copy.dataset.label || (copy.dataset.label = label.textContent);
      const done = await writeClipboard(copy.dataset.copy);
      label.textContent = done ? say("Copied") : say("Press Ctrl+C");
      announce(label.textContent);
      setTimeout(() => { label.textContent = before; }, 1800);
    }
    const opener = event.target.closest("[data-dialog]");
    if (opener) document.getElementById(opener.dataset.dialog).showModal();
    const closer = event.target.closest("[data-close]");
    if (closer) closer.closest("dialog").close();
  });
  async function writeClipboard(text) {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* not a secure context: the old way */ }
    const area = Object.assign(document.createElement("textarea"), { value: text, className: "sr" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
  });
  // A time that is asked for is meant in the viewer's zone; a mistake in a text has its place shown.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  all("input[data-zone]").forEach((input) => { input.value = zone; });
  all("[data-zone-name]").forEach((span) => { span.textContent = zone; });
  all("textarea[data-line]").forEach((area) => {
    const at = area.value.split("\n").slice(0, area.dataset.line - 1).reduce((sum, line) => sum + line.length + 1, 0) + Number(area.dataset.column) - 1;
    area.focus(); area.setSelectionRange(at, at + 1);
  });
  // A live page may turn the form at which a press is aimed into another one: Retry, where Cancel was. What somebody
  // did not see for as long as it takes to notice is not sent, nor what is no more what they were asked about.
  const turned = new WeakMap();
  new MutationObserver((changes) => changes.forEach(({ target }) => turned.set(target, performance.now()))).observe(document.body, { subtree: true, attributeFilter: ["action"] });
  const sends = (form) => {
    const values = [...new FormData(form)].filter(([name]) => name !== "csrfmiddlewaretoken");
    return JSON.stringify([form.getAttribute("action"), values]);
  };
  document.addEventListener("submit", (event) => {
    const when = turned.get(event.target);
    if (!when || performance.now() - when > 600) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    announce(say("This has just changed, and nothing was done. Press again if you mean it."));
  }, true);
  // A form that asks first: data-confirm says what will happen. Focus goes back to the button.
  document.addEventListener("submit", (event) => {
    const form = event.target, button = event.submitter;
    if (!form.dataset.confirm || form.dataset.sure) return;
    event.preventDefault();
    const box = document.createElement("dialog");
    box.setAttribute("aria-labelledby", "confirm-text");
    const text = Object.assign(document.createElement("p"), { id: "confirm-text", textContent: form.dataset.confirm });
    const actions = Object.assign(document.createElement("div"), { className: "actions" });
    const no = Object.assign(document.createElement("button"), { type: "button", className: "btn", textContent: say("Back") });
    const yes = Object.assign(document.createElement("button"), { type: "button", className: "btn danger", textContent: form.dataset.confirmWord || button.textContent });
    actions.append(no, yes);
    box.append(text, actions);
    document.body.append(box);
    no.onclick = () => box.close();
    const asked = sends(form);
    yes.onclick = () => {
      if (!document.contains(button) || sends(form) !== asked) {
        text.textContent = say("What you were asked about has changed meanwhile. Nothing was done.");
        yes.remove();
        return no.focus();
      }
      form.dataset.sure = "1"; box.close(); form.requestSubmit(button); delete form.dataset.sure;
    };
    box.onclose = () => { box.remove(); if (document.contains(button)) button.focus(); };
    box.showModal();
    no.focus();
  });
  // A form is sent once, however often the button is pressed.
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post" || event.defaultPrevented) return;
    setTimeout(() => all("button[type=submit]", event.target).forEach((b) => { b.disabled = true; }), 0);
  });
  addEventListener("pageshow", () => all("form[method=post] button[type=submit]:disabled:not([data-off])").forEach((b) => { b.disabled = false; }));

  let within = ""; // the address that such a link has asked for
  // A live answer for the address before would take away again what was asked for.
  document.addEventListener("htmx:before:swap", (event) => {
    const asked = event.detail.ctx.request?.action;
    if (within && asked && asked !== within) event.preventDefault();
  });
  // Links that change what one part of this page shows: the rest stays where it is, and the address says it.
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-within]");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    const address = new URL(link.getAttribute("href"), location.href), part = `#${link.dataset.within}`;
    within = address.pathname + address.search;
    try { await htmx.ajax("GET", within, { target: part, select: part, swap: "outerMorph" }); } finally { within = ""; }
    history.replaceState(history.state, "", address.pathname + address.search);
    one("#node", one(part))?.scrollIntoView({ block: "nearest" });
  });

  // Filter forms: empty fields stay out of the address.
  document.addEventListener("htmx:config:request", (event) => {
    const request = event.detail.ctx && event.detail.ctx.request;
    const form = event.target.closest && event.target.closest("form.filters");
    if (!form || !request) return;
    for (const body of [request.body, request.form]) {
      if (body && body.entries) for (const [name, value] of [...body.entries()]) if (value === "") body.delete(name);
    }
  });
  document.addEventListener("submit", (event) => {
    if (event.target.matches("form.filters")) all("input,select", event.target).forEach((f) => { f.disabled = f.value === ""; setTimeout(() => { f.disabled = false; }, 0); });
  });
  // The session has ended meanwhile: sign in, and come back to this page.
  let leaving = false; // while another page is being fetched, this one is left alone
  addEventListener("beforeunload", () => { leaving = true; });
  addEventListener("pageshow", () => { leaving = false; });
  const signInAgain = () => { if (!leaving) location.reload(); };
  document.addEventListener("htmx:before:response", (event) => {
    if (event.detail.ctx.response.raw.redirected) { event.preventDefault(); signInAgain(); }
  });
  // What could not be fetched is told once, at the top of the page, until something comes again.
  const FAILED = { 403: say("You are not allowed to do this. Ask an owner of the project."), 404: say("That is not there any more. Load the page again."), 429: say("Too much was asked for. Wait a moment and try again.") };
  function failed(status) {
    const box = one("#failed");
    if (!box || leaving || box.dataset.status === String(status)) return;
    box.dataset.status = status;
    const note = Object.assign(document.createElement("div"), { className: "note error" });
    const text = Object.assign(document.createElement("div"), { textContent: FAILED[status] || (status ? say("The server could not answer ({status}). Nothing on this page was changed; try again.", { status }) : say("The server cannot be reached. What you see may be old.")) });
    note.append(text);
    box.replaceChildren(note);
    box.scrollIntoView({ block: "nearest" });
  }
  document.addEventListener("htmx:response:error", (event) => failed(event.detail.ctx.response.raw.status));
  document.addEventListener("htmx:error", (event) => { if (!event.detail.ctx?.response) failed(0); });
  document.addEventListener("htmx:after:swap", (event) => { // which is told even where an error was swapped nowhere
    const box = one("#failed");
    if (box?.dataset.status && !(event.detail.ctx?.response?.raw.status >= 400)) { box.replaceChildren(); delete box.dataset.status; }
  });
  document.addEventListener("htmx:after:swap", () => { tick(); announce((one("#results") || {}).dataset?.announce); });

  const language = document.documentElement.lang || "en";
  // Times: relative ones are kept fresh, the absolute in both zones is shown on hover.
  function ago(moment) {
    const seconds = (Date.now() - moment) / 1000;
    const distance = Math.abs(seconds);
    if (distance < 5) return say("just now");
    if (distance > 604800) return null;
    for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
      if (distance < size) continue;
      const amount = `${Math.floor(distance / size)} ${unit === "d" ? say("d") : unit}`;
      return seconds > 0 ? say("{amount} ago", { amount }) : say("in {amount}", { amount });
    }
  }
  function length(seconds) {
    if (seconds < 60) return `${seconds.toLocaleString(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 })} s`;
    const whole = Math.round(seconds);
    return whole < 3600 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${Math.floor(whole / 3600)} h ${Math.floor(whole % 3600 / 60)} min`;
  }
  const here = new Intl.DateTimeFormat(language === "en" ? undefined : language, { dateStyle: "medium", timeStyle: "long" });
  function tick() {
    for (const time of all("time[datetime]")) {
      const moment = Date.parse(time.dateTime);
      if (Number.isNaN(moment)) continue;
      if (!time.dataset.zoned) { time.dataset.zoned = "1"; time.title = `${time.title || time.textContent}\n${here.format(moment)}`; }
      if ("here" in time.dataset) { const said = here.format(moment); if (time.textContent !== said) time.textContent = said; continue; }
      const text = "ago" in time.dataset && ago(moment);
      if (text && time.textContent !== text) time.textContent = text;
    }
    for (const span of all("[data-since]")) span.textContent = length(Math.max(0, (Date.now() - Date.parse(span.dataset.since)) / 1000));
  }
  setInterval(tick, 1000);

  // Live pages: one stream per page says that something changed; what shows it fetches itself anew. Events of htmx
  // ("live") do it for parts; lists (data-live-list) update rows in place and keep new ones behind a button.
  const source = one("[data-live]");
  if (source) follow(source.dataset.live);
  function follow(address) {
    const REFUSED = 60000;
    let stream = null, timer = 0, again = 0, last = 0, pace = 1000;
    const stale = one("[data-stale]");
    const refresh = () => {
      timer = 0; last = Date.now();
      if (within) { timer = setTimeout(refresh, 150); return; }
      all("[data-live-part]").forEach((part) => part.dispatchEvent(new CustomEvent("live")));
      all("[data-live-list]").forEach(refreshList);
    };
    const soon = () => { if (!timer) timer = setTimeout(refresh, Math.max(150, pace - (Date.now() - last))); };
    const open = () => {
      stream = new EventSource(address);
      stream.addEventListener("changed", soon);
      // What changed between the drawing of the page and this moment was not told: look once.
      stream.onopen = () => { if (stale) stale.hidden = true; soon(); };
      stream.onerror = () => {
        const refused = stream?.readyState === EventSource.CLOSED; // not lost: a browser asks for no refused stream again
        if (refused) { close(); again = setTimeout(() => { if (!stream && !document.hidden) open(); }, REFUSED); }
        if (stale && (refused || stale.hidden)) {
          stale.hidden = false;
          const time = new Date().toLocaleTimeString(language === "en" ? undefined : language);
          one("span", stale).textContent = refused ? say("Not live since {time}: too many pages are open, or the platform is busy. It is tried again in a minute.", { time }) : say("Not live since {time}: the connection was lost.", { time });
        }
      };
    };
    const close = () => { clearTimeout(again); stream?.close(); stream = null; };
    // A page that takes long to draw is drawn less often.
    document.addEventListener("htmx:after:swap", () => { if (last) pace = Math.min(20000, Math.max(1000, 5 * (Date.now() - last))); });
    // A browser has few connections to one server: a page that nobody sees holds none.
    document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else if (!stream) open(); });
    addEventListener("pagehide", close);
    addEventListener("pageshow", () => { if (!stream && !document.hidden) open(); });
    if (!document.hidden) open();
  }
  async function refreshList(list) {
    if (new URLSearchParams(location.search).has("cursor") || document.hidden) return;
    let answer;
    try { answer = await fetch(location.href, { headers: { "X-Live": "1" } }); } catch { return; }
    if (answer.redirected) signInAgain();
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.dispatchEvent(new CustomEvent("ferris:listed"));
    const old = one("tbody:not(.soon tbody)", list), fresh = one(`#${list.id} tbody:not(.soon tbody)`, page);
    if (!old || !fresh) { if (fresh) list.replaceWith(one(`#${list.id}`, page)); return; }
    let added = 0;
    for (const row of fresh.rows) {
      const known = document.getElementById(row.id);
      if (!known) { added += 1; continue; }
      if (known.dataset.state === row.dataset.state) continue;
      known.dataset.state = row.dataset.state;
      [...row.cells].forEach((cell, n) => { // the cell that has the focus stays as it is
        const now = known.cells[n];
        if (now && !now.contains(document.activeElement) && now.innerHTML !== cell.innerHTML) now.innerHTML = cell.innerHTML;
      });
    }
    const pill = one("[data-new]", list);
    if (added && pill) {
      pill.hidden = false;
      const button = one("button", pill);
      one("span", button).textContent = say("{amount} new", { amount: added >= fresh.rows.length ? `${added}+` : added });
      button.onclick = () => {
        const before = new Set([...old.rows].map((row) => row.id));
        old.replaceChildren(...[...fresh.rows].map((row) => document.importNode(row, true)));
        for (const row of old.rows) row.classList.toggle("fresh", !before.has(row.id));
        pill.hidden = true;
        (one("a", old) || old).focus({ preventScroll: true });
        tick();
      };
      announce(one("span", button).textContent);
    }
    tick();
  }

  one(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  one(".side [aria-current]")?.scrollIntoView({ block: "nearest" });

  // Ctrl-K (or Cmd-K): the page "Go to" as a dialog over this one. Arrows choose, Enter goes, Esc closes.
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && one("[data-palette]")) {
      event.preventDefault();
      openPalette(one("[data-palette]").href);
    }
  });
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("a[data-palette]");
    if (!opener || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    openPalette(opener.href);
  });
  function openPalette(address) {
    if (one("dialog[open]")) return;
    const before = document.activeElement;
    const box = Object.assign(document.createElement("dialog"), { className: "go" });
    box.setAttribute("aria-label", say("Go to"));
    const field = Object.assign(document.createElement("input"), { type: "search", maxLength: 200, autocomplete: "off", spellcheck: false, placeholder: say("A page, a service, an id …") });
    for (const [name, value] of [["role", "combobox"], ["aria-label", say("Go to")], ["aria-expanded", "true"], ["aria-controls", "palette-list"], ["aria-autocomplete", "list"]]) field.setAttribute(name, value);
    const list = Object.assign(document.createElement("ul"), { id: "palette-list", className: "palette" });
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", say("Found"));
    const hint = Object.assign(document.createElement("p"), { className: "muted small", textContent: say("Arrow keys choose, Enter goes there, Esc closes.") });
    box.append(field, list, hint);
    document.body.append(box);
    let at = 0, timer = 0, asked = 0, stale = true, going = false;
    const go = () => one("[aria-selected=true] a", list)?.click();
    const choose = (n) => {
      const rows = [...list.children].filter((row) => one("a", row));
      at = rows.length ? (n + rows.length) % rows.length : 0;
      rows.forEach((row, m) => row.setAttribute("aria-selected", m === at));
      if (rows[at]) { field.setAttribute("aria-activedescendant", rows[at].id); rows[at].scrollIntoView({ block: "nearest" }); } else field.removeAttribute("aria-activedescendant");
    };
    const look = async () => {
      const mine = ++asked;
      let answer;
      try { answer = await fetch(`${address}?q=${encodeURIComponent(field.value)}`); } catch { return; }
      if (answer.redirected) return signInAgain();
      if (!answer.ok || mine !== asked) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (mine !== asked) return;
      list.replaceChildren(...[...one("#palette-found", page).children].map((row) => document.importNode(row, true)));
      [...list.children].forEach((row, n) => { row.id = `go-${n}`; row.setAttribute("role", "option"); const link = one("a", row); if (link) link.tabIndex = -1; });
      choose(0);
      stale = false;
      if (going) go();
      announce(say("{amount} found", { amount: all("a", list).length }));
    };
    field.oninput = () => { stale = true; going = false; clearTimeout(timer); timer = setTimeout(look, 120); };
    field.onkeydown = (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) { event.preventDefault(); choose(at + step); }
      if (event.key !== "Enter") return;
      event.preventDefault();
      if (!stale) return go();
      going = true;  // to the first of what is being looked for, not to what stands there of fewer letters
      clearTimeout(timer);
      look();
    };
    box.onclick = (event) => { if (event.target === box || event.target.closest("a")) box.close(); };
    box.onclose = () => { clearTimeout(timer); asked += 1; box.remove(); if (document.contains(before)) before.focus(); };
    box.showModal();
    field.focus();
    look();
  }

  // "/" goes to the search field of a page, "?" lists the keys.
  // Keys without Ctrl, which speech input may press by mistake: somebody may switch them off (WCAG 2.1.4).
  const single = { off: () => { try { return localStorage.getItem("ferris-single-keys") === "off"; } catch { return false; } } };
  single.set = (on) => { try { if (on) localStorage.removeItem("ferris-single-keys"); else localStorage.setItem("ferris-single-keys", "off"); } catch { /* switched off: they stay on */ } };
  document.addEventListener("keydown", (event) => {
    if (!"/?".includes(event.key) || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input,textarea,select,[contenteditable]") || one("dialog[open]") || single.off()) return;
    const field = one("main input[type=search]"), keys = one("#keys");
    if (event.key === "?" && keys) { event.preventDefault(); keys.showModal(); }
    if (event.key === "/" && field) { event.preventDefault(); field.focus(); field.select(); }
  });
  const switched = one("[data-single-keys]");
  if (switched) { switched.checked = !single.off(); switched.onchange = () => single.set(switched.checked); }
  tick();
})();
