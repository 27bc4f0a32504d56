import type { Tensor } from '@frugal/tensor-core';
import { TrainerError } from '../errors.js';
import type { NamedParameter, Optimizer, Update } from './optimizer.js';

/** Which parameters an optimizer gets. */
export interface ParameterGroup<O = Optimizer> {
  readonly name: string;
  /** Patterns of parameter paths, `*` standing for any text; left out: all paths. */
  readonly paths?: readonly string[];
  /** `matrix`: two axes or more; `vector`: norms and biases; left out: both. */
  readonly kind?: 'matrix' | 'vector';
  readonly optimizer: O;
  /** Multiplies the learning rate of the schedule. Default 1. */
  readonly learningRate?: number;
}

/** Several optimizers, each for its part of the parameters; the first group that matches gets a parameter. */
export class ParameterGroups implements Optimizer {
  private readonly members: readonly (readonly [ParameterGroup, (named: NamedParameter) => boolean])[];

  constructor(groups: readonly ParameterGroup[]) {
    this.members = groups.map((group) => [group, matcherOf(group)] as const);
  }

  /** The group of each parameter. @throws TrainerError when one has none */
  groupOf(named: NamedParameter): ParameterGroup {
    const found = this.members.find(([, matches]) => matches(named));
    if (found) return found[0];
    throw new TrainerError({
      where: 'parameter groups',
      what: `no group takes the parameter ${named.path}`,
      got: this.members.map(([group]) => group.name).join(', '),
      hint: 'Add a group without patterns at the end.',
    });
  }

  step(parameters: readonly NamedParameter[], update: Update): void {
    const groups = parameters.map((named) => this.groupOf(named));
    for (const [group] of this.members) {
      const members = parameters.filter((_, i) => groups[i] === group);
      const { optimizer, learningRate = 1 } = group;
      optimizer.step(members, { ...update, learningRate: update.learningRate * learningRate });
    }
  }

  state(): ReadonlyMap<string, Tensor> {
    const all = new Map<string, Tensor>();
    for (const [{ name, optimizer }] of this.members) {
      for (const [key, tensor] of optimizer.state()) all.set(`${name}/${key}`, tensor);
    }
    return all;
  }

  load(state: ReadonlyMap<string, Tensor>): void {
    const names = this.members.map(([{ name }]) => name);
    const unknown = [...state.keys()].find((key) => !names.some((name) => key.startsWith(`${name}/`)));
    if (unknown !== undefined) {
      throw new TrainerError({
        where: 'parameter groups',
        what: 'the saved state is of other groups',
        got: unknown,
        expected: names.map((name) => `${name}/…`).join(', '),
        hint: 'Resume with the groups that the run was started with.',
      });
    }
    for (const [{ name, optimizer }] of this.members) {
      const own = [...state].filter(([key]) => key.startsWith(`${name}/`));
      optimizer.load(new Map(own.map(([key, tensor]) => [key.slice(name.length + 1), tensor])));
    }
  }

  dispose(): void {
    for (const [{ optimizer }] of this.members) optimizer.dispose();
  }
}

function matcherOf({ paths = ['*'], kind }: ParameterGroup): (named: NamedParameter) => boolean {
  const patterns = paths.map((path) => new RegExp(`^${path.split('*').map(escapePattern).join('.*')}$`));
  return ({ path, parameter }) => {
    const isMatrix = parameter.shape.length >= 2;
    return (
      (kind === undefined || (kind === 'matrix') === isMatrix) &&
      patterns.some((pattern) => pattern.test(path))
    );
  };
}

function escapePattern(text: string): string {
  return text.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
}
