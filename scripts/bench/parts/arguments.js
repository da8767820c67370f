/** The arguments of the jobs. */

/** The next `count` arguments from the `first` on: small numbers, or texts where `payload` gives their length. */
export function argumentsFrom(/** @type {number} */ first, /** @type {number} */ count, payload = 0) {
  return Array.from({ length: count }, (_, i) => (payload === 0 ? first + i + 1 : 'x'.repeat(payload)));
}
