import { barChart, htmlPage, type Section } from '@frugal/report';
import type { TaskComparison, TaskResult } from './evaluation.js';
import type { Divergence } from './scoring/divergence.js';

/** All that one evaluation found. */
export interface EvaluationReport {
  readonly model: string;
  readonly tasks: readonly TaskResult[];
  /** The paired comparison with another model, which is the reference. */
  readonly against?:
    | {
        readonly model: string;
        readonly tasks: readonly TaskResult[];
        readonly comparisons: readonly TaskComparison[];
        /** Over the texts and questions of the tasks; null where the vocabularies differ. */
        readonly divergence: Divergence | null;
      }
    | undefined;
}

/** The report as one HTML page: tables, accuracy with intervals, accuracy by subject. */
export function evaluationPage(report: EvaluationReport): string {
  const { model, tasks, against } = report;
  const sections = [choices(report), texts(report), comparison(report), ...tasks.flatMap(subjects)];
  return htmlPage({
    title: 'Evaluation',
    subtitle: against ? `${model} against ${against.model}` : model,
    sections: sections.filter((section) => section !== undefined),
  });
}

function runsOf({ model, tasks, against }: EvaluationReport) {
  return against
    ? [
        { model, tasks },
        { model: against.model, tasks: against.tasks },
      ]
    : [{ model, tasks }];
}

function choices(report: EvaluationReport): Section | undefined {
  const runs = runsOf(report);
  const names = report.tasks.filter(({ accuracy }) => accuracy).map(({ name }) => name);
  if (names.length === 0) return undefined;
  const accuracies = (tasks: readonly TaskResult[]) =>
    names.map((name) => tasks.find((task) => task.name === name)?.accuracy);
  const chart = barChart({
    title: 'Accuracy',
    subtitle: 'share of all items, 95 % intervals',
    xLabel: 'accuracy',
    categories: names,
    series: runs.map(({ model, tasks }) => ({
      name: model,
      values: accuracies(tasks).map((found) => found?.accuracy ?? null),
      intervals: accuracies(tasks).map((found) => found?.interval ?? null),
    })),
  });
  const columns = [
    { title: 'task' },
    { title: 'model' },
    { title: 'items' },
    { title: 'accuracy', decimals: 3 },
    { title: 'low', decimals: 3 },
    { title: 'high', decimals: 3 },
    { title: 'mean of subjects', decimals: 3 },
    { title: 'per byte', decimals: 3 },
  ];
  const rows = runs.flatMap(({ model, tasks }) =>
    tasks.flatMap(({ name, accuracy, accuracyPerByte }) =>
      accuracy
        ? [
            [
              name,
              model,
              accuracy.items,
              accuracy.accuracy,
              ...accuracy.interval,
              accuracy.macro,
              accuracyPerByte?.accuracy ?? null,
            ],
          ]
        : [],
    ),
  );
  return { title: 'Tasks', charts: [chart], table: { columns, rows } };
}

function texts(report: EvaluationReport): Section | undefined {
  const rows = runsOf(report).flatMap(({ model, tasks }) =>
    tasks.flatMap(({ name, perplexity }) =>
      perplexity ? [[name, model, perplexity.perplexity, perplexity.bitsPerByte, perplexity.tokens]] : [],
    ),
  );
  if (rows.length === 0) return undefined;
  const columns = [
    { title: 'text' },
    { title: 'model' },
    { title: 'perplexity', decimals: 3 },
    { title: 'bits/byte', decimals: 4 },
    { title: 'tokens' },
  ];
  return { title: 'Texts', table: { columns, rows } };
}

function comparison({ model, against }: EvaluationReport): Section | undefined {
  if (!against) return undefined;
  const { divergence } = against;
  const rows = against.comparisons.flatMap(({ name, accuracy }) =>
    accuracy
      ? [
          [
            name,
            accuracy.difference,
            ...accuracy.interval,
            accuracy.gained,
            accuracy.lost,
            accuracy.flips,
            accuracy.pValue,
          ],
        ]
      : [],
  );
  const text = divergence
    ? `Over ${divergence.positions} positions: KL ${divergence.kl.toFixed(5)} nats (95 % interval ${divergence.interval.map((value) => value.toFixed(5)).join(' to ')}), 99th percentile ${divergence.kl99.toFixed(4)}; the most likely token is the same at ${(100 * divergence.sameTop).toFixed(2)} %.`
    : 'The vocabularies differ, so output distributions were not compared.';
  const columns = [
    { title: 'task' },
    { title: 'difference', decimals: 4 },
    { title: 'low', decimals: 4 },
    { title: 'high', decimals: 4 },
    { title: 'gained' },
    { title: 'lost' },
    { title: 'flips', decimals: 3 },
    { title: 'p (McNemar)', decimals: 4 },
  ];
  return {
    title: `${model} beside ${against.model}, item by item`,
    text,
    ...(rows.length > 0 && { table: { columns, rows } }),
  };
}

function subjects({ name, accuracy }: TaskResult): Section[] {
  const entries = Object.entries(accuracy?.bySubject ?? {}).sort(([a], [b]) => a.localeCompare(b));
  if (entries.length < 2) return [];
  const columns = [{ title: 'subject' }, { title: 'items' }, { title: 'accuracy', decimals: 3 }];
  return [
    {
      title: `${name} by subject`,
      table: { columns, rows: entries.map(([subject, found]) => [subject, found.items, found.accuracy]) },
    },
  ];
}
