// The parts of Apache ECharts that the HTML report draws with; see scripts/charts-library.
import { init, use } from "echarts/core";
import { LineChart, ParallelChart } from "echarts/charts";
import {
  GridComponent,
  MarkAreaComponent,
  MarkLineComponent,
  ParallelComponent,
  TooltipComponent,
} from "echarts/components";
import { SVGRenderer } from "echarts/renderers";

use([
  LineChart,
  ParallelChart,
  GridComponent,
  MarkAreaComponent,
  MarkLineComponent,
  ParallelComponent,
  TooltipComponent,
  SVGRenderer,
]);

export { init };
