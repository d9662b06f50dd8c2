import { root } from '../../test/run.ts'
import { binary, type Runtime } from '../../test/runtimes/binaries.ts'
import { npmPeer, type Program, pythonPeer, rustPeer } from './peers.ts'

/** Storage of a group. A group has one server, and its systems take turns. */
export type StoreName = 'postgres' | 'mysql' | 'sqlite' | 'memory' | 'dynamodb'

export interface System {
  readonly name: string
  readonly callers: readonly number[]
  program(): Promise<Program>
  /** Facts about the system, besides its name. */
  readonly facts?: object
}

/**
 * From many to one, so that a single caller meets a warm program: alone it would not get it
 * compiled within a second.
 */
const crowd = [512, 64, 8, 1]
const few = [64, 1]

const onNode = (file: string, system: string): Program => ({
  file: process.execPath,
  args: ['--import', 'tsx', `${root}bench/commands/${file}.ts`, '--system', system],
})
const ours = (system: string) => async () => onNode('ours', system)
const byHand = (system: string) => async () => onNode('by-hand', system)

/** For drivers that come with another runtime. */
const oursOn = (runtime: Runtime, system: string) => async (): Promise<Program> => {
  try {
    const loader = runtime === 'Bun' ? [] : ['--no-warnings', '--import', 'tsx']
    return { file: binary(runtime), args: [...loader, `${root}bench/commands/ours.ts`, '--system', system] }
  } catch (error) {
    return { missing: (error as Error).message }
  }
}

const from =
  (peer: () => Promise<Program>, ...args: string[]) =>
  async (): Promise<Program> => {
    const program = await peer()
    return 'missing' in program ? program : { ...program, args: [...program.args, ...args] }
  }

/**
 * The first of each group is this package, set up as its documentation says. The others are
 * compared with it.
 */
export const systems: Readonly<Record<StoreName, readonly System[]>> = {
  postgres: [
    { name: 'cqrs-es', callers: crowd, program: ours('postgres,,warm') },
    { name: 'cqrs-es, no cache', callers: [64], program: ours('postgres,,cold'), facts: { cache: false } },
    { name: 'cqrs-es, crowded cache', callers: [64], program: ours('postgres,,crowded'), facts: { accountsPerPlace: 10 } },
    { name: 'cqrs-es (Rust)', callers: crowd, program: rustPeer },
    { name: 'emmett', callers: crowd, program: from(() => npmPeer('emmett'), '--system', 'postgres') },
    { name: 'castore', callers: crowd, program: from(() => npmPeer('castore'), '--system', 'postgres') },
    { name: 'message-db', callers: few, program: () => npmPeer('message-db') },
    { name: 'pyeventsourcing', callers: few, program: pythonPeer },
    { name: 'by hand: our append', callers: few, program: byHand('postgres,single') },
    { name: 'by hand: our append, gathered', callers: few, program: byHand('postgres,gathered') },
  ],
  mysql: [
    { name: 'cqrs-es', callers: crowd, program: ours('mysql,,warm') },
    { name: 'by hand: a transaction', callers: few, program: byHand('mysql,transaction') },
  ],
  sqlite: [
    { name: 'cqrs-es', callers: few, program: ours('libsql,full,warm'), facts: { driver: 'libsql', durability: 'full' } },
    ...(['node:sqlite', 'bun:sqlite'] as const).map((driver) => ({
      name: `cqrs-es, ${driver}`,
      callers: [64],
      program: oursOn(driver === 'bun:sqlite' ? 'Bun' : 'Node 24', `${driver},full,warm`),
      facts: { driver, durability: 'full' },
    })),
    {
      name: "cqrs-es, durability 'normal'",
      callers: [64],
      program: ours('libsql,normal,warm'),
      facts: { driver: 'libsql', durability: 'normal' },
    },
  ],
  memory: [
    { name: 'cqrs-es', callers: few, program: ours('memory,,warm') },
    { name: 'cqrs-es, no cache', callers: [64], program: ours('memory,,cold'), facts: { cache: false } },
    { name: 'emmett', callers: few, program: from(() => npmPeer('emmett'), '--system', 'memory') },
  ],
  dynamodb: [{ name: 'cqrs-es', callers: few, program: ours('dynamodb,,warm'), facts: { server: 'emulator' } }],
}
