// The chart of the Explore page: stacked bars by level. Brushing sets the time of the page, a double click widens it.
"use strict";
(() => {
  const section = document.querySelector("[data-chart]");
  if (!section) return;
  const total = section.querySelector(".explore-total");
  const place = section.querySelector(".explore-plot");
  const DAY = "\n{YYYY}-{MM}-{DD}";
  const CLOCK = [  // tick width in seconds, its text, and what is added where a new year or day begins
    [86_400 * 360, "{YYYY}", null, null, null, null, null, null, 1],
    [86_400 * 28, "{YYYY}-{MM}", null, null, null, null, null, null, 1],
    [86_400, "{MM}-{DD}", "\n{YYYY}", null, null, null, null, null, 1],
    [60, "{HH}:{mm}", DAY, null, DAY, null, null, null, 1],
    [1, "{HH}:{mm}:{ss}", DAY, null, DAY, null, null, null, 1],
    [0.001, "{HH}:{mm}:{ss}.{fff}", DAY, null, DAY, null, null, null, 1],
  ];
  const WIDTHS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 2 * 86400, 7 * 86400, 14 * 86400,
    28 * 86400, 56 * 86400, 112 * 86400, 360 * 86400, 5 * 360 * 86400, 20 * 360 * 86400];
  const number = new Intl.NumberFormat("en");
  let shown = null, plot = null;

  async function load() {
    let answer;
    try {
      answer = await fetch(section.dataset.chart, {headers: {accept: "application/json"}});
    } catch {
      return say("The server cannot be reached.");
    }
    if (answer.redirected || !(answer.headers.get("content-type") || "").includes("json")) return say("Sign in again.");
    const told = await answer.json();
    if (!answer.ok) return say(told.detail || "No chart now.");
    shown = told;
    describe();
    draw();
  }

  function say(text) {
    total.textContent = text;
    const again = Object.assign(document.createElement("button"), {type: "button", className: "button quiet", textContent: "Try again"});
    again.addEventListener("click", () => { total.textContent = "Counting…"; load(); });
    total.append(" ", again);
  }

  function describe() {
    const parts = Object.entries(shown.levels).map(([level, counts]) => [level, counts.reduce((a, b) => a + b, 0)]);
    const text = document.createElement("strong");
    text.textContent = `${number.format(shown.total)} ${shown.total === 1 ? "event" : "events"}`;
    total.replaceChildren(text);
    for (const [level, count] of parts.reverse()) {
      const link = document.createElement("a");
      link.href = `${section.dataset.level}${section.dataset.level.includes("?") ? "&" : "?"}level=${level}`;
      link.className = "explore-legend";
      link.append(Object.assign(document.createElement("span"), {className: `level level-${level}`}), ` ${number.format(count)} ${level}`);
      total.append(" ", link);
    }
    const hint = section.querySelector(".explore-chart-hint");
    if (shown.times.length) hint.textContent = `a bar is ${shown.label} · drag to zoom in, double click to zoom out`;
    else hint.textContent = "";
  }

  function stacked() {
    const sums = shown.times.map(() => 0);
    return Object.values(shown.levels).map(counts => counts.map((count, at) => (sums[at] += count)));
  }

  function draw() {
    plot?.destroy();
    place.replaceChildren();
    section.classList.toggle("explore-chart-empty", !shown.times.length);
    if (!shown.times.length) return;
    const levels = Object.keys(shown.levels), stacks = stacked();
    const line = headrace.color("chart-grid"), text = headrace.color("soft");
    const bars = uPlot.paths.bars({size: [0.9, 60], align: 1});
    const axis = {stroke: text, grid: {stroke: line, width: 1}, ticks: {stroke: line, width: 1}, font: "12px system-ui, sans-serif"};
    plot = new uPlot({
      width: place.clientWidth, height: 140, padding: [8, 28, 0, 0], legend: {show: false},
      cursor: {y: false, points: {show: false}, drag: {x: true, y: false, setScale: false}, bind: {dblclick: () => () => { widen(); return null; }}},
      scales: {x: {time: true, range: () => span()}, y: {range: (_, __, most) => [0, Math.max(1, most)]}},
      axes: [{...axis, grid: {show: false}, values: CLOCK, incrs: WIDTHS, space: 64}, {...axis, size: 56, values: (_, ticks) => ticks.map(tick => Number.isInteger(tick) ? number.format(tick) : "")}],
      series: [{}, ...levels.map((level, at) => ({label: level, fill: headrace.color(`level-${level}`), width: 0, paths: bars, points: {show: false}, at})).reverse()],
      hooks: {setSelect: [chosen], setCursor: [point]},
    }, [shown.times, ...stacks.reverse()], place);
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", `${total.textContent}, over time`);
  }

  function span() {
    return [shown.times[0], shown.times.at(-1) + shown.interval];
  }

  function point(chart) {
    const at = chart.cursor.idx;
    place.title = at == null ? "" : `${new Date(shown.times[at] * 1000).toLocaleString()}: ` +
      Object.entries(shown.levels).filter(([, counts]) => counts[at]).map(([level, counts]) => `${number.format(counts[at])} ${level}`).join(", ");
  }

  function chosen(chart) {
    const {left, width} = chart.select;
    if (width < 4) return;
    const from = chart.posToVal(left, "x"), to = chart.posToVal(left + width, "x"), first = shown.times[0];
    const snap = (value, round) => first + round((value - first) / shown.interval) * shown.interval;
    go(snap(from, Math.floor), Math.max(snap(to, Math.ceil), snap(from, Math.floor) + shown.interval));
  }

  function widen() {
    if (!shown?.times.length) return;
    const [from, to] = span(), more = to - from;
    go(Math.max(0, from - more), to + more);
  }

  function go(from, to) {
    const url = new URL(section.dataset.page, location.href);
    url.searchParams.set("since", iso(from));
    url.searchParams.set("until", iso(to));
    location.assign(url);
  }

  const iso = seconds => new Date(Math.round(seconds) * 1000).toISOString().replace(".000Z", "Z");

  let waiting = 0;
  new ResizeObserver(() => {
    clearTimeout(waiting);
    waiting = setTimeout(() => plot?.setSize({width: place.clientWidth, height: 140}), 100);
  }).observe(place);
  document.addEventListener("headrace:theme", () => shown && draw());
  load();
})();
