import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { isNewEnough } from './load.js';
import { buildInfo } from './prepare.js';

const folder = await mkdtemp(join(tmpdir(), 'frugal-cuda-'));
afterAll(() => rm(folder, { recursive: true }));

async function infoOf(text: string) {
  await mkdir(join(folder, 'python/platform'), { recursive: true });
  await writeFile(join(folder, 'python/platform/build_info.py'), text);
  return buildInfo(folder);
}

it('reads what TensorFlow was built for', async () => {
  expect(buildInfo(folder)).toEqual({ cuda: 'unknown', cudnn: 'unknown' });
  const cuda = "OrderedDict([('cuda_version', '12.5.1'), ('cudnn_version', '9'), ('is_cuda_build', True)])";
  expect(await infoOf(cuda)).toEqual({ cuda: '12.5.1', cudnn: '9' });
  const without = "OrderedDict([('is_cuda_build', False), ('is_rocm_build', False)])";
  expect(await infoOf(without)).toEqual({ cuda: null, cudnn: null });
});

it('knows which versions of TensorFlow are too old', () => {
  expect(['2.9.1', '2.17.1', '1.15.5'].filter(isNewEnough)).toEqual([]);
  expect(['2.18.1', '2.21.0', '3.0.0'].every(isNewEnough)).toBe(true);
});
