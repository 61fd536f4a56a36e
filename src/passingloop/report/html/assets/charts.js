// What all charts share: colours of the theme, size, redrawing, axes, and what is shown beside the pointer.

const drawn = new Map();

/** Draw a chart in `element`; `options(colours)` is asked again whenever the colours change. */
function drawChart(element, options, listeners = {}) {
  const chart = echarts.init(element, null, { renderer: "svg" });
  drawn.set(element, { chart, options });
  chart.setOption(complete(options(colours())));
  for (const [event, listener] of Object.entries(listeners)) chart.on(event, listener);
  observer.observe(element);
  return chart;
}

function redrawCharts() {
  const now = colours();
  for (const { chart, options } of drawn.values()) {
    chart.setOption(complete(options(now)), { notMerge: true });
    chart.resize();
    chart.getZr().flush(); // paper does not wait for the next frame
  }
}

function forgetCharts(within) {
  for (const [element, { chart }] of drawn) {
    if (!within.contains(element)) continue;
    observer.unobserve(element);
    chart.dispose();
    drawn.delete(element);
  }
}

const observer = new ResizeObserver((entries) => {
  for (const { target } of entries) if (target.clientWidth) drawn.get(target)?.chart.resize();
});

/** The colours of the page's style sheet as they are now. */
function colours() {
  const probe = make("span", { class: "hidden" });
  document.body.append(probe);
  const style = getComputedStyle(probe);
  const read = (name) => {
    probe.style.color = `var(--${name})`;
    return style.color;
  };
  const found = {
    ink: read("ink"),
    soft: read("soft"),
    line: read("line"),
    page: read("page"),
    gap: read("gap"),
    bad: read("bad"),
    series: [1, 2, 3, 4, 5, 6].map((index) => read(`series-${index}`)),
  };
  probe.remove();
  return found;
}

function complete(option) {
  const font = getComputedStyle(document.body).fontFamily;
  return { animation: false, useUTC: true, textStyle: { fontFamily: font }, ...option };
}

/** The rectangle of a chart; room on the left is for the numbers of its axis. */
function plot(extra = {}) {
  return { left: 46, right: 14, top: 26, bottom: 26, ...extra };
}

function axisStyle(colour) {
  return {
    axisLine: { lineStyle: { color: colour.line } },
    axisTick: { show: false },
    axisLabel: { color: colour.soft, fontSize: 12, hideOverlap: true },
    splitLine: { show: false },
    axisPointer: { lineStyle: { color: colour.soft, type: "solid" }, label: { show: false } },
  };
}

/** A vertical axis with its name above it. */
function upAxis(colour, name, extra = {}) {
  const style = axisStyle(colour);
  return {
    type: "value",
    name,
    nameGap: 10,
    nameTextStyle: { color: colour.soft, fontSize: 12, align: "left", padding: [0, 0, 0, -38] },
    splitNumber: 3,
    ...style,
    axisLine: { show: false },
    splitLine: { lineStyle: { color: colour.line } },
    axisLabel: { ...style.axisLabel, formatter: (value) => shortText(value) },
    ...extra,
  };
}

function timeAxis(colour, extra = {}) {
  return { type: "time", ...axisStyle(colour), ...extra };
}

/** Seconds since the beginning, with ticks at whole minutes, hours or days. */
function elapsedAxis(colour, last, extra = {}) {
  const steps = [1, 5, 15, 60, 300, 600, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800];
  const style = axisStyle(colour);
  return {
    type: "value",
    min: 0,
    max: last,
    interval: steps.find((step) => last / step <= 7) ?? last / 6,
    ...style,
    axisLabel: { ...style.axisLabel, showMaxLabel: false, formatter: (value) => (value ? durationText(value) : "0") },
    ...extra,
  };
}

/** A number for an axis: 12 k rather than 12,000. */
function shortText(value) {
  const size = Math.abs(value);
  if (size >= 1e9) return `${numberText(value / 1e9)} G`;
  if (size >= 1e6) return `${numberText(value / 1e6)} M`;
  if (size >= 1e4) return `${numberText(value / 1e3)} k`;
  return size && size < 1e-3 ? Number(value.toPrecision(6)).toExponential() : String(Number(value.toPrecision(6)));
}

/** What is shown beside the pointer: `rows(points)` gives title and [colour, name, text] of the points there. */
function tooltip(colour, rows) {
  return {
    trigger: "axis",
    confine: true,
    transitionDuration: 0,
    className: "tip",
    backgroundColor: colour.page,
    borderColor: colour.line,
    padding: [8, 12],
    textStyle: { color: colour.ink, fontSize: 13 },
    formatter(points) {
      const [title, lines] = rows(points);
      const entries = lines.map(([mark, name, text]) => {
        const dot = make("i", {});
        dot.style.background = mark;
        return make("tr", {}, make("td", {}, dot, name), make("td", {}, text));
      });
      return make("div", {}, make("p", {}, title), make("table", {}, entries));
    },
  };
}

/** The value of a series' point, which is [x, y]. */
function pointValue(point) {
  return Array.isArray(point.value) ? point.value[1] : point.value;
}
