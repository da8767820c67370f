/** The crons whose tick has come: each tick is made one job, by whichever worker is first. */
import { nextTick } from '../cron-pattern.ts';
import type { DueCron, Ticked } from '../cron-store.ts';
import { readDefinition, tickId, type CronDefinition } from '../cron.ts';
import { CRON_PATIENCE } from '../defaults.ts';
import { plainJob, type NewJob } from '../new-job.ts';
import { messageOf, quote } from '../options.ts';

export interface CronHooks {
  /** Queues the job of a tick where one is given, unless another worker did something about that tick. */
  readonly tick: (queue: string, due: DueCron, next: string, job: NewJob | undefined) => Promise<Ticked>;
  readonly queued: (queue: string, name: string, jobId: string) => void;
  readonly warn: (text: string) => void;
  readonly failed: (queue: string, error: unknown) => void;
}

/** What is to be done about a tick. */
interface Plan {
  readonly next: string;
  readonly job: NewJob | undefined;
}

export class Crons {
  readonly #queues: readonly string[];
  readonly #hooks: CronHooks;
  /** Definitions that can't be read, and were told of: by queue and name. */
  readonly #unread: Map<string, string> = new Map();

  constructor(queues: readonly string[], hooks: CronHooks) {
    this.#queues = queues;
    this.#hooks = hooks;
  }

  /** Does what is due by Redis' clock; answers whether more may be due already. */
  async run(crons: readonly DueCron[], now: number, stopped: () => boolean): Promise<boolean> {
    let more = false;
    for (const due of crons) {
      if (stopped()) return false;
      const queue = this.#queues[due.place] ?? '';
      const plan = this.#plan(due, queue, now);
      if (plan === undefined) continue;
      try {
        const ticked = await this.#hooks.tick(queue, due, plan.next, plan.job);
        if (ticked !== 'taken') more = true;
        if (ticked === 'queued') this.#hooks.queued(queue, due.name, plan.job?.id ?? '');
      } catch (error) {
        // what one cron meets, such as a key of the wrong type, is no reason to leave the others
        this.#hooks.failed(queue, error);
      }
    }
    return more;
  }

  #plan({ name, tick, definition: text }: DueCron, queue: string, now: number): Plan | undefined {
    try {
      const definition = readDefinition(text);
      const at = Number(tick);
      const missed = now - at > CRON_PATIENCE;
      // of what was missed, one stands for all
      const next = nextTick(definition.pattern, definition.timezone, missed ? now : at);
      const job = missed && definition.missed === 'skip' ? undefined : jobOf(definition, queue, name, at);
      return { next: next === undefined ? '+inf' : String(next), job };
    } catch (error) {
      const key = `${queue} ${name}`;
      if (this.#unread.get(key) !== text) {
        this.#unread.set(key, text);
        const why = text === '' ? 'it has no definition' : messageOf(error);
        this.#hooks.warn(`Cron ${quote(name)} of queue ${queue} can't be read, and is left alone: ${why}`);
      }
      return undefined;
    }
  }
}

function jobOf(definition: CronDefinition, queue: string, name: string, tick: number): NewJob {
  const { data, description, settings, ttl, at_front: atFront } = definition;
  return { ...plainJob(tickId(queue, name, tick), data, description, settings), ttl, atFront };
}
