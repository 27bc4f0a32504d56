import { extendMixture, fitGates, mixModels, saveModel } from '@frugal/models';
import { formatChange, renderTable } from '@frugal/report';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import { addBackendOptions, type BackendOptions, useBackend } from '../../backend.js';
import { sourceFiles, withCheckpoint } from '../../checkpoint.js';
import { type Context, printJson } from '../../context.js';
import { DOMAIN_TEXT, readDomains } from '../../domains.js';
import { CommandError } from '../../errors.js';
import { refuseExisting } from '../../files.js';
import {
  bitsPerByte,
  type DomainOutcome,
  gateTexts,
  isMixture,
  type MixtureRecord,
  namedPath,
  openSpecialist,
  regressions,
  type SplitDomain,
  splitDomain,
} from '../../mixing.js';
import { modelPath, openSpeaker } from '../../model.js';
import {
  addVerb,
  addWriteOptions,
  integer,
  type JsonOption,
  number,
  type Verb,
  type WriteOptions,
} from '../../verb.js';
import { version } from '../../version.js';

interface Options extends BackendOptions, WriteOptions, JsonOption {
  readonly text: readonly string[];
  readonly active?: number;
  readonly margin?: number;
  readonly tokens: number;
  readonly base?: string;
}

interface Mixed {
  readonly experts: readonly string[];
  readonly margin: number;
  readonly domains: readonly (DomainOutcome & { readonly base?: number })[];
}

/** A new mixture may lose this share against each specialist; one that is extended, against itself. */
const MARGIN = { mix: 0.03, extend: 0.01 };
const WINDOW = 256;

export const mixVerb: Verb = (moe, context) => {
  const command = addVerb(moe, {
    name: 'mix',
    summary: 'make one model of a base and specialists that differ in their feed-forward layers',
    notes:
      'Attention is shared, the feed-forward layers of each specialist (a model, or a LoRA adapter of the base) become an\n' +
      'expert, and the gates alone are made, from --text of each domain. BASE may be a mixture from before: then specialists\n' +
      'are added, and old gates stay. A fifth of each text is held out; when a domain (of a mixture that is\n' +
      'extended: an old one) gets worse than --margin allows, nothing is written.',
    examples: [
      'frugal moe mix runs/base runs/law runs/code --text law=law.jsonl code=code.txt --out runs/mixture',
      'frugal moe mix runs/mixture runs/medicine --text law=law.jsonl code=code.txt medicine=icd.txt --out runs/larger',
    ],
  })
    .argument('<BASE>', 'the dense model that specialists were made of, or a mixture to extend')
    .argument('<SPECIALISTS...>', '[NAME=]DIR: models or adapters; names are those of --text')
    .requiredOption('--text <[NAME=]FILE...>', DOMAIN_TEXT)
    .option('--active <K>', 'experts per token of a new mixture (default: 2)', integer(1))
    .option(
      '--margin <SHARE>',
      'how much worse a domain may get, in bits per byte (default: 0.03 against specialists, 0.01 for old domains)',
      number(0),
    )
    .option('--tokens <N>', 'tokens of each domain', integer(64), 8192)
    .option('--base <MODEL>', 'for adapters on a mixture: the dense base (default: as the mixture says)');
  addBackendOptions(addWriteOptions(command, 'the model')).action(
    async (base: string, specialists: readonly string[], options: Options) => {
      const result = await mix(base, specialists, options, context);
      if (options.json) return printJson(context, { out: options.out, ...result });
      print(result, options, context);
    },
  );
};

async function mix(
  source: string,
  inputs: readonly string[],
  options: Options,
  context: Context,
): Promise<Mixed> {
  const { out, force, dryRun, text, tokens } = options;
  await refuseExisting(out, force);
  const path = await modelPath(source, context);
  useBackend(options, context);
  const { model: base, tokenizer } = await openSpeaker(path, context);
  const old = isMixture(base) ? await mixtureRecord(path) : null;
  const densePath = await modelPath(options.base ?? old?.base ?? source, context);
  const added = inputs.map(namedPath);
  const experts = requireNames([...(old?.experts ?? []), ...added.map(({ name }) => name)]);
  const length = Math.min(WINDOW, base.contextLength);
  const domains = matchDomains(experts, await readDomains(text)).map((domain) =>
    splitDomain(domain, tokenizer, { length, tokens }),
  );
  const specialists: CausalLM[] = [];
  for (const each of added) specialists.push(await openSpecialist(each.path, densePath, tokenizer));
  const named = specialists.map((model, i) => ({ name: added[i].name, model }));
  let mixture = old ? base : await mixModels(base, named, options.active);
  if (old) for (const each of named) mixture = await extendMixture(mixture, each);
  const margin = options.margin ?? (old ? MARGIN.extend : MARGIN.mix);
  if (dryRun) return { experts, margin, domains: [] };
  /** Who knew each domain best until now. */
  const teachers = experts.map((_, i) => specialists[i - (old?.experts.length ?? 0)] ?? base);
  fitGates(mixture, gateTexts(domains, teachers), old?.experts.length ?? 0);
  const judge = { tokenizer, length, context };
  const outcomes = await compareDomains(domains, { teachers, mixture, base: old ? null : base }, judge);
  // What a new domain gets is reported; what worked before is what must not break.
  refuseRegressions(old ? outcomes.slice(0, old.experts.length) : outcomes, { old, margin, out });
  await saveModel(mixture, out, {
    ...(await withCheckpoint(path, sourceFiles)),
    force: force ?? false,
    manifest: {
      version: 1,
      createdBy: `frugal ${version}`,
      kind: 'mix',
      sources: [{ role: 'base', name: source }, ...inputs.map((name) => ({ role: 'specialist', name }))],
      data: text.map((name) => ({ role: 'gate', name })),
      mix: { base: old?.base ?? source, experts } satisfies MixtureRecord,
      domains: outcomes,
    },
  });
  return { experts, margin, domains: outcomes };
}

