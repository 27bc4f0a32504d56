import { defineMethod, RecipeError } from '@frugal/compress';
import { ArgumentError, Random, type Tensor, withBackend } from '@frugal/tensor-core';
import { type CausalLM, Linear } from '@frugal/tensor-core/nn';
import { z } from 'zod';
import { hiddenLoss } from './losses/index.js';

const layerList = z.array(z.number().int().nonnegative()).min(1).optional();

const options = {
  distance: z.enum(['mse', 'cosine']).default('mse'),
  /** Multiplies the loss, beside those of other methods of the stage. */
  weight: z.number().positive().default(1),
  /** Blocks of the student, counted from 0; default: all. */
  layers: layerList,
  /** The block of the teacher for each of them; default: spread evenly, the last to the last. */
  teacherLayers: layerList,
};

/** A block of the student and the one of the teacher that it shall resemble. */
export interface LayerPair {
  readonly student: number;
  readonly teacher: number;
}

/**
 * Matching of hidden states behind blocks (FitNets, Romero et al. 2014, arXiv:1412.6550; TinyBERT, Jiao et al. 2019,
 * arXiv:1909.10351): weight · mean over layers of the distance, projected to the teacher's width by matrices that are
 * trained along and dropped at the end. Models of equal width need none.
 */
export const hiddenDistillation = defineMethod('distill.hidden', options, (chosen) => {
  const { distance, weight: factor, layers, teacherLayers } = chosen;
  if (teacherLayers && teacherLayers.length !== layers?.length) {
    throw new ArgumentError({
      where: 'distill.hidden',
      what: 'layers and teacherLayers do not pair up',
      got: `${layers?.length ?? 'no'} and ${teacherLayers.length} layers`,
    });
  }
  return {
    sites: ['block'],
    needs: { training: true, teacher: true },
    plan: (sites) => ({
      sites: sites.map(({ path }) => ({ path, bytesBefore: 0, bytesAfter: 0 })),
      problems: [],
    }),
    train: ({ student, teacher, seed }) => {
      if (!teacher) throw new RecipeError({ where: 'distill.hidden', what: 'no teacher' });
      const pairs = layerPairs(student.blocks.length, teacher.blocks.length, layers, teacherLayers);
      const modules = projections(pairs, student, teacher, seed);
      return {
        modules,
        collect: {
          student: pairs.map((pair) => hiddenName(pair.student)),
          teacher: pairs.map((pair) => hiddenName(pair.teacher)),
        },
        loss({ student: output, teacher: target, weights }) {
          const losses = pairs.map((pair): Tensor => {
            const own = collected(output.collected, pair.student);
            const projected = modules[projectionName(pair)]?.forward(own) ?? own;
            return hiddenLoss(projected, collected(target?.collected, pair.teacher), { distance, weights });
          });
          return losses.reduce((sum, loss) => sum.add(loss)).mul(factor / losses.length);
        },
      };
    },
  };
});

/** @throws ArgumentError for layers that a model does not have */
export function layerPairs(
  studentLayers: number,
  teacherLayers: number,
  chosen: readonly number[] = Array.from({ length: studentLayers }, (_, i) => i),
  counterparts: readonly number[] = chosen.map((i) => evenly(i, studentLayers, teacherLayers)),
): LayerPair[] {
  requireLayers('student', chosen, studentLayers);
  requireLayers('teacher', counterparts, teacherLayers);
  return chosen.map((student, i) => ({ student, teacher: counterparts[i] }));
}

/** The layer of the teacher as deep as layer i of the student; the last one for the last. */
function evenly(i: number, studentLayers: number, teacherLayers: number): number {
  return Math.min(teacherLayers - 1, Math.max(0, Math.round(((i + 1) * teacherLayers) / studentLayers) - 1));
}

function requireLayers(of: string, layers: readonly number[], count: number): void {
  const bad = layers.find((layer) => layer >= count);
  if (bad === undefined) return;
  throw new ArgumentError({
    where: 'distill.hidden',
    what: `the ${of} has no layer ${bad}`,
    expected: `0 to ${count - 1}`,
  });
}

function projections(
  pairs: readonly LayerPair[],
  student: CausalLM,
  teacher: CausalLM,
  seed: number,
): Readonly<Record<string, Linear>> {
  const [ours, theirs] = [student.embed.size, teacher.embed.size];
  if (ours === theirs) return {};
  const random = new Random(seed);
  return withBackend(student.parameters()[0].value.backend, () =>
    Object.fromEntries(pairs.map((pair) => [projectionName(pair), Linear.init(ours, theirs, { random })])),
  );
}

const projectionName = ({ student }: LayerPair): string => `projection${student}`;
const hiddenName = (layer: number): string => `blocks.${layer}.hidden`;

function collected(values: ReadonlyMap<string, Tensor> | undefined, layer: number): Tensor {
  const value = values?.get(hiddenName(layer));
  if (value) return value;
  throw new RecipeError({
    where: 'distill.hidden',
    what: `a model does not report the hidden states behind block ${layer}`,
    hint: `Its forward() must collect ${hiddenName(layer)}.`,
  });
}
