import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  chatTemplate,
  loadTokenizer,
  saveTokenizer,
  TokenizerError,
  trainByteLevelBpe,
} from '../src/index.js';
import { fixture, fixtureText, temporaryFolder } from './support.js';

const trained = () => trainByteLevelBpe(fixture<string[]>('corpus.json'), { vocabularySize: 400 });

describe('saveTokenizer and loadTokenizer', () => {
  it('keep everything', async () => {
    const folder = join(await temporaryFolder(), 'new', 'model');
    const tokenizer = trained();
    await saveTokenizer(tokenizer, folder);
    const loaded = await loadTokenizer(folder);
    expect(loaded.fingerprint).toBe(tokenizer.fingerprint);
    expect([loaded.bosId, loaded.eosIds, loaded.padId]).toEqual([0, [0], 0]);
    expect(loaded.chatTemplates).toEqual(tokenizer.chatTemplates);
    expect(loaded.encode('nation 天下')).toEqual(tokenizer.encode('nation 天下'));
    expect((await readdir(folder)).sort()).toEqual(['tokenizer.json', 'tokenizer_config.json']);
    expect(loaded.files()).toEqual(tokenizer.files());
  });

  it('read the other files of a directory', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'tokenizer.json'), `\ufeff${fixtureText('gpt2.tokenizer.json')}`);
    await writeFile(join(folder, 'special_tokens_map.json'), '{"eos_token": "<|im_start|>"}');
    await writeFile(join(folder, 'generation_config.json'), '{"eos_token_id": [0]}');
    await writeFile(join(folder, 'chat_template.jinja'), 'from a file');
    const tokenizer = await loadTokenizer(folder);
    expect(tokenizer.eosIds).toEqual([1, 0]);
    expect(chatTemplate(tokenizer).apply([{ role: 'user', content: '' }])).toBe('from a file');
  });

  it('take parts that are at hand', async () => {
    const tokenizer = await loadTokenizer({ tokenizerJson: fixture<object>('gpt2.tokenizer.json') });
    expect(tokenizer.vocabularySize).toBe(480);
  });

  it('replace a tokenizer and leave other files alone', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'config.json'), '{}');
    await saveTokenizer(trained(), folder);
    const other = trainByteLevelBpe([], { vocabularySize: 257 });
    await saveTokenizer(other, folder);
    expect((await loadTokenizer(folder)).fingerprint).toBe(other.fingerprint);
    expect(await readFile(join(folder, 'config.json'), 'utf8')).toBe('{}');
  });

  it('leave the old file whole when writing fails', async () => {
    const folder = await temporaryFolder();
    await saveTokenizer(trained(), folder);
    const before = await readFile(join(folder, 'tokenizer.json'), 'utf8');
    // What cannot be replaced by a file: a folder that is not empty.
    const blocked = join(folder, 'blocked');
    await mkdir(join(blocked, 'tokenizer.json', 'x'), { recursive: true });
    await expect(saveTokenizer(trained(), blocked)).rejects.toThrow(TokenizerError);
    expect(await readdir(blocked)).toEqual(['tokenizer.json']);
    await expect(saveTokenizer(trained(), join(folder, 'tokenizer.json', 'x'))).rejects.toThrow(
      'cannot be saved',
    );
    expect(await readFile(join(folder, 'tokenizer.json'), 'utf8')).toBe(before);
  });

  it('say which file is missing or unreadable, and what to do', async () => {
    const folder = await temporaryFolder();
    await expect(loadTokenizer(folder)).rejects.toThrow(
      'tokenizer.json] there is no such file. For a model with',
    );
    await expect(loadTokenizer(join(folder, 'nowhere'))).rejects.toMatchObject({
      name: 'TokenizerFileError',
    });
    await writeFile(join(folder, 'tokenizer.json'), Buffer.from([0x7b, 0xff, 0x7d]));
    await expect(loadTokenizer(folder)).rejects.toThrow('the file is not UTF-8');
    const other = await temporaryFolder();
    await mkdir(join(other, 'tokenizer.json'));
    await expect(loadTokenizer(other)).rejects.toThrow('the file cannot be read: got EISDIR');
  });
});
