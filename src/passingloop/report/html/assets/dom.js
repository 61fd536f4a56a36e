// Elements and numbers. Text from the report is only ever set as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";
const ABSENT = "–";

/** An element with attributes and children; strings become text, null and false are left out. */
function make(name, attributes = {}, ...children) {
  const element = ["svg", "rect"].includes(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(key, "");
    else if (value !== null && value !== false && value !== undefined) element.setAttribute(key, value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== false && child !== undefined),
  );
  return element;
}

/** A list of names, each with the colour of its series. */
function makeLegend(entries) {
  return make(
    "ul",
    { class: "legend" },
    entries.map(([name, kind]) =>
      make(
        "li",
        {},
        make(
          "svg",
          { class: "swatch", "aria-hidden": "true" },
          make("rect", { class: kind, width: "100%", height: "100%" }),
        ),
        name,
      ),
    ),
  );
}

function readJson(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

/** A figure with a few digits, as the tables have them. */
function numberText(value, unit = "") {
  if (value === null || value === undefined || !Number.isFinite(value)) return ABSENT;
  const size = Math.abs(value);
  let words;
  if (size >= 100 || Number.isInteger(value)) words = value.toLocaleString("en", { maximumFractionDigits: 0 });
  else if (size >= 0.01) words = value.toLocaleString("en", { maximumSignificantDigits: 3 });
  else words = value.toPrecision(2);
  return unit ? `${words}\u00a0${unit}` : words;
}

/** A metric to four digits. */
function metricText(value) {
  if (value === null || value === undefined) return ABSENT;
  return String(Number(value.toPrecision(4)));
}

/** Seconds in their two largest units. */
function durationText(seconds) {
  if (seconds === null || seconds === undefined) return ABSENT;
  if (Math.round(seconds) < 60) return `${Math.round(seconds)} s`;
  let minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  let hours = Math.floor(minutes / 60);
  minutes %= 60;
  if (hours < 48) return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  hours %= 24;
  return hours ? `${days} d ${hours} h` : `${days} d`;
}

/** Values from the first one and differences. */
function summed(differences) {
  let value = 0;
  return differences.map((difference) => (value += difference));
}