/** Every domain before and after; for a new mixture also what the base makes of it. */
async function compareDomains(
  domains: readonly SplitDomain[],
  models: {
    readonly teachers: readonly CausalLM[];
    readonly mixture: CausalLM;
    readonly base: CausalLM | null;
  },
  {
    tokenizer,
    length,
    context,
  }: { readonly tokenizer: Tokenizer; readonly length: number; readonly context: Context },
): Promise<Mixed['domains']> {
  const outcomes: Mixed['domains'][number][] = [];
  for (const [i, domain] of domains.entries()) {
    context.signal.throwIfAborted();
    const score = (model: CausalLM) => bitsPerByte(model, tokenizer, domain, length);
    outcomes.push({
      name: domain.name,
      ...(models.base && { base: await score(models.base) }),
      before: await score(models.teachers[i]),
      after: await score(models.mixture),
    });
  }
  return outcomes;
}

/** @throws CommandError naming the domains that got worse by more than the margin */
function refuseRegressions(
  outcomes: readonly DomainOutcome[],
  { old, margin, out }: { readonly old: MixtureRecord | null; readonly margin: number; readonly out: string },
): void {
  const worse = regressions(outcomes, margin);
  if (worse.length === 0) return;
  throw new CommandError({
    where: out,
    what: `the mixture is worse than ${old ? 'what it extends' : 'its specialists'}, so nothing was written`,
    got: worse
      .map(
        ({ name, before, after }) =>
          `${name} ${before.toFixed(4)} → ${after.toFixed(4)} bits per byte (${formatChange(before, after)})`,
      )
      .join(', '),
    expected: `at most +${100 * margin} %`,
    hint: 'Give more text of these domains (--tokens), or allow more with --margin.',
  });
}

async function mixtureRecord(path: string): Promise<MixtureRecord> {
  const record = await withCheckpoint(
    path,
    async ({ manifest }) => manifest?.mix as MixtureRecord | undefined,
  );
  if (record) return record;
  throw new CommandError({
    where: path,
    what: 'the model has experts, but was not made by frugal moe mix',
    hint: 'Name the dense model that the specialists were made of.',
  });
}

function requireNames(names: readonly string[]): readonly string[] {
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice === undefined) return names;
  throw new CommandError({
    where: 'SPECIALISTS',
    what: 'two experts have one name',
    got: twice,
    hint: 'Name them: NAME=DIR.',
  });
}

/** The domain of each expert, in their order. @throws CommandError when names do not match */
function matchDomains<D extends { readonly name: string }>(
  experts: readonly string[],
  domains: readonly D[],
): D[] {
  const byName = new Map(domains.map((domain) => [domain.name, domain]));
  const missing = experts.filter((name) => !byName.has(name));
  const surplus = [...byName.keys()].filter((name) => !experts.includes(name));
  if (missing.length > 0 || surplus.length > 0)
    throw new CommandError({
      where: '--text',
      what: 'every expert needs text of its domain, old ones too: their quality is checked',
      got: [...byName.keys()].join(', '),
      expected: experts.join(', '),
      hint: 'Name them: --text NAME=FILE.',
    });
  return experts.map((name) => byName.get(name) as D);
}

function print({ experts, domains }: Mixed, { out, dryRun }: Options, { terminal }: Context): void {
  if (dryRun) {
    terminal.out(`Would write ${out}: ${experts.length} experts, ${experts.join(', ')}\n`);
    return;
  }
  const bits = { decimals: 4 };
  const columns = [
    { title: 'domain' },
    { title: 'base', ...bits },
    { title: 'before', ...bits },
    { title: 'after', ...bits },
    { title: 'change' },
  ];
  const rows = domains.map(({ name, base, before, after }) => [
    name,
    base ?? null,
    before,
    after,
    formatChange(before, after),
  ]);
  terminal.out(
    `${renderTable(columns, rows)}\n\nHeld-out bits per byte; before: the specialist, or the mixture that was extended.\n`,
  );
  terminal.out(`${out}: ${experts.length} experts\n`);
}
