// The page of a run: its figures, its loss across attempts with the interruptions, and what it used of the machine.

const ATTEMPT_COLUMNS = [
  "Attempt",
  "Started",
  "Took",
  "From step",
  "To step",
  "Ended",
  "Lost",
  "GPUs",
  "Nodes",
  "Job",
];

let runData = null;
const runParts = new Map();

/** A run of the report by its number; the part that it is in is decompressed the first time. */
async function readRun(number) {
  runData ??= readJson("run-data");
  const index = Math.floor((number - 1) / runData.each);
  const part = runData.parts[index];
  if (part === undefined) return undefined;
  if (!runParts.has(index)) {
    const bytes = Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0));
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    runParts.set(index, await new Response(plain).json());
  }
  return runParts.get(index)[(number - 1) % runData.each];
}

async function showRun(number) {
  const view = document.getElementById("run");
  const content = document.getElementById("run-content");
  forgetCharts(view);
  let run;
  try {
    run = await readRun(number);
  } catch {
    view.querySelector("h1").textContent = "Run";
    content.replaceChildren(make("p", {}, "The pages of runs need a browser of 2023 or later: they are compressed."));
    return;
  }
  view.querySelector("h1").replaceChildren(...(run ? breakable(run.name) : ["Run"]));
  view.dataset.title = run ? run.name : "Run";
  if (!run) {
    content.replaceChildren(make("p", {}, "This report has no such run."));
    return;
  }
  const curves = [];
  content.replaceChildren(
    ...[
      make(
        "dl",
        { class: "facts" },
        run.facts.map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, text))),
      ),
      run.results.length &&
        make(
          "dl",
          { class: "tiles results" },
          run.results.map(([name, value]) =>
            make("div", {}, make("dt", {}, name), make("dd", { class: "value" }, value)),
          ),
        ),
      make(
        "dl",
        { class: "tiles" },
        run.tiles.map(([title, value, note]) =>
          make(
            "div",
            {},
            make("dt", {}, title),
            make("dd", { class: "value" }, ...makeValue(value)),
            make("dd", { class: "note" }, note),
          ),
        ),
      ),
      run.advice.length &&
        part(
          "Advice",
          make(
            "ul",
            { class: "advice" },
            run.advice.map((text) => make("li", {}, text)),
          ),
        ),
      run.losses.length && lossPart(run, curves),
      run.metrics.length && metricsPart(run, curves),
      run.resources.length
        ? resourcePart(run, curves)
        : part("Resources", make("p", {}, "Nothing was sampled on the nodes of this run.")),
      attemptsPart(run),
      pairsPart("Settings", run.settings),
    ].filter(Boolean),
  );
  content.querySelectorAll("[data-few]").forEach(makeFolded);
  for (const [element, options] of curves) drawChart(element, options);
}

/** A name that may be broken after a slash. */
function breakable(name) {
  return name.split(/(?<=\/)/).flatMap((word, index) => (index ? [make("wbr"), word] : [word]));
}

/** "18.3 GPU-h" with its unit in small letters. */
function makeValue(text) {
  const [value, ...unit] = text.split("\u00a0");
  return unit.length ? [value, make("span", { class: "small-unit" }, ["", ...unit].join("\u00a0"))] : [value];
}

function part(title, ...children) {
  return make("section", {}, make("h2", {}, title), ...children);
}

function chartBox(about, kind = "") {
  return make("div", { class: `chart ${kind}`.trim(), role: "img", "aria-label": about });
}

function lossPart(run, curves) {
  const interruptions = run.marks.slice(1).length;
  const box = chartBox(
    `Loss over steps across ${run.marks.length} attempts. ${run.losses.map(curveText).join(" ")} The values are in the table below.`,
  );
  const scale = make("input", { type: "checkbox", id: "log-loss" });
  const options = (colour) => lossOptions(run, colour, scale.checked);
  scale.addEventListener("change", redrawCharts);
  curves.push([box, options]);
  return part(
    "Loss",
    make(
      "div",
      { class: "beside" },
      makeLegend(run.losses.map((curve, index) => [curve.name, `series-${1 + (index % 6)}`])),
      make("span", {}, scale, make("label", { for: "log-loss" }, "Logarithmic")),
    ),
    box,
    interruptions > 0 &&
      make(
        "p",
        { class: "source" },
        "A dashed line is where an attempt began again; shaded steps were lost and trained again.",
      ),
    valuesTable(run.losses),
  );
}

function curveText(curve) {
  const known = curve.y.filter((value) => value !== null);
  if (!known.length) return `${curve.name} has no finite value.`;
  return `${curve.name} goes from ${metricText(known[0])} to ${metricText(known.at(-1))}, at least ${metricText(Math.min(...known))}.`;
}

