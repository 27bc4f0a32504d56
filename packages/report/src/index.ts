export { type BarChartOptions, type BarSeries, barChart } from './chart/bar-chart.js';
export type { ChartOptions } from './chart/frame.js';
export { type HeatMapOptions, heatMap } from './chart/heat-map.js';
export { type LineChartOptions, type LineSeries, lineChart } from './chart/line-chart.js';
export type { ScaleType } from './chart/scale.js';
export {
  type ScatterChartOptions,
  type ScatterGuide,
  type ScatterPoint,
  type ScatterSeries,
  scatterChart,
} from './chart/scatter-chart.js';
export { formatBytes, formatChange, formatDuration, formatNumber, type NumberStyle } from './format.js';
export { htmlPage, type PageOptions, type Section } from './page.js';
export { type Cell, type Column, htmlTable, renderTable, type TableOptions } from './table.js';
export { displayWidth, escapeMarkup, singleLine, truncate } from './text.js';
