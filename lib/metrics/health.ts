/** Whether a worker is alive, and whether it takes jobs: as those ask who start, stop and route to processes. */

/** What is known of a worker. */
export interface WorkerHealth {
  /** Whether the connection that jobs come over can be used. */
  readonly connected: boolean;
  /** Whether Redis has taken a heartbeat of late. */
  readonly registered: boolean;
  /** Seconds since the last one, or since the start where there was none. */
  readonly sinceHeartbeat: number;
  /** How many seconds that may be. */
  readonly patience: number;
  /** Whether it takes jobs: its first steps are done. */
  readonly started: boolean;
  readonly stopping: boolean;
}

/** What is wrong; `undefined` where all is well. That it is asked at all says that the event loop runs. */
export function unhealthy({ sinceHeartbeat, patience }: WorkerHealth): string | undefined {
  if (sinceHeartbeat < patience) return undefined;
  return `no heartbeat for ${Math.floor(sinceHeartbeat)} s`;
}

/** Why it takes no jobs; `undefined` where it does. */
export function unready(health: WorkerHealth): string | undefined {
  if (health.stopping) return 'stopping';
  if (!health.connected) return 'not connected to Redis';
  if (!health.registered) return 'not registered';
  return health.started ? undefined : 'starting';
}
