/** What a job waits for besides the jobs among its arguments: the option `dependsOn`. */
import { checkFlag, checkJobId, checkOptions, quote } from './options.ts';
import { isReference, type Reference, type References } from './reference.ts';

/** Jobs, groups of jobs, or ids: one or several. */
export type Dependencies = Reference | string | readonly (Reference | string)[];

/** Jobs that have to finish before this one is queued; or with what is special about them, as in RQ's `Dependency`. */
export type DependsOn =
  | Dependencies
  | {
      /** At least one. May be left out where there are jobs among the arguments, for which the rest holds as well. */
      readonly jobs?: Dependencies;
      /**
       * Whether a job that failed counts as finished; as an argument it is `null` then. Not one that was stopped or canceled.
       * Default: false.
       */
      readonly allowFailure?: boolean;
      /** Whether it goes to the front of its queue once nothing is left to wait for. Default: false. */
      readonly atFront?: boolean;
    };

export interface DependencyPlan {
  readonly ids: readonly string[];
  readonly allowFailure: boolean;
  readonly atFront: boolean;
}

const ACCEPTED = 'a job, a group, an id, a list of them, or { jobs, allowFailure, atFront }';

/** @throws {TypeError} that quotes what came. */
export function dependencyPlan(given: unknown, references: References): DependencyPlan {
  const bare = typeof given === 'string' || Array.isArray(given) || isReference(given);
  if (!bare && (typeof given !== 'object' || given === null || !isPlain(given)))
    throw new TypeError(`dependsOn must be ${ACCEPTED}, not ${quote(given)}`);
  const { jobs, allowFailure, atFront } = bare
    ? { jobs: given, allowFailure: false, atFront: false }
    : checkOptions(
        given as { readonly jobs?: unknown; readonly allowFailure?: boolean; readonly atFront?: boolean },
        ['jobs', 'allowFailure', 'atFront'],
        'dependsOn',
      );
  const ids = new Set<string>();
  const list: readonly unknown[] = jobs === undefined ? [] : Array.isArray(jobs) ? jobs : [jobs];
  if (jobs !== undefined && list.length === 0) throw new TypeError('dependsOn must name at least one job');
  list.forEach((job, i) => {
    const path = list === jobs ? `dependsOn[${i}]` : 'dependsOn';
    if (typeof job === 'string') ids.add(checkJobId(job));
    else if (isReference(job)) {
      const flaw = references.check(job);
      if (flaw !== undefined) throw new TypeError(`${path} ${flaw}`);
      for (const id of job.standsFor.ids) ids.add(id);
    } else throw new TypeError(`${path} must be ${ACCEPTED}, not ${quote(job)}`);
  });
  return {
    ids: [...ids],
    allowFailure: allowFailure !== undefined && checkFlag(allowFailure, 'dependsOn.allowFailure'),
    atFront: atFront !== undefined && checkFlag(atFront, 'dependsOn.atFront'),
  };
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
