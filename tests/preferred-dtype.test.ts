import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { referenceBackend, setBackend } from '@frugal/tensor-core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as ascend from '../packages/backend-ascend/test/ascend.js';
import { pretendGpu, realBinding } from '../packages/backend-cuda/test/fake-gpu.js';
import { frugal } from '../packages/cli/test/support/terminal.js';
import {
  saveTinyAdapter,
  saveTinyModel,
  temporaryFolder,
  tinyConfig,
} from '../packages/cli/test/support/tiny.js';

// What nobody chose is computed in what the device multiplies best: f16 with a loss scale on a V100, which has no bf16; bf16 on a new NPU.
const folder = await temporaryFolder();
const at = (name: string) => join(folder, name);
setBackend(referenceBackend());
const model = await saveTinyModel(at('model'), { ...tinyConfig, hidden_size: 32 });
await saveTinyAdapter(at('adapter'), model);
await writeFile(
  at('corpus.jsonl'),
  JSON.stringify({ text: 'It is a matter of great satisfaction. '.repeat(40) }),
);

async function pretrainOn(backend: string, precision?: string) {
  const { vocab_size: _, ...shape } = tinyConfig;
  const training = { steps: 3, sequence: 16, batch: 2, ...(precision && { precision }) };
  const out = `${backend}-${precision}`;
  const experiment = { model: shape, data: ['corpus.jsonl'], tokenizer: 'model', out, training };
  await writeFile(at(`${out}.yaml`), JSON.stringify(experiment));
  return frugal(['pretrain', at(`${out}.yaml`), '--backend', backend, '--json']);
}

const generateOn = (backend: string, ...more: string[]) =>
  frugal([
    'generate',
    model,
    '--prompt',
    'It is',
    '--max-tokens',
    '8',
    '--backend',
    backend,
    '--json',
    ...more,
  ]);

afterEach(() => setBackend(referenceBackend()));

describe('on a V100', () => {
  let leave = () => {};
  beforeEach((context) => {
    if (realBinding === null) context.skip('needs TensorFlow (scripts/fetch-tensorflow.mjs)');
    leave = pretendGpu('Tesla V100-SXM2-16GB', '7.0');
  });
  afterEach(() => leave());

  it('pretrains in f16, and refuses bf16 by name', async () => {
    const { code, out, err } = await pretrainOn('cuda');
    expect(code, err).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ precision: 'f16', steps: 3 });
    const refused = await pretrainOn('cuda', 'bf16');
    expect(refused.code).toBe(1);
    expect(refused.err.replaceAll(/\s+/g, ' ')).toMatch(
      /the cuda backend has no bf16 on this device: got bf16; expected f32 or f16\. Products are best made in f16 here/,
    );
  });
});

describe('on a new NPU', () => {
  ascend.needsStub();
  ascend.expectNoViolations();
  const calls = () => Number(ascend.stubControl().calls('aclnnIncreFlashAttentionV4'));

  it('pretrains in bf16', async () => {
    const { code, out, err } = await pretrainOn('ascend');
    expect(code, err).toBe(0);
    expect(JSON.parse(out).precision).toBe('bf16');
  });

  it('generates in bf16, by the kernel that decodes, with an adapter as well; precisely in f32', async () => {
    const expected = JSON.parse((await generateOn('reference')).out).ids;
    for (const [more, decodes] of [
      [[], true],
      [['--adapter', at('adapter')], true],
      [['--precise'], false],
    ] as const) {
      const before = calls();
      const { code, out, err } = await generateOn('ascend', ...more);
      expect(code, err).toBe(0);
      const { ids } = JSON.parse(out);
      expect(ids).toHaveLength(8);
      if (!decodes) expect(ids).toEqual(expected);
      expect(calls() > before).toBe(decodes);
    }
  });
});
