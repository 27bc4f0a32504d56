import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { packedFormat } from '@frugal/tensor-core/formats';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CheckpointFormatError, openQuantized, openSafetensors, toFloat32 } from '../src/index.js';

/** Made by oracles/make_quantized.py. */
const fixtures = fileURLToPath(new URL('../../../oracles/fixtures/quantized', import.meta.url));
const cases: Record<string, { shape: [number, number]; config: object }> = JSON.parse(
  readFileSync(`${fixtures}.json`, 'utf8'),
);

async function open() {
  const source = await openSafetensors(`${fixtures}.safetensors`);
  onTestFinished(() => source.close());
  return source;
}

/** Whose settings contradict its tensors. */
const MISLABELLED = 'odd-gptq-mislabelled';

describe('matrices quantised by other tools', () => {
  it.each(Object.entries(cases).filter(([name]) => name !== MISLABELLED))(
    '%s has the values that its tool makes of it',
    async (name, { shape, config }) => {
      const source = await open();
      const matrix = openQuantized({ quantization_config: config }, source)(`${name}.layer`, shape);
      expect(matrix?.problems).toEqual([]);
      const [rows, columns] = shape;
      const values = new Float32Array(rows * columns);
      const parts = (await matrix?.read()) ?? [];
      packedFormat(matrix?.format ?? '').unpack(
        parts,
        { rows, columns, rowStart: 0, rowCount: rows },
        values,
      );
      const expected = toFloat32(await source.read(`${name}.expected`), 'F32');
      const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - values[i])), 0);
      expect(worst / largest).toBeLessThan(2e-7);
      const stored = [...source.entries.keys()].filter((key) => key.startsWith(`${name}.layer.`));
      expect([...(matrix?.tensors ?? [])].sort()).toEqual(stored.sort());
    },
  );

  it('refuses columns in another order than desc_act says, and reads them where it says so', async () => {
    const source = await open();
    const { config, shape } = cases[MISLABELLED];
    const settings = { quantization_config: config };
    await expect(openQuantized(settings, source)(`${MISLABELLED}.layer`, shape)?.read()).rejects.toThrow(
      /desc_act is false, but odd-gptq-mislabelled\.layer\.g_idx is not in order/,
    );
    const corrected = { quantization_config: { ...config, desc_act: true } };
    const matrix = openQuantized(corrected, source)(`${MISLABELLED}.layer`, shape);
    const values = new Float32Array(shape[0] * shape[1]);
    const range = { rows: shape[0], columns: shape[1], rowStart: 0, rowCount: shape[0] };
    packedFormat(matrix?.format ?? '').unpack((await matrix?.read()) ?? [], range, values);
    const expected = toFloat32(await source.read(`${MISLABELLED}.expected`), 'F32');
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expected.forEach((value, i) => void expect(Math.abs(value - values[i]) / largest).toBeLessThan(2e-7));
  });

  it('leaves modules alone that are stored dense', async () => {
    const source = await open();
    const { config } = cases['gptq-4'];
    expect(openQuantized({ quantization_config: config }, source)('lm_head', [8, 8])).toBeNull();
    expect(openQuantized({}, source)('gptq-4.layer', [8, 8])).toBeNull();
  });

  it('names what does not fit', async () => {
    const source = await open();
    const { config } = cases['gptq-4'];
    const matrix = openQuantized({ quantization_config: config }, source)('gptq-4.layer', [64, 96]);
    expect(matrix?.problems.join('; ')).toMatch(
      /gptq-4\.layer\.qweight is I32 \[12, 32\], its format says I32 \[12, 64\].*qzeros.*scales/,
    );
  });

  it.each([
    [
      {
        quant_method: 'compressed-tensors',
        config_groups: { g: { weights: { num_bits: 8, type: 'float', group_size: 32 } } },
      },
      /strategy: got null; expected tensor, channel or block for floats/,
    ],
    [{ quant_method: 'quip' }, /quant_method: got "quip"; expected compressed-tensors, gptq, awq/],
    [{ quant_method: 'gptq', bits: 5 }, /bits: got 5; expected 2, 3, 4, 8/],
    [{ quant_method: 'gptq', bits: 4, checkpoint_format: 'marlin' }, /checkpoint_format: got "marlin"/],
    [{ quant_method: 'awq', bits: 4, version: 'gemv' }, /version: got "gemv"/],
    [
      { quant_method: 'compressed-tensors', format: 'nvfp4-pack-quantized' },
      /format: got "nvfp4-pack-quantized"/,
    ],
  ])('refuses %o by name', async (config, message) => {
    const source = await open();
    expect(() => openQuantized({ quantization_config: config }, source)).toThrow(CheckpointFormatError);
    expect(() => openQuantized({ quantization_config: config }, source)).toThrow(message);
  });
});
