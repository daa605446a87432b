/* What htmx and HTML cannot do alone: ask for news only while somebody is looking, close menus, say that the line is cut.
   A page marks what is live: an element with data-live hears the event "live"; rows with data-live-row are asked for
   by the list around them while they are on screen, each with the tag of what it shows. */
(function () {
  "use strict";

  const EVERY = 4000; // ms between two questions while somebody is at the page
  const RARELY = 30000; // ms when nobody has touched it for QUIET
  const QUIET = 10 * 60 * 1000;
  let touched = Date.now();
  let asked = 0;

  for (const name of ["pointerdown", "keydown", "scroll", "focus"]) {
    window.addEventListener(name, () => { touched = Date.now(); }, { passive: true, capture: true });
  }

  function onScreen(element) {
    const box = element.getBoundingClientRect();
    return box.height > 0 && box.bottom > 0 && box.top < window.innerHeight;
  }

  function tick() {
    const now = Date.now();
    const pause = now - touched > QUIET ? RARELY : EVERY;
    if (document.hidden || now - asked < pause) return;
    asked = now;
    for (const element of document.querySelectorAll("[data-live]")) window.htmx.trigger(element, "live");
  }

  document.addEventListener("DOMContentLoaded", () => { asked = Date.now(); setInterval(tick, 1000); });
  document.addEventListener("visibilitychange", tick);

  document.addEventListener("htmx:configRequest", (event) => {
    const list = event.target;
    if (!list.matches || !list.matches("[data-live-rows]")) return;
    const rows = [...document.querySelectorAll("[data-live-row]")].filter(onScreen);
    event.detail.parameters["row"] = rows.map((row) => row.dataset.liveRow);
    if (rows.length === 0) event.preventDefault();
  });

  /* The line to crmsync */
  function offline(cut) {
    const note = document.getElementById("offline");
    if (note) note.hidden = !cut;
  }
  document.addEventListener("htmx:sendError", () => offline(true));
  document.addEventListener("htmx:responseError", (event) => offline(event.detail.xhr.status >= 500));
  document.addEventListener("htmx:afterRequest", (event) => { if (event.detail.successful) offline(false); });

  /* Menus: Escape and a click elsewhere close them */
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
})();
