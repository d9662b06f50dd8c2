import { type ConformanceCase, type ConformanceHost, conformanceCases } from 'cqrs-es/conformance'
import { test } from 'vitest'
import { isFull } from '../strength.ts'

/** For a host that others stand for: these cases by day, all of the suite at full strength. */
export function onlyByDay(...groups: readonly object[]): (name: string) => boolean {
  const names = new Set(groups.flatMap((cases) => Object.keys(cases)))
  return (name) => isFull || names.has(name)
}

/** Hosts the suite; a case that does not apply is skipped and says why in its name. */
export async function hostConformance(
  host: ConformanceHost,
  isWanted: (name: string) => boolean = () => true,
): Promise<readonly ConformanceCase[]> {
  const cases = (await conformanceCases(host)).filter(({ name }) => isWanted(name))
  for (const { name, notApplicable, run } of cases)
    test.skipIf(notApplicable !== undefined)(
      notApplicable === undefined ? name : `${name} (not applicable: ${notApplicable})`,
      run,
    )
  return cases
}
