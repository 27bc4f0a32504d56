import { linearLayers } from '@frugal/lora';
import { huggingFaceNames } from '@frugal/models';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { CommandError } from './errors.js';

/** Every layer that multiplies, but for the head. */
const ALL = ['blocks.**'];

/**
 * Globs over paths from what users name: globs (`blocks.*.attention.*`), or the ends of Hugging Face's names (`q_proj`).
 * @throws CommandError for a name that no layer has
 */
export function adapterTargets(model: CausalLM, named: readonly string[] = []): string[] {
  if (named.length === 0) return ALL;
  const { toTheirs } = huggingFaceNames(model.config);
  const paths = [...linearLayers(model).keys()];
  return named.flatMap((name) => {
    if (/[*]/.test(name) || paths.includes(name)) return [name];
    const found = paths.filter((path) => `.${toTheirs(path)}`.endsWith(`.${name}`));
    if (found.length > 0) return found;
    const endings = new Set(paths.flatMap((path) => toTheirs(path)?.split('.').at(-1) ?? []));
    throw new CommandError({
      where: '--targets',
      what: 'no layer has this name',
      got: name,
      expected: `${[...endings].join(', ')}, or globs such as blocks.*.attention.*`,
    });
  });
}
