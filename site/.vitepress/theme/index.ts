import DefaultTheme from 'vitepress/theme'
import { type App, defineAsyncComponent } from 'vue'
import './style.css'

export default {
  extends: DefaultTheme,
  enhanceApp: ({ app }: { app: App }): void => {
    // Mermaid is large, so only pages with a diagram load it.
    app.component(
      'MermaidDiagram',
      defineAsyncComponent(() => import('./MermaidDiagram.vue')),
    )
  },
}
