export const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

/** What makes a value unfit to be stored as JSON, and where. */
export class NotJson extends Error {
  readonly path: readonly PropertyKey[]
  constructor(problem: string, path: readonly PropertyKey[]) {
    super(problem)
    this.path = path
  }
}

/** `balance is NaN`, `it is a Map`; any other error is thrown on. */
export function jsonProblem(error: unknown): string {
  if (!(error instanceof NotJson)) throw error
  return `${pathText(error.path) || 'it'} is ${error.message}`
}

/** Text the databases disagree on: NUL and lone surrogates. */
const unstorable = /[\0\p{Cs}]/u
const maxDepth = 500

/** `undefined` when a text can be stored and read back the same on every store, else what is wrong with it. */
export const textProblem = (text: string): string | undefined =>
  unstorable.test(text) ? `text with ${text.includes('\0') ? 'a NUL character' : 'a lone surrogate'}` : undefined

/**
 * A copy of `value` that JSON keeps as it is. Refuses what JSON would silently change; leaves out `undefined` properties and
 * turns `-0` into `0`. With `dates`, a valid `Date` stays a `Date` (a schema has to read it back from its ISO form).
 *
 * @throws NotJson with the path
 */
export function toJson(value: unknown, { dates = false }: { dates?: boolean } = {}): unknown {
  return copy(value, dates, [])
}

/**
 * Checks the texts and keys of data for what no store can hold, in lists and plain objects. All else is left to a schema.
 *
 * @throws NotJson with the path
 */
export function checkTexts(value: unknown, path: PropertyKey[] = [], seen = new Set<object>()): void {
  if (typeof value === 'string') {
    const problem = textProblem(value)
    if (problem !== undefined) throw new NotJson(problem, [...path])
  }
  if (!isObject(value) || seen.has(value) || !(Array.isArray(value) || isPlain(value))) return
  if (path.length > maxDepth) throw tooDeep(path)
  seen.add(value)
  for (const key of Object.keys(value)) {
    path.push(Array.isArray(value) ? Number(key) : key)
    checkKey(key, path)
    checkTexts((value as Record<string, unknown>)[key], path, seen)
    path.pop()
  }
}

const tooDeep = (path: readonly PropertyKey[]) =>
  new NotJson(`nested deeper than ${maxDepth} levels, or in a circle`, path.slice(0, 5))

function checkKey(key: string, path: readonly PropertyKey[]): void {
  if (key === '__proto__') throw new NotJson('the key __proto__', [...path])
  const problem = textProblem(key)
  if (problem !== undefined) throw new NotJson(`a key that is ${problem}`, [...path])
}

function copy(value: unknown, dates: boolean, path: PropertyKey[]): unknown {
  if (typeof value === 'string') {
    const problem = textProblem(value)
    if (problem !== undefined) throw new NotJson(problem, [...path])
    return value
  }
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new NotJson(String(value), [...path])
    return value === 0 ? 0 : value
  }
  if (typeof value === 'boolean' || value === null) return value
  if (typeof value !== 'object') throw new NotJson(typeof value, [...path])
  if (path.length > maxDepth) throw tooDeep(path)
  if (Array.isArray(value)) return copyArray(value, dates, path)
  if (dates && value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw new NotJson('an invalid Date', [...path])
    return new Date(value)
  }
  if (!isPlain(value)) throw new NotJson(nameOf(value), [...path])
  return copyObject(value as Record<string, unknown>, dates, path)
}

function copyArray(value: readonly unknown[], dates: boolean, path: PropertyKey[]): unknown[] {
  const result: unknown[] = []
  for (let i = 0; i < value.length; i++) {
    path.push(i)
    result.push(copy(value[i], dates, path))
    path.pop()
  }
  if (Reflect.ownKeys(value).length > value.length + 1) throw new NotJson('an array with properties of its own', [...path])
  return result
}

function copyObject(value: Record<string, unknown>, dates: boolean, path: PropertyKey[]): Record<string, unknown> {
  if (Object.getOwnPropertySymbols(value).length > 0) throw new NotJson('an object with a symbol as key', [...path])
  const result: Record<string, unknown> = {}
  for (const key of Object.keys(value)) {
    path.push(key)
    checkKey(key, path)
    const item = value[key]
    if (item !== undefined) result[key] = copy(item, dates, path)
    path.pop()
  }
  return result
}

const isPlain = (value: object): boolean => {
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
const nameOf = (value: object): string => {
  const name: unknown = value.constructor?.name
  return typeof name === 'string' && name !== '' ? `a ${name}` : 'an object with a class'
}

/** `a.b[0].c`; `''` for the value itself. */
export const pathText = (path: readonly PropertyKey[]): string =>
  path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`
    return text === '' ? String(key) : `${text}.${String(key)}`
  }, '')

/** Path of the first place where two values differ, `undefined` when they are deep-equal. An `undefined` property counts as absent. */
export function difference(a: unknown, b: unknown, path: readonly PropertyKey[] = []): readonly PropertyKey[] | undefined {
  if (Object.is(a, b) || (a === 0 && b === 0)) return undefined
  if (!isObject(a) || !isObject(b)) return path
  if (a instanceof Date || b instanceof Date)
    return a instanceof Date && b instanceof Date && a.getTime() === b.getTime() ? undefined : path
  if (Array.isArray(a) !== Array.isArray(b)) return path
  if (!Array.isArray(a) && !(isPlain(a) && isPlain(b))) return path
  return differenceOfMembers(a as Record<string, unknown>, b as Record<string, unknown>, path)
}

function differenceOfMembers(a: Record<string, unknown>, b: Record<string, unknown>, path: readonly PropertyKey[]) {
  const array = Array.isArray(a)
  for (const key of Object.keys(a)) {
    const other = Object.hasOwn(b, key) ? b[key] : undefined
    const found = difference(a[key], other, a[key] === other ? path : [...path, array ? Number(key) : key])
    if (found) return found
  }
  for (const key of Object.keys(b))
    if (!Object.hasOwn(a, key) && b[key] !== undefined) return [...path, array ? Number(key) : key]
  return undefined
}

/** Freezes a value and all below it, stopping at what is frozen already. Returns it. @throws NotJson for a promise, TypeError for what cannot be frozen */
export function deepFreeze<T>(value: T): T {
  if (!isObject(value) || Object.isFrozen(value)) return value
  if (value instanceof Promise) throw new NotJson('it holds a Promise', [])
  Object.freeze(value)
  for (const key in value) deepFreeze(value[key])
  return value
}

/** Whether a `Date` is somewhere in what `toJson` made. */
export const holdsDate = (value: unknown): boolean =>
  value instanceof Date || (isObject(value) && Object.values(value).some(holdsDate))

/** JSON text that does not depend on the order of keys. A `Date` is its ISO text. @throws NotJson */
export const canonicalJson = (value: unknown): string =>
  JSON.stringify(toJson(value, { dates: true }), (_, item) =>
    isObject(item) && !Array.isArray(item) ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1))) : item,
  )
