// Tries an operation of the API as the person who looks at its page (by session and CSRF token), and says it as curl.
"use strict";

(() => {
  const form = document.querySelector("form[data-try]");
  const say = window.ferrisSay;
  const fields = (where) => [...form.querySelectorAll(`[data-in="${where}"]`)].filter((field) => field.value !== "");
  const status = document.querySelector("[data-status]"), answer = document.querySelector("[data-answer]");
  const stop = form.querySelector("[data-stop]"), media = form.querySelector("[data-media]");
  const MOST = 200000; // characters that are shown

  const body = () => {
    const shown = form.querySelector("[data-body]:not([hidden])");
    if (!shown) return null;
    const field = shown.querySelector("textarea, input");
    return { type: shown.dataset.body.includes("*") ? "application/json" : shown.dataset.body, file: field.type === "file", content: field.type === "file" ? field.files[0] : field.value };
  };
  const address = () => {
    const values = Object.fromEntries(fields("path").map((field) => [field.name, encodeURIComponent(field.value)]));
    const path = form.dataset.path.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
    const query = new URLSearchParams(fields("query").map((field) => [field.name, field.value])).toString();
    return location.origin + path + (query && `?${query}`);
  };
  const headers = () => {
    const found = Object.fromEntries(fields("header").map((field) => [field.name, field.value]));
    const sent = body();
    if (sent) found["Content-Type"] = sent.type;
    return found;
  };

  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  function drawCurl() {
    const sent = body(), lines = [`curl${form.dataset.method === "GET" ? "" : ` -X ${form.dataset.method}`} ${quoted(address())}`, `-H "Authorization: Bearer $FERRIS_TOKEN"`];
    for (const [name, value] of Object.entries(headers())) lines.push(`-H ${quoted(`${name}: ${value}`)}`);
    if (sent) lines.push(sent.file ? `--data-binary @${quoted(sent.content?.name || "file")}` : `--data ${quoted(sent.content)}`);
    const text = lines.join(" \\\n  ");
    document.querySelector("[data-curl]").textContent = text;
    document.querySelector("[data-curl] + [data-copy]").dataset.copy = text;
  }
  form.addEventListener("input", () => {
    if (media) form.querySelectorAll("[data-body]").forEach((part) => { part.hidden = part.dataset.body !== media.value; });
    drawCurl();
  });
  drawCurl();

  // After console.js, which asks first where that is meant.
  document.addEventListener("submit", async (event) => {
    if (event.target !== form || event.defaultPrevented) return;
    event.preventDefault();
    delete form.dataset.sure;
    const leaving = new AbortController(), sent = body(), began = performance.now();
    const send = form.querySelector("[type=submit]");
    stop.onclick = () => leaving.abort();
    send.disabled = true; stop.hidden = false; answer.hidden = true; answer.textContent = ""; status.textContent = say("Sending …");
    try {
      const csrf = document.querySelector("[name=csrfmiddlewaretoken]").value;
      const got = await fetch(address(), { method: form.dataset.method, headers: { ...headers(), ...(form.dataset.method === "GET" ? {} : { "X-CSRFToken": csrf }) }, body: sent ? sent.content : undefined, signal: leaving.signal });
      const type = got.headers.get("Content-Type") || "";
      const told = [`${got.status} ${got.statusText}`, `${Math.round(performance.now() - began)} ms`, type].filter(Boolean).join(" · ");
      status.textContent = told;
      if (/json|text|yaml/.test(type)) await show(got, type);
      else if (got.status !== 204) { leaving.abort(); status.textContent = `${told} · ${say("Not shown here: it is a file.")}`; }
    } catch (error) {
      if (error.name !== "AbortError") status.textContent = say("The server cannot be reached. What you see may be old.");
    } finally {
      send.disabled = false; stop.hidden = true;
      if (status.textContent === say("Sending …")) status.textContent = say("Stopped.");
    }
  });
  // As it comes: a stream goes on until it is stopped.
  async function show(got, type) {
    const reader = got.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      text += part.value;
      answer.hidden = false;
      answer.textContent = text.slice(0, MOST);
      if (text.length > MOST) { status.textContent += ` · ${say("Only its beginning is shown.")}`; await reader.cancel(); return; }
    }
    if (/json$|json;/.test(type)) try { answer.textContent = JSON.stringify(JSON.parse(text), null, 2); } catch { /* lines of JSON, as they are */ }
  }
})();
