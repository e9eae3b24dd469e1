// Where the page is, as its address says: what is listed, which page of it, and the void that is shown. So a link can be
// sent on, and Back goes back.

const NAMES = ["state", "day", "begins", "cursor", "page", "order", "project"];
export const STATES_LISTED = ["all", "unsettled", "review", "settled"];

export const today = () => new Date().toISOString().slice(0, 10);

/** `#order=1&state=settled&day=2026-11-30` -> {view, state, day, begins, cursor, page, order, project}. */
export function read(hash = location.hash) {
  const given = new URLSearchParams(hash.replace(/^#/, "").replaceAll("+", "%2B"));
  const state = STATES_LISTED.includes(given.get("state")) ? given.get("state") : "all";
  const day = given.get("day") ?? "";
  return {
    view: given.has("order") ? "order" : ["new", "overview"].find((name) => given.has(name)) ?? "list",
    state,
    day: /^\d{4}-\d{2}-\d{2}$/.test(day) && !Number.isNaN(Date.parse(day)) ? day : today(),
    begins: given.get("begins") ?? "",
    cursor: given.get("cursor") || null,
    page: /^[1-9]\d{0,5}$/.test(given.get("page") ?? "") && given.get("cursor") ? Number(given.get("page")) : 1,
    order: given.get("order"),
    project: given.get("project"),
  };
}

/** The address of this place with some of it changed; what is as always is left out. */
export function address(changes, from = read()) {
  const to = { ...from, ...changes };
  if (to.state !== "settled") to.day = null;
  if (to.page === 1 || !to.cursor) [to.page, to.cursor] = [null, null];
  if (to.state === "all") to.state = null;
  const parts = NAMES.filter((name) => to[name] !== null && to[name] !== undefined && (to[name] !== "" || name === "order"));
  const view = ["new", "overview"].includes(to.view) && to.order === null ? [to.view] : [];
  const text = [...view, ...parts.map((name) => `${name}=${encodeURIComponent(String(to[name]).toWellFormed())}`)].join("&");
  return `#${text || "list"}`;
}

/** The same list, another void; or the list alone. */
export const linkTo = (order, project = null) => address({ view: "order", order, project });
export const linkToList = (changes = {}) => address({ view: "list", order: null, project: null, ...changes });
