// The charts of a sweep that has rungs: the points from rung to rung, and their settings.

function drawRungs(box) {
  const data = readJson("search-data");
  drawChart(box, (colour) => ({
    grid: plot({ left: 56, right: 24 }),
    xAxis: { type: "category", boundaryGap: false, data: data.rungs, ...axisStyle(colour) },
    yAxis: upAxis(colour, data.metric, { scale: true }),
    tooltip: {
      ...tooltip(colour, (point) => [
        point.seriesName,
        data.lines[point.seriesIndex].values.map((value, rung) => ["", data.rungs[rung], metricText(value)]),
      ]),
      trigger: "item",
    },
    series: data.lines.map((line) => {
      const shade = line.whole ? colour.series[2] : colour.soft;
      return {
        name: line.run,
        type: "line",
        data: line.values,
        symbol: "circle",
        symbolSize: line.best ? 9 : 6,
        itemStyle: { color: shade, opacity: line.whole ? 1 : 0.6 },
        lineStyle: { width: line.best ? 4 : 1.5, color: shade, opacity: line.whole ? 1 : 0.6 },
        z: line.best ? 4 : line.whole ? 3 : 2,
      };
    }),
  }));
}

makeControls();
const rungsChart = document.getElementById("rungs-chart");
if (rungsChart) drawRungs(rungsChart);
showSweep(1);
document.documentElement.dataset.ready = "yes";
