// Builds the page from nodes. Text from outside reaches the document by textContent only; nothing here parses HTML.

const SHORT = 160; // characters of a text that are shown before its reader asks for the rest

/** h("a.badge", {href: "#x"}, "text", node, [more]) -> element. null and false children are left out. */
export function h(tag, attributes, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(key, value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  for (const child of children.flat(3)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** The same for a drawing. */
export function drawing(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children.flat());
  return element;
}

/** Replaces what is in `parent`, and keeps the focus on the element with the same data-key. */
export function replace(parent, ...children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const open = new Set([...parent.querySelectorAll("details[open][data-key]")].map((item) => item.dataset.key));
  parent.replaceChildren(...children.flat().filter(Boolean));
  for (const item of parent.querySelectorAll("details[data-key]")) if (open.has(item.dataset.key)) item.open = true;
  if (focused === undefined) return;
  for (const item of parent.querySelectorAll("[data-key]")) if (item.dataset.key === focused) item.focus();
}

export const $ = (id) => document.getElementById(id);

/** Shows a sentence, or takes it away. */
export function tell(id, sentence) {
  if ($(id).textContent !== (sentence ?? "")) $(id).textContent = sentence ?? "";
  $(id).hidden = !sentence;
}

/** The names of the states have colours; what another release may add has none. */
export const badge = (text, tone = "other") => h(`span.badge.${tone}`, null, text);

/** A text of any length: of a long one the beginning, and the rest on demand. */
export function prose(text, key) {
  const characters = [...text];
  if (characters.length <= SHORT) return h("span", null, text);
  return h("details.long", { "data-key": `long-${key}` },
    h("summary", null, h("span.beginning", null, `${characters.slice(0, SHORT / 2).join("")}…`), ` all ${characters.length} characters`),
    h("span.whole", { tabindex: 0 }, text),
  );
}

export function copyButton(text, label) {
  const button = h("button.copy", { type: "button", "aria-label": `Copy ${label}`, title: `Copy ${label}`, "data-key": `copy-${label}-${text}` });
  button.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(text).catch(() => {});
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1200);
  });
  return button;
}

/** Rows under headings, in a part that scrolls by itself. */
export function table(label, columns, rows) {
  return h("div.scroll", { tabindex: 0, role: "region", "aria-label": label },
    h("table", null,
      h("thead", null, h("tr", null, columns.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", null, rows.map((row) => h("tr", null, row.map((cell) => h("td", null, cell ?? "–")))))));
}

// ---- times ----------------------------------------------------------------------------------------------------

/** The time of day with milliseconds, or the text if it is no time. */
export function clock(at) {
  const moment = new Date(at);
  return Number.isNaN(moment.getTime()) ? String(at) : `${moment.toLocaleTimeString("en-GB")}.${String(moment.getMilliseconds()).padStart(3, "0")}`;
}

/** The time of day; the day as well if it is not today. */
export function moment(at) {
  const then = new Date(at);
  if (Number.isNaN(then.getTime())) return String(at);
  const time = then.toLocaleTimeString("en-GB");
  return then.toDateString() === new Date().toDateString() ? time : `${then.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" })} ${time}`;
}

/** The day and the time of day, in UTC: as the API writes it, for reading. */
export const utc = (at) => (typeof at === "string" ? at.replace("T", " ").replace(/(\.\d+)?Z$/, " UTC") : null);

/** `5 min`, `3 h` or `12 d`. */
export function age(at) {
  const seconds = Math.max(0, (Date.now() - Date.parse(at)) / 1000);
  const [size, unit] = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([size], last) => seconds >= 2 * size || last === 3);
  return `${Math.floor(seconds / size)} ${unit}`;
}

export function since(ms) {
  if (!Number.isFinite(ms)) return "";
  if (ms < 60_000) return `+${(ms / 1000).toFixed(2)} s`;
  return ms < 3_600_000 ? `+${(ms / 60_000).toFixed(1)} min` : `+${(ms / 3_600_000).toFixed(1)} h`;
}
