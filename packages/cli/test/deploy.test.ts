import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { readServeConfig } from '../src/serving/config.js';
import { temporaryFolder } from './support/tiny.js';

const root = new URL('../../../', import.meta.url);
const read = (path: string) => readFile(new URL(path, root), 'utf8');
const folder = await temporaryFolder();

async function readConfig(text: string) {
  const file = join(folder, 'serve.yaml');
  await writeFile(file, text);
  return readServeConfig(file);
}

describe('what the page about deploying shows', () => {
  it('is a configuration that frugal serve takes', async () => {
    const [, text] = /```yaml\n([\s\S]+?)```/.exec(await read('docs/deploy.md')) ?? [];
    const config = await readConfig(text);
    expect(Object.keys(config).sort()).toEqual(Object.keys(parse(text)).sort());
    expect(config.models).toEqual({
      small: join(folder, 'models/student-int8'),
      large: join(folder, 'models/teacher.gguf'),
    });
  });
});

describe('the manifest for Kubernetes', () => {
  it('is YAML, with a configuration that frugal serve takes, and probes that it answers', async () => {
    const documents = parseAllDocuments(await read('deploy/kubernetes.yaml')).map((each) => {
      expect(each.errors).toEqual([]);
      return each.toJS();
    });
    const [map, deployment, service, scaling] = documents;
    const config = await readConfig(map.data['serve.yaml']);
    const { spec } = deployment.spec.template;
    const [container] = spec.containers;
    expect(spec.terminationGracePeriodSeconds * 1000).toBeGreaterThan(config.drainTimeout ?? 0);
    expect(container.args).toEqual(['serve', '--config', '/config/serve.yaml']);
    const paths = ['startupProbe', 'readinessProbe', 'livenessProbe'].map(
      (probe) => container[probe].httpGet.path,
    );
    expect(paths).toEqual(['/health/live', '/health', '/health/live']);
    expect(service.spec.selector).toEqual(deployment.spec.selector.matchLabels);
    const mounts = container.volumeMounts.map(({ name }: { name: string }) => name);
    expect(spec.volumes.map(({ name }: { name: string }) => name)).toEqual(mounts);
    expect(scaling.spec.triggers[0].metadata.query).toContain('frugal_requests_waiting');
  });
});
