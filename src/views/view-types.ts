/** The types of one view in one bag. */
export interface ViewTypes {
  readonly name: string
  readonly view: unknown
  /** Names of its indexes; `never` without. */
  readonly indexes: string
}
