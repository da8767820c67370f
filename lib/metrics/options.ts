/** Where a worker's metrics are served: checked, and with its defaults. */
import { checkOptions, quote } from '../options.ts';

export interface MetricsOptions {
  /** 0 takes one that is free: the event `serving` says which. */
  readonly port: number;
  /** The address that is listened on; 127.0.0.1 by default. */
  readonly host?: string;
}

/** @throws {TypeError | RangeError} that quotes what came and says what is accepted. */
export function checkMetrics(given: MetricsOptions): Required<MetricsOptions> {
  const { port, host = '127.0.0.1' } = checkOptions(given, ['port', 'host'], 'metrics');
  if (typeof port !== 'number')
    throw new TypeError(`metrics.port must be a whole number, not ${quote(port)}`);
  if (!Number.isSafeInteger(port) || port < 0 || port > 65_535)
    throw new RangeError(`metrics.port must be a whole number from 0 to 65535, not ${quote(port)}`);
  if (typeof host !== 'string' || host === '')
    throw new TypeError(`metrics.host must be an address, such as '0.0.0.0', not ${quote(host)}`);
  return { port, host };
}
