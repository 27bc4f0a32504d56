import { formatBytes, formatChange } from '@frugal/report';
import { addBackendOptions, type BackendOptions, useBackend } from '../backend.js';
import { compressTo, namedRecipes, readRecipe } from '../compression.js';
import { printJson } from '../context.js';
import { refuseExisting } from '../files.js';
import { modelPath, openModel } from '../model.js';
import {
  addVerb,
  addWriteOptions,
  type JsonOption,
  MODEL_ARGUMENT,
  type Verb,
  type WriteOptions,
} from '../verb.js';
import { showPlan } from './compress.js';

interface Options extends BackendOptions, WriteOptions, JsonOption {
  readonly recipe: string;
}

export const quantizeVerb: Verb = (program, context) => {
  const names = Object.keys(namedRecipes).join(', ');
  const command = addVerb(program, {
    name: 'quantize',
    summary: 'store the weights of a model in fewer bits',
    examples: [
      'frugal quantize runs/student --out runs/student-int8',
      'frugal quantize runs/student --recipe int8.yaml --out runs/student-int8 --dry-run',
    ],
  })
    .argument(...MODEL_ARGUMENT)
    .option('--recipe <NAME|FILE>', `${names}, or a recipe in YAML or JSON`, 'int8');
  addBackendOptions(addWriteOptions(command, 'the model')).action(
    async (source: string, options: Options) => {
      const { out, force, json } = options;
      const recipe = await readRecipe(options.recipe);
      await refuseExisting(out, force);
      const path = await modelPath(source, context);
      if (options.dryRun) return showPlan(path, recipe, {}, options, context);
      useBackend(options, context);
      const model = await openModel(path, context);
      const manifest = () => ({ sources: [{ role: 'base', name: source }] });
      const report = await compressTo(out, model, recipe, { filesFrom: path, force, manifest }, context);
      if (json) return printJson(context, { out, ...report });
      const { bytesBefore, bytesAfter } = report;
      const change = `${formatBytes(bytesBefore)} → ${formatBytes(bytesAfter)} (${formatChange(bytesBefore, bytesAfter)})`;
      context.terminal.out(`${out}: ${change}\n`);
    },
  );
};
