import { messageOf } from '../errors.ts'
import type { Shape } from '../message.ts'
import { notJsonIssue } from '../util/issues.ts'
import { deepFreeze, difference, holdsDate, isObject, toJson } from '../util/json.ts'
import { isThenable } from '../util/refusing.ts'
import { type Parsed, type Parser, parserOf, type Unfit } from './schema.ts'
import { compareVersions, parseVersion, type SemanticVersion, versionText } from './semantic-version.ts'
import { EvolutionError } from './upcaster.ts'
import { type Migrate, versionsOf } from './versions.ts'

export type Encoded = { readonly stored: unknown; readonly data: unknown; readonly issues?: undefined } | Unfit

/** Converts the data of one event type to its stored form and back. */
export interface EventCodec {
  readonly type: string
  /** Version of new events. */
  readonly version: string
  /** Parser of the current version. */
  readonly parser: Parser
  /**
   * Returns the stored form of decided data, and the data as a later read returns it.
   *
   * Refuses data that would come back different: the schema must neither transform nor add nor
   * strip, and JSON must keep it.
   */
  encode(data: unknown): Encoded
  /** Returns the data of an event stored with `version`, after upcasting. */
  decode(version: string, data: unknown): Parsed
}

/** Makes the codec of one event type. `declared` is a checked declaration. */
export function eventCodec(type: string, declared: Shape): EventCodec {
  const { shape, current, older } = versionsOf(declared)
  const parser = parserOf(shape) as Parser
  const version = parseVersion(current) as SemanticVersion
  return {
    type,
    version: current,
    parser,
    encode: (data) => (parser.kind === 'schema' ? encodeBySchema(parser, data) : encodePlain(parser, data)),
    decode: (stored, data) => {
      if (stored === current) return parseEvent(parser, data)
      const from = parseVersion(stored)
      if (from === undefined) return refuse(`its version '${stored}' is not a version`)
      const order = compareVersions(from, version)
      if (order === 0) return parseEvent(parser, data)
      if (order > 0) return refuse(`its version ${stored} is newer than ${current}, the newest this program knows`)
      const migrate = older.get(versionText(from))
      return migrate === undefined
        ? refuse(
            `no migration leads from its version ${stored} to ${current}: declare it in versions('${current}', …) or add an upcaster`,
          )
        : parseMigrated(parser, migrate, stored, data)
    },
  }
}

const refuse = (message: string, refused?: unknown): Parsed => ({ issues: [{ message }], refused })

function encodePlain(parser: Parser, data: unknown): Encoded {
  const parsed = parser.parse(data) as Parsed
  if (parsed.issues !== undefined) return parsed
  return parser.kind === 'none' ? { stored: {}, data: undefined } : { stored: deepFreeze(parsed.value), data: parsed.value }
}

function encodeBySchema(parser: Parser, decided: unknown): Encoded {
  try {
    const input = toJson(decided, { dates: true })
    const parsed = parseUnchanged(parser, input, decided, { as: 'it', in: 'the handler' })
    if (parsed.issues !== undefined) return parsed
    if (!holdsDate(input)) return { stored: input, data: deepFreeze(parsed.value) }
    const stored = JSON.parse(JSON.stringify(input))
    const back = parseEvent(parser, stored)
    if (back.issues !== undefined)
      return {
        issues: back.issues.map((issue) => ({
          ...issue,
          message: `${issue.message} (when read back from JSON): ${datesAreText}`,
        })),
      }
    const changed = difference(back.value, parsed.value)
    return changed
      ? { issues: [{ message: `comes back from JSON as another value: ${datesAreText}`, path: changed }] }
      : { stored, data: deepFreeze(back.value) }
  } catch (error) {
    return { issues: [notJsonIssue(error)] }
  }
}

function parseMigrated(parser: Parser, migrate: Migrate, version: string, data: unknown): Parsed {
  const migrated = migratedBy(migrate, version, data)
  if (isThenable(migrated))
    return refuse('its function in versions() returned a promise; it must return the data at once', migrated)
  if (parser.kind === 'none') return parseEvent(parser, migrated)
  try {
    const made = { as: 'the result of versions()', in: 'versions()' }
    return parseUnchanged(parser, toJson(migrated, { dates: true }), migrated, made)
  } catch (error) {
    return { issues: [notJsonIssue(error)], refused: migrated }
  }
}

/** @throws EvolutionError */
function migratedBy(migrate: Migrate, version: string, data: unknown): unknown {
  try {
    return migrate(data)
  } catch (error) {
    throw new EvolutionError(`its function in versions() for ${version} threw: ${messageOf(error)}`, { cause: error })
  }
}

const datesAreText = 'a Date comes back as text, so store an ISO text, or use z.coerce.date()'

/**
 * Parses a copy of `original`, because a schema may change its input.
 *
 * Messages name the value `made.as` and the place `made.in` where it was made.
 */
export function parseUnchanged(parser: Parser, copy: unknown, original: unknown, made: Record<'as' | 'in', string>): Parsed {
  const parsed = parseEvent(parser, copy)
  if (parsed.issues !== undefined) return parsed
  const changed = difference(parsed.value, original)
  if (changed === undefined) return parsed
  const message = !has(original, changed)
    ? `the schema fills it in; set it in ${made.in}`
    : has(parsed.value, changed)
      ? `the schema would change ${made.as}`
      : 'the schema does not know this field'
  return { issues: [{ message, path: changed }] }
}

/** Whether there is a value at a path. */
const has = (value: unknown, path: readonly PropertyKey[]): boolean =>
  path.reduce<unknown>(
    (inner, key) => (isObject(inner) && Object.hasOwn(inner, key) ? inner[key as never] : undefined),
    value,
  ) !== undefined

function parseEvent(parser: Parser, data: unknown): Parsed {
  const parsed = parser.parse(data)
  return isThenable(parsed) ? refuse('its schema is asynchronous; only schemas of commands may be', parsed) : parsed
}
