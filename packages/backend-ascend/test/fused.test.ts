import { describeFused } from './describe-fused.js';

// CANN 8.1 has no V5 of any op.
describeFused((versions) => versions.find((name) => !name.endsWith('V5')) ?? null);
