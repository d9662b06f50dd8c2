import type { AggregateDefinition } from '../execution/aggregate-definition.ts'
import type { Core } from '../execution/core.ts'
import type { Adopted } from '../execution/state-rules.ts'

export async function adopt(_core: Core, _definition: AggregateDefinition, _signal: AbortSignal): Promise<Adopted> {
  return { written: 0, doubles: [] }
}
