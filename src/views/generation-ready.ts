import type { Core } from '../execution/core.ts'
import type { ViewWrite } from '../store/commit.ts'
import { readyRows } from '../store/internal-rows.ts'

/**
 * Where it says that a generation which went live has all that the one before it had. It is written once, under the lease of what
 * fills the generation, and never taken back: whatever reads that it is not there may go on filling, since no command has written
 * the rows by then.
 */
export const readyKey = (name: string, generation: number) => readyRows.key(idOf(name, generation))

/** Generation 1 is nobody's successor. */
export async function isReady({ store }: Core, name: string, generation: number): Promise<boolean> {
  return generation === 1 || (await readyRows.read(store, idOf(name, generation))).version > 0
}

export const readyWrite = (name: string, generation: number): ViewWrite =>
  readyRows.write({ id: idOf(name, generation), version: 0 }, {})

const idOf = (name: string, generation: number): string => `${generation}/${name}`
