// What the stories of the console say in `js` rows: known to each page, ahead of its own scripts.

window.all = (selector) => [...document.querySelectorAll(selector)];
window.listed = () => all("#lists .id").map((node) => node.textContent);
window.headings = () => all("#lists h3").map((node) => node.textContent).join();

// `played` is a function from a path to a Response, an error that is thrown, or null for the real answer.
window.json = (status, body) => new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });
window.answering = (played) => {
  const real = window.fetch.bind(window);
  window.asked = [];
  window.fetch = async (path, options) => {
    asked.push(String(path));
    const answer = played(String(path));
    if (answer instanceof Error) throw answer;
    return answer ?? real(path, options);
  };
};

const start = (node) => node.outerHTML.slice(0, 120);
window.wider = () => all("body *").filter((node) =>
  node.getBoundingClientRect().right > 321 && !node.closest(".scroll, pre, .hidden, .skip, svg")).map(start);
window.scrolling = () => all("body *").filter((node) =>
  node.checkVisibility() && /auto|scroll/.test(getComputedStyle(node).overflowY) &&
  node.scrollHeight > node.clientHeight + 1 && !node.matches("pre, .whole, textarea")).map(start);
window.focusable = () => all("a, button, input, select, summary, [tabindex]").filter((node) =>
  node.checkVisibility() && !node.closest(".skip") && node.type !== "radio");
window.covered = () => focusable().reverse().filter((node) => {
  node.focus();
  const box = node.getBoundingClientRect();
  const top = document.elementFromPoint(box.left + Math.min(box.width / 2, 20), Math.max(box.top + 2, 1));
  return !top || !(node.contains(top) || top.contains(node));
}).map(start);

// Every rule of WCAG 2.2 A and AA and of good practice that the page breaks, and where.
window.violations = async () => {
  const runOnly = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const { passes, violations } = await axe.run(document, { runOnly });
  const found = violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.target}`));
  return passes.length > 20 ? found : [`only ${passes.length} rules passed`];
};

// The row of an operation's answer in the reference.
window.answered = (block) => all(`${block} .live-responses-table tbody .response`)[0];
