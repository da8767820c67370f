/** The callbacks that a worker has under way: they take no slot, and a worker that ends waits for them. */
import { callbackOf, type CallbackRun } from '../callback-run.ts';
import type { FunctionTable } from '../functions.ts';
import type { Settled } from './exchange.ts';

/** `failed` is told of each that threw, took too long, or is not registered. */
export type CallbackFailed = (run: Settled, callback: CallbackRun, error: unknown) => void;

export class Callbacks {
  readonly #functions: FunctionTable;
  readonly #failed: CallbackFailed;
  readonly #running: Map<CallbackRun, Promise<void>> = new Map();
  #left = false;

  constructor(functions: FunctionTable, failed: CallbackFailed) {
    this.#functions = functions;
    this.#failed = failed;
  }

  /** Redis has accepted the outcome of a run. */
  ended(run: Settled): void {
    const callback = callbackOf(run, run.ended);
    if (callback === undefined) return;
    if (this.#left) callback.leave();
    const called = callback
      .call(this.#functions)
      .catch((error: unknown) => this.#failed(run, callback, error))
      .finally(() => this.#running.delete(callback));
    this.#running.set(callback, called);
  }

  /** Waits for none of them any longer, those that are still to come included. */
  leave(): void {
    this.#left = true;
    for (const callback of this.#running.keys()) callback.leave();
  }

  /** Resolves when none is under way. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values());
  }
}
