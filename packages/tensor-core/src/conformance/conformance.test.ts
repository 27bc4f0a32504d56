import { describe, expect, it } from 'vitest';
import { referenceBackend } from '../index.js';
import { describeConformance } from './index.js';

describeConformance(referenceBackend(), { describe, it, expect });
