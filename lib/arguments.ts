/** The types of calls: what a function's arguments may be given as, and what its job gives. */
import type { CronOptions } from './cron.ts';
import type { EnqueueOptions } from './enqueue-options.ts';
import type { TaskFunction } from './functions.ts';
import type { Group } from './group.ts';
import type { Job } from './job.ts';

/** What a job's handle gives for what its function gives: nothing becomes `null`, as in JSON. */
export type ResultOf<F extends TaskFunction> = Nullish<Awaited<ReturnType<F>>>;
type Nullish<T> = T extends undefined | void ? null : T;

/** An argument: itself, or a job that will give it, be it within an array or an object; a group of jobs gives an array. */
export type Arg<T> = T | Job<T> | (unknown extends T ? never : Inside<T>);
type Inside<T> = T extends (...args: never[]) => unknown
  ? never
  : T extends readonly unknown[]
    ? Group<T> | { readonly [I in keyof T]: Arg<T[I]> }
    : T extends object
      ? { readonly [Name in keyof T]: Arg<T[Name]> }
      : never;
/** A function's arguments. */
export type Args<A extends readonly unknown[]> = { readonly [I in keyof A]: Arg<A[I]> };

/** The arguments of a function, all but the last where that is given as `kwargs`. */
type AllButLast<A extends readonly unknown[]> = A extends [...infer Rest, unknown] ? Rest : never;
type WithKwargs<O> = O & { readonly kwargs: Readonly<Record<string, unknown>> };

/** What follows a function in a call of `enqueue`. */
export type EnqueueRest<F> = F extends TaskFunction
  ? RestOf<Parameters<F>, EnqueueOptions<ResultOf<F>>>
  : [args?: readonly unknown[], options?: EnqueueOptions];
type RestOf<A extends unknown[], O> = [] extends A
  ? [args?: Args<A>, options?: O] | [args: Args<AllButLast<A>>, options: WithKwargs<O>]
  : [args: Args<A>, options?: O] | [args: Args<AllButLast<A>>, options: WithKwargs<O>];
/** What follows a pattern and a function in a call of `cron`. */
export type CronRest<F extends TaskFunction> = RestOf<Parameters<F>, CronOptions<ResultOf<F>>>;

/** A call of `enqueueMany` or `group`: a function or its name, its arguments, its options. */
export type EnqueueCall<F> = readonly [fn: F, ...rest: EnqueueRest<F>];

/** The job of a function, or of a function's name. */
export type JobOf<F> = Job<F extends TaskFunction ? ResultOf<F> : unknown>;

/** What the jobs of several functions give. */
export type ResultsOf<F extends readonly unknown[]> = {
  -readonly [I in keyof F]: F[I] extends TaskFunction ? ResultOf<F[I]> : unknown;
};

/** A step of a chain: a function or its name, its arguments after the first, its options. */
export type ChainStep = readonly [
  fn: TaskFunction | string,
  args?: readonly unknown[],
  options?: EnqueueOptions,
];

/** The place before a place: so far chains are typed. */
interface Before {
  readonly '1': '0';
  readonly '2': '1';
  readonly '3': '2';
  readonly '4': '3';
  readonly '5': '4';
  readonly '6': '5';
  readonly '7': '6';
}
type AfterFirst<A extends readonly unknown[]> = A extends [unknown?, ...infer Rest] ? Rest : never;
type ResultOfStep<S> = S extends readonly [infer F extends TaskFunction, ...unknown[]]
  ? ResultOf<F>
  : unknown;
/** What a step has to look like after one that gives `R`. */
type StepAfter<S, R> = S extends readonly [infer F extends TaskFunction, ...unknown[]]
  ? unknown extends R
    ? readonly [fn: F, ...rest: RestOf<AfterFirst<Parameters<F>>, EnqueueOptions<ResultOf<F>>>]
    : Parameters<F> extends readonly [] // what it is given then, it does not see
      ? readonly [fn: F, ...rest: RestOf<[], EnqueueOptions<ResultOf<F>>>]
      : [R] extends [Parameters<F>[0]]
        ? readonly [fn: F, ...rest: RestOf<AfterFirst<Parameters<F>>, EnqueueOptions<ResultOf<F>>>]
        : readonly [fn: (previous: R, ...rest: never[]) => unknown]
  : ChainStep;

type At<S, I> = I extends keyof S ? S[I] : never;

/** Checks the steps of a chain: each takes the result of the one before as its first argument. */
export type Chain<S extends readonly ChainStep[]> = {
  readonly [I in keyof S]: I extends keyof Before
    ? StepAfter<S[I], ResultOfStep<At<S, Before[I]>>>
    : I extends '0'
      ? S[I] extends readonly [infer F extends TaskFunction, ...unknown[]]
        ? EnqueueCall<F>
        : ChainStep
      : ChainStep;
};

/** The last job of a chain. */
export type ChainJob<S extends readonly ChainStep[]> = S extends readonly [...unknown[], infer Last]
  ? Job<ResultOfStep<Last>>
  : Job;
