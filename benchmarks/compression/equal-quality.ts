import type { ModifierSpec } from '@frugal/compress';
import type { Coupling } from '@frugal/tensor-core/nn';
import type { ResultStore } from './result-store.js';
import { type Measured, runVariant } from './run-variant.js';
import { measureSpeeds } from './speeds.js';
import type { Subject } from './subject.js';
import { int8Weights, pruned, pruningMethods } from './variants.js';

/** The strongest setting of a pruning method whose perplexity is not above that of int4, beside int4. */
export interface EqualQuality {
  readonly method: string;
  readonly setting: string;
  readonly bytes: number;
  readonly perplexity: number;
  /** Whether any setting is as good; otherwise the mildest one is shown. */
  readonly isReached: boolean;
  /** Below 1: smaller than int4. */
  readonly bytesRatio: number;
  /** Above 1: decodes faster than int4. */
  readonly speedRatio: number;
}

/** What int4 is, at whose quality methods are compared. */
export const REFERENCE = 'int4-g64 GPTQ';

interface Setting {
  readonly name: string;
  readonly stages: readonly (readonly ModifierSpec[])[];
}

/** Settings of a method from mild to strong. */
interface Ladder {
  readonly method: string;
  readonly settings: readonly Setting[];
}

const blocks = { include: ['blocks.**'] };

async function laddersOf(subject: Subject): Promise<Ladder[]> {
  const model = await subject.open();
  const couplings = model.couplings();
  const units = (kind: Coupling['kind']) => couplings.find((each) => each.kind === kind)?.units ?? 1;
  const heads = units('attention');
  const layers = model.blocks.length;
  model.dispose();
  const shares: Ladder[] = pruningMethods.map((method) => ({
    method: `zeros by ${method}`,
    settings: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7].map((sparsity) => ({
      name: `${Math.round(100 * sparsity)} %`,
      stages: pruned(method, sparsity),
    })),
  }));
  const cut = (name: string, spec: ModifierSpec): Setting => ({
    name,
    stages: [[spec], int8Weights],
  });
  const keep = (type: string, targets: ModifierSpec['targets'], multipleOf: number) => (share: number) =>
    cut(`${Math.round(100 * share)} % kept`, { type, targets, keep: share, multipleOf });
  return [
    ...shares,
    {
      method: 'n of 8 by sparsegpt',
      settings: [7, 6, 5, 4, 3].map((kept) => ({
        name: `${kept}:8`,
        stages: pruned('sparsegpt', `${kept}:8`),
      })),
    },
    { method: 'neurons', settings: [0.9, 0.8, 0.7, 0.6, 0.5].map(keep('prune.ffn', blocks, 32)) },
    {
      method: 'heads',
      settings: Array.from({ length: heads - 1 }, (_, i) => (heads - 1 - i) / heads).map(
        keep('prune.heads', blocks, 1),
      ),
    },
    { method: 'width', settings: [0.9, 0.8, 0.7].map(keep('prune.width', { include: ['**'] }, 32)) },
    {
      method: 'layers',
      settings: Array.from({ length: Math.min(4, layers - 1) }, (_, i) =>
        cut(`${i + 1} removed`, {
          type: 'prune.layers',
          targets: { include: ['blocks.*'] },
          remove: i + 1,
        }),
      ),
    },
  ];
}

/** Compares all pruning methods; what was measured before is taken from the store. */
export async function equalQuality(
  subject: Subject,
  store: ResultStore,
  reference: Measured,
): Promise<EqualQuality[]> {
  const rows: EqualQuality[] = [];
  for (const ladder of await laddersOf(subject)) {
    rows.push(await store.find('equal', ladder.method, () => compare(subject, store, ladder, reference)));
  }
  return rows;
}

async function compare(
  subject: Subject,
  store: ResultStore,
  { method, settings }: Ladder,
  reference: Measured,
): Promise<EqualQuality> {
  const keyOf = ({ name }: Setting) => `${method}, ${name}`;
  const measure = (setting: Setting): Promise<Measured> => {
    const key = keyOf(setting);
    return store.find('setting', key, async () => {
      const measured = await runVariant(subject, setting.stages, store.model(key));
      console.error(`${subject.name}, ${key}: ${measured.perplexity.toFixed(3)}`);
      return measured;
    });
  };
  const index = await strongest(settings, async (setting) => {
    return (await measure(setting)).perplexity <= reference.perplexity;
  });
  const chosen = settings[Math.max(0, index)];
  const { bytes, perplexity } = await measure(chosen);
  const saved = new Map([[keyOf(chosen), store.model(keyOf(chosen))]]);
  const { ratios } = await measureSpeeds(saved, store.model(REFERENCE), 'f32');
  return {
    method,
    setting: chosen.name,
    bytes,
    perplexity,
    isReached: index >= 0,
    bytesRatio: bytes / reference.bytes,
    speedRatio: ratios[keyOf(chosen)].median,
  };
}

/** Index of the last setting that is good enough, by halving; -1 for none. Settings get worse in their order. */
async function strongest(
  settings: readonly Setting[],
  isGood: (setting: Setting) => Promise<boolean>,
): Promise<number> {
  let [good, bad] = [-1, settings.length];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (await isGood(settings[middle])) good = middle;
    else bad = middle;
  }
  return good;
}
