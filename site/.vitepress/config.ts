import { cpSync, existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type DefaultTheme, defineConfig, type MarkdownRenderer } from 'vitepress'
import { docs, sections, titleOf } from './pages.ts'

type Item = DefaultTheme.SidebarItem

const repository = 'https://github.com/cqrs-es/cqrs-es-ts'
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }

const itemsOf = (folder: string, groups: Readonly<Record<string, readonly string[]>>): Item[] =>
  Object.entries(groups).map(([text, pages]) => ({
    text,
    items: pages.map((page) => ({ text: titleOf(`${folder}/${page}`), link: `/${folder}/${page === 'index' ? '' : page}` })),
  }))

const decisions = readdirSync(`${docs}decisions`)
  .filter((file) => file.endsWith('.md'))
  .sort()
  .map((file) => file.slice(0, -'.md'.length))

/** One sidebar for each module: VitePress writes a sidebar into every page, and the whole list is long. */
function apiSidebars(): Record<string, Item[]> {
  const list = `${docs}reference/api/typedoc-sidebar.json`
  if (!existsSync(list)) throw new Error('The API reference is missing: npm run api --workspace site')
  const all = JSON.parse(readFileSync(list, 'utf8')) as Item[]
  const modules = all.map(({ text = '', link = '', items = [] }) => ({ text, link, items: items.map(withoutExtension) }))
  const overview = { text: 'Modules', items: modules.map(({ text, link }) => ({ text, link })) }
  return Object.fromEntries([
    ['/reference/api/', [overview]],
    ...modules.map(({ text, link, items }) => [
      link,
      [
        { text: 'All modules', link: '/reference/api/' },
        { text, items },
      ],
    ]),
  ])
}

/** Never collapsed: VitePress puts a button into a group that is a button itself. */
const withoutExtension = ({ collapsed: _, ...item }: Item): Item => ({
  ...item,
  ...(item.link && { link: item.link.replace(/\.md$/, '') }),
  ...(item.items && { items: item.items.map(withoutExtension) }),
})

/** Diagrams are drawn in the browser, and links to files that are no pages lead to the repository. */
function extend(md: MarkdownRenderer): void {
  const { fence } = md.renderer.rules
  md.renderer.rules.fence = (tokens, index, ...rest) => {
    const token = tokens[index]
    if (token?.info.trim() === 'mermaid') return `<MermaidDiagram code="${encodeURIComponent(token.content)}" />`
    return fence?.(tokens, index, ...rest) ?? ''
  }
  md.core.ruler.push('repository-links', (state) => {
    const { relativePath } = state.env as { relativePath: string }
    for (const token of state.tokens.flatMap(({ children }) => children ?? [])) {
      const href = token.type === 'link_open' ? token.attrGet('href') : null
      const target = href === null ? undefined : inRepository(relativePath, href)
      if (target !== undefined) token.attrSet('href', target)
    }
  })
}

function inRepository(page: string, href: string): string | undefined {
  if (/^([a-z]+:|#|\/)/.test(href)) return undefined
  const path = posix.join('docs', posix.dirname(page), href)
  return path.startsWith('docs/') ? undefined : `${repository}/blob/main/${path}`
}

/** Copies what `theme/MermaidDiagram.vue` loads. */
function copyMermaid(to: string): void {
  const from = dirname(fileURLToPath(import.meta.resolve('mermaid')))
  for (const part of ['mermaid.esm.min.mjs', 'chunks/mermaid.esm.min'])
    cpSync(join(from, part), join(to, 'mermaid', part), { recursive: true, filter: (file) => !file.endsWith('.map') })
}

export default defineConfig({
  title: 'cqrs-es',
  description: 'CQRS and event sourcing for TypeScript: plain functions, inferred types, the database you already have.',
  // GitHub Pages serves a project under its name.
  base: process.env.DOCS_BASE ?? '/cqrs-es-ts/',
  srcDir: '../docs',
  cleanUrls: true,
  lastUpdated: false,
  buildEnd: ({ outDir }) => copyMermaid(outDir),
  head: [['link', { rel: 'icon', href: 'data:,' }]],
  markdown: {
    config: extend,
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
  },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    nav: [
      { text: 'Tutorial', link: '/tutorial/', activeMatch: '/tutorial/' },
      { text: 'Guides', link: '/guides/define-an-aggregate', activeMatch: '/guides/' },
      { text: 'Concepts', link: '/concepts/event-sourcing', activeMatch: '/concepts/' },
      { text: 'Reference', link: '/reference/options', activeMatch: '/reference/(?!api)' },
      { text: 'API', link: '/reference/api/', activeMatch: '/reference/api/' },
      {
        text: version,
        items: [
          { text: 'Changelog', link: `${repository}/blob/main/CHANGELOG.md` },
          { text: 'Questions', link: '/faq' },
          { text: 'Decisions', link: '/decisions/' },
          { text: 'Architecture', link: `${repository}/blob/main/ARCHITECTURE.md` },
          { text: 'Contributing', link: `${repository}/blob/main/CONTRIBUTING.md` },
        ],
      },
    ],
    sidebar: {
      ...Object.fromEntries(Object.entries(sections).map(([folder, groups]) => [`/${folder}/`, itemsOf(folder, groups)])),
      '/decisions/': [
        {
          text: 'Decisions',
          items: decisions.map((page) => ({ text: titleOf(`decisions/${page}`), link: `/decisions/${page}` })),
        },
      ],
      ...apiSidebars(),
    },
    socialLinks: [{ icon: 'github', link: repository }],
    editLink: { pattern: `${repository}/edit/main/docs/:path` },
  },
})
