#!/usr/bin/env node
/**
 * Brings the table of examples/predictive-maintenance into .cache/data: 6,006 rows of Scania's air-pressure failures (UCI),
 * which the Python package scania-truck-air-presure-fault-detector contains (2.9 MB, BSD-3). Its pickles are not opened.
 * Prints the path; ends with 1 and the reason when it cannot be had.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchWheelFile } from './wheel-file.mjs';

const target = join(fileURLToPath(new URL('..', import.meta.url)), '.cache/data/scania.csv');

try {
  fetchWheelFile({
    wheel: 'scania-truck-air-presure-fault-detector==0.1.0',
    member: 'scania_truck_air_presure_fault_detector/train_data/data.csv',
    sha256: '3feece2054b35caf755b2f1853b5f9d6336c69015e3c530271a7c55da24c9d5c',
    target,
  });
  console.log(target);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
