// The live tail of Explore. It goes on behind a position, so that nothing is missing and nothing comes twice, however
// often it was paused, cut off or held up. What the page lets go, or could not show, it says, with a link that shows it.
"use strict";

(() => {
  const MOST_ROWS = 2000;  // in the list, and held back
  const QUIET_MS = 40000;  // the server gives a sign of life every 15 s
  const OLD_MS = 60000;  // a page that is older is loaded again before it follows
  const LONGEST_WAIT_MS = 15000;

  const box = document.querySelector("[data-live]");
  const list = document.getElementById("events");
  if (!box || !list) return;
  const { pathname, search } = location;  // the drawer puts other addresses there
  const part = (name) => document.querySelector(`[data-live-${name}]`);
  const [toggle, pause, state, fresh, left] = ["toggle", "pause", "state", "new", "left"].map(part);
  list.before(...part("notes").children);

  let on = false;
  let paused = false;
  let full = false;  // as much is held back as may be: the stream is closed, and the rest waits on the server
  let position = box.dataset.position;
  let current = Date.now() - performance.now();  // when the list was as new as could be
  let attempt = 0;
  let connection = null;
  let connected = false;
  let quiet = 0;
  let again = 0;
  let rest = 0;
  let held = [];  // rows that are not shown yet, the newest first
  let letGo = 0;  // the newest time (µs) among the rows that were let go
  const leftOut = { count: 0, since: Infinity, until: 0 };

  // --- the stream -----------------------------------------------------------------------------------------------------

  async function connect() {
    disconnect();
    if (!on || full) return;
    const mine = connection = new AbortController();
    say("connecting", "Connecting…");
    heard();
    try {
      const answer = await fetch(box.dataset.live, { headers: headers(), cache: "no-store", signal: mine.signal });
      if ([400, 401, 403, 404].includes(answer.status)) return end(answer);
      if (!answer.ok) throw new Error(String(answer.status));
      attempt = 0;
      connected = true;
      tell();
      await read(answer.body.getReader());
    } catch (error) {
      if (mine.signal.aborted && mine !== connection) return;
    }
    if (mine === connection) retry();
  }

  function headers() {
    const sent = { Accept: "text/event-stream", "HX-Request": "true", "HX-Current-URL": location.href };
    return position ? { ...sent, "Last-Event-ID": position } : sent;
  }

  async function read(reader) {
    const decoder = new TextDecoder();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      const messages = (text + decoder.decode(value, { stream: true })).split("\n\n");
      text = messages.pop();
      messages.forEach(take);
    }
  }

  function take(message) {
    let id = "";
    const html = [];
    for (const line of message.split("\n")) {
      if (line.startsWith("id: ")) id = line.slice(4);
      else if (line.startsWith("data: ")) html.push(line.slice(6));
    }
    if (html.length) receive(html.join("\n"));
    if (id) position = id;  // only now: a message that was cut comes again
    current = Date.now();
    if (full) disconnect();
  }

  function disconnect() {
    clearTimeout(quiet);
    clearTimeout(again);
    const old = connection;
    connection = null;
    connected = false;
    if (old) old.abort();
  }

  function heard() {
    clearTimeout(quiet);
    quiet = setTimeout(() => { disconnect(); retry(); }, QUIET_MS);
  }

  function retry() {
    disconnect();
    if (!on || full) return;
    if (!navigator.onLine) return say("offline", "Offline: goes on where it stopped");
    const wait = Math.min(LONGEST_WAIT_MS, 500 * 2 ** attempt) * (0.75 + Math.random() / 2);
    attempt += 1;
    say("waiting", "Connection lost: trying again…");
    again = setTimeout(connect, wait);
  }

  function end(answer) {
    stop();
    const where = answer.headers.get("HX-Redirect");
    say("ended", where ? "Your session has ended. " : answer.status === 400 ? "This filter cannot be followed." : "This bucket cannot be read any more.");
    if (where) state.append(link("Sign in", where));
  }

  // --- rows -----------------------------------------------------------------------------------------------------------

  function receive(html) {
    const made = document.createElement("template");
    made.innerHTML = html;  // made by our server with the macro of the list, and escaped there
    for (const note of made.content.querySelectorAll(".events-left-out")) missed(note.dataset);
    headrace.showTimes(made.content);
    const rows = [...made.content.querySelectorAll("li.event")].filter((row) => !document.getElementById(row.id));
    if (rows.length === 0) return;
    held = rows.concat(held);
    if (follows()) return flush();
    full = held.length >= MOST_ROWS;
    tell();
  }

  // Rows that move away under somebody who reads or selects are worse than late ones.
  function follows() {
    const selected = getSelection();
    const selects = !selected.isCollapsed && list.contains(selected.anchorNode);
    return on && !paused && atTop() && !selects && !list.contains(document.activeElement);
  }

  const atTop = () => list.getBoundingClientRect().top > -24 || scrollY === 0;

  function flush() {
    const rows = held;
    held = [];
    list.parentElement.querySelector(".empty")?.remove();
    list.prepend(...rows);
    trim();
    if (full) {
      full = false;
      connect();
    }
    tell();
  }

  function trim() {
    if (list.childElementCount <= MOST_ROWS) return;
    const rows = list.querySelectorAll(":scope > li.event");
    if (rows.length <= MOST_ROWS) return;
    for (let index = MOST_ROWS; index < rows.length; index += 1) letGo = Math.max(letGo, Number(rows[index].dataset.time));
    while (rows[MOST_ROWS - 1].nextElementSibling) rows[MOST_ROWS - 1].nextElementSibling.remove();
    const note = document.createElement("li");
    note.className = "events-more events-let-go";
    note.append("Older rows were let go, so that this page stays quick. ", link("Go on from here", page({ until: time(letGo + 1) }), true));
    list.append(note);
  }

  function missed({ count, since, until }) {
    leftOut.count += Number(count);
    leftOut.since = Math.min(leftOut.since, Number(since));
    leftOut.until = Math.max(leftOut.until, Number(until));
    left.hidden = false;
    left.querySelector("span").textContent = `${leftOut.count.toLocaleString("en")} events came faster than a page can show.`;
    left.querySelector("a").href = page({ since: time(leftOut.since), until: time(leftOut.until) });
  }

  // --- links ----------------------------------------------------------------------------------------------------------

  function page(changes) {
    const query = new URLSearchParams(search);
    for (const name of ["cursor", "order", "until"]) query.delete(name);
    for (const [name, value] of Object.entries(changes)) query.set(name, value);
    return `${pathname}${query.size ? "?" : ""}${query}`;
  }

  function time(micros) {
    const text = new Date(Math.floor(micros / 1000)).toISOString().slice(0, -1);
    return `${text}${String(micros % 1000).padStart(3, "0")}Z`;
  }

  function link(text, href, beside = false) {
    const made = document.createElement("a");
    made.href = href;
    made.textContent = text;
    if (beside) Object.assign(made, { target: "_blank", rel: "noopener", className: "button small" });
    return made;
  }

  // --- what it looks like ---------------------------------------------------------------------------------------------

  function say(name, text) {
    if (box.dataset.state === name) return;
    box.dataset.state = name;
    state.textContent = text;
  }

  function tell() {
    if (on && (connected || full)) say(paused ? "paused" : "live", paused ? "Paused" : "Live");
    fresh.hidden = held.length === 0;
    fresh.firstElementChild.textContent = `${held.length.toLocaleString("en")}${full ? " and more" : ""} new`;
    toggle.setAttribute("aria-pressed", String(on));
    pause.hidden = !on;
    pause.textContent = paused ? "Resume" : "Pause";
    list.classList.toggle("is-live", on);
  }

  // --- what people do -------------------------------------------------------------------------------------------------

  function start() {
    const query = new URLSearchParams(search);
    const elsewhere = query.get("order") === "asc" || query.has("until") || query.has("cursor");
    if (elsewhere) return location.assign(`${page({})}#live`);
    history.replaceState(history.state, "", "#live");
    if (Date.now() - current > OLD_MS) return location.reload();
    on = true;
    paused = false;
    attempt = 0;
    tell();
    connect();
  }

  function stop() {
    on = false;
    paused = full = false;
    disconnect();
    history.replaceState(history.state, "", location.pathname + location.search);
    if (held.length) flush();
    say("off", "");
    tell();
  }

  toggle.addEventListener("click", () => (on ? stop() : start()));
  pause.addEventListener("click", () => {
    paused = !paused;
    if (paused) tell();
    else toTop();
  });
  fresh.addEventListener("click", () => { paused = false; toTop(); });

  function toTop() {
    if (!atTop()) list.scrollIntoView({ block: "start" });
    flush();
  }

  left.querySelector("button").addEventListener("click", () => {
    left.hidden = true;
    Object.assign(leftOut, { count: 0, since: Infinity, until: 0 });
  });

  const settle = () => { if (held.length && follows()) flush(); };
  addEventListener("scroll", settle, { passive: true });
  document.addEventListener("selectionchange", settle);
  list.addEventListener("focusout", () => setTimeout(settle));

  addEventListener("online", () => { if (on && !connection) { attempt = 0; connect(); } });
  addEventListener("offline", () => { if (on) retry(); });
  addEventListener("pagehide", disconnect);
  addEventListener("pageshow", (event) => { if (event.persisted && on) connect(); });

  // A browser opens six connections to a host: tabs that nobody looks at give theirs back, and lose nothing by it.
  document.addEventListener("visibilitychange", () => {
    clearTimeout(rest);
    if (document.hidden) rest = setTimeout(disconnect, OLD_MS);
    else if (on && !connection) connect();
  });

  if (location.hash === "#live") start();
})();
