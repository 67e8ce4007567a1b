// The Explore page: the drawer, keys, copying, times of the viewer's zone. Every link works without it.
"use strict";
(() => {
  const drawer = document.getElementById("drawer");
  const list = () => [...document.querySelectorAll("#events .event-link")];
  let opener = null, turn = 0;

  // --- the drawer ---------------------------------------------------------------------------------------------------

  async function open(href, {push = true} = {}) {
    const mine = ++turn;  // an answer that was overtaken, or comes after the drawer was closed, is not shown
    drawer.hidden = false;
    drawer.classList.add("open");
    drawer.setAttribute("aria-busy", "true");
    drawer.focus({preventScroll: true});
    let html;
    try {
      const answer = await fetch(href, {headers: {"HX-Request": "true", "HX-Current-URL": location.href}});
      if (answer.status === 401) return location.assign(href);
      html = await answer.text();
    } catch {
      html = "<p>The server cannot be reached: try again.</p>";
    }
    if (mine !== turn) return;
    drawer.innerHTML = html;  // made by the server, every value escaped
    drawer.removeAttribute("aria-busy");
    htmx.process(drawer);
    headrace.showTimes(drawer);
    mark(href);
    if (push) {
      const entry = {explore: "event"};
      if (history.state?.explore === "event") history.replaceState(entry, "", href);
      else history.pushState(entry, "", href);
    }
    if (!drawer.contains(document.activeElement)) drawer.focus({preventScroll: true});
    drawer.scrollTop = 0;
  }

  function mark(href) {
    const id = /\/events\/([0-9a-f-]+)/.exec(href)?.[1];
    document.querySelector(".event.is-open")?.classList.remove("is-open");
    const row = id && document.getElementById(`e-${id}`);
    if (row) row.classList.add("is-open");
  }

  function close({back = true} = {}) {
    if (!drawer || drawer.hidden) return;
    turn += 1;
    drawer.hidden = true;
    drawer.classList.remove("open");
    drawer.replaceChildren();
    document.querySelector(".event.is-open")?.classList.remove("is-open");
    if (back && history.state?.explore === "event") history.back();
    (opener?.isConnected ? opener : list()[0])?.focus({preventScroll: true});
  }

  addEventListener("popstate", event => {
    if (!drawer) return;
    if (event.state?.explore === "event") open(location.href, {push: false});
    else close({back: false});
  });

  document.addEventListener("click", event => {
    const modified = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
    const link = event.target.closest("a");
    if (!link || modified || event.button || !drawer) return;
    if (link.matches(".event-link, [data-event-link]")) {
      event.preventDefault();
      if (link.closest("#events")) opener = link;
      open(link.href);
    } else if (link.matches("[data-closes]") && drawer.contains(link)) {
      event.preventDefault();
      close();
    }
  });

  // --- keys ---------------------------------------------------------------------------------------------------------

  const typing = target => target.closest?.("input, select, textarea, [contenteditable]");

  function step(by) {
    const links = list(), at = links.indexOf(document.activeElement);
    const from = at >= 0 ? at : drawer && !drawer.hidden ? links.indexOf(opener) : -1;
    const next = links[Math.max(0, Math.min(links.length - 1, from + by))];
    if (!next) return;
    if (drawer && !drawer.hidden) {
      opener = next;
      next.scrollIntoView({block: "nearest"});
      open(next.href);
    } else {
      next.focus();
    }
  }

  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key === "Escape") {
      const menu = event.target.closest("details[open]") || document.querySelector(".explore-menu[open]");
      if (menu) {
        menu.open = false;
        menu.querySelector("summary").focus();
      } else {
        close();
      }
    } else if (typing(event.target)) {
      return;
    } else if (event.key === "/") {
      event.preventDefault();
      document.getElementById("q")?.select();
      document.getElementById("q")?.focus();
    } else if (event.key === "j" || event.key === "k") {
      event.preventDefault();
      step(event.key === "j" ? 1 : -1);
    } else if (/^Arrow(Down|Up)$/.test(event.key) && event.target.matches(".event-link")) {
      event.preventDefault();
      step(event.key === "ArrowDown" ? 1 : -1);
    }
  });

  // What lies behind the drawer cannot be seen: Tab stays in it. The mouse may go on in the list.
  document.addEventListener("keydown", event => {
    if (event.key !== "Tab" || !drawer || drawer.hidden || document.querySelector("dialog[open]")) return;
    const stops = [...drawer.querySelectorAll("a[href], button, input, summary")].filter(each => each.offsetParent);
    const at = stops.indexOf(document.activeElement), last = stops.length - 1;
    if (at >= 0 && at !== (event.shiftKey ? 0 : last)) return;
    event.preventDefault();
    stops[event.shiftKey ? last : 0]?.focus();
  });

  // --- menus, copying, forms ----------------------------------------------------------------------------------------

  document.addEventListener("click", event => {
    for (const menu of document.querySelectorAll(".explore-menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
    const button = event.target.closest("[data-copies-link], [data-copies-from]");
    if (button) copy(button);
  });

  async function copy(button) {
    const {copiesLink, copiesFrom} = button.dataset;
    const label = button.dataset.wasCalled ??= button.textContent;
    let done = false;
    try {
      done = await headrace.copy(copiesLink ? new URL(copiesLink, location.href).href : await loaded(copiesFrom));
    } catch { /* said below */ }
    button.textContent = done ? "Copied" : "Not copied";
    setTimeout(() => { button.textContent = label; }, 2000);
  }

  async function loaded(url) {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(answer.status);
    return answer.text();
  }

  document.addEventListener("change", event => {
    if (event.target.matches("[data-submits]")) event.target.form.submit();
  });

  // --- times of one's own, in the viewer's zone ---------------------------------------------------------------------

  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const place of document.querySelectorAll("[data-zone]")) place.textContent = `(${zone})`;
  for (const input of document.querySelectorAll("[data-range] input[data-value]")) {
    const time = new Date(input.dataset.value);
    if (isNaN(time) || !/T/.test(input.dataset.value)) continue;
    const local = new Date(time - time.getTimezoneOffset() * 60_000);
    input.value = local.toISOString().slice(0, 19);
  }
  document.querySelector("[data-range]")?.addEventListener("submit", event => {
    const form = event.target;
    for (const [exact, local] of [["since", "from"], ["until", "to"]]) {
      const input = form.elements[local];
      form.elements[exact].value = input.value ? new Date(input.value).toISOString() : "";
      input.disabled = true;
    }
  });
  const label = document.querySelector("[data-range-label][aria-current]");
  if (label) {
    const show = text => {
      const time = /T/.test(text) ? new Date(text) : NaN;
      return isNaN(time) ? text : time.toLocaleString([], {dateStyle: "medium", timeStyle: "short"});
    };
    label.textContent = `${show(label.dataset.since) || "…"} – ${show(label.dataset.until) || "now"}`;
  }
})();
