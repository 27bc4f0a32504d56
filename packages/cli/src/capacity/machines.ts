import { totalmem } from 'node:os';
import { loadCpuBackend } from '@frugal/backend-cpu';
import type { Machine } from '@frugal/eval';
import { z } from 'zod';
import { describeMachine } from '../machine.js';
import { checkSettings, readSettingsFile, settings } from '../settings.js';

const positive = z.number().positive();

const deviceSchema = settings({
  name: z.string(),
  memoryBytes: positive,
  readBytesPerSecond: positive,
  operationsPerSecond: settings({ f32: positive, bf16: positive, int8: positive }),
});

const machineSchema = settings({
  name: z.string(),
  pricePerHour: z.number().nonnegative().default(0),
  devices: z.array(deviceSchema).min(1),
});

/** A machine from a YAML or JSON file. @throws CommandError listing every wrong field */
export async function readMachine(file: string): Promise<Machine> {
  const hint = 'frugal plan --help shows one.';
  return checkSettings(machineSchema, await readSettingsFile(file, hint), file, hint);
}

/** This machine: its processor, with peaks that are measured now. Prices are unknown. */
export async function measureMachine(): Promise<Machine> {
  const { cpu } = describeMachine();
  const peaks = (await loadCpuBackend()).measurePeaks();
  const device = {
    name: cpu,
    memoryBytes: totalmem(),
    readBytesPerSecond: peaks.read * 1e9,
    operationsPerSecond: { f32: peaks.f32 * 1e9, bf16: peaks.bf16 * 1e9, int8: peaks.int8 * 1e9 },
  };
  return { name: 'this machine', devices: [device], pricePerHour: 0 };
}
