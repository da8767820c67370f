/** A stand-in for what a hook makes later, so that a spec file can name it as a constant. */

/** Has the members of what `made` gives, at each use; throws where that is not there yet. */
export function late<T extends object>(made: () => T | undefined): T {
  const real = (): T => {
    const value = made();
    if (value === undefined) throw new Error('This is made before the tests, and was used earlier');
    return value;
  };
  return new Proxy({} as T, {
    get(_, name) {
      const value: unknown = Reflect.get(real(), name);
      // private fields are found on the real one alone
      return typeof value === 'function' ? (value.bind(real()) as unknown) : value;
    },
    set: (_, name, value) => Reflect.set(real(), name, value),
    has: (_, name) => Reflect.has(real(), name),
    getPrototypeOf: () => Reflect.getPrototypeOf(real()),
  });
}
