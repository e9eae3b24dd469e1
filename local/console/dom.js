// Builds the page from nodes. Text from outside reaches the document by textContent only; nothing here parses HTML.

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

export function copyButton(text, label) {
  const button = h("button.copy", { type: "button", "aria-label": `Copy ${label}`, title: `Copy ${label}`, "data-key": `copy-${label}-${text}` });
  button.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(text).catch(() => {});
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1200);
  });
  return button;
}
