import { spawnSync } from 'node:child_process';
import { SequenceSampler } from '@frugal/data';
import { type PairedDifference, pairedBootstrap } from '@frugal/eval';
import { attachAdapters } from '@frugal/lora';
import { loadModel, unpackModel } from '@frugal/models';
import { AdamW, languageModelLoss, progressBar, schedules, train } from '@frugal/trainer';
import { bitsPerByte, type DocumentScore, medicalTexts, paired, scoreDocuments } from '../corpus.js';
import { modelOf, type Setting } from '../part.js';
import { RealModel } from '../real-model.js';
import { modelFolder } from '../setting.js';

export type TuningKind = 'none' | 'lora' | 'full';

/** One training, in a process of its own. */
export interface Arm {
  readonly kind: TuningKind;
  readonly rate: number;
  readonly trained: number;
  /** What has to be kept of it: the adapter in f32, or all weights in bf16. */
  readonly artifactBytes: number;
  readonly processorSecondsPerStep: number;
  readonly peakBytes: number;
  readonly scores: readonly DocumentScore[];
}

export interface Adapters {
  readonly steps: number;
  readonly tokensPerStep: number;
  readonly before: number;
  readonly lora: Omit<Arm, 'scores'> & { readonly bitsPerByte: number };
  readonly full: Omit<Arm, 'scores'> & { readonly bitsPerByte: number };
  /** All that were tried, by rate. */
  readonly tried: readonly {
    readonly kind: TuningKind;
    readonly rate: number;
    readonly bitsPerByte: number;
  }[];
  /** Bits per byte of LoRA above those of full tuning. */
  readonly loss: PairedDifference;
}

const RANK = 16;
const SEQUENCES = 4;
const TOKENS = 256;
const RATES: Readonly<Record<'lora' | 'full', readonly number[]>> = {
  lora: [5e-4, 2e-3],
  full: [3e-5, 1e-4],
};
const STEPS = { full: 12, quick: 1 } as const;

/**
 * SmolLM2 learns what the chapters of ICD-10-CM look like: adapters over the packed weights, and all weights, with the same
 * batches; the better of two rates each, chosen on the held-out chapters for both alike.
 */
export async function measureAdapters(setting: Setting): Promise<Adapters> {
  const before = armOf(setting, 'none', 0);
  const arms = (['lora', 'full'] as const).flatMap((kind) =>
    RATES[kind].map((rate) => armOf(setting, kind, rate)),
  );
  const best = (wanted: TuningKind) =>
    arms
      .filter(({ kind }) => kind === wanted)
      .sort((a, b) => bitsPerByte(a.scores) - bitsPerByte(b.scores))[0];
  const [lora, full] = [best('lora'), best('full')];
  const described = ({ scores, ...arm }: Arm) => ({ ...arm, bitsPerByte: bitsPerByte(scores) });
  return {
    steps: stepsOf(setting),
    tokensPerStep: SEQUENCES * TOKENS,
    before: bitsPerByte(before.scores),
    lora: described(lora),
    full: described(full),
    tried: arms.map(({ kind, rate, scores }) => ({ kind, rate, bitsPerByte: bitsPerByte(scores) })),
    loss: pairedBootstrap(paired(lora.scores, full.scores)),
  };
}

const stepsOf = ({ quick }: Setting) => (quick ? STEPS.quick : STEPS.full);

function armOf(setting: Setting, kind: TuningKind, rate: number): Arm {
  const options = ['--arm', kind, '--rate', String(rate), '--model', modelOf(setting)];
  if (setting.quick) options.push('--quick');
  const { status, stdout } = spawnSync(process.execPath, [process.argv[1], ...options], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 2 ** 26,
  });
  if (status !== 0) throw new Error(`[claims] training ${kind} at ${rate} failed`);
  return JSON.parse(stdout) as Arm;
}

/** The other side: trains, scores, and prints one line. */
export async function tune(setting: Setting, kind: TuningKind, rate: number): Promise<void> {
  const { tokenizer } = await RealModel.open(modelOf(setting), modelFolder(setting));
  const { training, heldOut } = await medicalTexts(setting.root, setting.quick ? 6_000 : 20_000);
  const model = await loadModel(modelOf(setting));
  if (kind === 'lora') attachAdapters(model, { targets: { include: ['blocks.**'] }, rank: RANK });
  if (kind === 'full') unpackModel(model);
  const steps = kind === 'none' ? 0 : stepsOf(setting);
  const trained = model
    .parameters()
    .reduce((sum, { trainable, value }) => sum + (trainable && steps > 0 ? value.size : 0), 0);
  const ids = training.flatMap((text) => [
    tokenizer.eosIds[0],
    ...tokenizer.encode(text, { addSpecialTokens: false, parseSpecialTokens: false }),
  ]);
  const start = process.cpuUsage();
  if (steps > 0) {
    const bar = progressBar({ label: `${kind} ${rate}` });
    const events = train({
      ...{ model, steps, clipNorm: 1, precision: 'bf16' },
      batches: new SequenceSampler(Int32Array.from(ids), { length: TOKENS, batch: SEQUENCES, seed: 1 }),
      loss: languageModelLoss(model),
      optimizer: new AdamW({ weightDecay: 0 }),
      schedule: schedules.linear({ peak: rate, steps, warmup: Math.ceil(0.05 * steps) }),
    });
    for await (const event of events) bar.update(event);
    bar.close();
  }
  const { user, system } = process.cpuUsage(start);
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  const arm: Arm = {
    ...{ kind, rate, trained, peakBytes },
    artifactBytes: (kind === 'lora' ? 4 : 2) * trained,
    processorSecondsPerStep: steps > 0 ? (user + system) / 1e6 / steps : 0,
    scores: await scoreDocuments(model, tokenizer, heldOut, TOKENS),
  };
  console.log(JSON.stringify(arm));
}
