import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { keyOf, type Target, targets } from './app.ts'

/** Writers at the most. */
const writers = 4
const numbers = { begun: 0, done: 1 } as const

/**
 * A file in which writers put down how many events of each aggregate they have begun to store and were told are stored, for readers in other processes to hold their answers against.
 */
export class Board {
  readonly #file: number

  constructor(path: string) {
    this.#file = openSync(path, 'a+')
    closeSync(this.#file)
    this.#file = openSync(path, 'r+')
  }

  put(writer: number, target: Target, what: keyof typeof numbers, count: number): void {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32LE(count)
    writeSync(this.#file, bytes, 0, 4, placeOf(writer, targets.indexOf(target), what))
  }

  /** By key of the aggregate, all writers together. */
  read(what: keyof typeof numbers): Readonly<Record<string, number>> {
    const bytes = Buffer.alloc(placeOf(writers, 0, 'begun'))
    readSync(this.#file, bytes, 0, bytes.length, 0)
    return Object.fromEntries(
      targets.map((target, i) => {
        let sum = 0
        for (let writer = 0; writer < writers; writer++) sum += bytes.readInt32LE(placeOf(writer, i, what))
        return [keyOf(target), sum]
      }),
    )
  }

  close(): void {
    closeSync(this.#file)
  }
}

const placeOf = (writer: number, target: number, what: keyof typeof numbers): number =>
  ((writer * targets.length + target) * 2 + numbers[what]) * 4
