import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createTokenizer } from './create-tokenizer.js';
import { TokenizerError, TokenizerFileError } from './errors.js';
import type { TokenizerParts } from './file/tokenizer-json.js';
import type { Tokenizer } from './tokenizer.js';

/**
 * Opens the tokenizer of a Hugging Face directory (tokenizer.json and, where present, tokenizer_config.json,
 * special_tokens_map.json, generation_config.json, chat_template.jinja), or of files that were read already.
 * @throws TokenizerFileError naming file and key or offset of what is wrong
 */
export async function loadTokenizer(source: string | TokenizerParts): Promise<Tokenizer> {
  return createTokenizer(typeof source === 'string' ? await readParts(source) : source);
}

async function readParts(directory: string): Promise<TokenizerParts> {
  const read = (name: string) => readText(join(directory, name));
  const [tokenizerJson, tokenizerConfig, specialTokensMap, generationConfig, chatTemplate] =
    await Promise.all([
      read('tokenizer.json'),
      read('tokenizer_config.json'),
      read('special_tokens_map.json'),
      read('generation_config.json'),
      read('chat_template.jinja'),
    ]);
  if (tokenizerJson === undefined) {
    throw new TokenizerFileError({
      file: join(directory, 'tokenizer.json'),
      what: 'there is no such file',
      hint:
        'For a model with tokenizer.model or vocab.json alone, write it once with transformers: ' +
        'AutoTokenizer.from_pretrained(directory).save_pretrained(directory).',
    });
  }
  return { tokenizerJson, tokenizerConfig, specialTokensMap, generationConfig, chatTemplate, directory };
}

async function readText(file: string): Promise<string | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new TokenizerFileError({ file, what: 'the file cannot be read', got: code, cause });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new TokenizerFileError({
      file,
      what: 'the file is not UTF-8',
      hint: 'Fetch the file again.',
      cause,
    });
  }
}

/**
 * Writes tokenizer.json and tokenizer_config.json, which `AutoTokenizer` of transformers opens. Each file is replaced in
 * one step: a crash or a full disk leaves the old one whole. Other files of the directory stay.
 * @throws TokenizerError when the disk refuses
 */
export async function saveTokenizer(tokenizer: Tokenizer, directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true });
    for (const [name, text] of Object.entries(tokenizer.files()))
      await replaceFile(join(directory, name), text);
    await syncDirectory(directory);
  } catch (cause) {
    throw new TokenizerError({
      where: directory,
      what: 'the tokenizer cannot be saved',
      got: (cause as NodeJS.ErrnoException).code ?? String(cause),
      hint: 'What was there before is unchanged or whole.',
      cause,
    });
  }
}

async function replaceFile(file: string, text: string): Promise<void> {
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    const handle = await open(temporary, 'w');
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Makes the renames themselves durable. Some systems cannot flush a directory: then there is nothing to do. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r').catch(() => undefined);
  if (!handle) return;
  try {
    await handle.sync().catch(() => {});
  } finally {
    await handle.close();
  }
}
