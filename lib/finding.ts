/** What `rq doctor` says: one line each, with how bad it is and what to do. */

/** `note` is worth knowing and nothing to mend. */
export type Severity = 'ok' | 'note' | 'warning' | 'error';

export interface Finding {
  readonly severity: Severity;
  /** What was looked at, in a word: `version`, `memory`, `persistence`, … */
  readonly about: string;
  readonly what: string;
  /** What to do about it; '' where it is fine. */
  readonly fix: string;
}

export const finding = (severity: Severity, about: string, what: string, fix: string = ''): Finding => ({
  severity,
  about,
  what,
  fix,
});
