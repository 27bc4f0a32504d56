import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  fromFloat32,
  type GgufValue,
  isNumericDType,
  type PlainDType,
  saveGguf,
  saveSafetensors,
  type TensorInput,
  tensorInput,
} from '../src/index.js';
import { writeSafetensorsFiles } from '../src/safetensors/files.js';
import { temporaryFolder } from './support.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** A Python that has the reference implementations: named by FRUGAL_PYTHON, kept in .cache, or the one on PATH. */
function findPython(): string | undefined {
  const kept = ['.cache/oracles-venv/bin/python'].map((path) => join(root, path));
  const candidates = [process.env.FRUGAL_PYTHON, ...kept.filter(existsSync), 'python3'];
  return candidates.find(
    (python) => python && spawnSync(python, ['-c', 'import safetensors, gguf']).status === 0,
  );
}

function openInPython(python: string, files: string[]) {
  const script = join(root, 'oracles/checkpoint/open_files.py');
  const { stdout, stderr, status } = spawnSync(python, [script, ...files], { encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout) as Record<
    string,
    { metadata: unknown; tensors: Record<string, [string, number[], string]> }
  >;
}

async function described(
  tensors: TensorInput[],
): Promise<Record<string, [string, readonly number[], string]>> {
  const result: Record<string, [string, readonly number[], string]> = {};
  for (const { name, dtype, shape, bytes } of tensors) {
    const digest = createHash('sha256').update((await bytes()) as Uint8Array);
    result[name] = [dtype, shape, digest.digest('hex')];
  }
  return result;
}

const PLAIN = [
  'BOOL',
  'U8',
  'I8',
  'U16',
  'I16',
  'U32',
  'I32',
  'U64',
  'I64',
  'F16',
  'BF16',
  'F32',
  'F64',
] as const;
const FP8 = ['F8_E4M3', 'F8_E5M2', 'F8_E8M0', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ'] as const;

const plain = (dtype: PlainDType) => {
  if (!isNumericDType(dtype)) throw new Error(dtype);
  return tensorInput(
    `t "${dtype}" 汉字`,
    dtype,
    [2, 3],
    fromFloat32(Float32Array.of(0, 1, 2, 4, 1, 0), dtype),
  );
};

describe('files we wrote', () => {
  it('open in the reference implementations with the same contents', async (context) => {
    const python = findPython();
    if (!python) return context.skip('needs a Python with the packages safetensors and gguf');
    const folder = temporaryFolder();
    const odd = [
      tensorInput('empty', 'F32', [0, 4], new Uint8Array(0)),
      tensorInput('scalar', 'F32', [], Float32Array.of(1)),
      tensorInput('f4', 'F4', [2, 2], Uint8Array.of(0x12, 0x34)),
    ];
    const tensors = [...[...PLAIN, ...FP8].map(plain), ...odd];
    await saveSafetensors(join(folder, 'all.safetensors'), tensors, { format: 'pt', 键: '值 "x"\n' });
    await writeSafetensorsFiles(join(folder, 'model.safetensors'), tensors, { maxShardBytes: 40 });
    const ggufTensors = [
      ...(['F32', 'F16', 'BF16', 'F64', 'I8', 'I16', 'I32', 'I64'] as const).map(plain),
      ...(['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0'] as const).map((dtype, i) =>
        tensorInput(
          `packed.${dtype}`,
          dtype,
          [3, 64],
          new Uint8Array(6 * [18, 20, 22, 24, 34][i]).fill(i + 1),
        ),
      ),
      tensorInput('packed.Q6_K', 'Q6_K', [2, 256], new Uint8Array(420).fill(9)),
    ];
    const fields: Record<string, GgufValue> = {
      'general.architecture': { type: 'string', value: 'llama' },
      'general.alignment': { type: 'u32', value: 64 },
      'x.i64': { type: 'i64', value: -(2 ** 40) },
      'x.f32': { type: 'f32', value: 0.5 },
      'x.bool': { type: 'bool', value: true },
      'x.tokens': { type: 'array', items: 'string', value: ['a', '', '字'] },
      'x.scores': { type: 'array', items: 'f32', value: Float32Array.of(1.5, -2) },
    };
    await saveGguf(join(folder, 'x.gguf'), ggufTensors, fields);
    const files = ['all.safetensors', 'model.safetensors.index.json', 'x.gguf'];
    const seen = openInPython(
      python,
      files.map((name) => join(folder, name)),
    );
    expect(seen['all.safetensors']).toEqual({
      metadata: { format: 'pt', 键: '值 "x"\n' },
      tensors: await described(tensors),
    });
    expect(seen['model.safetensors.index.json'].tensors).toEqual(await described(tensors));
    expect(seen['x.gguf'].tensors).toEqual(await described(ggufTensors));
    expect(seen['x.gguf'].metadata).toEqual({
      'general.architecture': 'llama',
      'general.alignment': 64,
      'x.i64': -(2 ** 40),
      'x.f32': 0.5,
      'x.bool': true,
      'x.tokens': ['a', '', '字'],
      'x.scores': [1.5, -2],
    });
  });
});
