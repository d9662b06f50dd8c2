import { store } from './store.ts'
export const handler = () => store.capabilities
