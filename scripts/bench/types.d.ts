/** The shapes that the files of the benchmark hand to each other. */

/** A library that is measured: the same few steps, each as its documentation says. */
export interface Subject {
  producer(port: number, queue: string): Promise<Producer>;
  /** Starts to take jobs; `finished` is called once for each job that ended well and whose result is stored. */
  startWorker(port: number, options: WorkerRequest, finished: () => void): Promise<{ stop(): Promise<void> }>;
}

export interface Producer {
  enqueue(argument: Argument): Promise<unknown>;
  enqueueMany(all: readonly Argument[]): Promise<unknown>;
  /** Puts jobs aside for a time far ahead. */
  schedule(all: readonly Argument[]): Promise<unknown>;
  /** Gets ready for `call`. */
  listen(): Promise<void>;
  /** Enqueues and waits for the result. */
  call(argument: Argument): Promise<unknown>;
  counts(): Promise<Counts>;
  close(): Promise<void>;
}

export type Argument = number | string;

export interface Counts {
  readonly queued: number;
  readonly finished: number;
}

export interface WorkerRequest {
  readonly queues: readonly string[];
  readonly concurrency: number;
  readonly task: Task;
}

/** `noop` gives its argument back; `io` does so after a timer of 1 ms. */
export type Task = 'noop' | 'io';

/** What a measuring process is told. */
export interface Order {
  readonly subject: string;
  readonly part: string;
  readonly port: number;
  readonly queues: readonly string[];
  /** Jobs before the clock starts, and jobs on the clock. */
  readonly warm: number;
  readonly jobs: number;
  readonly concurrency: number;
  readonly task: Task;
  readonly mode: 'one' | 'flight' | 'bulk';
  /** Length of a text as argument; 0 for a small number. */
  readonly payload: number;
  /** Several processes share the jobs: each ends when no more come, and says when it finished which. */
  readonly shared: boolean;
  /** Minutes after which the process is taken to hang. */
  readonly limit: number;
  /** Workers that a process of idle ones starts. */
  readonly workers: number;
}

/** What a measuring process does; gives the figures it found. */
export type Part = (subject: Subject, order: Order, line: Line) => Promise<object>;

/** The line from a measuring process to the one that started it. */
export interface Line {
  ready(): void;
  readonly toldToEnd: Promise<unknown>;
}

/** What a measuring process says: figures by name. */
export type Figures = Readonly<Record<string, number>>;

/** One subject in one measure in one round. */
export interface Cell {
  readonly subject: string;
  readonly measure: Measure;
  readonly order: Order;
  readonly redis: RedisServer;
  readonly quick: boolean;
  readonly aof: boolean;
}

export interface RedisServer {
  readonly port: number;
  /** Bytes in use, once only this client is connected. */
  restingBytes(): Promise<number>;
  stop(): Promise<void>;
}

export interface Measure {
  readonly name: string;
  readonly kind: Kind;
  readonly subjects: readonly string[];
  /** Jobs before the clock starts, and jobs on the clock. */
  readonly size: readonly [warm: number, jobs: number];
  readonly quick: readonly [warm: number, jobs: number];
  /** For subjects that are a hundred times slower. */
  readonly slow?: readonly [warm: number, jobs: number];
  readonly order?: Partial<Order>;
  /** What stands in Redis, or is connected, before. */
  readonly before?: Before;
  /** Most rounds of it; some take minutes. */
  readonly rounds?: number;
  readonly figures: readonly FigureKind[];
}

export type Kind = 'enqueue' | 'run' | 'roundTrip' | 'bytes' | 'four' | 'growth';

export interface Before {
  readonly queued?: number;
  readonly scheduled?: number;
  readonly idle?: number;
}

export interface FigureKind {
  /** The name under which the measuring process reports it. */
  readonly key: string;
  readonly label: string;
  readonly unit: string;
  readonly better: 'more' | 'less';
  /** The plain figure of the same subject that this one is a part of: `<measure>.<key>`. */
  readonly plain?: string;
}

/** One figure of one subject over all rounds. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly rounds: readonly { readonly value: number; readonly round: number }[];
}

/** One line of the table. */
export interface Row extends FigureKind {
  /** `<measure>.<key>` */
  readonly id: string;
  readonly subjects: Readonly<Record<string, Summary>>;
  /** rq-node over the better of the Node peers: above 1 rq-node is better, whatever the unit. */
  readonly ratio?: Summary & { readonly over: string };
  /** rq-node's part of the bare limit. */
  readonly ofLimit?: Summary;
  /** Each subject's figure over its own plain one. */
  readonly ofPlain?: Readonly<Record<string, Summary>>;
}

export interface Report {
  readonly date: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly rows: readonly Row[];
  /** Measure and subject of what could not be measured. */
  readonly failures: readonly string[];
  /** Every figure as it was reported. */
  readonly raw: readonly {
    readonly measure: string;
    readonly subject: string;
    readonly round: number;
    readonly figures: Figures;
  }[];
}

export interface Options {
  readonly aof: boolean;
  readonly rounds: number;
  readonly only: RegExp | undefined;
  readonly subjects: readonly string[];
  readonly quick: boolean;
  readonly json: string | undefined;
  readonly writeDocs: boolean;
  readonly guard: boolean;
  readonly list: boolean;
}
