import { type Context, printJson } from '../context.js';
import { CommandError } from '../errors.js';
import { readKeyFileIfThere, writeKeyFile } from '../serving/key-file.js';
import { addVerb, integer, type JsonOption, type Verb } from '../verb.js';

interface Options extends JsonOption {
  readonly requestsPerMinute?: number;
  readonly concurrent?: number;
  readonly revoke?: true;
}

export const apiKeyVerb: Verb = (program, context) => {
  addVerb(program, {
    name: 'api-key',
    summary: 'make or revoke a key for frugal serve',
    notes:
      'The key is printed once, to standard output. FILE keeps its SHA-256 alone, and is made when it is not there. A\n' +
      'running server reads FILE again at SIGHUP.',
    examples: [
      'frugal api-key keys.json alice --requests-per-minute 60 --concurrent 4',
      'frugal api-key keys.json alice --revoke',
      'frugal serve model.gguf --api-keys keys.json',
    ],
  })
    .argument('<FILE>', 'where the keys of the server are')
    .argument('<NAME>', 'whose key it is, for logs and metrics')
    .option('--requests-per-minute <N>', 'how many this key may send', integer(1))
    .option('--concurrent <N>', 'how many of its requests may run at the same time', integer(1))
    .option('--revoke', 'take the key out')
    .action(async (file: string, name: string, options: Options) => {
      if (options.revoke) await revoke(file, name, context);
      else await add(file, name, options, context);
    });
};

async function add(file: string, name: string, options: Options, context: Context): Promise<void> {
  const { hashApiKey, newApiKey } = await import('@frugal/serve');
  const keys = await readKeyFileIfThere(file);
  if (keys.some((key) => key.name === name)) {
    const hint = 'Choose another name, or revoke that key first.';
    throw new CommandError({ where: file, what: 'there is a key of that name', got: name, hint });
  }
  const key = newApiKey();
  const limits = { requestsPerMinute: options.requestsPerMinute, concurrentRequests: options.concurrent };
  await writeKeyFile(file, [...keys, { name, sha256: hashApiKey(key), limits }]);
  if (options.json) printJson(context, { name, key });
  else context.terminal.out(`${key}\n`);
}

async function revoke(file: string, name: string, context: Context): Promise<void> {
  const keys = await readKeyFileIfThere(file);
  const kept = keys.filter((key) => key.name !== name);
  if (kept.length === keys.length) {
    const expected = keys.map((key) => key.name).join(', ') || 'none: the file has no keys';
    throw new CommandError({ where: file, what: 'there is no key of that name', got: name, expected });
  }
  await writeKeyFile(file, kept);
  context.terminal.err(
    `Revoked ${name}: its key opens nothing once the server has read the file (SIGHUP).\n`,
  );
}
