import { run } from '@frugal/cli';
import { expect, it } from 'vitest';
import { needsStub, openBackend, stubControl } from '../packages/backend-ascend/test/ascend.js';

needsStub();

it('says what an installation of CANN lacks when it refuses an op', async () => {
  openBackend();
  stubControl().failOp('aclnnMatmul', 561107);
  let said = '';
  const write = (text: string) => {
    said += text;
  };
  const terminal = { out: write, err: write, input: process.stdin };
  expect(await run(['doctor'], { terminal, signal: new AbortController().signal })).toBe(0);
  expect(said.replaceAll(/\s+/g, ' ')).toMatch(/ascend: .*the ops package is not found.*source set_env.sh/);
  expect(said).toMatch(/reference/);
});
