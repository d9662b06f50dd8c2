import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import type { Notes } from './app.ts'

/** The beginning or the end of the handling of an event. */
export interface Note {
  readonly what: 'began' | 'ended'
  readonly pid: number
  readonly key: string
  readonly sequence: number
  readonly at: bigint
}

export const readNotes = (file: string): readonly Note[] =>
  (existsSync(file) ? readFileSync(file, 'utf8') : '')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [what, pid, key, sequence, at] = line.split(' ')
      return {
        what: what === '+' ? 'began' : 'ended',
        pid: Number(pid),
        key: String(key),
        sequence: Number(sequence),
        at: BigInt(at as string),
      }
    })

/** One appended line each, so that what was written is there also when this process is killed. */
export const notesIn = (file: string): Notes => ({
  began: ({ aggregateType, aggregateId, sequence }) =>
    appendFileSync(file, `+ ${process.pid} ${aggregateType}/${aggregateId} ${sequence} ${process.hrtime.bigint()}\n`),
  ended: ({ aggregateType, aggregateId, sequence }) =>
    appendFileSync(file, `- ${process.pid} ${aggregateType}/${aggregateId} ${sequence} ${process.hrtime.bigint()}\n`),
})
