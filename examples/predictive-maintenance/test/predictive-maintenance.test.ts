import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compressWeights, parseRecipe } from '@frugal/compress';
import { uniform } from '@frugal/example-support';
import { createTabular } from '@frugal/models';
import { wanda } from '@frugal/prune';
import { Linear, PackedLinear } from '@frugal/tensor-core/nn';
import { expect, it, onTestFinished } from 'vitest';
import { cheapestThreshold, stratifiedFolds } from '../src/cost.js';
import { Forest } from '../src/forest.js';
import { scorerOf, trainStudent } from '../src/network.js';
import { likeRows } from '../src/synthetic.js';
import { fitScaling, readTable } from '../src/table.js';

it('reads every truck once, so that no copy is on both sides of a split', () => {
  const folder = mkdtempSync(join(tmpdir(), 'frugal-table-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'table.csv');
  writeFileSync(file, 'class,a,b\n0,1.0,\n1,2.0,3\n0,1.0,\n');
  const { rows, labels, read, sensors } = readTable(file);
  expect({ labels, read, sensors, first: [...rows[0]] }).toEqual({
    labels: [0, 1],
    read: 3,
    sensors: 2,
    first: [1, Number.NaN],
  });
});

it('scales with what it was fitted on, and gives a missing value the median', () => {
  const scale = fitScaling([
    Float64Array.of(0),
    Float64Array.of(1),
    Float64Array.of(3),
    Float64Array.of(Number.NaN),
  ]);
  expect(scale(Float64Array.of(Number.NaN))[0]).toBe(scale(Float64Array.of(1))[0]);
  expect(scale(Float64Array.of(2 ** 31 - 2))[0]).toBe(5);
});

it.each([1, 2, 3])('an alarm pays off where a failure is likelier than 10 in 510 (seed %i)', (seed) => {
  const random = uniform(seed);
  const scores = Array.from({ length: 20_000 }, () => 8 * random() - 7);
  const labels = scores.map((score) => Number(random() < 1 / (1 + Math.exp(-(1.5 * score - 1)))));
  // 1.5 · score - 1 = log(10 / 500)
  expect(Math.abs(cheapestThreshold(scores, labels) - (1 - Math.log(50)) / 1.5)).toBeLessThan(0.1);
  expect(
    cheapestThreshold(
      scores.map((score) => -score),
      labels,
    ),
  ).toBe(Number.POSITIVE_INFINITY);
});

it('trees that sort two classes apart come to a threshold, though the curve has no best slope', () => {
  const threshold = cheapestThreshold([-3, -2, -2.5, -1, 4, 5], [0, 0, 0, 0, 1, 1]);
  expect(threshold).toBeGreaterThan(-1);
  expect(threshold).toBeLessThan(4);
});

it('the forest sees what no line sees, and that a reading is missing', () => {
  const random = uniform(1);
  const rows = (count: number) => {
    const readings = Array.from({ length: count }, () =>
      Float64Array.from({ length: 4 }, (_, c) => (c === 3 && random() < 0.2 ? Number.NaN : 10 * random())),
    );
    const labels = readings.map(([a, b, , d]) => Number(a > 5 !== b > 5 || Number.isNaN(d)));
    return { readings, labels };
  };
  const forest = new Forest(rows(600), { trees: 60, random });
  const { readings, labels } = rows(400);
  const right = readings.filter((reading, i) => Number(forest.score(reading) > 0) === labels[i]).length;
  expect(right / readings.length).toBeGreaterThan(0.9);
  const one = forest.trees.reduce((sum, { feature }) => sum + feature.length, 0);
  expect(forest.bytes).toBe(10 * one);
});

it('new rows are made of a row and a near one', () => {
  const rows = Array.from({ length: 40 }, (_, i) => Float64Array.of(i, i + 0.25, i % 2 ? Number.NaN : i));
  const scaled = rows.map((row) => Float32Array.from(row, (value) => (Number.isNaN(value) ? 0 : value)));
  const made = likeRows(rows, scaled, 3, uniform(2));
  expect(made).toHaveLength(120);
  const mixed = made.filter(([a, b]) => b - a !== 0.25);
  expect(mixed.length).toBeGreaterThan(20);
  for (const [at, [a, b]] of made.entries()) {
    const own = at % 40;
    expect(a === own || b - 0.25 === own || a + 0.25 === b).toBe(true);
    expect(Math.abs(a - b)).toBeLessThan(30);
  }
});

it('puts every item into one fold, and failures evenly', () => {
  const labels = Array.from({ length: 103 }, (_, i) => Number(i % 10 === 0));
  let state = 0.3;
  const folds = stratifiedFolds(labels, 4, () => (state = (state * 997.13) % 1));
  expect(folds.flat().sort((a, b) => a - b)).toEqual([...labels.keys()]);
  const failures = folds.map((fold) => fold.filter((i) => labels[i] === 1).length);
  expect(Math.max(...failures) - Math.min(...failures)).toBeLessThanOrEqual(1);
});

it('the student is int8 with half of its weights zero, and still sees what the teacher sees', async () => {
  const readings = Array.from({ length: 120 }, (_, i) =>
    Float64Array.from({ length: 6 }, (_, c) => 10 + 9 * Math.sin(i * 12.9898 + c * 78.233)),
  );
  const rows = { readings, labels: readings.map((row) => Number(row[1] + row[2] > 25)) };
  const teacher = new Forest(rows, { trees: 40, random: uniform(1) });
  const sizes = { steps: 150, copies: 4, student: { width: 8, layers: 1 } };
  const student = await trainStudent(rows, teacher, sizes, 1, uniform(2));
  expect(student.bytesAfter).toBeLessThan(student.bytesBefore / 2);
  for (const [path, layer] of student.model.namedModules()) {
    if (layer instanceof Linear) expect(path).toBe('head');
    if (!(layer instanceof PackedLinear)) continue;
    const weight = await layer.effectiveWeight().toFloat32();
    expect(weight.filter((value) => value === 0).length).toBeGreaterThanOrEqual(weight.length / 2);
  }
  const scores = await scorerOf(student)(readings);
  const right = scores.filter((score, i) => score > 0 === teacher.score(readings[i]) > 0).length;
  expect(right / scores.length).toBeGreaterThan(0.85);
});

it('a method that needs calibration is refused for a table, before any work', async () => {
  const model = createTabular(
    {
      architectures: ['FrugalTabularMLP'],
      hidden_size: 8,
      intermediate_size: 8,
      num_hidden_layers: 1,
      numeric_features: 3,
      num_outputs: 2,
    },
    { seed: 1 },
  );
  const modifier = { type: 'prune.wanda', targets: { include: ['blocks.**'] }, sparsity: 0.5 };
  const recipe = parseRecipe({ version: 1, seed: 0, stages: [{ name: 'prune', modifiers: [modifier] }] });
  await expect(compressWeights(model, recipe, { methods: [wanda] })).rejects.toThrow(
    /needs calibration data/,
  );
});
