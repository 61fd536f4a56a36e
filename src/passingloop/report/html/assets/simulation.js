// The charts of a simulation: GPUs over time, and waits, under each policy.

function drawSimulation() {
  const data = readJson("simulation-data");
  data.policies.forEach((policy, index) => drawHeld(document.getElementById(`held-chart-${index}`), data, policy));
  drawWaiting(document.getElementById("waiting-chart"), data);
  drawCurves(document.getElementById("curves-chart"), data);
}

/** Points of means over spans, to the end of the last one. */
function spanPoints(data, values) {
  return [...data.starts, data.length].map((start, index) => [start, values[Math.min(index, values.length - 1)]]);
}

function since(points) {
  return `after ${durationText(points[0].value[0])}`;
}

function drawHeld(box, data, policy) {
  drawChart(box, (colour) => ({
    grid: plot(),
    xAxis: elapsedAxis(colour, data.length),
    yAxis: upAxis(colour, "GPUs", { max: data.gpus, interval: data.gpus / 4 }),
    tooltip: tooltip(colour, (points) => [
      since(points),
      points.map((point) => [point.color, point.seriesName, numberText(pointValue(point), "GPUs")]).reverse(),
    ]),
    series: data.qos.map((name, index) => ({
      name,
      type: "line",
      stack: "gpus",
      step: "end",
      data: spanPoints(data, policy.held[name]),
      symbol: "none",
      itemStyle: { color: colour.series[index] },
      lineStyle: { width: 0 },
      areaStyle: { color: colour.series[index], opacity: 0.8 },
    })),
  }));
}

function drawWaiting(box, data) {
  drawChart(box, (colour) => ({
    grid: plot(),
    xAxis: elapsedAxis(colour, data.length),
    yAxis: upAxis(colour, "GPUs asked for"),
    tooltip: tooltip(colour, (points) => [
      since(points),
      points.map((point) => [point.color, point.seriesName, numberText(pointValue(point), "GPUs")]),
    ]),
    series: data.policies.map((policy, index) => ({
      name: policy.name,
      type: "line",
      step: "end",
      data: spanPoints(data, policy.waiting),
      symbol: "none",
      itemStyle: { color: colour.series[index] },
      lineStyle: { width: 1.5, color: colour.series[index] },
    })),
  }));
}

/** The first policy's lines are solid, the other's dashed; a QOS has the same colour in all charts. */
function drawCurves(box, data) {
  const lines = data.policies.flatMap((policy, which) =>
    data.qos.flatMap((name, index) => (policy.curves[name] ? [{ policy, which, name, index }] : [])),
  );
  drawChart(box, (colour) => ({
    grid: plot(),
    xAxis: { type: "category", boundaryGap: false, data: data.waits.map(durationText), ...axisStyle(colour) },
    yAxis: upAxis(colour, "started, %", { min: 0, max: 100, interval: 25 }),
    tooltip: tooltip(colour, (points) => [
      `within ${points[0].name}`,
      points.map((point) => [point.color, point.seriesName, numberText(pointValue(point), "%")]),
    ]),
    series: lines.map(({ policy, which, name, index }) => ({
      name: data.policies.length > 1 ? `${name}, ${policy.name}` : name,
      type: "line",
      data: policy.curves[name].map((part) => 100 * part),
      symbol: "none",
      itemStyle: { color: colour.series[index] },
      lineStyle: { width: which ? 1.5 : 2, type: which ? "dashed" : "solid", color: colour.series[index] },
    })),
  }));
}

makeControls();
drawSimulation();
document.documentElement.dataset.ready = "yes";
