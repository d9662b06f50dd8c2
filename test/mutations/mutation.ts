/** The stores that a test may be run on, where it can be run on several. */
export type On = 'memory' | 'sqlite' | 'postgres' | 'mysql' | 'dynamodb'

/** One way to break the source, and the test that must fail then. */
export interface Mutation {
  /** What is broken, in a few words; unique in its area. */
  readonly breaks: string
  /** The file to change. */
  readonly file: string
  /** Text of the file that occurs in it exactly once. */
  readonly find: string
  /** What stands there instead. */
  readonly put: string
  /** `file › title`, as it is written there. A case of `src/conformance` is run on one store. */
  readonly test: string
  /** Default `memory`, or what the name of the test file says. */
  readonly on?: On
  /** What the test waits for then never comes: that it does not end is how it fails. */
  readonly hangs?: true
  /** Why no test fails, where that is fine. */
  readonly survives?: string
}

/** One that breaks a row of `docs/reference/rust-parity.md`; the page names its test. */
export interface ParityMutation extends Omit<Mutation, 'test'> {
  readonly row: number
  /** Which of the tests that the page names, from 0 on. Default 0. */
  readonly nth?: number
}
