import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  CheckpointChangedError,
  type CheckpointContents,
  CheckpointExistsError,
  CheckpointNotFoundError,
  inputsOf,
  OPTIMIZER_FILE,
  openCheckpoint,
  readCompanionFiles,
  saveGguf,
  saveSafetensors,
  TRAINER_STATE_FILE,
  tensorInput,
  toFloat32,
  writeCheckpoint,
} from '../src/index.js';
import { expectFormatError, temporaryFolder } from './support.js';

const weights = [
  tensorInput('model.embed_tokens.weight', 'F32', [2, 2], Float32Array.of(1, 2, 3, 4)),
  tensorInput('model.norm.weight', 'BF16', [2], Uint16Array.of(0x3f80, 0x4000)),
];

const contents: CheckpointContents = {
  config: { architectures: ['LlamaForCausalLM'], hidden_size: 2, limit: Number.POSITIVE_INFINITY },
  tensors: weights,
  tokenizerFiles: {
    'tokenizer.json': '{"version":"1.0"}',
    'chat_template.jinja': new TextEncoder().encode('{{ 1 }}'),
  },
  generationConfig: { do_sample: true },
  manifest: {
    version: 1,
    kind: 'pretrain',
    seed: 7,
    data: [{ role: 'train', name: 'speeches', tokens: 12 }],
    mine: [1],
  },
  trainer: { state: { step: 5 }, optimizer: [tensorInput('m', 'F32', [1], Float32Array.of(0.5))] },
  extraFiles: { 'README.md': '# Model', 'notes/a.txt': 'a' },
};

describe('a checkpoint directory', () => {
  it('gives back what was written', async () => {
    const path = join(temporaryFolder(), 'runs', 'model');
    await writeCheckpoint(path, contents);
    const checkpoint = await openCheckpoint(path);
    expect(checkpoint).toMatchObject({
      path,
      kind: 'directory',
      config: contents.config,
      manifest: contents.manifest,
    });
    expect(checkpoint.files).toEqual([
      'README.md',
      'chat_template.jinja',
      'config.json',
      'frugal.json',
      'generation_config.json',
      'model.safetensors',
      'notes/a.txt',
      'tokenizer.json',
      OPTIMIZER_FILE,
      TRAINER_STATE_FILE,
    ]);
    expect([...checkpoint.tensors.metadata]).toEqual([['format', 'pt']]);
    expect([...toFloat32(await checkpoint.tensors.read('model.norm.weight'), 'BF16')]).toEqual([1, 2]);
    expect(await checkpoint.readJson(TRAINER_STATE_FILE)).toEqual({ step: 5 });
    const optimizer = await checkpoint.openTensors(OPTIMIZER_FILE);
    expect([...toFloat32(await optimizer.read('m'), 'F32')]).toEqual([0.5]);
    await optimizer.close();
    expect(Object.keys(await readCompanionFiles(checkpoint))).toEqual([
      'chat_template.jinja',
      'tokenizer.json',
    ]);
    await checkpoint.close();
  });

  it('is copied in shards from another, whose tensors are read in pieces', async () => {
    const folder = temporaryFolder();
    await writeCheckpoint(join(folder, 'a'), contents);
    const source = await openCheckpoint(join(folder, 'a'));
    const { config } = source;
    await writeCheckpoint(
      join(folder, 'b'),
      { config, tensors: inputsOf(source.tensors) },
      { maxShardBytes: 4 },
    );
    await source.close();
    const copy = await openCheckpoint(join(folder, 'b'));
    expect(copy.files).toContain('model-00002-of-00002.safetensors');
    expect([...toFloat32(await copy.tensors.read('model.embed_tokens.weight'), 'F32')]).toEqual([1, 2, 3, 4]);
    expect(copy.manifest).toBeUndefined();
    await copy.close();
  });

  it('is not replaced without force, and folders that are no checkpoint not even with it', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    await writeCheckpoint(path, contents);
    const untouched = { ...contents, tensors: neverAsked() };
    await expect(writeCheckpoint(path, untouched)).rejects.toThrow(/folder exists already.*force/);
    await writeCheckpoint(path, { config: { new: true }, tensors: weights }, { force: true });
    expect(readdirSync(path).sort()).toEqual(['config.json', 'model.safetensors']);
    mkdirSync(join(path, '.git'));
    await expect(writeCheckpoint(path, untouched, { force: true })).rejects.toThrow(/no .git/);
    const home = join(folder, 'home');
    mkdirSync(home);
    writeFileSync(join(home, 'thesis.txt'), 'important');
    await expect(writeCheckpoint(home, untouched, { force: true })).rejects.toThrow(
      /does not look like a saved checkpoint.*thesis.txt/,
    );
    await expect(writeCheckpoint(join(home, 'thesis.txt'), untouched)).rejects.toThrow(CheckpointExistsError);
    expect(readdirSync(folder).sort()).toEqual(['home', 'model']);
    mkdirSync(join(folder, 'empty'));
    await writeCheckpoint(join(folder, 'empty'), contents);
  });

  it('is replaced where a link leads', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'disk'));
    symlinkSync(join(folder, 'disk', 'model'), join(folder, 'link'));
    await writeCheckpoint(join(folder, 'link'), contents);
    await writeCheckpoint(join(folder, 'link'), { ...contents, config: { second: true } }, { force: true });
    expect(JSON.parse(readFileSync(join(folder, 'disk', 'model', 'config.json'), 'utf8'))).toEqual({
      second: true,
    });
    expect(readdirSync(folder).sort()).toEqual(['disk', 'link']);
    const checkpoint = await openCheckpoint(join(folder, 'link'));
    expect(checkpoint.config).toEqual({ second: true });
    await checkpoint.close();
  });

  it('refuses file names that lead out of it', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    for (const name of ['../x', '/x', 'a/../../x', '', 'a\\b', './x']) {
      await expect(writeCheckpoint(path, { ...contents, extraFiles: { [name]: 'x' } })).rejects.toThrow(
        /not a file name inside/,
      );
    }
    expect(readdirSync(folder)).toEqual([]);
    await writeCheckpoint(path, contents);
    const checkpoint = await openCheckpoint(path);
    await expect(checkpoint.readFile('../secret')).rejects.toThrow(/not a file name inside/);
    await expect(checkpoint.readJson('gone.json')).rejects.toThrow(/there is no "gone.json"/);
    await checkpoint.close();
  });

  it('that is replaced while open says so, and its tensors stay those of the old version', async () => {
    const path = join(temporaryFolder(), 'model');
    await writeCheckpoint(path, contents);
    const old = await openCheckpoint(path);
    const changed = [tensorInput('model.norm.weight', 'BF16', [2], Uint16Array.of(0, 0))];
    await writeCheckpoint(path, { ...contents, tensors: changed }, { force: true });
    expect([...toFloat32(await old.tensors.read('model.norm.weight'), 'BF16')]).toEqual([1, 2]);
    await expect(old.readJson(TRAINER_STATE_FILE)).rejects.toThrow(CheckpointChangedError);
    await expect(old.openTensors(OPTIMIZER_FILE)).rejects.toThrow(
      /replaced while it was being read. Open it again/,
    );
    await old.close();
  });
});

