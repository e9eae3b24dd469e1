// The orders that were opened in this browser: the API lists only what is open or in review.

const KEY = "void-service.orders";
const MOST = 25;

export function remembered() {
  try {
    const list = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(list) ? list.filter((id) => typeof id === "string").slice(0, MOST) : [];
  } catch {
    return []; // a browser without storage still shows what is unsettled
  }
}

export const remember = (id) => keep([id, ...remembered().filter((other) => other !== id)].slice(0, MOST));

export const forget = (id) => keep(remembered().filter((other) => other !== id));

function keep(list) {
  try {
    localStorage.setItem(KEY, JSON.stringify(list));
  } catch {
    // as above
  }
}
