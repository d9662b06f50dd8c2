import type { Loaded } from '../execution/loaded.ts'
import type { StateFunction } from '../execution/state-rules.ts'
import { called, type Subject } from '../rules/own-rows.ts'
import { type InternalRow, InternalRows } from '../store/internal-rows.ts'
import type { Store } from '../store/store.ts'
import { sha256 } from '../util/digest.ts'

/** The aggregate that has a unique value. The row's id is a digest of aggregate type, rule and value. */
export interface ClaimRow {
  readonly owner: string
}

export const claimRows = new InternalRows<ClaimRow>('~unique')

/** A value of a rule. */
export interface Claim {
  readonly unique: string
  /** Text that only this value of this rule and type has. */
  readonly key: string
}

/** Returns the unique values of a state, by key. @throws ApplyError */
export function claimsOf(
  subject: Subject,
  rules: ReadonlyMap<string, StateFunction>,
  at: Pick<Loaded, 'state' | 'sequence'>,
): ReadonlyMap<string, Claim> {
  const claims = new Map<string, Claim>()
  for (const [unique, call] of rules)
    for (const value of called(subject, `unique.${unique}`, at, call, textsOf)) {
      const key = JSON.stringify([subject.definition.type, unique, value])
      claims.set(key, { unique, key })
    }
  return claims
}

function textsOf(given: unknown): readonly string[] {
  if (given === undefined || given === null) return []
  const texts: readonly unknown[] = Array.isArray(given) ? given : [given]
  for (const text of texts)
    if (typeof text !== 'string') throw new TypeError('It must return a text, a list of texts, or undefined.')
  return texts as readonly string[]
}

/** Reads the rows of claims, in their order. */
export async function readClaims(
  store: Pick<Store, 'readViews'>,
  claims: readonly Claim[],
): Promise<readonly InternalRow<ClaimRow>[]> {
  if (claims.length === 0) return []
  const ids = await Promise.all(claims.map(({ key }) => sha256(key)))
  const rows = await store.readViews(ids.map((id) => claimRows.key(id)))
  return ids.map((id, i) => claimRows.parse(id, rows[i]))
}
