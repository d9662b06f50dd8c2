import { sendWithViews } from './inline.ts'
import type { ReadSide } from './view-definition.ts'
import { viewsOf } from './views.ts'

/** Comes with each view, so that a program without views does not load it. */
export const readSide: ReadSide = { sendWithViews, viewsOf }
