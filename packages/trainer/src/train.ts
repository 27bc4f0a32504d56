import { setImmediate } from 'node:timers/promises';
import { BackendError } from '@frugal/tensor-core';
import type { TrainBatch } from '@frugal/tensor-core/nn';
import { CheckpointStore } from './checkpoints.js';
import { checkOptions, trainableParameters } from './checks.js';
import { createCrew } from './distributed/create-crew.js';
import type { Crew } from './distributed/crew.js';
import {
  DeviceFailureError,
  FinishedStepError,
  NonFiniteLossError,
  StoppedByOthersError,
  UnchangedStepError,
} from './errors.js';
import { Meter } from './meter.js';
import type {
  BestEvent,
  CheckpointEvent,
  EvaluationEvent,
  StepEvent,
  TrainEvent,
  TrainOptions,
} from './options.js';
import { usePrecision } from './precision.js';
import { useRecompute } from './recompute.js';
import { Run } from './run.js';
import { RunLog } from './run-log.js';
import type { LaunchedStep } from './train-step.js';

/**
 * The training loop: everything that changes weights goes through it. Losses, optimizers and schedules are values;
 * what happens comes out as events, and whoever reads them may stop reading (`break`) at any time.
 *
 * A step is enqueued and its loss read while the next one runs, so that a device never waits. A run that was killed
 * and is started again with `checkpoint.resume` ends with the same bits as one that was not.
 *
 * @throws NonFiniteLossError when a loss or gradient is NaN or infinite (f16 first tries a smaller loss scale),
 *   DeviceFailureError when the device runs out of memory or is lost (a step that changed nothing is taken back and what came
 *   before it saved; one whose update ran out of memory halfway is finished piece by piece and saved), TrainerError when options or a checkpoint do not fit, the signal's reason when it was aborted
 */
