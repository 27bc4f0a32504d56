import { describeConformance } from '@frugal/tensor-core/conformance';
import { describe, expect, it } from 'vitest';
import { needsTensorFlow, openBackend } from './tensorflow.js';

needsTensorFlow();

describeConformance(openBackend, { describe, it, expect }, { modes: ['decomposed'], name: 'cuda' });
