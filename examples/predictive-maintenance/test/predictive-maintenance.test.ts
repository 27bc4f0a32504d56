import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compressWeights, parseRecipe } from '@frugal/compress';
import { createTabular } from '@frugal/models';
import { wanda } from '@frugal/prune';
import { Linear, PackedLinear } from '@frugal/tensor-core/nn';
import { expect, it, onTestFinished } from 'vitest';
import { bestThreshold, costOf, stratifiedFolds } from '../src/cost.js';
import { scorerOf, trainStudent, trainTeacher } from '../src/network.js';
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

it.each([1, 2, 3])('finds the cheapest of all thresholds (seed %i)', (seed) => {
  const scores = Array.from({ length: 40 }, (_, i) => Math.round(10 * Math.sin(seed * 100 + i * 12.9898)));
  const labels = scores.map((score, i) => Number(score + 8 * Math.sin(i * 78.233) > 7));
  const costAt = (threshold: number) =>
    scores.reduce((sum, score, i) => sum + costOf(score > threshold, labels[i]), 0);
  const everywhere = Array.from({ length: 24 }, (_, i) => costAt(i - 11.5));
  expect(costAt(bestThreshold(scores, labels))).toBe(Math.min(...everywhere));
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
    Float32Array.from({ length: 6 }, (_, c) => 2 * Math.sin(i * 12.9898 + c * 78.233)),
  );
  const rows = { readings, labels: readings.map((row) => Number(row[1] + row[2] > 1)) };
  const sizes = { steps: 40, teacher: { width: 12, layers: 1 }, student: { width: 8, layers: 1 } };
  const teacher = await trainTeacher(rows, sizes, 1);
  const { model, bytesBefore, bytesAfter } = await trainStudent(rows, teacher, sizes, 1);
  expect(bytesAfter).toBeLessThan(bytesBefore / 2);
  for (const [path, layer] of model.namedModules()) {
    if (layer instanceof Linear) expect(path).toBe('head');
    if (!(layer instanceof PackedLinear)) continue;
    const weight = await layer.effectiveWeight().toFloat32();
    expect(weight.filter((value) => value === 0).length).toBeGreaterThanOrEqual(weight.length / 2);
  }
  const scores = await scorerOf(model)(readings);
  const right = scores.filter((score, i) => Number(score > 0) === rows.labels[i]).length;
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
