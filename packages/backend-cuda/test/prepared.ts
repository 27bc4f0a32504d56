import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

// What scripts/fetch-tensorflow.mjs prepares; no GPU is needed. To be imported before the backend is opened.
const prepared = fileURLToPath(new URL('../../../.cache/tensorflow', import.meta.url));
if (existsSync(prepared)) process.env.FRUGAL_TENSORFLOW ??= prepared;
