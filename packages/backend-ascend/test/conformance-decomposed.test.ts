import { describeConformance } from '@frugal/tensor-core/conformance';
import { describe, expect, it } from 'vitest';
import { expectNoViolations, isPacked, needsStub, openBackend } from './ascend.js';

needsStub();
expectNoViolations();

describeConformance(
  openBackend,
  { describe, it, expect },
  { modes: ['decomposed'], filter: ({ op }) => !isPacked(op), name: 'ascend' },
);
