/** What a user's steps are: each needs no other, and rejects where it did not work. */
import type { Redis } from 'ioredis';

export interface Walk {
  readonly url: string;
  /** Another client, which may do everything. */
  readonly look: Redis;
  /** Milliseconds to wait for what must come soon. */
  readonly patience: number;
  /** Whether the steps that failed up to now say it all. */
  readonly enough?: () => Promise<boolean>;
}

/** Takes the steps one after the other, over connections as one user; gives the errors of those that failed. */
export type Steps = (walk: Walk) => Promise<unknown[]>;

export async function takeAll(
  { look, enough = () => Promise.resolve(false) }: Walk,
  steps: readonly (() => Promise<void>)[],
): Promise<unknown[]> {
  const errors: unknown[] = [];
  for (const step of steps) {
    await look.flushall();
    try {
      await step();
    } catch (error) {
      errors.push(error);
      if (await enough()) break;
    }
  }
  return errors;
}
