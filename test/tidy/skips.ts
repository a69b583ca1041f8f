/** A rule on tests: none is left out without a reason. */
import type { Node, Problem, Source } from './source.ts'
import { walk } from './source.ts'

const runners = new Set(['it', 'test', 'describe', 'suite', 'bench'])

/** The name at the left end of `it.each.skip`; undefined when it is no name. */
function leftmost(node: Node): string | undefined {
  let at: Node = node
  while (at.type === 'MemberExpression' || at.type === 'CallExpression') at = at.object ?? at.callee
  return at.type === 'Identifier' ? at.name : undefined
}

/** Whether a line comment of at least three words stands on the line or on the one before. */
function hasReason(source: Source, line: number): boolean {
  return source.comments.some((comment) => {
    const at = source.line(comment.start)
    return (at === line || at === line - 1) && comment.value.trim().split(/\s+/).length >= 3
  })
}

/** Refuse `.only`, and ask for a reason beside `.skip`, `.skipIf`, `.runIf` and `.todo`: a comment, or for the test's
 *  own `skip('why')` its argument. */
export function skips(source: Source): Problem[] {
  if (!source.path.startsWith('test/') && !source.path.endsWith('.test.ts')) return []
  const problems: Problem[] = []
  walk(source.program, (node, ancestors) => {
    if (node.type !== 'MemberExpression' || node.computed) return
    const { name } = node.property
    const line = source.line(node.property.start)
    const isRunner = runners.has(leftmost(node) ?? '')
    if (isRunner && name === 'only') problems.push({ line, message: '.only leaves out every other test' })
    if (isRunner && /^(skip|skipIf|runIf|todo)$/.test(name) && !hasReason(source, line)) {
      problems.push({ line, message: `.${name} without a reason; say why in a comment above` })
    }
    if (isRunner || name !== 'skip') return
    const call = ancestors.at(-1)
    if (call?.type !== 'CallExpression' || call.callee !== node) return
    if (call.arguments.length === 0) problems.push({ line, message: 'skip() without a reason; give it a string' })
  })
  return problems
}
