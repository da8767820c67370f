/** Ends a measuring process loudly: an error thrown in a listener may be caught by the library that called it. */

/** @returns {never} */
export function fail(/** @type {unknown} */ error) {
  console.error(error);
  process.exit(1);
}
