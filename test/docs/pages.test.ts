import { readdirSync } from 'node:fs'
import { sep } from 'node:path'
import { describe, expect, test } from 'vitest'
import { docs, sections } from '../../site/.vitepress/pages.ts'

const listed = Object.entries(sections).flatMap(([folder, groups]) =>
  Object.values<readonly string[]>(groups).flatMap((pages) => pages.map((page) => `${folder}/${page}.md`)),
)

describe('the sidebars of the site', () => {
  test.each(Object.keys(sections))('the sidebar of docs/%s lists each page once', (folder) => {
    const pages = readdirSync(`${docs}${folder}`, { recursive: true, encoding: 'utf8' })
      .map((file) => `${folder}/${file.split(sep).join('/')}`)
      .filter((file) => file.endsWith('.md') && !file.startsWith('reference/api/'))
    expect(listed.filter((page) => page.startsWith(`${folder}/`)).sort()).toEqual(pages.sort())
  })
})