// biome-ignore lint/correctness/useYield: it must not be asked for anything
async function* neverAsked(): AsyncGenerator<never> {
  throw new Error('tensors were asked for before the output was checked');
}

describe('single files', () => {
  it('open as checkpoints without configuration', async () => {
    const folder = temporaryFolder();
    await saveSafetensors(join(folder, 'x.safetensors'), weights);
    await saveGguf(join(folder, 'x.gguf'), weights, {
      'general.architecture': { type: 'string', value: 'llama' },
    });
    for (const kind of ['safetensors', 'gguf'] as const) {
      const checkpoint = await openCheckpoint(join(folder, `x.${kind}`));
      expect(checkpoint).toMatchObject({ kind, config: {}, files: [], manifest: undefined });
      expect(checkpoint.tensors.format).toBe(kind);
      expect((await checkpoint.tensors.read('model.norm.weight')).byteLength).toBe(4);
      await expect(checkpoint.readJson('config.json')).rejects.toThrow(CheckpointNotFoundError);
      await checkpoint.close();
    }
  });
});

describe('what is no checkpoint', () => {
  const make = async (files: Record<string, string>) => {
    const path = join(temporaryFolder(), 'model');
    mkdirSync(path);
    for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
    return path;
  };

  it('is named', async () => {
    await expect(openCheckpoint('/nowhere/model')).rejects.toThrow(
      '[/nowhere/model] there is no checkpoint here.',
    );
    await expect(openCheckpoint(await make({}))).rejects.toThrow(/no config.json: got an empty folder/);
    await expect(openCheckpoint(await make({ 'a.txt': '' }))).rejects.toThrow(/got 1 files such as a.txt/);
    await expect(openCheckpoint(await make({ 'config.json': '{}' }))).rejects.toThrow(
      /has no weights.*expected model.safetensors/,
    );
    await expect(
      openCheckpoint(await make({ 'config.json': '{}', 'pytorch_model.bin': '' })),
    ).rejects.toThrow(/pickles can run code/);
    await expectFormatError(
      openCheckpoint(await make({ 'config.json': '{"a":1', 'model.safetensors': '' })),
      /config.json @ byte 6\] malformed/,
    );
    await expectFormatError(
      openCheckpoint(await make({ 'config.json': '{}', 'model.safetensors': 'xx' })),
      /too short/,
    );
    const newer = await make({
      'config.json': '{}',
      'model.safetensors': '',
      'frugal.json': '{"version":2}',
    });
    await expectFormatError(openCheckpoint(newer), /unknown version of the manifest: got 2/);
  });

  it('does not touch what it looks at', async () => {
    const path = await make({ 'config.json': '{}' });
    await expect(openCheckpoint(path)).rejects.toThrow(CheckpointNotFoundError);
    expect(existsSync(path)).toBe(true);
    rmSync(path, { recursive: true });
    await expect(openCheckpoint(path)).rejects.toThrow(/no checkpoint here/);
  });
});
