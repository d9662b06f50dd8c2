import { headOf, type InstanceRow, type PendingSend, timersOf } from './instance-row.ts'

/** The next action of an instance. */
export type Job =
  | { readonly kind: 'again' }
  | { readonly kind: 'command'; readonly send: PendingSend }
  | { readonly kind: 'call'; readonly send: PendingSend }
  | { readonly kind: 'timer'; readonly name: string }

/**
 * Returns what an instance does next; `undefined` if nothing is due. With `isBehind`, events are
 * left to process, so no time may have come yet.
 */
export function jobOf(row: InstanceRow, now: string, isBehind: boolean): Job | undefined {
  if (row.stuck?.again) return { kind: 'again' }
  const send = headOf(row)
  if (send !== undefined && (send.notBefore === undefined || (!isBehind && send.notBefore <= now)))
    return { kind: send.call === undefined ? 'command' : 'call', send }
  const [timer] = isBehind ? [] : timersOf(row)
  return timer !== undefined && timer.at <= now ? { kind: 'timer', name: timer.name } : undefined
}
