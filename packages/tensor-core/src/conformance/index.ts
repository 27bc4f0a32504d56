export type { ConformanceCase, InputSpec, Layout, ValueRange } from './case.js';
export { conformanceCases } from './cases/index.js';
export { withoutFusedKernels } from './decomposed.js';
export { type DescribeOptions, describeConformance, type TestRunner } from './describe.js';
export {
  type CaseResult,
  type ConformanceMode,
  type ConformanceOptions,
  type ConformanceReport,
  type ConformanceTask,
  checkingModes,
  conformanceTasks,
  runConformance,
} from './run.js';
export { measureSpeed, type SpeedResult, speedCases } from './speed.js';
export { classOf, type Tolerance, type ToleranceClass, toleranceOf } from './tolerance.js';
