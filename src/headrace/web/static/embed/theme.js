// How the page looks, as its address says: accent, theme, density, locale, zone. Whatever is not exactly of its form is
// passed over. Colours are set on the element's style object, never as text of a style sheet.

const WORDS = { theme: ["auto", "light", "dark"], density: ["comfortable", "compact"] };
const given = new URLSearchParams(location.search);
const root = document.documentElement;

function take(name, good) {
  const value = given.get(name);
  if (value === null) return undefined;
  if (good(value)) return value;
  console.warn(`The parameter ${name} is not of its form, and passed over.`);
  return undefined;
}

const works = make => { try { make(); return true; } catch { return false; } };

export const locale = take("locale", tag => tag.length <= 35 && works(() => new Intl.Locale(tag)));
export const timeZone = take("zone", zone => zone.length <= 64 && works(() => new Intl.DateTimeFormat("en", { timeZone: zone })));

for (const [name, words] of Object.entries(WORDS)) {
  const word = take(name, value => words.includes(value));
  if (word) root.dataset[name] = word;
}

/** The relative luminance of WCAG 2.2, from 0 to 1. */
function luminance(hex) {
  const [red, green, blue] = [0, 2, 4].map(at => parseInt(hex.slice(at, at + 2), 16) / 255)
    .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

const accent = take("accent", value => /^#?[0-9a-f]{6}$/i.test(value))?.replace("#", "");
if (accent) {
  root.style.setProperty("--accent", `#${accent}`);
  root.style.setProperty("--on-accent", luminance(accent) > 0.179 ? "#000" : "#fff");  // the better contrast of the two
}