function lossOptions(run, colour, logarithmic) {
  const series = run.losses.map((curve, index) => ({
    name: curve.name,
    type: "line",
    data: pairs(curve),
    showSymbol: curve.y.length < 40,
    symbolSize: 5,
    connectNulls: false,
    itemStyle: { color: colour.series[index % 6] },
    lineStyle: { width: 2, color: colour.series[index % 6] },
  }));
  Object.assign(series[0], stepMarks(run, colour));
  return {
    grid: plot({ top: 40 }),
    xAxis: stepAxis(colour),
    // Its name stands above what is said of interruptions, one of which may be at step 0.
    yAxis: upAxis(colour, "loss", { nameGap: 24, type: logarithmic ? "log" : "value", scale: true, splitNumber: 4 }),
    tooltip: tooltip(colour, stepRows),
    series,
  };
}

/** Lines where attempts went on, with why the one before had ended, and the steps that were trained twice. */
function stepMarks(run, colour) {
  const again = run.marks.slice(1).map((mark, index) => [run.marks[index], mark]);
  return {
    markLine: {
      symbol: "none",
      silent: true,
      lineStyle: { color: colour.bad, type: "dashed", width: 1 },
      label: { color: colour.bad, fontSize: 12, position: "end", formatter: "{b}" },
      labelLayout: { hideOverlap: true },
      data: again.map(([before, mark]) => ({
        xAxis: mark.first,
        name: again.length < 7 ? (before.cause ?? "") : "",
      })),
    },
    markArea: {
      silent: true,
      itemStyle: { color: colour.gap },
      data: again
        .filter(([before, mark]) => before.last > mark.first)
        .map(([before, mark]) => [{ xAxis: mark.first }, { xAxis: before.last }]),
    },
  };
}

function stepAxis(colour) {
  const style = axisStyle(colour);
  return {
    type: "value",
    min: 0,
    max: "dataMax",
    ...style,
    axisLabel: { ...style.axisLabel, showMaxLabel: false, formatter: (value) => shortText(value) },
  };
}

function stepRows(points) {
  return [
    `step ${points[0].value[0].toLocaleString("en")}`,
    points.map((point) => [point.color, point.seriesName, metricText(pointValue(point))]),
  ];
}

function metricsPart(run, curves) {
  const names = [...new Set(run.metrics.map((curve) => metricName(curve)))];
  const figures = names.map((name) => {
    const own = run.metrics.filter((curve) => metricName(curve) === name);
    const box = chartBox(`${name} over steps. ${own.map(curveText).join(" ")}`, "little");
    curves.push([
      box,
      (colour) => ({
        grid: plot({ top: 12 }),
        xAxis: stepAxis(colour),
        yAxis: upAxis(colour, "", {
          scale: true,
          max: ({ min, max }) => (min >= 0 && max > 0.6 && max <= 1 ? 1 : null),
        }),
        tooltip: tooltip(colour, stepRows),
        series: own.map((curve, index) => ({
          name: curve.name,
          type: "line",
          data: pairs(curve),
          showSymbol: curve.y.length < 30,
          symbolSize: 4,
          itemStyle: { color: colour.series[index % 6] },
          lineStyle: { width: 1.5, color: colour.series[index % 6] },
        })),
      }),
    ]);
    const legend = own.length > 1 && makeLegend(own.map((curve, index) => [curve.name, `series-${1 + (index % 6)}`]));
    return make("div", {}, make("h3", {}, own.length > 1 ? name : own[0].name), legend, box);
  });
  return part("Other metrics", make("div", { class: "multiples" }, figures), valuesTable(run.metrics));
}

function metricName(curve) {
  return curve.name.slice(curve.name.indexOf("/") + 1);
}

function pairs(curve) {
  return summed(curve.x).map((x, index) => [x, curve.y[index]]);
}

/** The values of curves at a dozen places, for those who cannot see a chart. */
function valuesTable(curves) {
  const rows = curves.flatMap((curve) => {
    const points = pairs(curve);
    const step = Math.max(1, Math.floor(points.length / 12));
    return points
      .filter((_, index) => index % step === 0 || index === points.length - 1)
      .map(([x, y]) => [curve.name, x, y]);
  });
  return make(
    "details",
    {},
    make("summary", {}, "Values as a table"),
    plainTable(
      "Values at some steps",
      ["Metric", "Step", "Value"],
      rows.map(([name, x, y]) => [name, x.toLocaleString("en"), metricText(y)]),
      1,
    ),
  );
}

