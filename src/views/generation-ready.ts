import type { Core } from '../execution/core.ts'
import type { ViewWrite } from '../store/commit.ts'
import { readyRows } from '../store/internal-rows.ts'

/**
 * Key of the row that marks a live generation as complete: it contains everything its predecessor
 * had. Written once, under the lease of the consumer that fills it, and never removed. If it is
 * missing, filling may continue: commands have not written the rows yet.
 */
export const readyKey = (name: string, generation: number) => readyRows.key(idOf(name, generation))

/** Returns whether a generation is complete. Generation 1 always is: it has no predecessor. */
export async function isReady({ store }: Core, name: string, generation: number): Promise<boolean> {
  return generation === 1 || (await readyRows.read(store, idOf(name, generation))).version > 0
}

export const readyWrite = (name: string, generation: number): ViewWrite =>
  readyRows.write({ id: idOf(name, generation), version: 0 }, {})

const idOf = (name: string, generation: number): string => `${generation}/${name}`
