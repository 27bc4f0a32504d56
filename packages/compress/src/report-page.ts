import { barChart, formatBytes, formatChange, htmlPage, lineChart, type Section } from '@frugal/report';
import type { LayerBytes } from './layer-bytes.js';
import type { CompressReport, StageReport } from './report.js';

/** The report as one HTML page with charts: bytes after each stage and by layer, error by layer, quality. */
export function reportPage(report: CompressReport, title = 'Compression'): string {
  const { bytesBefore, bytesAfter, layers, stages } = report;
  const subtitle = `${formatBytes(bytesBefore)} → ${formatBytes(bytesAfter)} (${formatChange(bytesBefore, bytesAfter)})`;
  return htmlPage({
    title,
    subtitle,
    sections: [overview(report), layerSection(layers), ...stages.flatMap(stageSection)],
  });
}

function overview({ bytesBefore, scoreBefore, stages }: CompressReport): Section {
  const names = ['before', ...stages.map(({ name }) => name)];
  const bytes = barChart({
    title: 'Size',
    xLabel: 'bytes of weights',
    categories: names,
    series: [{ name: 'bytes', values: [bytesBefore, ...stages.map((stage) => stage.bytes)] }],
  });
  const scores = [scoreBefore, ...stages.map(({ score }) => score)];
  const quality = barChart({
    title: 'Quality',
    xLabel: 'score',
    categories: names,
    series: [{ name: 'score', values: scores.map((score) => score ?? Number.NaN) }],
  });
  const columns = [
    { title: 'stage' },
    { title: 'methods' },
    { title: 'places' },
    { title: 'bytes', format: 'bytes' as const },
    { title: 'score', decimals: 4 },
    { title: 'time', format: 'duration' as const },
  ];
  const rows = stages.map(({ name, modifiers, bytes: after, score, seconds }) => [
    name,
    modifiers.map(({ type }) => type).join(', '),
    modifiers.reduce((sum, { sites }) => sum + sites.length, 0),
    after,
    score ?? null,
    seconds,
  ]);
  const charts = scores.some((score) => score !== undefined) ? [bytes, quality] : [bytes];
  return { title: 'Stages', table: { columns, rows }, charts };
}

/** Bytes by layer: a line over the blocks, before and after, and what lies beside them. */
function layerSection(layers: readonly LayerBytes[]): Section {
  const blocks = layers.filter(({ path }) => BLOCK.test(path));
  const points = (key: 'bytesBefore' | 'bytesAfter') =>
    blocks.map((layer) => [Number(BLOCK.exec(layer.path)?.[1]), layer[key]] as const);
  const chart = lineChart({
    title: 'Bytes by layer',
    xLabel: 'block',
    yLabel: 'bytes of weights',
    series: [
      { name: 'before', points: points('bytesBefore') },
      { name: 'after', points: points('bytesAfter') },
    ],
  });
  const columns = [
    { title: 'layer' },
    { title: 'before', format: 'bytes' as const },
    { title: 'after', format: 'bytes' as const },
    { title: 'change' },
  ];
  const rows = layers.map(({ path, bytesBefore, bytesAfter }) => [
    path || 'the model itself',
    bytesBefore,
    bytesAfter,
    bytesBefore > 0 ? formatChange(bytesBefore, bytesAfter) : 'new',
  ]);
  return { title: 'Layers', charts: blocks.length > 0 ? [chart] : [], table: { columns, rows } };
}

const BLOCK = /^blocks\.(\d+)$/;

/** Errors of one stage by layer, as a line for each kind of layer over the blocks. */
function stageSection({ name, outcomes }: StageReport): Section[] {
  const kinds = ['outputError', 'weightError'] as const;
  const charts = kinds.flatMap((kind) => {
    const lines = new Map<string, [number, number][]>();
    for (const { path, measured } of outcomes) {
      const [, block, layer] = /^blocks\.(\d+)\.(.+)$/.exec(path) ?? [];
      const value = measured[kind];
      if (layer === undefined || typeof value !== 'number') continue;
      lines.set(layer, [...(lines.get(layer) ?? []), [Number(block), value]]);
    }
    if (lines.size === 0) return [];
    const series = [...lines].map(([layer, points]) => ({ name: layer, points }));
    const title =
      kind === 'outputError' ? 'Share of the output that changed' : 'Share of the weights that changed';
    return [lineChart({ title, xLabel: 'block', yLabel: 'squared, relative', yScale: 'log', series })];
  });
  return charts.length > 0 ? [{ title: `Stage ${name}`, charts }] : [];
}
