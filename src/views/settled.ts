import type { Core } from '../execution/core.ts'
import type { ViewWrite } from '../store/commit.ts'
import { settledRows } from '../store/internal-rows.ts'

/**
 * Where it says that a generation which went live has all that the one before it had. It is written once, under the lease of what fills the generation, and never taken back: whoever
 * reads that it is not there may go on filling, since no command has written the rows by then.
 */
export const settledKey = (name: string, generation: number) => settledRows.key(idOf(name, generation))

/** Generation 1 is nobody's successor. */
export async function isSettled({ store }: Core, name: string, generation: number): Promise<boolean> {
  return generation === 1 || (await settledRows.read(store, idOf(name, generation))).version > 0
}

export const settledWrite = (name: string, generation: number): ViewWrite =>
  settledRows.write({ id: idOf(name, generation), version: 0 }, {})

const idOf = (name: string, generation: number): string => `${generation}/${name}`
