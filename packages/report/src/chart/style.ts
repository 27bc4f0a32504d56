/** Distinguishable side by side, also with colour-blind eyes; a darker and a lighter step for the two modes. */
const SERIES: readonly (readonly [light: string, dark: string])[] = [
  ['#2a78d6', '#3987e5'],
  ['#eb6834', '#d95926'],
  ['#1baf7a', '#199e70'],
  ['#eda100', '#c98500'],
  ['#e87ba4', '#d55181'],
  ['#008300', '#2f9e2f'],
  ['#4a3aa7', '#9085e9'],
  ['#e34948', '#e66767'],
];

/** Series after the eighth repeat the colours with dashes. */
export const COLORS = SERIES.length;

export const FONT_SIZE = 12;
export const TITLE_SIZE = 15;
const FONT = 'system-ui, -apple-system, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", sans-serif';

interface Inks {
  readonly surface: string;
  readonly title: string;
  readonly text: string;
  readonly muted: string;
  readonly grid: string;
  readonly axis: string;
}

const LIGHT: Inks = {
  surface: '#fcfcfb',
  title: '#0b0b0b',
  text: '#52514e',
  muted: '#6f6e69',
  grid: '#e6e5df',
  axis: '#b5b4aa',
};
const DARK: Inks = {
  surface: '#1a1a19',
  title: '#ffffff',
  text: '#c3c2b7',
  muted: '#a09f97',
  grid: '#2e2e2c',
  axis: '#55544f',
};

/**
 * Written out for both modes without variables, so that every viewer understands it; scoped by the class of the
 * chart, so that charts in one page do not disturb it.
 */
export const CHART_STYLE = [
  `.frugal-chart{font:${FONT_SIZE}px ${FONT}}`,
  '.frugal-chart text{stroke:none}',
  `.frugal-chart .title{font-size:${TITLE_SIZE}px;font-weight:600}`,
  '.frugal-chart .value{font-variant-numeric:tabular-nums}',
  '.frugal-chart .line{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}',
  '.frugal-chart .dashed{stroke-dasharray:6 4}',
  '.frugal-chart .leader{fill:none;stroke:currentColor;stroke-width:1;stroke-dasharray:1 3}',
  '.frugal-chart .mark{fill:currentColor;stroke-width:2}',
  '.frugal-chart .bar{fill:currentColor}',
  '.frugal-chart .frontier{fill:none;stroke-width:1.5;stroke-dasharray:2 4;stroke-linecap:round}',
  '.frugal-chart .whisker{fill:none;stroke-width:1.5}',
  inks(LIGHT, 0),
  `@media (prefers-color-scheme:dark){${inks(DARK, 1)}}`,
].join('');

function inks({ surface, title, text, muted, grid, axis }: Inks, mode: 0 | 1): string {
  const rules = [
    `.surface{fill:${surface}}`,
    `.title{fill:${title}}`,
    `.text,.frugal-chart .label{fill:${text}}`,
    `.muted{fill:${muted}}`,
    `.grid{stroke:${grid};stroke-width:1}`,
    `.axis,.frugal-chart .frontier{stroke:${axis}}`,
    `.whisker{stroke:${title}}`,
    `.mark{stroke:${surface}}`,
    ...SERIES.map((colors, i) => `.s${i}{color:${colors[mode]}}`),
  ];
  return rules.map((rule) => `.frugal-chart ${rule}`).join('');
}

/** Class names of series number `index`. */
export function seriesClass(index: number): string {
  return `s${index % COLORS}`;
}
