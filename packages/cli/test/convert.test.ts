import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { frugal } from './support/terminal.js';
import { saveTinyModel, temporaryFolder } from './support/tiny.js';

const folder = await temporaryFolder();
const model = await saveTinyModel(join(folder, 'model'));

describe('frugal convert', () => {
  it('says what it would do, does it, and refuses to do it again', async () => {
    const gguf = join(folder, 'model.gguf');
    const planned = JSON.parse((await frugal(['convert', model, gguf, '--dry-run', '--json'])).out);
    const done = JSON.parse((await frugal(['convert', model, gguf, '--json'])).out);
    expect(planned).toEqual({ ...done, dryRun: true });
    expect((await frugal(['convert', model, gguf])).err).toMatch(/exists already/);
    expect((await frugal(['convert', model, gguf, '--force'])).out).toMatch(/F32 → F32.*model\.gguf is /s);
    const generated = (source: string) =>
      frugal(['generate', source, '--prompt', 'Fellow', '--max-tokens', '8', '--json']);
    expect(JSON.parse((await generated(gguf)).out).ids).toEqual(JSON.parse((await generated(model)).out).ids);
  });

  it('stores packed matrices in the layouts of other tools, and names what they cannot hold', async () => {
    const quantized = join(folder, 'int4');
    const recipe = join(folder, 'int4.json');
    const modifiers = [
      { type: 'quant.rtn', targets: { include: ['blocks.**'] }, format: 'int4-g8' },
      { type: 'quant.rtn', targets: { include: ['head'] }, format: 'int8-channel', activation: 'none' },
    ];
    await writeFile(recipe, JSON.stringify({ version: 1, seed: 0, stages: [{ name: 'int4', modifiers }] }));
    expect((await frugal(['quantize', model, '--recipe', recipe, '--out', quantized])).err).toBe('');
    const logits = async (path: string) => {
      const { out } = await frugal(['logits', path, '--ids', '5,6,7', '--precise', '--json']);
      return (JSON.parse(out).logits as number[][]).flat();
    };
    const before = await logits(quantized);
    for (const layout of ['gptq', 'awq']) {
      const out = join(folder, layout);
      const { code, err } = await frugal(['convert', quantized, out, '--layout', layout]);
      expect([code, err]).toEqual([0, expect.stringMatching(/^Stored dense: .*int8-channel: [^\n]*\n/)]);
      const after = await logits(out);
      for (const [i, value] of before.entries()) expect(after[i]).toBeCloseTo(value, 5);
      expect((await frugal(['convert', quantized, out, '--layout', layout])).err).toMatch(/already/);
    }
    const back = await frugal([
      'convert',
      join(folder, 'gptq'),
      join(folder, 'back'),
      '--layout',
      'compressed-tensors',
    ]);
    expect([back.code, back.err]).toEqual([0, '']);
    expect(await logits(join(folder, 'back'))).toEqual(await logits(join(folder, 'gptq')));
  });

  it.each([
    [['--layout', 'gguf'], 2, /does not fit the output/],
    [['--layout', 'gptq', '--to', 'bf16'], 2, /numbers stay as they are/],
    [['--layout', 'gptq'], 1, /no packed matrices/],
  ])('%j is refused', async (args, code, message) => {
    const outcome = await frugal(['convert', model, join(folder, 'never'), ...args]);
    expect(outcome.err).toMatch(message);
    expect(outcome.code).toBe(code);
  });
});
