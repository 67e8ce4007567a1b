// The charts of the overview: uPlot, in the colours of the page, with the lines' values in our own legend.
const Charts = (() => {
  "use strict";
  const HEIGHT = 180; // as in overview.css, so that nothing jumps when a chart is drawn
  const DASH = [5, 4];

  function line(entry, index) {
    const colour = () => headrace.color(`chart-${index + 1}`);
    return {
      label: entry.dataset.label,
      stroke: colour,
      fill: index === 0 ? () => `${colour()}22` : undefined, // the tokens are #rrggbb
      width: 2,
      dash: index === 0 ? undefined : DASH,
      points: { show: false },
      spanGaps: false,
    };
  }

  const axis = more => ({
    stroke: () => headrace.color("soft"),
    grid: { stroke: () => headrace.color("chart-grid"), width: 1 },
    ticks: { show: false },
    font: "12px system-ui, sans-serif",
    ...more,
  });

  const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const exactClock = new Intl.DateTimeFormat([], { timeStyle: "medium", hourCycle: "h23" });

  /** At least 0 to 1, with a little room above, so that an idle server is a flat line at the bottom. */
  const upwards = (_, __, most) => [0, Math.max(1, (most || 0) * 1.1)];

  function options(entries, width, moved) {
    return {
      width, height: HEIGHT,
      padding: [8, 28, 0, 0], // room for half of the last time
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: "overview" }, points: { size: 7 } },
      scales: { x: { time: true }, y: { range: upwards } },
      series: [{}, ...entries.map(line)],
      axes: [
        axis({ space: 70, size: 28, values: (_, times, __, ___, step) => times.map(time => (step < 60 ? exactClock : clock).format(time * 1000)) }),
        axis({ size: 46, space: 36, values: (_, values) => values.map(Figures.brief) }),
      ],
      hooks: { setCursor: [moved] },
    };
  }

  /** One figure element as a chart. `show(columns)` draws; the legend has the values under the cursor, or the newest. */
  function chart(figure) {
    const entries = [...figure.querySelectorAll("[data-line]")];
    const plot = figure.querySelector("[data-plot]");
    let plotted = null, columns = null;

    function tell(drawn) {
      if (!columns) return;
      const at = drawn && drawn.cursor.idx != null ? drawn.cursor.idx : columns.time.length - 1;
      for (const entry of entries) {
        const value = columns[entry.dataset.line][at];
        entry.querySelector("[data-line-value]").textContent = Figures.written(value, entry.dataset.form);
      }
      const hovered = drawn && drawn.cursor.idx != null && columns.time[at];
      figure.dataset.at = hovered ? exactClock.format(hovered * 1000) : "";
    }

    function show(next, from, until) {
      columns = next;
      const rows = [next.time, ...entries.map(entry => next[entry.dataset.line])];
      if (!plotted) {
        plotted = new uPlot(options(entries, plot.clientWidth, tell), rows, plot);
        new ResizeObserver(() => plotted.setSize({ width: plot.clientWidth, height: HEIGHT })).observe(plot);
      } else plotted.setData(rows, false);
      plotted.setScale("x", { min: from, max: until });
      tell(plotted);
    }

    return { show, redraw: () => plotted && plotted.redraw(false) };
  }

  return { chart };
})();
