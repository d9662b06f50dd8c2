import type { Core } from '../execution/core.ts'
import type { Adopting } from '../execution/extension.ts'
import type { ViewWrite } from '../store/commit.ts'
import { claimRows, claimsOf, readClaims } from './claims.ts'

/** Returns the claims that an aggregate lacks, and notes those of its values that another one has. */
export async function missingClaims(core: Core, adopting: Adopting): Promise<readonly ViewWrite[]> {
  const { definition, aggregateId, rules, state, readState, doubles } = adopting
  const claims = claimsOf({ definition, aggregateId }, rules.functions, state)
  const rows = await readClaims(core.store, [...claims.values()])
  const writes: ViewWrite[] = []
  for (const [i, { unique, key }] of [...claims.values()].entries()) {
    const row = rows[i] as (typeof rows)[number]
    const owner = row.value?.owner
    if (owner === aggregateId) continue
    // A program without the rule may have changed the owner, and left the claim.
    const has =
      owner !== undefined && claimsOf({ definition, aggregateId: owner }, rules.functions, await readState(owner)).has(key)
    if (!has) {
      writes.push(claimRows.write(row, { owner: aggregateId }))
      continue
    }
    const double = doubles.get(key) ?? { unique, ids: new Set([owner]) }
    double.ids.add(aggregateId)
    doubles.set(key, double)
  }
  return writes
}
