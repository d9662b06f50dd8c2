export const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

/** Why a value cannot be stored as JSON, and where. */
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

const maxDepth = 500

/** `undefined` when every store returns the text as it was stored, else what is wrong with it. */
export const textProblem = (text: string): string | undefined => {
  if (text.includes('\0')) return 'text with a NUL character'
  return text.isWellFormed() ? undefined : 'text with a lone surrogate'
}

/**
 * A copy of `value` that JSON keeps unchanged. Refuses values that JSON would change silently,
 * omits `undefined` properties and turns `-0` into `0`. With `dates`, a valid `Date` stays a
 * `Date`, which a schema reads back from its ISO text.
 *
 * @throws NotJson with the path
 */
export function toJson(value: unknown, { dates = false }: { dates?: boolean } = {}): unknown {
  return copy(value, dates, undefined)
}

/**
 * The location of a value: its key in the surrounding list or object. Becomes a path only for an
 * error.
 */
interface Place {
  key: PropertyKey
  readonly depth: number
  readonly outer: Place | undefined
}

const placeIn = (outer: Place | undefined): Place => ({ key: '', depth: (outer?.depth ?? 0) + 1, outer })

function pathOf(place: Place | undefined): PropertyKey[] {
  const path: PropertyKey[] = []
  for (let at = place; at !== undefined; at = at.outer) path.push(at.key)
  return path.reverse()
}

/**
 * Checks the texts and keys in lists and plain objects for what no store can hold. Anything else is
 * left to a schema.
 *
 * @throws NotJson with the path
 */
export function checkTexts(value: unknown): void {
  if (typeof value === 'string') checkText(value, undefined)
  else if (isObject(value)) checkTextsIn(value, undefined, undefined)
}

/**
 * `seen`: the objects on the way, for which a list or object without others inside needs no `Set`.
 */
function checkTextsIn(value: object, place: Place | undefined, seen: Set<object> | undefined): void {
  const isList = Array.isArray(value)
  if (!isList && !isPlain(value)) return
  if (place !== undefined && place.depth > maxDepth) throw tooDeep(place)
  let all = seen
  const inner = placeIn(place)
  for (const key of Object.keys(value)) {
    inner.key = isList ? Number(key) : key
    checkKey(key, inner)
    const item = (value as Record<string, unknown>)[key]
    if (typeof item === 'string') checkText(item, inner)
    else if (isObject(item)) {
      all ??= new Set([value])
      if (all.has(item)) continue
      all.add(item)
      checkTextsIn(item, inner, all)
    }
  }
}

function checkText(text: string, place: Place | undefined): void {
  const problem = textProblem(text)
  if (problem !== undefined) throw new NotJson(problem, pathOf(place))
}

function checkKey(key: string, place: Place): void {
  if (key === '__proto__') throw new NotJson('the key __proto__', pathOf(place))
  const problem = textProblem(key)
  if (problem !== undefined) throw new NotJson(`a key that is ${problem}`, pathOf(place))
}

const tooDeep = (place: Place) => new NotJson(`nested deeper than ${maxDepth} levels, or circular`, pathOf(place).slice(0, 5))

function copy(value: unknown, dates: boolean, place: Place | undefined): unknown {
  if (typeof value === 'string') {
    checkText(value, place)
    return value
  }
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new NotJson(String(value), pathOf(place))
    return value === 0 ? 0 : value
  }
  if (typeof value === 'boolean' || value === null) return value
  if (typeof value !== 'object') throw new NotJson(typeof value, pathOf(place))
  if (place !== undefined && place.depth > maxDepth) throw tooDeep(place)
  if (Array.isArray(value)) return copyArray(value, dates, place)
  if (dates && value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw new NotJson('an invalid Date', pathOf(place))
    return new Date(value)
  }
  if (!isPlain(value)) throw new NotJson(nameOf(value), pathOf(place))
  return copyObject(value as Record<string, unknown>, dates, place)
}

function copyArray(value: readonly unknown[], dates: boolean, place: Place | undefined): unknown[] {
  const result: unknown[] = []
  const inner = placeIn(place)
  for (let i = 0; i < value.length; i++) {
    inner.key = i
    result.push(copy(value[i], dates, inner))
  }
  if (Reflect.ownKeys(value).length > value.length + 1) throw new NotJson('an array with properties of its own', pathOf(place))
  return result
}

function copyObject(value: Record<string, unknown>, dates: boolean, place: Place | undefined): Record<string, unknown> {
  if (Object.getOwnPropertySymbols(value).length > 0) throw new NotJson('an object with a symbol as key', pathOf(place))
  const result: Record<string, unknown> = {}
  const inner = placeIn(place)
  for (const key of Object.keys(value)) {
    inner.key = key
    checkKey(key, inner)
    const item = value[key]
    if (item !== undefined) result[key] = copy(item, dates, inner)
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

/**
 * Path of the first difference of two values, `undefined` if they are deep-equal. An `undefined`
 * property counts as absent.
 */
export const difference = (a: unknown, b: unknown): readonly PropertyKey[] | undefined =>
  isSame(a, b) ? undefined : firstDifference(a, b, [])

/** Whether two values are equal, found quickly. `false` may be wrong, as for two equal dates. */
function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (!isObject(a) || !isObject(b)) return false
  if (Array.isArray(a)) return Array.isArray(b) && isSameList(a, b)
  if (Array.isArray(b) || !isPlain(a) || !isPlain(b)) return false
  let more = 0
  for (const key in a) {
    if (!Object.hasOwn(b, key) || !isSame(a[key as keyof typeof a], b[key as keyof typeof b])) return false
    more++
  }
  for (const _ in b) more--
  return more === 0
}

/** A list with a hole, or with properties of its own, is left to `firstDifference`. */
function isSameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] === undefined || !isSame(a[i], b[i])) return false
  return Object.keys(a).length === a.length && Object.keys(b).length === b.length
}

function firstDifference(a: unknown, b: unknown, path: readonly PropertyKey[]): readonly PropertyKey[] | undefined {
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
    const found = firstDifference(a[key], other, a[key] === other ? path : [...path, array ? Number(key) : key])
    if (found) return found
  }
  for (const key of Object.keys(b))
    if (!Object.hasOwn(a, key) && b[key] !== undefined) return [...path, array ? Number(key) : key]
  return undefined
}

/**
 * Freezes a value and all values in it, up to frozen ones, and returns it.
 *
 * @throws NotJson for a promise, TypeError for a value that cannot be frozen
 */
export function deepFreeze<T>(value: T): T {
  if (!isObject(value) || Object.isFrozen(value)) return value
  if (value instanceof Promise) throw new NotJson('it holds a Promise', [])
  Object.freeze(value)
  for (const key in value) deepFreeze(value[key])
  return value
}

/** Whether there is a `Date` in a value that `toJson` returned. */
export function holdsDate(value: unknown): boolean {
  if (!isObject(value)) return false
  if (value instanceof Date) return true
  for (const key in value) if (holdsDate(value[key as keyof typeof value])) return true
  return false
}

/**
 * JSON text that does not depend on the order of keys. A `Date` is its ISO text.
 *
 * @throws NotJson
 */
export const canonicalJson = (value: unknown): string =>
  JSON.stringify(toJson(value, { dates: true }), (_, item) =>
    isObject(item) && !Array.isArray(item) ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1))) : item,
  )
