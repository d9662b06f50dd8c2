import { type ConformanceCase, type ConformanceHost, conformanceCases } from 'cqrs-es/conformance'
import { test } from 'vitest'

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
