import DefaultTheme from 'vitepress/theme'
import { type App, defineAsyncComponent } from 'vue'
import { correctSearchRoles } from './search-roles.ts'
import './style.css'

export default {
  extends: DefaultTheme,
  enhanceApp: ({ app }: { app: App }): void => {
    if (!import.meta.env.SSR) correctSearchRoles()
    // Mermaid is large, so only pages with a diagram load it.
    app.component(
      'MermaidDiagram',
      defineAsyncComponent(() => import('./MermaidDiagram.vue')),
    )
  },
}
