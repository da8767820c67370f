/** What a caller knows of the job that it has queued a moment ago. */
import type { NewJob } from './new-job.ts';
import type { Fields } from './record.ts';

/** A new job's fields as far as the caller knows them; the times are this process' until `refresh()`. */
export class LocalFields implements Fields {
  readonly #origin: string;
  readonly #job: NewJob;
  readonly #status: string;
  readonly #made = Date.now();

  constructor(origin: string, job: NewJob, status: string = 'queued') {
    this.#status = status;
    this.#origin = origin;
    this.#job = job;
  }

  get(name: string): string | undefined {
    switch (name) {
      case 'status':
        return this.#status;
      case 'origin':
        return this.#origin;
      case 'created_at':
      case 'enqueued_at':
        return new Date(this.#made).toISOString();
      case 'data':
        return this.#job.data;
      case 'description':
        return this.#job.description;
      default: {
        const { settings } = this.#job;
        for (let i = 0; i < settings.length; i += 2) if (settings[i] === name) return settings[i + 1];
        return undefined;
      }
    }
  }
}
