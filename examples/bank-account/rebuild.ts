import type { RebuildProgress } from 'cqrs-es'
import { bankApp } from './app.ts'
import { choosePlace } from './place.ts'
import { money as number } from './print.ts'

export interface RebuildCommand {
  readonly view: string
  readonly store?: string | undefined
  readonly signal: AbortSignal
}

/** Rebuilds a view of the bank and prints its progress. Returns the exit code. */
export async function rebuild({ view, store: name, signal }: RebuildCommand): Promise<number> {
  if (view !== 'accounts' && view !== 'days') throw new Error(`--view must be accounts or days, not '${view}'.`)
  const place = await choosePlace('existing', name)
  const { store, close } = await place.openStore()
  const app = bankApp(store)
  let reached = 0
  const onProgress = (progress: RebuildProgress) => {
    reached = progress.events
    console.log(lineOf(progress))
  }
  console.log(`Rebuilding '${view}' in ${place.name} …`)
  try {
    await app.views[view].rebuild({ onProgress, signal })
    console.log(`Done: '${view}' is read from its new rows.`)
    return 0
  } catch (error) {
    if (!signal.aborted) throw error
    console.log(`Interrupted${reached > 0 ? ` after ${number(reached)} events` : ''}. The same command resumes.`)
    return 130
  } finally {
    await app.close()
    await close()
  }
}

function lineOf({ events, total, eventsPerSecond, remainingMs, done }: RebuildProgress): string {
  const share = total === 0 ? 100 : Math.floor((Math.min(events, total) / total) * 100)
  const left = done ? 'done' : remainingMs === undefined ? '…' : `${(remainingMs / 1_000).toFixed(1)} s left`
  return `  ${number(events)} of ${number(total)} events (${share} %)   ${number(eventsPerSecond)}/s   ${left}`
}
