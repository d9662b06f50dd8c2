import type { Core } from '../execution/core.ts'
import type { ViewGeneration } from '../store/store.ts'
import type { ConsumerCore } from '../subscriptions/consumption.ts'
import { saveRows } from '../subscriptions/lane.ts'

/** A version of a view that must not come back by itself once a generation has gone live. */
interface Replaced {
  readonly viewVersion: string
  readonly by: number
}

const replacedRows = '~replaced'
const mostReplaced = 100

/** Says, before a generation goes live, which versions it takes the place of. It holds from when the generation has gone live. */
export async function noteReplaced(core: ConsumerCore, name: string, viewVersions: readonly string[], by: number): Promise<void> {
  for (;;) {
    const { version, replaced } = await read(core, name)
    const isNoted = (viewVersion: string) => replaced.some((one) => one.viewVersion === viewVersion && one.by === by)
    const added = [...new Set(viewVersions)].filter((viewVersion) => !isNoted(viewVersion))
    if (added.length === 0) return
    const all = [...replaced, ...added.map((viewVersion) => ({ viewVersion, by }))].slice(-mostReplaced)
    const write = { name: replacedRows, generation: 1, id: name, expectedVersion: version, view: { replaced: all } }
    if ((await saveRows(core, [write])) === 'saved') return
  }
}

/** Whether a program of another version has come later. `all` generations were looked at before, so that one which has gone live by then has said so. */
export async function isReplaced(
  core: Core,
  name: string,
  viewVersion: string,
  all: readonly ViewGeneration[],
): Promise<boolean> {
  const isBuilding = (by: number) => all.some(({ generation, state }) => generation === by && state === 'building')
  const { replaced } = await read(core, name)
  return replaced.some((one) => one.viewVersion === viewVersion && !isBuilding(one.by))
}

async function read(
  { store }: Core,
  name: string,
): Promise<{ readonly version: number; readonly replaced: readonly Replaced[] }> {
  const [row] = await store.readViews([{ name: replacedRows, generation: 1, id: name }])
  const { replaced } = (row?.view ?? { replaced: [] }) as { readonly replaced: readonly Replaced[] }
  return { version: row?.version ?? 0, replaced }
}
