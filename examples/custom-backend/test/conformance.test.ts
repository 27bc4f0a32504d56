import { describeConformance } from '@frugal/tensor-core/conformance';
import { describe, expect, it } from 'vitest';
import { openWasmBackend } from '../src/backend.js';

// Without fused kernels there is nothing to decompose that is not decomposed anyway; the example runs `gradients`.
const modes = ['contract', 'values'] as const;
describeConformance(() => openWasmBackend(), { describe, it, expect }, { modes, name: 'wasm' });
