import { afterEach } from 'vitest'

interface Closable {
  close(): Promise<void>
}

/**
 * Returns a function that registers an app, and closes all registered ones after each test of the
 * file.
 */
export function keeping(): <T extends Closable>(app: T) => T {
  const apps: Closable[] = []
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()))
  })
  return (app) => {
    apps.push(app)
    return app
  }
}
