import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openSafetensors, toFloat32 } from '@frugal/checkpoint';
import { type RoutingOptions, route, sequenceLoss, switchLoss, zLoss } from '@frugal/moe';
import { scope, type Tensor, tensor } from '@frugal/tensor-core';
import { expect, it } from 'vitest';

interface Case {
  readonly name: string;
  readonly loss: 'switchLoss' | 'sequenceLoss' | 'zLoss';
  readonly gate: RoutingOptions['gate'];
  readonly chosen: number;
  readonly sequenceStarts: readonly number[];
}

const fixture = (file: string) => fileURLToPath(new URL(`../oracles/fixtures/${file}`, import.meta.url));
const cases: Case[] = JSON.parse(readFileSync(fixture('moe.json'), 'utf8'));
const source = await openSafetensors(fixture('moe.safetensors'));

async function stored(name: string): Promise<{ readonly values: Float32Array; readonly shape: number[] }> {
  const { dtype, shape } = source.entries.get(name) as { dtype: 'F32' | 'I32'; shape: readonly number[] };
  return { values: toFloat32(await source.read(name), dtype), shape: [...shape] };
}

function expectClose(actual: Float32Array, wanted: Float32Array, tolerance: number): void {
  expect(actual.length).toBe(wanted.length);
  const scale = Math.max(...wanted.map(Math.abs));
  for (const [i, value] of wanted.entries())
    expect(Math.abs(actual[i] - value) / scale, `${i}`).toBeLessThan(tolerance);
}

it.each(cases)('$name: value and gradient as PyTorch computes them', async (each) => {
  const { values, shape } = await stored(`${each.name}/logits`);
  const logits = tensor(values, { shape }).setRequiresGrad(true);
  const [loss, experts] = scope(() => {
    const routing = route(logits, { chosen: each.chosen, gate: each.gate, normalize: true });
    const starts = tensor(Int32Array.from(each.sequenceStarts));
    const value = {
      switchLoss: () => switchLoss(routing),
      sequenceLoss: () => sequenceLoss(routing, starts),
      zLoss: () => zLoss(routing),
    }[each.loss]();
    value.backward();
    return [value.detach(), routing.experts.toInt32()] as const;
  });
  const { values: wanted } = await stored(`${each.name}/experts`);
  expect([...(await experts)]).toEqual([...wanted]);
  expectClose(await loss.toFloat32(), (await stored(`${each.name}/loss`)).values, 1e-5);
  const gradient = await (logits.grad as Tensor).toFloat32();
  expectClose(gradient, (await stored(`${each.name}/gradient`)).values, 1e-5);
});
