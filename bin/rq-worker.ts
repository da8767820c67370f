#!/usr/bin/env node
/** `rq-worker`: the same as `rq worker`. */
import { runProgram } from './cli.ts';
import { workerCommand } from './rq/worker.ts';

// a function that was left behind, or a module's open handles, must not keep a stopped worker alive
process.exit(await runProgram(workerCommand('rq-worker'), process.argv));
