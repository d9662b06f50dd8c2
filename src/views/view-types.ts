/** The types of one view in one bag. */
export interface ViewTypes {
  /** Its name in the store, a literal. */
  readonly name: string
  /** One row. */
  readonly view: unknown
  /** Names of its indexes; `never` without. */
  readonly indexes: string
}
