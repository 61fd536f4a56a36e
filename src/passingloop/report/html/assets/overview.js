// The charts of the overview: GPUs over time by QOS, and waits.

function drawOverview() {
  const data = readJson("overview-data");
  const ends = [...data.starts, data.starts.at(-1) + data.seconds];
  const times = ends.map((time) => (time + data.offset) * 1000);
  const at = (values) => times.map((time, index) => [time, values[Math.min(index, values.length - 1)]]); // to its end
  const title = (points) => timeText(points[0].value[0]);
  const names = Object.keys(data.gpus);

  const gpus = document.getElementById("utilisation-chart");
  if (gpus) {
    drawChart(gpus, (colour) => ({
      grid: plot(),
      xAxis: timeAxis(colour),
      yAxis: upAxis(colour, "GPUs"),
      tooltip: tooltip(colour, (points) => [
        title(points),
        points.map((point) => [point.color, point.seriesName, numberText(pointValue(point), "GPUs")]).reverse(),
      ]),
      series: [
        ...names.map((name, index) => ({
          name,
          type: "line",
          stack: "gpus",
          step: "end",
          data: at(data.gpus[name]),
          symbol: "none",
          itemStyle: { color: colour.series[index] },
          lineStyle: { width: 0 },
          areaStyle: { color: colour.series[index], opacity: 0.8 },
        })),
        {
          name: "busy",
          type: "line",
          step: "end",
          data: at(data.busy),
          symbol: "none",
          itemStyle: { color: colour.ink },
          lineStyle: { width: 2, color: colour.ink },
          z: 5,
        },
      ],
    }));
  }

  const waits = document.getElementById("waits-chart");
  if (waits) {
    drawChart(waits, (colour) => ({
      grid: [plot({ bottom: "56%" }), plot({ top: "58%" })],
      axisPointer: { link: [{ xAxisIndex: "all" }] },
      xAxis: [
        timeAxis(colour, { gridIndex: 0, axisLabel: { show: false } }),
        timeAxis(colour, { gridIndex: 1, min: times[0], max: times.at(-1) }),
      ],
      yAxis: [
        upAxis(colour, "jobs waiting", { gridIndex: 0, splitNumber: 2 }),
        upAxis(colour, "median wait, hours", { gridIndex: 1, splitNumber: 2 }),
      ],
      tooltip: tooltip(colour, (points) => [
        title(points),
        points.map((point) => [
          point.color,
          point.seriesName,
          point.seriesIndex ? durationText(scaled(pointValue(point), 3600)) : numberText(pointValue(point)),
        ]),
      ]),
      series: [
        {
          name: "jobs waiting",
          type: "line",
          step: "end",
          data: at(data.waiting),
          symbol: "none",
          itemStyle: { color: colour.series[0] },
          lineStyle: { width: 0 },
          areaStyle: { color: colour.series[0], opacity: 0.7 },
        },
        {
          name: "median wait",
          type: "line",
          xAxisIndex: 1,
          yAxisIndex: 1,
          data: at(data.waits.map((wait) => scaled(wait, 1 / 3600))),
          showSymbol: false,
          itemStyle: { color: colour.series[1] },
          lineStyle: { width: 1.5, color: colour.series[1] },
        },
      ],
    }));
  }
}

function scaled(value, factor) {
  return value === null || value === undefined ? null : value * factor;
}

function timeText(milliseconds) {
  return new Date(milliseconds).toISOString().slice(0, 16).replace("T", " ");
}
