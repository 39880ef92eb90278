// What htmx cannot do by itself. Every act works without it.
"use strict";
(() => {
  // A form that asks first: data-confirm holds the question.
  document.addEventListener("submit", (event) => {
    const question = event.submitter?.dataset.confirm || event.target.dataset.confirm;
    if (question && !window.confirm(question)) event.preventDefault();
  });
  // Announcements of live regions, at most one every five seconds: the newest is read, not each.
  const PAUSE = 5000;
  let waiting = null, last = 0, timer = null;
  const say = () => {
    timer = null;
    const region = document.getElementById("announcer");
    if (region && waiting !== null) { region.textContent = waiting; waiting = null; last = Date.now(); }
  };
  document.addEventListener("htmx:sseMessage", (event) => {
    const told = event.target.querySelector?.("[data-announce]");
    if (!told) return;
    waiting = told.dataset.announce;
    if (timer === null) timer = setTimeout(say, Math.max(0, last + PAUSE - Date.now()));
  });
  // "Copy" buttons appear where the browser can copy.
  if (navigator.clipboard) {
    for (const button of document.querySelectorAll("button[data-copy]")) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(button.dataset.copy);
        button.textContent = "Copied";
      });
    }
  }
})();
