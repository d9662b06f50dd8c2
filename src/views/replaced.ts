import type { ConsumerCore } from '../consumers/consumption.ts'
import { rowsOf } from '../consumers/lane.ts'
import type { Core } from '../execution/core.ts'
import { replacedRows } from '../store/internal-rows.ts'
import type { ViewGeneration } from '../store/store.ts'

const mostReplaced = 100

/** Says, before a generation goes live, which versions it takes the place of. It holds from when the generation has gone live. */
export async function noteReplaced(core: ConsumerCore, name: string, viewVersions: readonly string[], by: number): Promise<void> {
  await replacedRows.update(rowsOf(core), name, (row) => {
    const replaced = row?.replaced ?? []
    const isNoted = (viewVersion: string) => replaced.some((one) => one.viewVersion === viewVersion && one.by === by)
    const added = [...new Set(viewVersions)].filter((viewVersion) => !isNoted(viewVersion))
    if (added.length === 0) return undefined
    return { replaced: [...replaced, ...added.map((viewVersion) => ({ viewVersion, by }))].slice(-mostReplaced) }
  })
}

/** Whether a program of another version has come later. `all` generations were looked at before, so that one which has gone live by then has said so. */
export async function isReplaced(
  { store }: Core,
  name: string,
  viewVersion: string,
  all: readonly ViewGeneration[],
): Promise<boolean> {
  const isBuilding = (by: number) => all.some(({ generation, state }) => generation === by && state === 'building')
  const { value } = await replacedRows.read(store, name)
  return value?.replaced.some((one) => one.viewVersion === viewVersion && !isBuilding(one.by)) ?? false
}
