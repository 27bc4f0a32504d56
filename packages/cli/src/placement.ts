import { type Backend, currentBackend } from '@frugal/tensor-core';
import { type CausalLM, placeBlocks } from '@frugal/tensor-core/nn';
import { InvalidArgumentError } from 'commander';
import { type BackendName, backendNames, candidates } from './backend-candidates.js';

/** Blocks of a model that another backend computes. */
export interface NamedPlace {
  readonly backend: BackendName;
  readonly first: number;
  readonly last: number;
}

/** The option of verbs that run models which may be larger than a card. May be given several times. */
export const PLACE_OPTION = [
  '--place <BACKEND=BLOCKS>',
  'computes these blocks of the model there (cuda=0-11), the others on --backend; again for more',
  (text: string, before: readonly NamedPlace[] = []): readonly NamedPlace[] => [...before, parsePlace(text)],
] as const;

function parsePlace(text: string): NamedPlace {
  const [, name, first, last = first] = /^(\w+)=(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  const backend = backendNames.find((known) => known === name);
  if (backend) return { backend, first: Number(first), last: Number(last) };
  throw new InvalidArgumentError(
    `Expected a backend (${backendNames.join(', ')}) and blocks: cuda=0-11, or cpu=3.`,
  );
}

/** Opens each backend once, and the one that the model lies on not again. @throws ArgumentError for blocks that do not exist */
export async function spread(model: CausalLM, places: readonly NamedPlace[]): Promise<void> {
  const home = currentBackend();
  const opened = new Map<string, Backend>([[home.name, home]]);
  const open = (name: BackendName) => {
    const backend = opened.get(name) ?? candidates[name].open({});
    opened.set(name, backend);
    return backend;
  };
  await placeBlocks(
    model,
    places.map(({ backend, first, last }) => ({ first, last, backend: open(backend) })),
  );
}
