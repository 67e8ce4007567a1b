// The overview moves: a message every two seconds, a pause that loses nothing, and a word when nothing comes any more.
(() => {
  "use strict";
  const KEPT_SECONDS = 3600;
  const SHORTEST_SECONDS = 120; // a server that has just started: what there is, not an empty chart
  const SILENCE_MS = 10_000; // five messages that did not come
  const AGAIN_MS = 5_000;
  const RANGE_KEY = "headrace.overview.range";
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  const live = one("[data-live]");
  if (!live) return;
  const streams = live.dataset.live === "stream";
  const state = one("[data-live-state]", live);
  const pauseButton = one("[data-live-pause]", live);
  const charts = all("[data-chart]").map(figure => Charts.chart(figure));
  const table = one("[data-as-table]");
  const exact = new Intl.DateTimeFormat([], { timeStyle: "medium", hourCycle: "h23" });
  const minute = new Intl.DateTimeFormat([], { timeStyle: "short", hourCycle: "h23" });

  let columns = null; // what charts show of the last hour, paused or not
  let newest = null; // all of the last sample
  let paused = null; // what is shown meanwhile, when it is
  let lost = false;
  let position = "";
  let heard = Date.now();
  let shownAt = null;

  // --- what is shown ---

  function say(word, kind) {
    if (state.textContent === word) return;
    state.textContent = word;
    state.className = `badge ${kind}`;
  }

  function tell() {
    if (paused) say(`paused${shownAt ? ` at ${shownAt}` : ""}`, "warn");
    else if (lost) say(`offline${shownAt ? ` since ${shownAt}` : ""}, trying again`, "bad");
    else say("live", "ok");
    document.body.toggleAttribute("data-stale", paused || lost);
  }

  function showTiles(sample) {
    for (const element of all("[data-figure]")) {
      const text = Figures.written(sample(element.dataset.figure), element.dataset.form);
      if (element.textContent !== text) element.textContent = text;
    }
    for (const badge of all("[data-verdict]")) showVerdict(badge, sample(badge.dataset.verdict));
  }

  function showVerdict(badge, value) {
    const { warn, bad, words } = badge.dataset;
    const place = value === null ? -1 : value < +warn ? 0 : value < +bad ? 1 : 2;
    const text = place < 0 ? "unknown" : words.split("|")[place];
    if (badge.textContent === text) return;
    badge.textContent = text;
    badge.className = `badge ${["", "ok", "warn", "bad"][place + 1]}`;
  }

  function chosenMinutes() {
    const chosen = one("[data-ranges] input:checked");
    return chosen ? +chosen.value : 15;
  }

  function draw() {
    const { shown, sample } = paused || { shown: columns, sample: newest };
    if (!shown || document.hidden) return;
    const until = sample.time;
    showTiles(field => sample[field]);
    const from = Math.max(until - chosenMinutes() * 60, Math.min(shown.time[0], until - SHORTEST_SECONDS));
    for (const chart of charts) chart.show(shown, from, until);
    shownAt = exact.format(until * 1000);
    if (table && table.open) showTable(shown);
  }

  // --- the table: the mean of each minute, the newest first ---

  function minutes(shown) {
    const rows = new Map();
    shown.time.forEach((time, place) => {
      const begin = Math.floor(time / 60) * 60;
      if (!rows.has(begin)) rows.set(begin, []);
      rows.get(begin).push(place);
    });
    return [...rows].reverse();
  }

  function mean(column, places) {
    const known = places.map(place => column[place]).filter(value => value !== null);
    return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
  }

  function showTable(shown) {
    const heads = all("[data-column]", table);
    const rows = minutes(shown).map(([begin, places]) => {
      const row = document.createElement("tr");
      const head = row.appendChild(document.createElement("th"));
      head.scope = "row";
      head.textContent = minute.format(begin * 1000);
      for (const { dataset } of heads) {
        const cell = row.appendChild(document.createElement("td"));
        cell.className = "numeric";
        cell.textContent = Figures.written(mean(shown[dataset.column], places), dataset.form);
      }
      return row;
    });
    one("tbody", table).replaceChildren(...rows);
  }

  // --- what comes ---

  function take(message) {
    heard = Date.now();
    lost = false;
    position = message.lastEventId;
    const told = JSON.parse(message.data), added = told.series;
    newest = told.newest;
    if (!columns) columns = added;
    else for (const field of Object.keys(columns)) columns[field] = columns[field].concat(added[field]);
    const oldest = columns.time[columns.time.length - 1] - KEPT_SECONDS;
    const begin = columns.time.findIndex(time => time >= oldest);
    if (begin > 0) for (const field of Object.keys(columns)) columns[field] = columns[field].slice(begin);
    if (!paused) draw();
    tell();
  }

  function lose() {
    lost = true;
    tell();
  }

  function listen() {
    const source = new EventSource(`${live.dataset.stream}${position ? `?after=${position}` : ""}`);
    source.onmessage = take;
    source.onerror = () => {
      lose();
      if (source.readyState === EventSource.CLOSED) setTimeout(again, AGAIN_MS); // refused, not cut: it does not try by itself
    };
  }

  /** The stream was refused. Whoever is no longer signed in, or no administrator any more, gets the page for that. */
  async function again() {
    const asked = new AbortController();
    try {
      const answer = await fetch(live.dataset.stream, { redirect: "manual", signal: asked.signal });
      asked.abort(); // only its status counts
      if (answer.type === "opaqueredirect" || answer.status === 403) return location.reload();
      if (answer.ok) return listen();
    } catch { /* the server is away */ }
    setTimeout(again, AGAIN_MS);
  }

  // --- what is pressed ---

  pauseButton.addEventListener("click", () => {
    paused = paused ? null : { shown: columns && { ...columns }, sample: newest };
    pauseButton.setAttribute("aria-pressed", String(!!paused));
    pauseButton.textContent = paused ? "Resume" : "Pause";
    if (!streams && !shownAt) shownAt = exact.format(Date.now());
    draw();
    tell();
  });

  for (const input of all("[data-ranges] input"))
    input.addEventListener("change", () => {
      localStorage.setItem(RANGE_KEY, input.value);
      draw();
    });

  function restoreRange() {
    const kept = localStorage.getItem(RANGE_KEY);
    for (const input of all("[data-ranges] input")) if (input.value === kept) input.checked = true;
  }

  if (table) table.addEventListener("toggle", () => table.open && draw());
  document.addEventListener("visibilitychange", draw);
  document.addEventListener("headrace:theme", () => charts.forEach(chart => chart.redraw()));

  // Panels that htmx asks for again stand still while paused, and tell whether the server answers.
  const isPanel = event => event.target instanceof Element && event.target.matches("[data-panel]");
  document.body.addEventListener("htmx:beforeRequest", event => {
    if (isPanel(event) && (paused || document.hidden)) event.preventDefault();
  });
  document.body.addEventListener("htmx:afterRequest", event => {
    if (streams || !isPanel(event)) return;
    lost = !event.detail.successful;
    if (!lost) shownAt = exact.format(Date.now());
    tell();
  });

  for (const element of [live, ...all("[data-ranges], [data-as-table]")]) element.dataset.ready = "";
  restoreRange();
  if (streams) {
    listen();
    setInterval(() => Date.now() - heard > SILENCE_MS && lose(), 1000);
  } else {
    shownAt = exact.format(Date.now());
    tell();
  }
})();
