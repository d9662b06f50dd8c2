import type { AggregateDefinition } from '../execution/aggregate-definition.ts'
import type { Core, InlineViews } from '../execution/core.ts'
import { Refused } from '../execution/refused.ts'
import type { StateRules } from '../execution/state-rules.ts'
import { reject } from '../reject.ts'
import { evaluated, rowsBesides } from '../rules/own-rows.ts'
import type { ViewWrite } from '../store/commit.ts'
import { type Claim, claimRows, claimsOf, readClaims } from './claims.ts'

/** Returns the function that computes the claims which a commit takes and releases. */
export const claimRowsOf =
  (core: Core, definition: AggregateDefinition, { functions }: StateRules): InlineViews =>
  (aggregateId, added, base) => {
    const subject = { definition, aggregateId }
    const [before, after] = evaluated(() => [claimsOf(subject, functions, base), claimsOf(subject, functions, added)] as const)
    const taken = [...after.values()].filter(({ key }) => !before.has(key))
    const released = [...before.values()].filter(({ key }) => !after.has(key))
    if (taken.length + released.length === 0) return undefined
    return {
      ...rowsBesides(core, subject),
      areShared: true,
      compute: async ({ rows }) => ({ writes: await claimWrites(core, aggregateId, taken, released), rows }),
    }
  }

/** @throws Refused when another aggregate has one of the values */
async function claimWrites(
  { store }: Core,
  owner: string,
  taken: readonly Claim[],
  released: readonly Claim[],
): Promise<readonly ViewWrite[]> {
  const rows = await readClaims(store, [...taken, ...released])
  const others = rows.map(({ value }) => value !== undefined && value.owner !== owner)
  const refused = taken.find((_, i) => others[i])
  if (refused !== undefined) throw new Refused({ kind: 'rejected', rejection: reject('taken', { unique: refused.unique }) })
  // Releasing also writes where there is no claim: `adopt` may be about to store one for the old state.
  return rows.flatMap((row, i) => (others[i] ? [] : [claimRows.write(row, i < taken.length ? { owner } : null)]))
}
