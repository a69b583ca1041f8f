/** Rules on shape: lengths of files, functions and lines, and a doc comment on every export. */
import { isTest, type Node, type Problem, type Source, walk } from './source.ts'

const FILE_LINES_MAX = 500
const FUNCTION_LINES_MAX = 70
const LINE_CHARS_MAX = 120

/** Hold files to 500 lines. */
export function fileLength(source: Source): Problem[] {
  const lines = source.line(source.text.trimEnd().length)
  return lines <= FILE_LINES_MAX ? [] : [{ line: 1, message: `file of ${lines} lines; at most ${FILE_LINES_MAX}` }]
}

/** Hold lines to 120 characters. */
export function lineLength(source: Source): Problem[] {
  return source.text
    .split('\n')
    .map((text, index) => ({ line: index + 1, chars: text.length }))
    .filter(({ chars }) => chars > LINE_CHARS_MAX)
    .map(({ line, chars }) => ({ line, message: `line of ${chars} characters; at most ${LINE_CHARS_MAX}` }))
}

const functions = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression'])

/** Whether a function is the body of `describe` in a test: a grouping, not a piece of work. */
function isGroup(ancestors: readonly Node[]): boolean {
  let call = ancestors.at(-1)
  if (call?.type !== 'CallExpression') return false
  while (call?.type === 'CallExpression' || call?.type === 'MemberExpression') call = call.callee ?? call.object
  return call?.type === 'Identifier' && call.name === 'describe'
}

/** Hold functions to 70 lines. */
export function functionLength(source: Source): Problem[] {
  const problems: Problem[] = []
  walk(source.program, (node, ancestors) => {
    if (!functions.has(node.type)) return
    const lines = source.line(node.end) - source.line(node.start) + 1
    if (lines <= FUNCTION_LINES_MAX || (isTest(source.path) && isGroup(ancestors))) return
    const name = node.id?.name ?? ancestors.at(-1)?.key?.name ?? ancestors.at(-1)?.id?.name ?? 'function'
    problems.push({
      line: source.line(node.start),
      message: `${name} of ${lines} lines; at most ${FUNCTION_LINES_MAX}`,
    })
  })
  return problems
}

/** Whether a doc comment stands before the offset, with at most line comments (linter directives) between. */
function isDocumented(source: Source, start: number): boolean {
  const before = source.comments.findLast((comment) => comment.type === 'Block' && comment.end <= start)
  if (before === undefined || !before.value.startsWith('*') || !/[a-z]{3}/i.test(before.value)) return false
  return /^\s*(\/\/.*\s*)*$/.test(source.text.slice(before.end, start))
}

/** The names that a declaration binds at the top of a module. */
function declaredNames(declaration: Node): string[] {
  if (declaration.type === 'VariableDeclaration') {
    return declaration.declarations.map((one: Node) => one.id.name ?? `the pattern at ${one.id.start}`)
  }
  return [declaration.id?.name ?? 'default']
}

/** Ask for a doc comment on everything a module exports. A re-export needs none, nor a later overload, and a name in
 *  an `export { }` list is documented where it is declared. Test files are their own documentation. */
export function docComments(file: Source): Problem[] {
  if (file.path.endsWith('.test.ts')) return []
  const problems: Problem[] = []
  const seen = new Set<string>()
  const listed = new Set<string>()
  const check = (declaration: Node, start: number) => {
    for (const name of declaredNames(declaration)) {
      if (seen.has(name)) continue
      seen.add(name)
      if (isDocumented(file, start)) continue
      problems.push({ line: file.line(start), message: `export ${name} has no doc comment` })
    }
  }
  for (const node of file.program.body as Node[]) {
    if (node.type === 'ExportDefaultDeclaration') check(node.declaration, node.start)
    if (node.type !== 'ExportNamedDeclaration') continue
    if (node.declaration) check(node.declaration, node.start)
    else if (!node.source) for (const one of node.specifiers) listed.add(one.local.name)
  }
  for (const node of file.program.body as Node[]) {
    if (!/Declaration$/.test(node.type) || /^(Import|Export)/.test(node.type)) continue
    if (declaredNames(node).some((name) => listed.has(name))) check(node, node.start)
  }
  return problems
}
