/**
 * Makes the local search of VitePress accessible. VitePress marks the box as a button and each result as an option, and
 * neither role may contain links. It also names keys, which have no role that takes a name.
 */
export function correctSearchRoles(): void {
  const correct = () => {
    const box = document.querySelector('.VPLocalSearchBox')
    if (box === null) return
    if (box.getAttribute('role') === 'button') {
      box.setAttribute('role', 'dialog')
      for (const name of ['aria-expanded', 'aria-haspopup', 'aria-owns']) box.removeAttribute(name)
    }
    for (const name of ['role', 'aria-labelledby']) box.querySelector('ul[role]')?.removeAttribute(name)
    for (const key of box.querySelectorAll('kbd[aria-label]:not([role])')) key.setAttribute('role', 'img')
    for (const item of box.querySelectorAll('li[role], li[aria-selected]'))
      for (const name of ['role', 'aria-selected']) item.removeAttribute(name)
  }
  new MutationObserver(correct).observe(document.body, {
    childList: true,
    subtree: true,
    attributeFilter: ['aria-selected', 'role'],
  })
}
