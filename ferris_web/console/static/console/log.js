// The log of one execution: follows a stream of ready-made lines, and keeps the end in view while asked to.
"use strict";

(() => {
  const LIMIT = 20000; // lines kept on the page
  const REFUSED = 60000;
  let stream = null, again = 0, following = false;
  const log = () => document.getElementById("log");
  const button = () => document.querySelector("[data-follow]");

  function begin() {
    stop();
    const list = log();
    following = button()?.getAttribute("aria-pressed") === "true";
    if (!list) return;
    if (following || !location.hash.startsWith("#L")) list.scrollTop = list.scrollHeight;
    listen(list);
  }
  function listen(list) {
    if (!list.dataset.stream) return;
    const place = new URL(list.dataset.stream, location.href);
    if (list.dataset.after) place.searchParams.set("after", list.dataset.after);
    stream = new EventSource(place);
    stream.addEventListener("lines", (event) => {
      list.dataset.after = event.lastEventId;
      document.querySelector("[data-log-empty]")?.remove();
      const part = document.createElement("template");
      part.innerHTML = event.data;
      list.append(part.content);
      while (list.childElementCount > LIMIT) list.firstElementChild.remove();
      if (following) list.scrollTop = list.scrollHeight;
    });
    stream.addEventListener("progress", (event) => {
      const place = document.getElementById("progress");
      if (place) place.innerHTML = event.data;
    });
    stream.addEventListener("end", () => { stop(); delete list.dataset.stream; });
    // Refused (too many are open, or the platform is busy): a browser does not ask again by itself.
    stream.onerror = () => { if (stream?.readyState === EventSource.CLOSED) { stop(); again = setTimeout(() => { if (document.contains(list) && !document.hidden) listen(list); }, REFUSED); } };
  }
  function stop() { clearTimeout(again); stream?.close(); stream = null; }
  function follow(on) {
    following = on;
    button()?.setAttribute("aria-pressed", on);
    if (on) log().scrollTop = log().scrollHeight;
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-follow]")) follow(!following);
  });
  // Scrolling up is reading: the page stops following; back at the end it goes on.
  document.addEventListener("wheel", (event) => { if (following && event.deltaY < 0 && event.target.closest("#log")) follow(false); }, { passive: true });
  document.addEventListener("keydown", (event) => { if (following && event.target.id === "log" && ["ArrowUp", "PageUp", "Home"].includes(event.key)) follow(false); });
  document.addEventListener("htmx:after:swap", (event) => { if (document.contains(log()) && !log().dataset.begun) { log().dataset.begun = "1"; begin(); } });
  // A page that nobody sees holds no connection; it goes on behind the last line it has.
  document.addEventListener("visibilitychange", () => { if (document.hidden) stop(); else if (!stream) begin(); });
  addEventListener("pagehide", stop);
  if (log()) log().dataset.begun = "1";
  begin();
})();
