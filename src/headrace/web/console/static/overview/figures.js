// Figures as people read them: the same forms as pages/overview/figures.py writes at first.
const Figures = (() => {
  "use strict";
  const NOTHING = "–";
  const SIZES = ["B", "KiB", "MiB", "GiB", "TiB"];
  const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

  const count = value => whole.format(value);

  function short(value) {
    if (value === 0 || value >= 99.95) return count(value);
    return value >= 0.995 ? value.toFixed(1) : Math.max(value, 0.01).toFixed(2);
  }

  function seconds(value) {
    if (value >= 5400) return `${short(value / 3600)} h`;
    if (value >= 90) return `${short(value / 60)} min`;
    return `${short(value)} s`;
  }

  function size(value) {
    let unit = 0;
    for (; value >= 1023.5 && unit < SIZES.length - 1; unit++) value /= 1024;
    return `${unit === 0 ? count(value) : short(value)} ${SIZES[unit]}`;
  }

  const forms = { count, rate: value => `${short(value)} /s`, seconds, size };

  /** A value in a form (count, rate, seconds, size), with its unit; null is what could not be asked. */
  const written = (value, form) => (value === null || value === undefined ? NOTHING : forms[form](value));

  /** For the axis of a chart: 1.2k, 3M. */
  function brief(value) {
    for (const [limit, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]])
      if (Math.abs(value) >= limit) return `${+(value / limit).toFixed(1)}${letter}`;
    return `${+value.toFixed(2)}`;
  }

  return { written, brief };
})();
