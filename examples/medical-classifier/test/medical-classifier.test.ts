import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PackedEmbedding, PackedLinear } from '@frugal/tensor-core/nn';
import { trainByteLevelBpe } from '@frugal/tokenizers';
import { expect, it, onTestFinished } from 'vitest';
import { fitTemperature, predict, refusalThreshold } from '../src/calibration.js';
import { readDiseases } from '../src/diseases.js';
import { MASK, scoreCases, toInt8, trainEncoder } from '../src/encoder.js';
import { NGramRegression } from '../src/regression.js';
import { type Case, splitCases } from '../src/split.js';

function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 16807) % 2147483647;
    return state / 2147483647;
  };
}

it('reads names in both languages, once each, with entities and wrapped translations', () => {
  const folder = mkdtempSync(join(tmpdir(), 'frugal-diseases-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const record = (id: string, name: string, chapter: string) =>
    `<record model="gnuhealth.pathology" id="${id}">\n\t<field name="name">${name}</field>\n\t<field name="code">${id}</field>\n\t<field name="category" ref="icdcat${chapter}-1"></field>\n</record>\n`;
  const xml = [
    record('A00', 'Cholera &amp; more', '1'),
    record('B01', 'Pox', '2'),
    record('B02', 'Pox', '2'),
  ];
  const entry = (id: string, name: string, text: string) =>
    `msgctxt "model:gnuhealth.pathology,name:${id}"\nmsgid ${name}\nmsgstr ${text}\n`;
  const po = [
    entry('A00', '"Cholera & more"', '""\n"霍"\n"乱"'),
    entry('B01', '"Pox"', '"痘"'),
    entry('B02', '"Pox"', '"痘"'),
  ];
  const files = { xml: join(folder, 'a.xml'), po: join(folder, 'a.po') };
  writeFileSync(files.xml, xml.join(''));
  writeFileSync(files.po, po.join('\n'));
  expect(readDiseases(files.xml, files.po)).toEqual({
    read: 3,
    diseases: [
      { code: 'A00', english: 'Cholera & more', chinese: '霍乱', chapter: 0 },
      { code: 'B01', english: 'Pox', chinese: '痘', chapter: 1 },
    ],
  });
  writeFileSync(files.po, po[0]);
  expect(() => readDiseases(files.xml, files.po)).toThrow(/no translation of B01/);
});

it('keeps siblings on one side of the split by category, and no text on two', () => {
  const diseases = Array.from({ length: 600 }, (_, i) => ({
    code: `A${Math.floor(i / 5)}.${i % 5}`.padStart(5, '0'),
    english: `Disease ${i} of ${Math.floor(i / 5)}`,
    chinese: `病${i % 300}`,
    chapter: i % 22,
  }));
  const { train, validation, test } = splitCases(diseases, 'category', 1);
  const groups = (cases: readonly Case[]) =>
    new Set(cases.filter(({ language }) => language === 'English').map(({ text }) => text.split(' ').at(-1)));
  const tested = groups(test);
  expect(test.length).toBeGreaterThan(0);
  expect([...groups(train), ...groups(validation)].filter((group) => tested.has(group))).toEqual([]);
  const texts = new Set(test.map(({ text }) => text));
  expect([...train, ...validation].filter(({ text }) => texts.has(text))).toEqual([]);
});

const words = ['heart', 'lung', 'bone', '心', '肺', '骨'];
const cases: Case[] = Array.from({ length: 300 }, (_, i) => {
  const at = i % words.length;
  return at < 3
    ? { text: `disorder ${i % 7} of ${words[at]}`, language: 'English', chapter: at }
    : { text: `${words[at]}病${i % 7}`, language: 'Chinese', chapter: at - 3 };
});
const accuracyOf = (scores: readonly Float32Array[]) =>
  predict(scores, 1).filter(({ chapter }, i) => chapter === cases[i].chapter).length / cases.length;

it('the regression finds the words that tell', () => {
  const model = new NGramRegression(cases, { classes: 3, epochs: 3, random: uniform(1) });
  expect(accuracyOf(cases.map((each) => model.score(each)))).toBe(1);
});

it('a student learns from its teacher and keeps that in int8', async () => {
  const tokenizer = trainByteLevelBpe(
    cases.map(({ text }) => text),
    { vocabularySize: 300, specialTokens: ['[CLS]', MASK] },
  );
  const shape = { width: 32, layers: 1, heads: 1, epochs: 15, learningRate: 0.02 };
  const options = { classes: 3, seed: 1, precision: 'f32' } as const;
  const teacher = await trainEncoder('teacher', shape, cases, tokenizer, { ...options, random: uniform(1) });
  const wanted = await scoreCases(teacher, cases, tokenizer);
  expect(accuracyOf(wanted)).toBeGreaterThan(0.95);
  const student = await trainEncoder('student', shape, cases, tokenizer, {
    ...options,
    random: uniform(2),
    teacher: wanted,
  });
  const bytes = await toInt8(student);
  expect(bytes).toBeLessThan(40_000);
  expect(student.embed).toBeInstanceOf(PackedEmbedding);
  expect(student.module('blocks.0.mlp.up')).toBeInstanceOf(PackedLinear);
  expect(accuracyOf(await scoreCases(student, cases, tokenizer))).toBeGreaterThan(0.95);
});

it('the temperature undoes overconfidence, and refusals leave what is right', () => {
  const random = uniform(3);
  const scores = cases.map(({ chapter }) => {
    const isRight = random() < 0.8;
    const at = isRight ? chapter : (chapter + 1) % 3;
    return Float32Array.from({ length: 3 }, (_, c) => (c === at ? 10 + (isRight ? random() : -random()) : 0));
  });
  const temperature = fitTemperature(scores, cases);
  expect(temperature).toBeGreaterThan(3); // 80 % is what 10 / T must mean
  const predictions = predict(scores, temperature);
  const threshold = refusalThreshold(predictions, cases, 0.99);
  const kept = predictions.flatMap(({ confidence, chapter }, i) =>
    confidence >= threshold ? [chapter === cases[i].chapter] : [],
  );
  expect(kept.length).toBeGreaterThan(200);
  expect(kept.filter(Boolean).length / kept.length).toBeGreaterThanOrEqual(0.99);
  expect(refusalThreshold(predictions, cases, 1.1)).toBe(Number.POSITIVE_INFINITY);
});
