/** Medians and quantiles. */

/** The value that the part `q` of the values does not exceed, interpolated. */
export function quantile(/** @type {readonly number[]} */ values, /** @type {number} */ q) {
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * q;
  const [below, above] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  if (below === undefined || above === undefined) throw new RangeError('There is no quantile of no values');
  return below + (above - below) * (place - Math.floor(place));
}

/** @returns {import('./types.d.ts').Summary} */
export function summary(/** @type {import('./types.d.ts').Summary['rounds']} */ rounds) {
  const values = rounds.map(({ value }) => value);
  return { median: quantile(values, 0.5), min: Math.min(...values), max: Math.max(...values), rounds };
}