function resourcePart(run, curves) {
  const units = [...new Set(run.resources.map((curve) => panelName(curve)))];
  const panels = units.map((unit) => run.resources.filter((curve) => panelName(curve) === unit));
  const box = chartBox("What the run used over time. The table below has the mean and the most of each.", "tall");
  box.style.height = `${panels.length * 120 + 40}px`;
  curves.push([box, (colour) => resourceOptions(run, panels, colour)]);
  const rows = run.resources.map((curve) => {
    const known = curve.y.filter((value) => value !== null);
    const mean = known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
    return [
      curve.name,
      numberText(mean, curve.unit),
      numberText(known.length ? Math.max(...known) : null, curve.unit),
    ];
  });
  return part(
    "Resources",
    make("p", {}, "Over the time since the first attempt began. Shaded: no attempt ran."),
    panels[0].length > 1 && makeLegend(panels[0].map((curve, index) => [curve.name, `series-${1 + index}`])),
    box,
    plainTable("Mean and most", ["Resource", "Mean", "Most"], rows, 1),
  );
}

/** Curves with the unit per cent share a panel; each of the others has its own. */
function panelName(curve) {
  return curve.unit === "%" ? "GPU, %" : `${curve.name}, ${curve.unit}`;
}

function resourceOptions(run, panels, colour) {
  const ends = run.resources.map((curve) => summed(curve.x).at(-1) ?? 0);
  const last = Math.max(1, ...ends, ...run.marks.map((mark) => mark.to ?? mark.from));
  const grids = panels.map((_, index) => ({ left: 46, right: 14, top: 28 + index * 120, height: 76 }));
  const gaps = run.marks.slice(1).map((mark, index) => [run.marks[index].to, mark.from]);
  return {
    grid: grids,
    axisPointer: { link: [{ xAxisIndex: "all" }] },
    xAxis: panels.map((_, index) =>
      elapsedAxis(colour, last, {
        gridIndex: index,
        ...(index < panels.length - 1 && { axisLabel: { show: false } }),
      }),
    ),
    yAxis: panels.map((own, index) =>
      upAxis(colour, panelName(own[0]), {
        gridIndex: index,
        splitNumber: 2,
        min: 0,
        ...(own[0].unit === "%" && { max: 100, interval: 50 }),
      }),
    ),
    tooltip: tooltip(colour, (points) => [
      durationText(points[0].value[0]),
      points.map((point) => [
        point.color,
        point.seriesName,
        numberText(pointValue(point), run.resources.find((curve) => curve.name === point.seriesName)?.unit),
      ]),
    ]),
    series: panels.flatMap((own, index) =>
      own.map((curve, place) => ({
        name: curve.name,
        type: "line",
        xAxisIndex: index,
        yAxisIndex: index,
        data: pairs(curve),
        showSymbol: false,
        itemStyle: { color: colour.series[place % 6] },
        lineStyle: { width: 1.5, color: colour.series[place % 6] },
        ...(place === 0 && {
          markArea: {
            silent: true,
            itemStyle: { color: colour.gap },
            data: gaps
              .filter(([from, to]) => from !== null && to > from)
              .map(([from, to]) => [{ xAxis: from }, { xAxis: to }]),
          },
        }),
      })),
    ),
  };
}

function attemptsPart(run) {
  return part(
    "Attempts",
    plainTable("Attempts, the first one first", ATTEMPT_COLUMNS, run.attempts, 0, new Set([3, 4, 7])),
  );
}

function pairsPart(title, rows) {
  const table = plainTable(title, ["Name", "Value"], rows, 0, new Set());
  table.firstChild.dataset.few = 12;
  return rows.length > 0 && part(title, table);
}

/** A table that does not sort; `numeric` are the columns that are aligned to the right. */
function plainTable(caption, heads, rows, first = 0, numeric = null) {
  const kind = (index) => ((numeric ? numeric.has(index) : index >= first) ? null : "text");
  const cell = (text, index) =>
    index === 0
      ? make("th", { scope: "row", class: kind(index) }, text)
      : make("td", { class: text.length > 40 ? "text long" : kind(index) }, text);
  const table = make(
    "table",
    {},
    make("caption", {}, caption),
    make(
      "thead",
      {},
      make(
        "tr",
        {},
        heads.map((head, index) => make("th", { scope: "col", class: kind(index) }, head)),
      ),
    ),
    make(
      "tbody",
      {},
      rows.map((row) =>
        make(
          "tr",
          {},
          row.map((text, index) => cell(text, index)),
        ),
      ),
    ),
  );
  return make("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": caption }, table);
}
