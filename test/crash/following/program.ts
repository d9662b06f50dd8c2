/**
 * A process of the tests of this folder. Its argument is a `Task` as JSON; it says `ready`, then what the task has to tell, a line each, and ends when its standard input does.
 */
import { type FollowingApp, type Notes, type OpenOptions, openApp, targets, type ViewName, write } from './app.ts'
import { Board } from './board.ts'
import { connect } from './connect.ts'
import { notesIn } from './notes.ts'
import { problemOf, readAsRow } from './rows.ts'

export interface Task extends Omit<OpenOptions, 'notes'> {
  readonly url: string
  readonly does: 'follow' | 'drain' | 'write' | 'read' | 'rebuild' | 'write and read' | 'measure'
  /** The file that the subscription writes down in. */
  readonly notesFile?: string | undefined
  readonly boardFile?: string | undefined
  readonly writer?: number | undefined
  /** Between two commands on one aggregate. */
  readonly pauseMs?: number | undefined
  /** The view to rebuild or to read. */
  readonly view?: ViewName | undefined
  /** Also keeps the views and the subscription running. */
  readonly follows?: boolean | undefined
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const say = (line: string) => process.stdout.write(`${line}\n`)

const ending = new AbortController()
process.stdin.on('end', () => ending.abort())
process.stdin.on('error', () => ending.abort())
process.stdin.resume()

async function writeOn(app: FollowingApp, { boardFile, writer = 0, pauseMs = 5 }: Task): Promise<void> {
  const board = boardFile === undefined ? undefined : new Board(boardFile)
  await Promise.all(
    targets.map(async (target, nth) => {
      let count = 0
      for (let i = nth + writer; !ending.signal.aborted; i++) {
        const times = 1 + (i % 3)
        board?.put(writer, target, 'begun', count + times)
        const { ok } = await write(app, target, times)
        if (!ok) throw new Error('No command is ever rejected.')
        count += times
        board?.put(writer, target, 'done', count)
        await sleep(pauseMs * (0.5 + Math.random()))
      }
    }),
  )
}

/** So many answers say something. */
const enough = 21

/** Holds every answer against what was known before and after it. */
async function readOn(app: FollowingApp, { boardFile, view, made = 1 }: Task): Promise<void> {
  if (boardFile === undefined || view === undefined) throw new Error('What to read?')
  const board = new Board(boardFile)
  const last = new Map<string, number>()
  let answers = 0
  for (let i = 0; !ending.signal.aborted; i++) {
    for (const answer of await readAsRow(app, view, i, board)) {
      // Until its version is live, a program makes rows of their events, and those are up to date.
      const problem = problemOf(answer, { view, made, last: last.get(answer.id) ?? 0, mayGoBack: made > 1 })
      if (problem !== undefined) say(`problem ${answer.how} ${view} ${answer.id}: ${problem} ${JSON.stringify(answer.row)}`)
      last.set(answer.id, answer.row?.count ?? 0)
      if (++answers === enough) say('enough')
    }
    await sleep(1)
  }
  say(`answers ${answers}`)
}

async function drainOn(app: FollowingApp): Promise<void> {
  while (!ending.signal.aborted) {
    await app.drain({ budgetMs: 20 + Math.floor(Math.random() * 100) })
    await sleep(Math.random() * 10)
  }
}

/** Drains all there is, and tells the most of the heap that was in use on the way. */
async function measure(app: FollowingApp, counted: { events: number; most: number }): Promise<void> {
  const { gc } = globalThis
  if (gc === undefined) throw new Error('Start it with --expose-gc.')
  gc()
  const base = process.memoryUsage().heapUsed
  const { caughtUp } = await app.drain()
  say(`measured ${JSON.stringify({ caughtUp, events: counted.events, grown: counted.most - base })}`)
}

async function main(task: Task): Promise<void> {
  const { store, close } = await connect(task.url)
  const counted = { events: 0, most: 0 }
  const counting: Notes = {
    began: () => {
      if (++counted.events % 10_000 !== 0) return
      globalThis.gc?.()
      counted.most = Math.max(counted.most, process.memoryUsage().heapUsed)
    },
    ended: () => {},
  }
  const notes = task.does === 'measure' ? counting : task.notesFile === undefined ? undefined : notesIn(task.notesFile)
  const app = openApp(store, { ...task, notes })
  say('ready')
  if (task.does === 'follow' || task.follows) await app.start()
  if (task.does === 'follow') await new Promise((resolve) => ending.signal.addEventListener('abort', resolve))
  if (task.does === 'write') await writeOn(app, task)
  if (task.does === 'read') await readOn(app, task)
  if (task.does === 'write and read') await Promise.all([writeOn(app, task), readOn(app, task)])
  if (task.does === 'drain') await drainOn(app)
  if (task.does === 'measure') await measure(app, counted)
  if (task.does === 'rebuild') {
    await app.views[task.view as ViewName].rebuild({
      signal: ending.signal,
      onProgress: ({ events, total }) => say(`at ${events} of ${total}`),
    })
    say('rebuilt')
  }
  await app.close()
  await close()
  process.exit(0)
}

await main(JSON.parse(process.argv[2] ?? ''))
