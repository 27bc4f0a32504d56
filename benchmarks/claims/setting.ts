import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Setting } from './part.js';

/** The folder with pnpm-workspace.yaml above the built program. */
export function findRoot(): string {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder))
    if (existsSync(join(folder, 'pnpm-workspace.yaml'))) return folder;
  throw new Error('[claims] this program lies outside of the repository');
}

/** Where what is made of the real model is kept: recipes that change need `--fresh`. */
export const modelFolder = ({ root }: Setting): string => join(root, '.cache/claims/models');

/** `--model`, FRUGAL_BENCH_MODEL, or what `scripts/fetch-test-model.mjs` left. */
export function findModel(root: string, named: string | undefined): string | null {
  const path =
    named ?? process.env.FRUGAL_BENCH_MODEL ?? join(root, '.cache/models/SmolLM2-135M-Instruct.Q4_1.gguf');
  return existsSync(path) ? path : null;
}
