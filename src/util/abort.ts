/**
 * Waits until `done` is called, or rejects with the signal's reason. `begin` starts the wait and
 * returns how to undo it.
 */
export const abortable = (signal: AbortSignal | undefined, begin: (done: () => void) => () => void): Promise<void> =>
  new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const abort = () => {
      takeBack()
      reject(signal?.reason)
    }
    let forget: (() => void) | undefined
    const takeBack = begin(() => {
      forget?.()
      resolve()
    })
    forget = signal && whenAborted(signal, abort)
  })

const listeners = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * Calls `listener` once when the signal aborts, and returns how to forget it. The signal has one
 * listener of ours for all: Node warns of more than ten.
 */
export function whenAborted(signal: AbortSignal, listener: () => void): () => void {
  const all = listeners.get(signal) ?? new Set()
  if (!listeners.has(signal)) {
    listeners.set(signal, all)
    const tell = () => {
      for (const one of [...all]) one()
    }
    signal.addEventListener('abort', tell, { once: true })
  }
  all.add(listener)
  return () => all.delete(listener)
}
