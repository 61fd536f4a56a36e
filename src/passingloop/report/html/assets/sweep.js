// Parallel coordinates of a sweep: one axis for each setting, the last for the result.

let sweeps = null;

/** Draw the chart of a sweep the first time that its page is looked at. */
function showSweep(number) {
  sweeps ??= readJson("sweep-data");
  const sweep = sweeps[number - 1];
  const box = document.getElementById(`sweep-${number}-chart`);
  if (!sweep || drawn.has(box)) return;
  const rows = [...document.querySelectorAll(`#sweep-${number}-runs tbody tr`)];
  const chart = drawChart(box, (colour) => sweepOptions(sweep, colour, box.clientWidth), {
    axisareaselected: () => {
      const inside = new Set(chart.getModel().getSeries()[0].getRawIndicesByActiveState("active"));
      const all = inside.size === 0 || inside.size === sweep.rows.length;
      rows.forEach((row, index) => row.classList.toggle("outside", !all && !inside.has(index)));
    },
    click: (point) => {
      const link = sweep.runs[point.dataIndex]?.[1];
      if (link) location.hash = `#${link}`;
    },
  });
}

function sweepOptions(sweep, colour, width) {
  const last = sweep.axes.length - 1;
  const results = sweep.rows.map((row) => row[last]).filter((value) => value !== null);
  const [low, high] = [Math.min(...results), Math.max(...results)];
  const narrow = width < 600;
  const data = sweep.rows.map((row, index) => {
    const value = sweep.metric ? row[last] : null;
    const place = value === null ? null : high > low ? (value - low) / (high - low) : 1;
    const isBest = index === sweep.best;
    return {
      value: row,
      lineStyle: {
        color: place === null ? colour.soft : ramp(sweep.lower ? 1 - place : place),
        width: isBest ? 4 : 1.5,
        opacity: isBest ? 1 : 0.8,
      },
    };
  });
  return {
    parallel: { left: narrow ? 40 : 60, right: narrow ? 46 : 80, top: 56, bottom: 24 },
    parallelAxis: sweep.axes.map((axis, index) => ({
      dim: index,
      name: axisTitle(axis.name, index, narrow),
      nameTextStyle: {
        color: index === last && sweep.metric ? colour.ink : colour.soft,
        fontSize: 12,
        align: "center",
      },
      nameGap: index % 2 && narrow ? 26 : 12,
      type: axis.kind,
      ...(axis.kind === "log" && { min: axis.ends[0], max: axis.ends[1] }),
      data: axis.values,
      scale: true,
      axisLine: { lineStyle: { color: colour.soft } },
      axisTick: { show: axis.kind !== "category", lineStyle: { color: colour.soft } },
      axisLabel: { color: colour.ink, fontSize: 12, ...(axis.kind !== "category" && { formatter: shortText }) },
      areaSelectStyle: { width: 24, color: colour.series[0], opacity: 0.15, borderColor: colour.series[0] },
    })),
    tooltip: {
      ...tooltip(colour, (point) => [
        sweep.runs[point.dataIndex][0],
        sweep.axes.map((axis, index) => ["", axis.name, valueText(sweep.rows[point.dataIndex][index])]),
      ]),
      trigger: "item",
    },
    series: [{ type: "parallel", data, smooth: 0.15, inactiveOpacity: 0.04, activeOpacity: 1 }],
  };
}

function valueText(value) {
  return typeof value === "number" ? metricText(value) : (value ?? ABSENT);
}

/** The last word of a setting's name: its axis has no room for more. */
function axisTitle(name, index, narrow) {
  const words = name.split(/[./]/);
  return narrow ? words.at(-1) : words.slice(-2).join(name.includes("/") ? "/" : ".");
}

/** From bad to good: the cividis colours, which are told apart without seeing red and green. */
function ramp(place) {
  const stops = [
    [120, 128, 150],
    [52, 110, 160],
    [60, 155, 140],
    [215, 160, 40],
  ];
  const at = Math.min(Math.max(place, 0), 1) * (stops.length - 1);
  const index = Math.min(Math.floor(at), stops.length - 2);
  const mix = stops[index].map((value, part) => Math.round(value + (at - index) * (stops[index + 1][part] - value)));
  return `rgb(${mix.join(",")})`;
}
