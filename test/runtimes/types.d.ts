interface Statement {
  all(...values: unknown[]): unknown[]
  run(...values: unknown[]): { changes: number | bigint; lastInsertRowid: number | bigint }
}

/** The parts of Bun and of newer Nodes that the tests of the runtimes use; their own types would change what the rest of the repository sees. */
declare module 'bun:sqlite' {
  export class Database {
    constructor(file: string)
    exec(sql: string): unknown
    prepare(sql: string): Statement
    close(): void
  }
}
declare module 'node:sqlite' {
  export class DatabaseSync {
    constructor(file: string)
    exec(sql: string): void
    prepare(sql: string): Statement
    close(): void
  }
}
declare module 'bun:test' {
  export function test(name: string, run: () => Promise<void>): void
}

declare const Bun: {
  serve(options: { port: number; hostname: string; fetch: (request: Request) => Promise<Response> }): {
    readonly url: URL
    stop(): Promise<void>
  }
}
