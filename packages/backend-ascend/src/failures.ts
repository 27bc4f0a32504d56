import { BackendError, type ErrorDetails } from '@frugal/tensor-core';
import { AscendDeviceError, AscendMemoryError, AscendUnavailableError } from './errors.js';

interface Failure {
  readonly what: string;
  readonly hint: string;
  readonly kind: new (details: ErrorDetails) => BackendError;
}

/** What to do when the memory of the device is used up. */
export const lowerMemory =
  'Lower the tokens per step (and accumulate gradients), the length of the sequences or the size of the cache, or use a ' +
  'packed format for the weights. Another process may also hold memory: see npu-smi info.';
const restart =
  'Start the process again and resume from the last checkpoint; if it comes back, see npu-smi info and the logs in ~/ascend/log.';
const driver = 'Is the driver loaded? See npu-smi info; ASCEND_RT_VISIBLE_DEVICES may hide the device.';

const known = new Map<number, Failure>([
  [
    100039,
    {
      what: 'these libraries are stubs for compiling only',
      hint: 'Take lib64, not devlib or lib64/stub.',
      kind: AscendUnavailableError,
    },
  ],
  [107001, { what: 'there is no device of this number', hint: driver, kind: AscendUnavailableError }],
  [207004, { what: 'there is no device', hint: driver, kind: AscendUnavailableError }],
  [
    148049,
    {
      what: 'the ops package is not found',
      hint: 'Run `source set_env.sh` of CANN before Node starts.',
      kind: AscendUnavailableError,
    },
  ],
  [
    561107,
    {
      what: 'the ops package is not found',
      hint: 'Run `source set_env.sh` of CANN before Node starts.',
      kind: AscendUnavailableError,
    },
  ],
  [
    561112,
    {
      what: 'the kernels for this NPU are not installed',
      hint: 'Install the kernels package of your CANN for this NPU.',
      kind: AscendUnavailableError,
    },
  ],
  ...[207001, 207018].map(
    (code) =>
      [
        code,
        { what: 'the memory of the device is used up', hint: lowerMemory, kind: AscendMemoryError },
      ] as const,
  ),
]);

/** 5070xx: the device or a kernel failed, told when somebody waits. */
const isDeviceFailure = (code: number) => Math.floor(code / 1000) === 507;

/** What a status of CANN means. `said` is what aclGetRecentErrMsg gave. */
export function explainFailure(where: string, code: number, said: string, got: string): BackendError {
  const details = {
    where: `ascend backend, ${where}`,
    got: `${got ? `${got}; ` : ''}status ${code}${said ? `: ${said}` : ''}`,
  };
  const failure = known.get(code);
  if (failure) return new failure.kind({ ...details, what: failure.what, hint: failure.hint });
  if (isDeviceFailure(code))
    return new AscendDeviceError({
      ...details,
      what: 'the device failed in work that was enqueued before',
      hint: restart,
    });
  return new BackendError({ ...details, what: 'CANN refused it' });
}
