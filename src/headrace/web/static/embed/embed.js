// The embeddable viewer: asks for the trail that its token opens, shows it, and looks for news. See the how-to "Show your
// customers their own trail".

import { compare, dated, entry, node } from "./entry.js";
import { Token, filterOf } from "./token.js";

const PAGE = 50, EVERY = 5_000, SLOWEST = 60_000, TYPING = 300, READING = 80;  // ms, and pixels scrolled down
const found = id => document.getElementById(id);
const trail = found("trail"), older = found("older"), newer = found("newer"), told = found("told"), again = found("again");
const bucket = encodeURIComponent(new URLSearchParams(location.search).get("bucket") || "default");
const token = new Token(document.body.dataset.origins.split(" ").filter(Boolean), tokenTold);

let asked = new URLSearchParams(), cursor, known = new Set(), held = [], turn = 0, pause = EVERY, timer;

class Refused extends Error {
  constructor(message, retryAfter) { super(message); this.retryAfter = retryAfter; }
}

// --- Asking ---------------------------------------------------------------------------------------------------------

async function ask(path) {
  let credential = await token.get();
  let answer = await send(path, credential);
  if (answer.status === 401) {
    credential = await token.renew(credential);
    answer = await send(path, credential);
  }
  if (answer.ok) { showFilter(credential); return answer; }
  throw new Refused(reasonOf(answer.status), Number(answer.headers.get("retry-after")) || 0);
}

const send = (path, credential) =>
  fetch(path, { headers: { Authorization: `Bearer ${credential}` }, credentials: "omit", cache: "no-store" });

function reasonOf(status) {
  if (status === 401) return "You may not see this now. Reload the page.";
  if (status === 403 || status === 404) return "There is nothing here that you may see.";
  if (status === 429 || status === 503) return "Very busy at the moment. Trying again…";
  return "This did not work. Trying again…";
}

async function page(more) {
  const query = new URLSearchParams(asked);
  query.set("limit", PAGE);
  for (const [name, value] of Object.entries(more)) query.set(name, value);
  return (await ask(`/embed/${bucket}/events?${query}`)).json();
}

const details = id => async () => (await ask(`/v1/buckets/${bucket}/events/${id}`)).text();

// --- Showing --------------------------------------------------------------------------------------------------------

function tell(text = "", mayAskAgain = false) {
  told.textContent = text;
  again.hidden = !mayAskAgain;
}

function tokenTold(state, reason) {
  if (state === "arrived") tell();
  else if (state === "asking") tell(reason === "expired" ? "Your view has expired. Asking for a new one…" : "Loading…");
  else if (parent === window) tell("This page is shown inside of another one, which gives it what to show.");
  else tell(reason === "expired" ? "Your view has expired. Reload the page to go on." : "Nothing was given to show. Reload the page.", true);
}

function put(events) {
  const at = [...trail.querySelectorAll(".entry")];
  for (const event of events) {
    if (known.has(event.id)) continue;
    known.add(event.id);
    trail.insertBefore(entry(event, details(event.id)), at.find(item => compare(event, item.event) < 0) ?? null);
  }
  dated(trail);
}

function showFilter(credential) {
  const chips = filterOf(credential).map(([name, value]) =>
    node("li", {}, node("bdi", { textContent: name.replace(/^attr\./, "") }), ": ", node("bdi", { textContent: value })));
  found("within").replaceChildren(...chips);
  found("only").hidden = !chips.length;
}

function empty() {
  trail.replaceChildren();
  known = new Set(); held = []; cursor = undefined;
  older.hidden = newer.hidden = true;
}

function showEnd(next) {
  cursor = next;
  older.hidden = !cursor;
  found("empty").hidden = known.size > 0;
}

// --- What people do ---------------------------------------------------------------------------------------------------

async function search() {
  const mine = ++turn;
  asked = new URLSearchParams([...new FormData(found("asked"))].filter(([, value]) => value.trim()));
  trail.setAttribute("aria-busy", "true");
  try {
    const first = await page({});
    if (mine !== turn) return;
    empty();
    put(first.events);
    showEnd(first.next_cursor);
    tell();
    pause = EVERY;
  } catch (error) {
    if (mine === turn) failed(error);
  } finally {
    if (mine === turn) { trail.removeAttribute("aria-busy"); laterAgain(); }
  }
}

async function goOn() {
  const mine = turn;
  older.disabled = true;
  try {
    const next = await page({ cursor });
    if (mine === turn) { put(next.events); showEnd(next.next_cursor); }
  } catch (error) {
    failed(error);
  } finally {
    older.disabled = false;
  }
}

function showHeld() {
  put(held);
  held = [];
  newer.hidden = true;
  found("empty").hidden = true;
  scrollTo({ top: 0 });
}

// --- News -------------------------------------------------------------------------------------------------------------

function laterAgain() {
  clearTimeout(timer);
  timer = setTimeout(look, pause);
}

async function look() {
  if (document.hidden) { laterAgain(); return; }
  const mine = turn;
  try {
    const { events, next_cursor: next } = await page({});
    if (mine !== turn) return;
    arrived(events, next);
    tell();
    pause = EVERY;
  } catch (error) {
    if (mine === turn) failed(error);
  }
  if (mine === turn) laterAgain();
}

function arrived(events, next) {
  const last = cursor && trail.lastElementChild?.event;  // behind it, the next page has them
  const fresh = events.filter(event => !known.has(event.id) && (!last || compare(event, last) < 0));
  if (fresh.length === PAGE && next) {  // more than a page since the last look: begin anew rather than leave a gap
    if (scrollY <= READING) { empty(); put(events); showEnd(next); return; }
  }
  held = fresh;
  newer.hidden = !fresh.length || scrollY <= READING;
  newer.textContent = fresh.length === PAGE ? `${PAGE} or more new` : `${fresh.length} new`;
  if (fresh.length && scrollY <= READING) showHeld(); else dated(trail);
}

function failed(error) {
  if (!(error instanceof Refused)) tell("No connection. Trying again…");
  else tell(error.message);
  pause = Math.min(SLOWEST, Math.max(2 * pause, 1_000 * (error.retryAfter ?? 0)));
}

let typing;
found("asked").addEventListener("submit", event => { event.preventDefault(); search(); });
found("q").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(search, TYPING); });
found("since").addEventListener("change", search);
older.addEventListener("click", goOn);
newer.addEventListener("click", showHeld);
again.addEventListener("click", () => token.ask());
document.addEventListener("visibilitychange", () => { if (!document.hidden && known.size) { clearTimeout(timer); look(); } });
search();
