import { describeConformance } from '@frugal/tensor-core/conformance';
import { describe, expect, it } from 'vitest';
import { expectNoViolations, needsStub, openBackend } from './ascend.js';

needsStub();
expectNoViolations();

describeConformance(openBackend, { describe, it, expect }, { modes: ['gradients'], name: 'ascend' });
