// One event as a piece of the page. Strangers wrote its texts: they only ever become text nodes.

import { locale, timeZone } from "./theme.js";

const MOST = 20_000;  // characters of an event that are shown
const DAY = 86_400_000;
const UNITS = [["day", DAY], ["hour", 3_600_000], ["minute", 60_000], ["second", 1_000]];
const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
const exact = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short", timeZone });
const clock = new Intl.DateTimeFormat(locale, { timeStyle: "short", timeZone });
const day = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeZone });

export function node(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export function entry(event, details) {
  const body = node("details", {}, node("summary", { textContent: "Details" }));
  body.addEventListener("toggle", () => filled(body, details), { once: true });
  const made = node("li", { className: `entry ${event.outcome ?? ""}` },
    node("p", { className: "sentence" }, ...event.parts.map(part)),
    ...(event.note ? [node("p", { className: "note", textContent: event.note, dir: "auto" })] : []),
    node("p", { className: "meta" }, node("time", { dateTime: event.time, title: event.time }),
      ...(event.address ? [` · from ${event.address}`] : [])),
    body);
  made.event = event;
  return made;
}

function part({ text, role, aside }) {
  if (role === "text") return node("bdi", { textContent: text });
  return node("span", { className: role }, node("bdi", { textContent: text }),
    ...(aside ? [node("bdi", { className: "aside", textContent: ` (${aside})` })] : []));
}

async function filled(body, details) {
  const shown = body.appendChild(node("pre", { textContent: "Loading…", tabIndex: 0, dir: "ltr" }));
  try {
    shown.textContent = visible(indented(await details()));
  } catch (error) {
    shown.textContent = error.message;
  }
}

/** JSON with line breaks, letter by letter: parsing it would lose digits of long numbers. */
function indented(json) {
  let out = "", depth = 0, inside = false;
  for (let at = 0; at < json.length && out.length < MOST; at++) {
    const letter = json[at], next = json[at + 1];
    if (inside) {
      out += letter === "\\" ? letter + json[++at] : letter;
      inside = letter !== '"';
    } else if ("{[".includes(letter) && !"}]".includes(next)) out += `${letter}\n${"  ".repeat(++depth)}`;
    else if ("}]".includes(letter) && !"{[".includes(json[at - 1])) out += `\n${"  ".repeat(Math.max(0, --depth))}${letter}`;
    else if (letter === ",") out += `,\n${"  ".repeat(depth)}`;
    else if (letter === ":") out += ": ";
    else { out += letter; inside = letter === '"'; }
  }
  return out.length < MOST ? out : `${out}…`;
}

/** Marks that change the direction of text, written out. */
function visible(text) {
  return text.replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, mark => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Newest first: below 0 when `one` comes before `other`. Times are texts of one length. */
export function compare(one, other) {
  if (one.time !== other.time) return one.time > other.time ? -1 : 1;
  return one.id === other.id ? 0 : one.id > other.id ? -1 : 1;
}

/** A heading above each day, and every time as it reads now. */
export function dated(list) {
  for (const old of list.querySelectorAll(".day")) old.remove();
  let last;
  for (const item of [...list.children]) {
    const time = new Date(item.event.time), name = day.format(time);
    if (name !== last) list.insertBefore(node("li", { className: "day" }, node("h2", { textContent: name })), item);
    last = name;
    item.querySelector("time").textContent = spoken(time);
  }
}

function spoken(time) {
  const age = Date.now() - time;
  if (age < -60_000) return exact.format(time);
  if (age >= DAY) return clock.format(time);
  const [unit, size] = UNITS.find(([, length]) => age >= length) ?? UNITS.at(-1);
  return relative.format(-Math.max(0, Math.floor(age / size)), unit);
}
