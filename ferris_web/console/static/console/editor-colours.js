// Colours what stands in the editor, on a layer behind the text: the text stays a plain field, with its keys, undo,
// selection and what a screen reader says of it. A module, so that the pinned highlighter is loaded with it and nowhere else.
import highlighter from "./highlight-11.11.1/core.min.js";
import json from "./highlight-11.11.1/languages/json.min.js";
import markdown from "./highlight-11.11.1/languages/markdown.min.js";
import python from "./highlight-11.11.1/languages/python.min.js";
import sql from "./highlight-11.11.1/languages/sql.min.js";
import yaml from "./highlight-11.11.1/languages/yaml.min.js";

const MOST = 60000; // characters: beyond, colouring would be felt while writing
for (const [name, grammar] of Object.entries({ json, markdown, python, sql, yaml })) highlighter.registerLanguage(name, grammar);
const OF = { py: "python", sql: "sql", json: "json", yaml: "yaml", yml: "yaml", md: "markdown" };

const area = document.querySelector("form[data-editor] .editor textarea");
if (area) {
  const layer = document.createElement("pre"), text = document.createElement("code");
  layer.className = "colours";
  layer.setAttribute("aria-hidden", "true");
  layer.append(text);
  const place = area.form.elements.path;
  let due = 0, shown = null;
  const follow = () => { layer.scrollTop = area.scrollTop; layer.scrollLeft = area.scrollLeft; };
  function paint() {
    due = 0;
    const language = OF[place.value.split(".").pop().toLowerCase()], value = area.value;
    const coloured = Boolean(language) && value.length <= MOST;
    area.parentElement.classList.toggle("coloured", coloured);
    const key = coloured ? language + "\n" + value : null;
    if (!coloured || key === shown) { if (!coloured) shown = null; return; }
    shown = key;
    // The highlighter escapes what it is given; a last line that is empty has a height by the space.
    text.innerHTML = highlighter.highlight(value, { language, ignoreIllegals: true }).value + "\n ";
    follow();
  }
  const soon = () => { if (!due) due = requestAnimationFrame(paint); };
  area.before(layer);
  area.addEventListener("input", soon);
  area.addEventListener("scroll", follow);
  place.addEventListener("input", soon);
  addEventListener("pageshow", soon);
  new ResizeObserver(follow).observe(area);
  paint();
}
