/** The parts that a measure is put together from, by name. */
import { drain } from './drain.js';
import { enqueue } from './enqueue.js';
import { fill, schedule } from './fill.js';
import { roundTrip } from './round-trip.js';
import { idle, serve } from './serve.js';

/** @type {Readonly<Record<string, import('../types.d.ts').Part>>} */
export const PARTS = { drain, enqueue, fill, idle, roundTrip, schedule, serve };
