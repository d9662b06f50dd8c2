import { describe, expect, test } from 'vitest'
import { sections } from '../../site/.vitepress/pages.ts'
import { root } from '../run.ts'
import { pagesBelow } from './snippets.ts'

const listed = Object.entries(sections).flatMap(([folder, groups]) =>
  Object.values<readonly string[]>(groups).flatMap((pages) => pages.map((page) => `docs/${folder}/${page}.md`)),
)

describe('the sidebars of the site', () => {
  test.each(Object.keys(sections))('the sidebar of docs/%s lists each page once', (folder) => {
    const pages = listed.filter((page) => page.startsWith(`docs/${folder}/`))
    expect(pages.sort()).toEqual(pagesBelow(root, `docs/${folder}`))
  })
})
