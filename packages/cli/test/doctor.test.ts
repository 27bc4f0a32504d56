import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inputsOf, openCheckpoint, writeCheckpoint } from '@frugal/checkpoint';
import { examineModel } from '@frugal/models';
import { describe, expect, it, vi } from 'vitest';
import { frugal } from './support/terminal.js';
import { saveTinyModel, temporaryFolder, tinyConfig } from './support/tiny.js';

const folder = await temporaryFolder();

/** A copy of a good model with some bytes of one tensor replaced. */
async function damaged(
  name: string,
  tensor: string,
  damage: (values: Float32Array) => void,
): Promise<string> {
  const good = await saveTinyModel(join(folder, 'good'));
  const checkpoint = await openCheckpoint(good);
  const tensors = inputsOf(checkpoint.tensors).map((input) => {
    if (input.name !== tensor) return input;
    const bytes = async () => {
      const values = new Float32Array((await checkpoint.tensors.read(tensor)).buffer);
      damage(values);
      return new Uint8Array(values.buffer);
    };
    return { ...input, bytes };
  });
  const tokenizerFiles = { 'tokenizer.json': await checkpoint.readFile('tokenizer.json') };
  const path = join(folder, name);
  await writeCheckpoint(path, { config: checkpoint.config, tensors, tokenizerFiles });
  await checkpoint.close();
  return path;
}

const errorsOf = async (path: string) => (await examineModel(path)).filter(({ level }) => level === 'error');

describe('doctor', () => {
  it('tells what runs here and how fast', async () => {
    const { code, out } = await frugal(['doctor', '--json']);
    expect(code).toBe(0);
    const { backends, machine } = JSON.parse(out);
    expect(machine.node).toBe(process.version);
    const named = (wanted: string) => backends.find(({ name }: { name: string }) => name === wanted);
    expect(backends).toHaveLength(4);
    const scores = backends.map(({ score }: { score: number }) => score);
    expect(scores).toEqual([...scores].sort((a, b) => b - a));
    const [cpu, cuda, ascend, reference] = ['cpu', 'cuda', 'ascend', 'reference'].map(named);
    expect(reference).toMatchObject({ runs: true });
    expect(reference.matmulFlopsPerSecond).toBeGreaterThan(1e6);
    expect(reference.bytesPerSecond).toBeGreaterThan(1e6);
    for (const backend of [cpu, cuda, ascend])
      if (!backend.runs) expect(backend.why).toMatch(/^\[.*\..*\.$/s);
  });

  it('says why the native backend cannot run, and what then happens', async () => {
    vi.stubEnv('FRUGAL_NATIVE', 'off');
    vi.resetModules(); // the backend remembers that it was loaded
    const { run } = await import('../src/index.js');
    let out = '';
    const collect = (text: string) => {
      out += text;
    };
    const terminal = { out: collect, err: () => {}, input: process.stdin };
    expect(await run(['doctor', '--json'], { terminal })).toBe(0);
    const { backends } = JSON.parse(out);
    expect(backends[0].name).toBe('reference');
    expect(backends.find(({ name }: { name: string }) => name === 'cpu')).toMatchObject({
      runs: false,
      why: expect.stringContaining('FRUGAL_NATIVE'),
    });
    vi.unstubAllEnvs();
  });

  it('says what --fix cuda lacks', async () => {
    vi.stubEnv('FRUGAL_PYTHON', 'no-such-python');
    const { code, err } = await frugal(['doctor', '--fix', 'cuda']);
    expect(code).toBe(1);
    expect(err).toMatch(/no Python package of TensorFlow.*no-such-python.*pip install/s);
    vi.unstubAllEnvs();
  });

  it('refuses a GPU that is not there', async () => {
    vi.stubEnv('FRUGAL_TENSORFLOW', join(folder, 'nothing'));
    const { code, err } = await frugal(['generate', 'model', '--prompt', 'x', '--backend', 'cuda']);
    expect(code).toBe(1);
    expect(err).toMatch(/TensorFlow is not prepared.*frugal doctor --fix cuda/s);
    vi.unstubAllEnvs();
  });

  it('finds nothing wrong with a good model', async () => {
    const path = await saveTinyModel(join(folder, 'good'));
    const { code, out } = await frugal(['doctor', path]);
    expect(out).toContain('all weights are finite');
    expect(out).not.toMatch(/^(warning|error)/m);
    expect(code).toBe(0);
  });

  it('finds weights that are no numbers, and exits with 1', async () => {
    const path = await damaged('nan', 'model.norm.weight', (values) => values.fill(Number.NaN, 3, 5));
    const { code, out } = await frugal(['doctor', path]);
    expect(code).toBe(1);
    expect(out).toContain('model.norm.weight: 2 of 16 values are NaN or infinite');
  });

  it('warns of matrices of zeros', async () => {
    const path = await damaged('zeros', 'model.layers.1.mlp.up_proj.weight', (values) => values.fill(0));
    const warnings = (await examineModel(path)).filter(({ level }) => level === 'warning');
    expect(warnings.map(({ what }) => what)).toContainEqual(
      'model.layers.1.mlp.up_proj.weight: all values are 0',
    );
  });

  it('lists weights that do not fit the config', async () => {
    const path = await saveTinyModel(join(folder, 'misshapen'));
    const file = join(path, 'config.json');
    const config = JSON.parse(await readFile(file, 'utf8'));
    await writeFile(file, JSON.stringify({ ...config, intermediate_size: 32 }));
    const [error] = await errorsOf(path);
    expect(error.what).toContain('6 places');
  });

  it('compares tokenizer and model', async () => {
    const path = await saveTinyModel(join(folder, 'small-embedding'), {
      ...tinyConfig,
      vocab_size: 280,
      eos_token_id: 7,
    });
    const findings = await examineModel(path);
    expect(findings.map(({ what }) => what).join('\n')).toMatch(
      /model embeds 280: some texts will fail\n.*eos_token_id 7/,
    );
  });

  it('reports folders that are no model', async () => {
    const { code, out } = await frugal(['doctor', folder, '--json']);
    expect(code).toBe(1);
    expect(JSON.parse(out).model).toEqual([
      { check: 'structure', level: 'error', what: expect.stringContaining('no config.json') },
    ]);
  });
});