export async function* train<B = TrainBatch>(
  options: TrainOptions<B>,
): AsyncGenerator<TrainEvent, void, undefined> {
  const { steps, schedule, evaluate, signal } = options;
  checkOptions(options);
  const parameters = trainableParameters(options.model);
  const run = new Run(options);
  const store = options.checkpoint && new CheckpointStore(options.checkpoint, options);
  const wishes = () => ({ stop: signal?.aborted ?? false, save: store?.isDue(run.step) ?? false });
  const crew = createCrew(options, parameters, wishes);
  const resumed = await crew.restore(store ?? null);
  if (resumed) run.restore(resumed.state);
  const hasLog = options.log !== undefined && crew.isMain;
  const log = hasLog ? new RunLog(options.log, run.step, options.page) : null;
  const meter = new Meter(run);
  const leavePrecision = usePrecision(options.model, options.precision);
  const leaveRecompute = useRecompute(options.model, options.recompute);
  const inFlight: LaunchedStep[] = [];

  /** Waits for the oldest step in flight and tells how it went. */
  const settle = async (): Promise<StepEvent> => {
    const { step, learningRate, tokens, checks, values } = inFlight[0];
    const [loss, gradientNorm, finite, ...passed] = await values;
    inFlight.shift()?.outcome.dispose();
    const skipped = finite === 0;
    if (skipped) run.updates--;
    const facts = { step, loss, gradientNorm, learningRate };
    if (!run.lossScale.adjust(!skipped)) {
      const culprit = checks[passed.indexOf(0)] ?? null;
      throw new NonFiniteLossError({ ...facts, culprit, checkpoint: store?.latestPath ?? null });
    }
    const reading = meter.observe(step, steps, loss, tokens);
    Object.assign(run, { tokens: reading.tokens, seconds: reading.seconds });
    const division = crew.division();
    const event: StepEvent = {
      type: 'step',
      ...facts,
      ...reading,
      steps,
      skipped,
      ...(division && { division }),
    };
    log?.write(event);
    return event;
  };

  const save = async (to: CheckpointStore): Promise<CheckpointEvent> => {
    const path = await crew.save(to, run.state());
    log?.draw();
    return { type: 'checkpoint', step: run.step, path };
  };

  /** What is thrown for an error: after one of the device, the state before the failed step is saved, if it can be. */
  const rescue = async (error: unknown): Promise<unknown> => {
    const isUnchanged = error instanceof UnchangedStepError;
    const isFinished = error instanceof FinishedStepError;
    const cause = isUnchanged || isFinished ? error.cause : error;
    if (!(cause instanceof BackendError)) return cause;
    const failed = inFlight[0]?.step ?? run.step;
    if (isFinished) inFlight.push(error.launched as LaunchedStep);
    let isCurrent = false;
    if ((isUnchanged || isFinished) && store && crew.overlaps) {
      try {
        while (inFlight.length > 0) await settle();
        if (isUnchanged) run.undo();
        if (store.isBehind(run.step)) await save(store);
        isCurrent = store.latestPath !== null;
      } catch {
        // The device does not give them: the checkpoint before counts.
      }
    }
    const step = !isCurrent ? failed : isFinished ? run.step : run.step + 1;
    const checkpoint = store?.latestPath ?? null;
    return new DeviceFailureError({
      step,
      checkpoint,
      isCurrent,
      isFinished: isFinished && isCurrent,
      cause,
    });
  };

  try {
    if (resumed) yield { type: 'resume', step: run.step, steps, path: resumed.path };
    while (run.step < steps && !run.best?.isExhausted && !crew.wishes().stop) {
      await setImmediate(); // lets signals, timers and servers of this process have their turn
      const learningRate = schedule(run.step);
      run.begin();
      const plan = { step: run.step, update: run.updates, learningRate, lossScale: run.lossScale.value };
      inFlight.push(await crew.launch({ ...plan, previous: inFlight.at(-1) ?? null }));

      const mustEvaluate = evaluate && (run.step % evaluate.every === 0 || run.step === steps);
      let mustSave = store ? crew.wishes().save : false;
      // The next loss scale of f16 depends on this step.
      const mayStayInFlight = mustEvaluate || mustSave || run.lossScale.isDynamic || !crew.overlaps ? 0 : 1;
      while (inFlight.length > mayStayInFlight) yield await settle();
      if (mustEvaluate) {
        const event = await crew.fromMain(() => evaluateNow(options, run.step));
        log?.write(event);
        yield event;
        if (run.best?.observe(run.step, event.metrics)) mustSave = true;
      }
      if (store && mustSave) yield await save(store);
    }
    while (inFlight.length > 0) yield await settle();
    if (store?.isBehind(run.step)) yield await save(store);
    signal?.throwIfAborted();
    if (crew.wishes().stop) throw new StoppedByOthersError();
    const best = await goBackToBest(run, store ?? null, crew, steps);
    if (best) yield best;
  } catch (error) {
    throw await rescue(error);
  } finally {
    for (const { outcome } of inFlight) outcome.dispose();
    log?.close();
    leaveRecompute();
    leavePrecision();
  }
}

/** With the averaged weights where they are asked for. */
async function evaluateNow<B>(
  { model, evaluate, average }: TrainOptions<B>,
  step: number,
): Promise<EvaluationEvent> {
  const averaged = evaluate?.averaged ? average?.use(model) : undefined;
  try {
    return { type: 'evaluation', step, metrics: (await evaluate?.run(step)) ?? {} };
  } finally {
    averaged?.[Symbol.dispose]();
  }
}

/** Gives the model the weights of the best evaluation. */
async function goBackToBest(
  { best, step: last }: Run,
  store: CheckpointStore | null,
  crew: Crew,
  steps: number,
): Promise<BestEvent | null> {
  const { step = null, value = null } = best?.state() ?? {};
  if (step === null || value === null || !store) return null;
  return { type: 'best', step, value, path: await crew.useWeights(store, step), stoppedEarly: last < steps };
}
