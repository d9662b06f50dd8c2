import type { Core } from '../execution/core.ts'
import type { ViewWrite } from '../store/commit.ts'
import type { ViewKey } from '../store/store.ts'

const settledRows = '~settled'

/**
 * Where it says that a generation which went live has all that the one before it had. It is written once, under the lease of what fills the generation, and never taken back: whoever
 * reads that it is not there may go on filling, since no command has written the rows by then.
 */
export const settledKey = (name: string, generation: number): ViewKey & Pick<ViewWrite, 'generation'> => ({
  name: settledRows,
  generation: 1,
  id: `${generation}/${name}`,
})

/** Generation 1 is nobody's successor. */
export async function isSettled({ store }: Core, name: string, generation: number): Promise<boolean> {
  return generation === 1 || (await store.readViews([settledKey(name, generation)]))[0] !== undefined
}

export const settledWrite = (name: string, generation: number): ViewWrite => ({
  ...settledKey(name, generation),
  expectedVersion: 0,
  view: {},
})
