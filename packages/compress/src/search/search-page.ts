import { barChart, formatBytes, htmlPage, type Section, scatterChart } from '@frugal/report';
import type { SearchResult } from './search.js';

/** A search as one HTML page: the Pareto front with a chart, and what was chosen for each layer. */
export function searchPage(result: SearchResult, title = 'Search'): string {
  const { chosen, candidates } = result;
  const subtitle = `${formatBytes(chosen.bytes)}, predicted divergence ${chosen.predicted.toPrecision(3)} nats`;
  const measured = candidates.length > 0 ? [measuredSection(result)] : [];
  const shapes = result.structures ? [structureSection(result.structures)] : [];
  const sections = [frontSection(result), ...shapes, ...measured, choiceSection(result)];
  return htmlPage({ title, subtitle, sections });
}

/** Size against predicted loss: what a search can choose, and the same format everywhere beside it. Returns SVG. */
export function paretoChart({ frontier, uniform, chosen, structure, structures = [] }: SearchResult): string {
  const point = ({ bytes, predicted }: { bytes: number; predicted: number }, label?: string) => ({
    x: bytes,
    y: predicted,
    ...(label !== undefined && { label }),
  });
  return scatterChart({
    title: 'Size and loss',
    xLabel: 'bytes of the checkpoint',
    yLabel: 'predicted divergence, nats',
    yScale: 'log',
    series: [
      { name: structure ?? 'mixed', points: frontier.map((each) => point(each)) },
      ...structures.flatMap(({ name, found }) =>
        found && name !== structure ? [{ name, points: found.frontier.map((each) => point(each)) }] : [],
      ),
      { name: 'the same everywhere', points: uniform.map((each) => point(each, each.option)) },
      { name: 'chosen', points: [point(chosen, 'chosen')] },
    ],
    frontier: { x: 'lowest', y: 'lowest' },
  });
}

function frontSection(result: SearchResult): Section {
  const columns = [
    { title: 'way' },
    { title: 'bytes', format: 'bytes' as const },
    { title: 'predicted divergence (nats)', digits: 3 },
  ];
  const rows = [
    ...result.frontier.map(({ bytes, predicted }) => ['mixed', bytes, predicted] as const),
    ...result.uniform.map(({ option, bytes, predicted }) => [option, bytes, predicted] as const),
  ];
  const text =
    'Predicted: the sum of what each layer does alone to the predictions of the model, KL(original ‖ changed).';
  return { title: 'What can be had', text, charts: [paretoChart(result)], table: { columns, rows } };
}

function structureSection(structures: NonNullable<SearchResult['structures']>): Section {
  const columns = [
    { title: 'structure' },
    { title: 'divergence by itself (nats)', digits: 3 },
    { title: 'bytes', format: 'bytes' as const },
    { title: 'predicted divergence (nats)', digits: 3 },
    { title: 'problem' },
  ];
  const rows = structures.map(({ name, divergence, found, problem }) => [
    name,
    divergence,
    found?.chosen.bytes ?? null,
    found?.chosen.predicted ?? null,
    problem ?? '',
  ]);
  return { title: 'Structures that were tried', table: { columns, rows } };
}

function measuredSection({ candidates, scoreBefore }: SearchResult): Section {
  const columns = [
    { title: 'recipe' },
    { title: 'bytes', format: 'bytes' as const },
    { title: 'predicted divergence (nats)', digits: 3 },
    { title: 'score', decimals: 4 },
    { title: 'change (%)', decimals: 2 },
    { title: 'ms per token', decimals: 2 },
  ];
  const rows = candidates.map(({ bytes, predicted, score, latency }, i) => [
    i + 1,
    bytes,
    predicted,
    score,
    (score / scoreBefore - 1) * 100,
    latency === undefined ? null : 1000 * latency,
  ]);
  return { title: 'Recipes that were run', table: { columns, rows } };
}

function choiceSection({ choices }: SearchResult): Section {
  const names = [...new Set(choices.map(({ option }) => option))];
  const shares = barChart({
    title: 'Bytes by format',
    xLabel: 'bytes',
    categories: names,
    series: [
      {
        name: 'bytes',
        values: names.map((name) =>
          choices.reduce((sum, { option, bytes }) => sum + (option === name ? bytes : 0), 0),
        ),
      },
    ],
  });
  const columns = [{ title: 'layer' }, { title: 'format' }, { title: 'bytes', format: 'bytes' as const }];
  const rows = choices.map(({ target, option, bytes }) => [target, option, bytes]);
  return { title: 'What was chosen', charts: [shares], table: { columns, rows } };
}
